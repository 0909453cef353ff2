#include "calc/label_index.h"

#include <stdlib.h>

#include "calc/label_private.h"

struct label_index *label_index_new(const struct label_index_events *events)
{
    struct label_index *index = mem_zalloc(sizeof(*index));
    index->events = *events;
    return index;
}

/* ---- matching ---- */

static bool get_label(const void *ctx, struct str label, struct str *value)
{
    return label_group_get(ctx, label, value);
}

static bool matches(const struct label_selector *selector, const struct label_group *group)
{
    struct selector_labels labels = {get_label, group};
    return selector_matches(selector->selector, &labels);
}

/* Tests a new group against selectors that it was not tested against in this round. */
static void try_selectors(struct label_index *index, struct label_group *group,
                          const struct list *selectors)
{
    for (uint32_t i = 0; i < selectors->count; i++) {
        struct label_selector *selector = selectors->items[i];
        if (selector->stamp == index->round)
            continue;
        selector->stamp = index->round;
        if (matches(selector, group))
            list_add(&group->matches, selector);
    }
}

static void try_pair(struct label_index *index, struct label_group *group,
                     const struct label_pair *pair)
{
    try_selectors(index, group, &pair->selectors);
    try_selectors(index, group, &pair->key->selectors);
}

static void find_matches(struct label_index *index, struct label_group *group)
{
    index->round++;
    for (size_t i = 0; i < group->label_count; i++)
        try_pair(index, group, label_group_pair(group, i));
    for (size_t i = 0; i < group->parent_count; i++) {
        const struct list *pairs = &label_group_parent(group, i)->pairs;
        for (uint32_t j = 0; j < pairs->count; j++)
            try_pair(index, group, pairs->items[j]);
    }
    try_selectors(index, group, &index->unrestricted);
}

/* ---- members ---- */

void label_index_join(struct label_index *index, struct label_member *member,
                      const struct model_labels *labels, const struct model_strings *parents)
{
    bool is_new;
    member->group = label_group_use(index, labels, parents, &is_new);
    if (is_new)
        find_matches(index, member->group);
    member->place = member->group->members.count;
    list_add(&member->group->members, member);
}

void label_index_leave(struct label_index *index, struct label_member *member)
{
    struct label_group *group = member->group;
    struct label_member *moved = list_remove(&group->members, member->place);
    if (moved != NULL)
        moved->place = member->place;
    member->group = NULL;
    label_group_release(index, group);
}

/* ---- selectors ---- */

/* A walk over the groups that a selector could match. */
struct walk {
    struct label_index *index;
    struct label_selector *selector;
    void (*visit)(struct walk *walk, struct label_group *group);
    void (*visit_match)(void *ctx, struct label_group *group); /* label_index_each_match's */
    void *ctx;
};

static void visit_groups(struct walk *walk, const struct list *groups)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        struct label_group *group = groups->items[i];
        if (group->stamp == walk->index->round)
            continue;
        group->stamp = walk->index->round;
        walk->visit(walk, group);
    }
}

static void visit_pair(struct walk *walk, const struct label_pair *pair)
{
    visit_groups(walk, &pair->groups);
    for (uint32_t i = 0; i < pair->parents.count; i++)
        visit_groups(walk, &((const struct label_parent *)pair->parents.items[i])->groups);
}

static void visit_entry(struct walk *walk, const struct label_entry *entry)
{
    if (entry->pair != NULL) {
        visit_pair(walk, entry->pair);
        return;
    }
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(&entry->key->pairs, &position)) != NULL)
        visit_pair(walk, item->value);
}

static void walk_candidates(struct walk *walk)
{
    const struct label_selector *selector = walk->selector;
    walk->index->round++;
    for (uint32_t i = 0; i < selector->entry_count; i++)
        visit_entry(walk, &selector->entries[i]);
    if (!selector->is_unrestricted)
        return;
    for (struct label_group *group = walk->index->first; group != NULL; group = group->next)
        walk->visit(walk, group);
}

static void tell(struct label_index *index, struct label_selector *selector,
                 struct label_group *group, bool is_match)
{
    index->events.match(index->events.ctx, selector, group, is_match);
}

static void visit_to_add(struct walk *walk, struct label_group *group)
{
    if (!matches(walk->selector, group))
        return;
    list_add(&group->matches, walk->selector);
    tell(walk->index, walk->selector, group, true);
}

void label_index_add(struct label_index *index, struct label_selector *selector)
{
    struct walk walk = {.index = index, .selector = selector, .visit = visit_to_add};
    label_file(index, selector);
    index->selector_count++;
    walk_candidates(&walk);
}

static bool is_match(const struct label_group *group, const struct label_selector *selector)
{
    return list_find(&group->matches, selector) < group->matches.count;
}

static void visit_to_remove(struct walk *walk, struct label_group *group)
{
    if (!is_match(group, walk->selector))
        return;
    list_remove_item(&group->matches, walk->selector);
    tell(walk->index, walk->selector, group, false);
}

void label_index_remove(struct label_index *index, struct label_selector *selector)
{
    struct walk walk = {.index = index, .selector = selector, .visit = visit_to_remove};
    walk_candidates(&walk);
    label_unfile(index, selector);
    index->selector_count--;
}

static void visit_match(struct walk *walk, struct label_group *group)
{
    if (is_match(group, walk->selector))
        walk->visit_match(walk->ctx, group);
}

void label_index_each_match(struct label_index *index, struct label_selector *selector,
                            void (*visit)(void *ctx, struct label_group *group), void *ctx)
{
    struct walk walk = {.index = index,
                        .selector = selector,
                        .visit = visit_match,
                        .visit_match = visit,
                        .ctx = ctx};
    walk_candidates(&walk);
}

/* ---- parents ---- */

/* A parent's change: its labels before and after. */
struct change {
    struct label_index *index;
    struct label_parent *parent;
    struct list before, after; /* struct label_pair */
    struct list affected;      /* struct label_selector: those that name a label that differs */
};

static void add_affected(struct change *change, const struct label_key *key)
{
    for (uint32_t i = 0; i < key->mentions.count; i++) {
        struct label_selector *selector = key->mentions.items[i];
        if (selector->stamp == change->index->round)
            continue;
        selector->stamp = change->index->round;
        list_add(&change->affected, selector);
    }
}

/* Selectors that name a label of `pairs` that is another, or not there, in `others`. */
static void find_affected(struct change *change, const struct list *pairs,
                          const struct list *others)
{
    for (uint32_t i = 0; i < pairs->count; i++) {
        const struct label_pair *pair = pairs->items[i];
        if (list_find(others, pair) == others->count)
            add_affected(change, pair->key);
    }
}

struct known {
    const struct list *pairs;
    struct str prefix;
};

static enum selector_label_state get_known(const void *ctx, struct str label, struct str *value)
{
    const struct known *known = ctx;
    if (!str_starts_with(label, known->prefix))
        return SELECTOR_LABEL_UNKNOWN;
    return label_pairs_get(known->pairs, label, value) ? SELECTOR_LABEL_PRESENT
                                                       : SELECTOR_LABEL_ABSENT;
}

/* Drops the selectors of which the parent's own labels show that the change is nothing to them. */
static void drop_unmoved(struct change *change)
{
    struct label_parent *parent = change->parent;
    uint32_t kept = 0;
    if (parent->prefix.len == 0 || parent->groups_rivals > 0)
        return;
    for (uint32_t i = 0; i < change->affected.count; i++) {
        struct label_selector *selector = change->affected.items[i];
        struct known known = {&change->before, parent->prefix};
        struct selector_known_labels labels = {get_known, &known};
        enum selector_answer before = selector_decide(selector->selector, &labels);
        known.pairs = &change->after;
        if (before == SELECTOR_DEPENDS || selector_decide(selector->selector, &labels) != before)
            change->affected.items[kept++] = selector;
    }
    change->affected.count = kept;
}

static void match_again(struct label_index *index, struct label_selector *selector,
                        struct label_group *group)
{
    bool before = is_match(group, selector);
    bool after = matches(selector, group);
    if (before == after)
        return;
    if (after)
        list_add(&group->matches, selector);
    else
        list_remove_item(&group->matches, selector);
    tell(index, selector, group, after);
}

void label_index_parent_changed(struct label_index *index, struct str name)
{
    struct label_parent *parent = map_get(&index->parents, name);
    if (parent == NULL)
        return;
    struct change change = {.index = index, .parent = parent};
    label_parent_read(index, parent, &change.after);
    label_parent_unlink(parent);
    change.before = parent->pairs;
    label_parent_link(parent, &change.after);

    index->round++;
    find_affected(&change, &change.before, &change.after);
    find_affected(&change, &change.after, &change.before);
    drop_unmoved(&change);
    for (uint32_t i = 0; i < parent->groups.count; i++) {
        for (uint32_t j = 0; j < change.affected.count; j++)
            match_again(index, change.affected.items[j], parent->groups.items[i]);
    }
    list_free(&change.affected);
    label_pairs_release(index, &change.before);
}

/* ---- the whole ---- */

void label_index_free(struct label_index *index)
{
    if (index == NULL)
        return;
    while (index->first != NULL) {
        index->first->members.count = 0;
        label_group_release(index, index->first);
    }
    while (index->unrestricted.count > 0)
        label_unfile(index, index->unrestricted.items[0]);
    while (index->keys.count > 0) {
        /* What is left is held by selectors, each of which names a label. */
        size_t position = 0;
        const struct label_key *key = map_next(&index->keys, &position)->value;
        label_unfile(index, key->mentions.items[0]);
    }
    list_free(&index->unrestricted);
    map_free(&index->keys);
    map_free(&index->parents);
    map_free(&index->groups);
    free(index);
}

struct label_index_stats label_index_stats(const struct label_index *index)
{
    return (struct label_index_stats){.groups = index->groups.count,
                                      .selectors = index->selector_count,
                                      .unrestricted = index->unrestricted.count,
                                      .parents = index->parents.count};
}
