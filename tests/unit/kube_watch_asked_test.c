/* kube/watch.h: lists that are asked for at any time, options, and whether it is live. */
#include "watch_world.h"

/* ---- lists that are asked for ---- */

static void relist(void *ctx)
{
    kube_watch_relist(((struct world *)ctx)->watch);
}

/* At any time: `after` milliseconds. What was under way is not heard any more. */
static void test_relist(void **state)
{
    (void)state;
    static const struct {
        uint64_t after;
        struct script script;
    } cases[] = {
        {3000,
         {"while it watches",
          true,
          {LISTED,
           {AS_WATCH("7"), STREAM("", 100000), 0, 10},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 2000, 3600},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.].[+b.]."}},
        {3000,
         {"while it lists",
          true,
          {{AS_LIST, OPEN("{\"items\":[" OBJECT("a", "5")), 0, 0},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 2000, 3600},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.[+b.]."}},
        {3000,
         {"while a list is streamed",
          false,
          {{AS_STREAM, OPEN(ADDED("a", "5")), 0, 0},
           {AS_STREAM, STREAM(ADDED("b", "5") END("7"), LONG), 2000, 3600}},
          "[+a.[+b]."}},
        {3000,
         {"while it pauses",
          true,
          {{AS_LIST, BUSY(429, "20"), 0, 0},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 2000, 3600},
           {AS_WATCH("9"), STREAM("", 30000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[{HTTP status 429: slower}[+b.].{}"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {0};
        script_start(&world, &cases[i].script);
        struct loop_timer timer = {.callback = relist, .ctx = &world};
        loop_arm(world.loop, &timer, cases[i].after);
        script_end(&world, &cases[i].script);
    }
}

static void relist_once(void *ctx)
{
    struct world *world = ctx;
    buf_append_str(&world->trace, STR("."));
    if (!world->has_asked && str_contains(buf_str(&world->trace), str_from_c(world->ask_after))) {
        world->has_asked = true;
        buf_append_str(&world->trace, STR("!"));
        kube_watch_relist(world->watch);
    }
}

/* From within batch_end: one list, and one watch behind it. */
static void test_relist_at_the_end_of_a_batch(void **state)
{
    (void)state;
    static const struct {
        const char *after;
        struct script script;
    } cases[] = {
        {"]",
         {"behind a list",
          true,
          {LISTED,
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 0, 520},
           {AS_WATCH("9"), STREAM("", 10000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.].![+b.]."}},
        {"+a",
         {"in a list",
          true,
          {LISTED,
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 0, 520},
           {AS_WATCH("9"), STREAM("", 10000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.![+b.]."}},
        {"]",
         {"behind an empty page",
          true,
          {{AS_LIST, BODY(LIST("7", MORE("p2"), OBJECT("a", "5"))), 0, 0},
           {AS_PAGE("p2"), BODY(LIST("7", "", "")), 0, 10},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 0, 520},
           {AS_WATCH("9"), STREAM("", 10000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.].![+b.]."}},
        {"]",
         {"behind a streamed list",
          false,
          {{AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), 0, 0},
           {AS_STREAM, STREAM(ADDED("b", "8") END("9"), 10000), 0, 520},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a].![+b]."}},
        {"-a",
         {"in a watch",
          true,
          {LISTED,
           {AS_WATCH("7"), STREAM(DELETED("a", "8"), LONG), 0, 10},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 0, 520},
           {AS_WATCH("9"), STREAM("", 10000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[+a.].-a.![+b.]."}},
        {"]",
         {"of a kind that is not there",
          true,
          {{AS_LIST, MISSING, 0, 0},
           {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), 0, 30010},
           {AS_WATCH("9"), STREAM("", 40000), 0, 10},
           {AS_WATCH("9"), QUIET, 0, 10}},
          "[].!" NO_KIND "[+b.].{}"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.ask_after = cases[i].after, .batch_end = relist_once};
        script_start(&world, &cases[i].script);
        script_end(&world, &cases[i].script);
    }
}

/* ---- the rest ---- */

static void test_options(void **state)
{
    (void)state;
    static const char *const drop[] = {"metadata.resourceVersion", NULL};
    static const struct step steps[] = {
        {"/api/v1/things?fieldSelector=a%3Db&limit=500&resourceVersion=0",
         BODY(LIST("7", "", OBJECT("a", "5"))), 0, 0},
        {"/api/v1/things?fieldSelector=a%3Db&watch=1 &resourceVersion=7",
         STREAM(ADDED("b", "8"), LONG), 0, 10},
        /* The version of the event was dropped. */
        {AS_WATCH("7"), QUIET, 0, 10},
    };
    const struct kube_watch_options options = {.path = "/api/v1/things",
                                               .query = "fieldSelector=a%3Db",
                                               .drop = drop,
                                               .no_streaming = true};
    struct world world = {.name = "options", .steps = steps, .step_count = COUNT(steps)};
    world_start(&world, &options);
    loop_run(world.loop);
    check_steps(&world);
    check_text("trace", buf_str(&world.trace), STR("[+a.].+b."));
    world_end(&world);
}

/* What every server has is not empty because of a 404. */
static void test_built_in(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {AS_STREAM, REFUSAL(404, NOT_FOUND("who?")), 0, 0},
        {AS_STREAM, STREAM(END("7"), LONG), FIRST_PAUSE},
        {AS_WATCH("7"), MISSING, 0, 10},
        {AS_WATCH("7"), QUIET, FIRST_PAUSE},
    };
    const struct kube_watch_options options = {.path = "/api/v1/things", .is_built_in = true};
    struct world world = {.name = "built in", .steps = steps, .step_count = COUNT(steps)};
    world_start(&world, &options);
    loop_run(world.loop);
    check_steps(&world);
    check_text("trace", buf_str(&world.trace),
               STR("[{HTTP status 404: who?}[].{}{HTTP status 404: 404 page not found\n}"));
    world_end(&world);
}

static void try_soon(void *ctx)
{
    kube_watch_try_soon(((struct world *)ctx)->watch);
}

/* Who waits because of a failure comes soon; for all others it means nothing. */
static void test_try_soon(void **state)
{
    (void)state;
    static const struct {
        uint64_t after;
        struct script script;
    } cases[] = {
        {5000,
         {"a pause after a failure",
          true,
          {{AS_LIST, BUSY(429, "60"), 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 4000, 5600}},
          "[{HTTP status 429: slower}[]."}},
        {5000,
         {"a pause because there is no such kind",
          true,
          {{AS_LIST, MISSING, 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 10000, 30010}},
          "[]." NO_KIND "[]."}},
        {1000,
         {"a list",
          true,
          {{AS_LIST, OPEN("{\"items\":["), 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 30000, 36000}},
          "[{the API server has gone silent}[]."}},
        {1000,
         {"a watch",
          true,
          {LISTED, {AS_WATCH("7"), QUIET, 0, 10}, {AS_WATCH("7"), QUIET, 0, 10}},
          "[+a.]."}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {0};
        script_start(&world, &cases[i].script);
        struct loop_timer timer = {.callback = try_soon, .ctx = &world};
        loop_arm(world.loop, &timer, cases[i].after);
        script_end(&world, &cases[i].script);
    }
}

/* Live is who watches, and not who lists, or waits. */
static void test_is_live(void **state)
{
    (void)state;
    static const struct {
        bool is_live;
        struct script script;
    } cases[] = {
        {false, {"a list", false, {{AS_STREAM, OPEN(ADDED("a", "5")), 0, 0}}, "[+a."}},
        {true,
         {"a list that is whole",
          false,
          {{AS_STREAM, OPEN(ADDED("a", "5") END("7")), 0, 0}},
          "[+a]."}},
        {false,
         {"a watch that was not answered",
          true,
          {LISTED, {AS_WATCH("7"), {.ending = API_NOTHING}, 0, 10}},
          "[+a.]."}},
        {false, {"a list in pages", true, {{AS_LIST, OPEN(""), 0, 0}}, "["}},
        {true,
         {"a watch",
          true,
          {{AS_LIST, BODY(LIST("7", "", "")), 0, 0}, {AS_WATCH("7"), OPEN(""), 0, 0}},
          "[]."}},
        {false, {"a pause", false, {{AS_STREAM, REFUSAL(500, ""), 0, 0}}, "[{HTTP status 500: }"}},
        {false, {"no such kind", false, {{AS_STREAM, MISSING, 0, 0}}, "[]." NO_KIND}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {0};
        script_start(&world, &cases[i].script);
        CHECK(cases[i].script.name, !kube_watch_is_live(world.watch));
        loop_run(world.loop);
        CHECK(cases[i].script.name, kube_watch_is_live(world.watch) == cases[i].is_live);
        loop_arm(world.loop, &world.over, 1);
        /* It may be freed at any time. */
        script_end(&world, &cases[i].script);
    }
    kube_watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relist),   cmocka_unit_test(test_relist_at_the_end_of_a_batch),
        cmocka_unit_test(test_options),  cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_try_soon), cmocka_unit_test(test_is_live),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
