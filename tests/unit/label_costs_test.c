/* label_index.h: what work costs at sizes at which a walk inside of a walk would take many times what is allowed here. */
#include <time.h>

#include "calc/label_index.h"

#include "check.h"

/* Seconds of CPU, with room for sanitizers; each of these took 3 to 10 in its time. */
#define MOST 1.5

/* An index with one parent, "kns.big". */
struct world {
    struct label_index *index;
    struct labels passed_on;
    struct arena arena;
    size_t begun, ended; /* matches that were told */
};

static void on_match(void *ctx, struct label_selector *selector, struct label_group *group,
                     bool matches)
{
    struct world *world = ctx;
    (void)selector;
    (void)group;
    *(matches ? &world->begun : &world->ended) += 1;
}

static struct labels on_parent_labels(void *ctx, struct str parent, struct str *prefix)
{
    (void)parent;
    *prefix = STR("pcns.");
    return ((struct world *)ctx)->passed_on;
}

static void open_world(struct world *world)
{
    const struct label_index_events events = {on_match, on_parent_labels, world};
    *world = (struct world){.index = label_index_new(&events)};
}

static void close_world(struct world *world)
{
    label_index_free(world->index);
    arena_free(&world->arena);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check_cost(const char *what, double start)
{
    double cost = seconds() - start;
    if (cost > MOST)
        fail_msg("%s took %.2f s", what, cost);
}

/* PREFIX000000=v, PREFIX000001=v, …: sorted. */
static struct labels make_labels(struct world *world, const char *prefix, size_t count)
{
    struct labels labels = {arena_array(&world->arena, count, sizeof(struct label)), count};
    for (size_t i = 0; i < count; i++)
        labels.items[i] =
            (struct label){arena_printf(&world->arena, "%s%06zu", prefix, i), STR("v")};
    return labels;
}

static void join(struct world *world, struct label_member *member, const struct labels *labels)
{
    struct str parent = STR("kns.big");
    const struct model_strings parents = {&parent, 1};
    label_index_join(world->index, member, labels, &parents);
}

/* Each with its own value of the label "app". */
static struct label_member *join_many(struct world *world, size_t count)
{
    struct label_member *members = arena_array(&world->arena, count, sizeof(*members));
    for (size_t i = 0; i < count; i++) {
        struct label label = {STR("app"), arena_printf(&world->arena, "a%zu", i)};
        join(world, &members[i], &(struct labels){&label, 1});
    }
    return members;
}

static struct label_selector *add(struct world *world, struct str text)
{
    struct error err;
    struct label_selector *selector = arena_alloc(&world->arena, sizeof(*selector));
    selector->selector = selector_parse(&world->arena, text, NULL, &err);
    if (selector->selector == NULL)
        fail_msg("%s", err.text);
    label_index_add(world->index, selector);
    return selector;
}

/* Each is the text, with a number in place of its %. */
static struct label_selector **add_many(struct world *world, struct str text, size_t count)
{
    struct label_selector **selectors = arena_array(&world->arena, count, sizeof(*selectors));
    struct str before, after;
    str_cut(text, '%', &before, &after);
    for (size_t i = 0; i < count; i++) {
        CLEANUP_BUF struct buf numbered = {0};
        buf_printf(&numbered, "%.*s%zu%.*s", STR_ARG(before), i, STR_ARG(after));
        selectors[i] = add(world, buf_str(&numbered));
    }
    return selectors;
}

static void count_visit(void *ctx, struct label_group *group)
{
    (void)group;
    *(size_t *)ctx += 1;
}

/* Policies for all, in a namespace of which each pod has its own labels. */
static void test_many_matches(void **state)
{
    (void)state;
    enum { POLICIES = 8000, PODS = 250 };
    struct world world;
    size_t visits = 0;
    open_world(&world);
    join_many(&world, PODS);
    struct label_selector **selectors = add_many(&world, STR("!has(x%)"), POLICIES);
    check_number("begun", (long long)world.begun, POLICIES * PODS);
    double start = seconds();
    for (size_t i = 0; i < POLICIES; i++)
        label_selector_each_match(selectors[i], count_visit, &visits);
    check_cost("a visit to all", start);
    check_number("visits", (long long)visits, POLICIES * PODS);
    start = seconds();
    for (size_t i = POLICIES; i > 0; i--)
        label_index_remove(world.index, selectors[i - 1]);
    check_cost("the removal of all", start);
    check_number("ended", (long long)world.ended, POLICIES * PODS);
    close_world(&world);
}

/* One of very many labels of a namespace changes. */
static void test_many_labels_passed_on(void **state)
{
    (void)state;
    enum { LABELS = 120000 };
    struct world world;
    struct label_member member = {0};
    open_world(&world);
    world.passed_on = make_labels(&world, "pcns.l", LABELS);
    join(&world, &member, &(struct labels){0});
    add(&world, STR("pcns.l077777 == 'w'"));
    double start = seconds();
    world.passed_on.items[77777].value = STR("w");
    label_index_parent_changed(world.index, STR("kns.big"));
    check_cost("a label's change", start);
    check_number("begun", (long long)world.begun, 1);
    close_world(&world);
}

/* A pod with very many labels, and selectors that are filed nowhere; two such pods leave. */
static void test_many_own_labels(void **state)
{
    (void)state;
    enum { LABELS = 40000, SELECTORS = 20000 };
    struct world world;
    struct label_member members[2] = {0};
    open_world(&world);
    struct labels labels = make_labels(&world, "l", LABELS);
    add_many(&world, STR("l% != 'v'"), SELECTORS);
    double start = seconds();
    join(&world, &members[0], &labels);
    labels.items[LABELS / 2].value = STR("w");
    join(&world, &members[1], &labels);
    label_index_leave(world.index, &members[0]);
    label_index_leave(world.index, &members[1]);
    check_cost("a pod", start);
    close_world(&world);
}

static void test_long_selector(void **state)
{
    (void)state;
    enum { LABELS = 160000 };
    struct world world;
    struct label_member member = {0};
    CLEANUP_BUF struct buf text = {0};
    open_world(&world);
    join(&world, &member, &(struct labels){0});
    for (size_t i = 0; i < LABELS; i++)
        buf_printf(&text, "%shas(l%zu)", i > 0 ? "||" : "", i);
    double start = seconds();
    struct label_selector *selector = add(&world, buf_str(&text));
    label_index_remove(world.index, selector);
    check_cost("a selector of many labels", start);
    close_world(&world);
}

/* A namespace gets the team that many selectors name, each together with the label of one pod. They came when nobody was of that
 * team, so that it seemed the rarest label to file them under. */
static void test_relabelled_parent(void **state)
{
    (void)state;
    enum { PODS = 20000, SELECTORS = 5000 };
    struct world world;
    struct label team = {STR("pcns.team"), STR("a")};
    open_world(&world);
    world.passed_on = (struct labels){&team, 1};
    join_many(&world, PODS);
    add_many(&world, STR("pcns.team == 'b' && app == 'a%'"), SELECTORS);
    double start = seconds();
    team.value = STR("b");
    label_index_parent_changed(world.index, STR("kns.big"));
    check_number("begun", (long long)world.begun, SELECTORS);
    team.value = STR("a");
    label_index_parent_changed(world.index, STR("kns.big"));
    check_number("ended", (long long)world.ended, SELECTORS);
    check_cost("a namespace's change", start);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_matches),      cmocka_unit_test(test_many_labels_passed_on),
        cmocka_unit_test(test_many_own_labels),   cmocka_unit_test(test_long_selector),
        cmocka_unit_test(test_relabelled_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
