/* label_index.h against a plain list: after every step of a random history, who matches what is what evaluating each
 * selector on each member's labels says. */
#include "calc/label_index.h"

#include "random_selector.h"

enum { MEMBERS = 14, RULES = 12, PARENTS = 6, STEPS = 20000, LABELS = 8, MOST_PARENTS = 3 };

/* Own labels, and those that come from parents with the prefix. */
static const char *const labels[LABELS] = {"a", "b", "c", "d", "p.a", "p.b", "q.a", "q.b"};
enum { OWN_LABELS = 4 };
static const char *const values[] = {"", "1", "2", "12"};
static const struct selector_universe universe = {labels, LABELS, values, COUNT(values)};

/* Parents with one prefix may pass on labels of this prefix and own ones; those without, own ones. */
static const struct {
    const char *name, *prefix;
    size_t first, last; /* in `labels`, besides the own ones */
} parent_kinds[PARENTS] = {
    {"p1", "p.", 4, 6}, {"p2", "p.", 4, 6}, {"p3", "p.", 4, 6},
    {"q1", "q.", 6, 8}, {"n1", "", 0, 0},   {"n2", "", 0, 0},
};

/* One value a label, NULL: it is not there. */
struct values {
    const char *items[LABELS];
};

struct subject {
    struct label_member member;
    bool is_in;
    struct values own;
    size_t parents[MOST_PARENTS];
    size_t parent_count;
    bool matched[RULES]; /* as was told */
};

struct rule {
    struct label_selector selector;
    bool is_in;
    struct arena arena;
};

struct world {
    struct label_index *index;
    struct random random;
    struct values passed_on[PARENTS];
    struct subject members[MEMBERS];
    struct rule rules[RULES];
    struct label answer[LABELS]; /* what was said of a parent last */
    size_t events;
};

/* ---- the plain model ---- */

static size_t label_number(struct str name)
{
    size_t i = 0;
    while (!str_eq(str_from_c(labels[i]), name))
        i++;
    return i;
}

struct reading {
    const struct world *world;
    const struct subject *subject;
};

static bool read_label(const void *ctx, struct str name, struct str *value)
{
    const struct reading *reading = ctx;
    size_t label = label_number(name);
    const char *found = reading->subject->own.items[label];
    for (size_t i = 0; found == NULL && i < reading->subject->parent_count; i++)
        found = reading->world->passed_on[reading->subject->parents[i]].items[label];
    *value = str_from_c(found);
    return found != NULL;
}

static bool ought_to_match(const struct world *world, const struct subject *subject,
                           const struct rule *rule)
{
    const struct reading reading = {world, subject};
    const struct selector_labels read = {read_label, &reading};
    return selector_matches(rule->selector.selector, &read);
}

/* ---- the index ---- */

static struct labels make_labels(const struct values *from, struct label *to)
{
    struct labels list = {to, 0};
    for (size_t i = 0; i < LABELS; i++) {
        if (from->items[i] != NULL)
            to[list.count++] = (struct label){str_from_c(labels[i]), str_from_c(from->items[i])};
    }
    return list;
}

static struct labels on_parent_labels(void *ctx, struct str parent, struct str *prefix)
{
    struct world *world = ctx;
    size_t i = 0;
    while (!str_eq(str_from_c(parent_kinds[i].name), parent))
        i++;
    *prefix = str_from_c(parent_kinds[i].prefix);
    struct labels list = make_labels(&world->passed_on[i], world->answer);
    /* Not sorted: nothing says that they are. */
    for (size_t j = 0; j < list.count / 2; j++) {
        struct label swap = list.items[j];
        list.items[j] = list.items[list.count - 1 - j];
        list.items[list.count - 1 - j] = swap;
    }
    return list;
}

/* What is told must be news. */
static void on_match(void *ctx, struct label_selector *selector, struct label_group *group,
                     bool matches)
{
    struct world *world = ctx;
    size_t rule = (size_t)((struct rule *)selector - world->rules);
    world->events++;
    for (uint32_t i = 0; i < group->members.count; i++) {
        struct subject *subject = group->members.items[i];
        assert_int_equal(subject->matched[rule], !matches);
        subject->matched[rule] = matches;
    }
}

static void join(struct world *world, struct subject *subject)
{
    struct label own[LABELS];
    struct str names[MOST_PARENTS];
    struct labels list = make_labels(&subject->own, own);
    struct model_strings parents = {names, subject->parent_count};
    for (size_t i = 0; i < subject->parent_count; i++)
        names[i] = str_from_c(parent_kinds[subject->parents[i]].name);
    label_index_join(world->index, &subject->member, &list, &parents);
    memset(subject->matched, 0, sizeof(subject->matched));
    const struct label_group *group = subject->member.group;
    for (uint32_t i = 0; i < group->matches.count; i++) {
        size_t rule = (size_t)((struct rule *)label_group_match(group, i) - world->rules);
        assert_false(subject->matched[rule]);
        subject->matched[rule] = true;
    }
    subject->is_in = true;
}

/* ---- steps ---- */

static const char *random_value(struct world *world)
{
    return random_below(&world->random, 2) == 0 ? NULL
                                                : pick(&world->random, values, COUNT(values));
}

static void step_join(struct world *world, struct subject *subject)
{
    for (size_t i = 0; i < OWN_LABELS; i++)
        subject->own.items[i] = random_value(world);
    subject->parent_count = random_below(&world->random, MOST_PARENTS + 1);
    for (size_t i = 0; i < subject->parent_count; i++)
        subject->parents[i] = random_below(&world->random, PARENTS);
    join(world, subject);
}

/* A copy of another member shares its group. */
static void step_join_like(struct world *world, struct subject *subject)
{
    const struct subject *other = &world->members[random_below(&world->random, MEMBERS)];
    subject->own = other->own;
    memcpy(subject->parents, other->parents, sizeof(subject->parents));
    subject->parent_count = other->parent_count;
    join(world, subject);
}

static void step_member(struct world *world)
{
    struct subject *subject = &world->members[random_below(&world->random, MEMBERS)];
    if (subject->is_in) {
        label_index_leave(world->index, &subject->member);
        subject->is_in = false;
        if (random_below(&world->random, 3) == 0)
            return;
    }
    if (random_below(&world->random, 4) == 0)
        step_join_like(world, subject);
    else
        step_join(world, subject);
}

static void step_rule(struct world *world)
{
    struct rule *rule = &world->rules[random_below(&world->random, RULES)];
    if (rule->is_in) {
        label_index_remove(world->index, &rule->selector);
        arena_free(&rule->arena);
    } else {
        rule->selector.selector = random_selector(&rule->arena, &world->random, &universe, 3);
        label_index_add(world->index, &rule->selector);
    }
    rule->is_in = !rule->is_in;
}

static void step_parent(struct world *world)
{
    size_t parent = random_below(&world->random, PARENTS);
    size_t changes = 1 + random_below(&world->random, 2);
    size_t first = parent_kinds[parent].first, last = parent_kinds[parent].last;
    for (size_t i = 0; i < changes; i++) {
        /* One without a prefix passes on what members may have themselves; others do that now and then. */
        bool is_own = last == 0 || random_below(&world->random, 4) == 0;
        size_t label = is_own ? random_below(&world->random, OWN_LABELS)
                              : first + random_below(&world->random, last - first);
        world->passed_on[parent].items[label] = random_value(world);
    }
    label_index_parent_changed(world->index, str_from_c(parent_kinds[parent].name));
}

static void count_members(void *ctx, struct label_group *group)
{
    *(size_t *)ctx += group->members.count;
}

static void check_rule(struct world *world, struct rule *rule)
{
    size_t place = (size_t)(rule - world->rules), count = 0, visited = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct subject *subject = &world->members[i];
        if (!subject->is_in)
            continue;
        bool ought = ought_to_match(world, subject, rule);
        if (subject->matched[place] != ought) {
            CLEANUP_BUF struct buf text = {0};
            selector_format(&text, rule->selector.selector);
            buf_append_byte(&text, '\0');
            fail_msg("member %zu, %s: ought to match: %d", i, text.data, ought);
        }
        count += ought;
    }
    label_selector_each_match(&rule->selector, count_members, &visited);
    assert_int_equal(visited, count);
}

static void check(struct world *world)
{
    size_t rules = 0;
    for (size_t i = 0; i < RULES; i++) {
        rules += world->rules[i].is_in;
        if (world->rules[i].is_in)
            check_rule(world, &world->rules[i]);
    }
    assert_int_equal(label_index_stats(world->index).selectors, rules);
}

static void test_against_list(void **state)
{
    (void)state;
    struct world world = {.random = random_start()};
    const struct label_index_events events = {on_match, on_parent_labels, &world};
    world.index = label_index_new(&events);
    for (size_t step = 0; step < STEPS; step++) {
        size_t what = random_below(&world.random, 10);
        if (what < 4)
            step_member(&world);
        else if (what < 7)
            step_rule(&world);
        else
            step_parent(&world);
        check(&world);
    }
    assert_in_range(world.events, STEPS / 2, SIZE_MAX); /* or it was a dull history */
    for (size_t i = 0; i < MEMBERS; i++) {
        if (world.members[i].is_in)
            label_index_leave(world.index, &world.members[i].member);
    }
    assert_int_equal(label_index_stats(world.index).groups, 0);
    assert_int_equal(label_index_stats(world.index).parents, 0);
    label_index_free(world.index);
    for (size_t i = 0; i < RULES; i++)
        arena_free(&world.rules[i].arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
