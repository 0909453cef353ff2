/* For the tests of label_index.h: an index whose members, selectors and parents are told in few words, and which writes down
 * what it tells. */
#ifndef TESTS_LABEL_WORLD_H
#define TESTS_LABEL_WORLD_H

#include <stdlib.h>

#include "calc/label_index.h"

#include "check.h"

/* A member with a letter for a name. */
struct subject {
    struct label_member member;
    char name;
};

struct rule {
    struct label_selector selector;
    const char *name;
    struct arena arena;
};

struct parent {
    const char *name, *prefix, *labels;
};

/* An index, its parents, and what it told: "+NAME(members)", "-NAME(members)". */
struct world {
    struct label_index *index;
    struct parent parents[4];
    struct arena answer; /* what was said of a parent last */
    struct buf trace;    /* each with a blank behind it */
};

/* "a=1 b=2", sorted. */
static inline struct labels parse_labels(struct arena *arena, const char *text)
{
    struct labels labels = {arena_array(arena, strlen(text), sizeof(*labels.items)), 0};
    struct str word, rest = arena_copy(arena, str_from_c(text));
    while (rest.len > 0) {
        struct label *label = &labels.items[labels.count++];
        str_cut(rest, ' ', &word, &rest);
        str_cut(word, '=', &label->key, &label->value);
    }
    return labels;
}

static inline struct model_strings parse_names(struct arena *arena, const char *text)
{
    struct model_strings names = {arena_array(arena, strlen(text), sizeof(struct str)), 0};
    struct str rest = arena_copy(arena, str_from_c(text));
    while (rest.len > 0)
        str_cut(rest, ' ', &names.items[names.count++], &rest);
    return names;
}

static inline struct labels on_parent_labels(void *ctx, struct str parent, struct str *prefix)
{
    struct world *world = ctx;
    *prefix = STR("");
    for (size_t i = 0; i < COUNT(world->parents); i++) {
        if (!str_eq(str_from_c(world->parents[i].name), parent))
            continue;
        *prefix = str_from_c(world->parents[i].prefix);
        arena_free(&world->answer);
        return parse_labels(&world->answer, world->parents[i].labels);
    }
    return (struct labels){NULL, 0};
}

static inline int compare_bytes(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static inline void append_members(struct buf *out, const struct label_group *group)
{
    size_t start = out->len;
    for (uint32_t i = 0; i < group->members.count; i++)
        buf_append_byte(out, ((const struct subject *)group->members.items[i])->name);
    qsort(out->data + start, out->len - start, 1, compare_bytes);
}

static inline void on_match(void *ctx, struct label_selector *selector, struct label_group *group,
                            bool matches)
{
    struct world *world = ctx;
    buf_printf(&world->trace, "%c%s(", matches ? '+' : '-', ((const struct rule *)selector)->name);
    append_members(&world->trace, group);
    buf_append_str(&world->trace, STR(") "));
}

static inline void open_world(struct world *world)
{
    const struct label_index_events events = {on_match, on_parent_labels, world};
    *world = (struct world){.index = label_index_new(&events)};
}

static inline void close_world(struct world *world)
{
    label_index_free(world->index);
    arena_free(&world->answer);
    buf_free(&world->trace);
}

static inline int compare_texts(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* What was told since the last time, sorted: its order means nothing. */
static inline void check_trace(const char *name, struct world *world, const char *expected)
{
    CLEANUP_BUF struct buf sorted = {0};
    struct str words[16], rest = buf_str(&world->trace);
    size_t count = 0;
    for (; rest.len > 0; count++) {
        assert_in_range(count, 0, COUNT(words) - 1);
        str_cut(rest, ' ', &words[count], &rest);
    }
    qsort(words, count, sizeof(*words), compare_texts);
    for (size_t i = 0; i < count; i++)
        buf_printf(&sorted, "%s%.*s", i > 0 ? " " : "", STR_ARG(words[i]));
    check_text(name, buf_str(&sorted), str_from_c(expected));
    world->trace.len = 0;
}

static inline void join(struct world *world, struct subject *subject, const char *labels,
                        const char *parents)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct labels own = parse_labels(&arena, labels);
    struct model_strings names = parse_names(&arena, parents);
    label_index_join(world->index, &subject->member, &own, &names);
}

static inline void leave(struct world *world, struct subject *subject)
{
    label_index_leave(world->index, &subject->member);
}

static inline void add(struct world *world, struct rule *rule, const char *text)
{
    struct error err;
    rule->selector.selector = selector_parse(&rule->arena, str_from_c(text), NULL, &err);
    if (rule->selector.selector == NULL)
        fail_msg("%s", err.text);
    if (rule->name == NULL)
        rule->name = text;
    label_index_add(world->index, &rule->selector);
}

static inline void drop(struct world *world, struct rule *rule)
{
    label_index_remove(world->index, &rule->selector);
    arena_free(&rule->arena);
}

static inline void set_parent(struct world *world, size_t i, const char *name, const char *prefix,
                              const char *labels)
{
    world->parents[i] = (struct parent){name, prefix, labels};
    label_index_parent_changed(world->index, str_from_c(name));
}

static inline bool group_matches(const struct subject *subject, const struct rule *rule)
{
    const struct label_group *group = subject->member.group;
    uint32_t i = 0;
    while (i < group->matches.count && label_group_match(group, i) != &rule->selector)
        i++;
    return i < group->matches.count;
}

static inline void check_stats(const char *name, const struct world *world, size_t groups,
                               size_t selectors, size_t unrestricted, size_t parents)
{
    struct label_index_stats stats = label_index_stats(world->index);
    check_number(name, (long long)stats.groups, (long long)groups);
    check_number(name, (long long)stats.selectors, (long long)selectors);
    check_number(name, (long long)stats.unrestricted, (long long)unrestricted);
    check_number(name, (long long)stats.parents, (long long)parents);
}

#endif
