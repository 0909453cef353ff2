/* kube/watch.h: options, hurry, and what is known. */
#include "watch_world.h"

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

/* A list without an end is given up; so many are fine, and a watch may have any number. */
static void test_most(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {"just so many",
         true,
         {{AS_LIST, BODY(LIST("7", MORE("p2"), OBJECT("a", "5"))), 0, 0},
          {AS_PAGE("p2"), BODY(LIST("7", "", OBJECT("b", "5"))), 0, 10},
          {AS_WATCH("7"), STREAM(ADDED("c", "8") ADDED("d", "9") ADDED("e", "10"), LONG), 0, 10},
          {AS_WATCH("10"), QUIET, 0, 10}},
         "[+a.+b.].+c+d+e."},
        {"one more, in pages",
         true,
         {{AS_LIST, BODY(LIST("7", MORE("p2"), OBJECT("a", "5"))), 0, 0},
          {AS_PAGE("p2"), BODY(LIST("7", "", OBJECT("b", "5") "," OBJECT("c", "5"))), 0, 10},
          {AS_LIST, BODY(LIST("7", "", "")), FIRST_PAUSE}},
         "[+a.+b.{the API server lists more than 2 objects}[]."},
        {"one more, streamed",
         false,
         {{AS_STREAM, STREAM(ADDED("a", "5") ADDED("b", "6") ADDED("c", "7") END("7"), LONG), 0, 0},
          {AS_STREAM, STREAM(END("7"), LONG), FIRST_PAUSE}},
         "[+a+b.{the API server lists more than 2 objects}[]."},
    };
    for (size_t i = 0; i < COUNT(scripts); i++) {
        struct world world = {.most = 2};
        script_start(&world, &scripts[i]);
        script_end(&world, &scripts[i]);
    }
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

/* When the script has come so far, and again and again. */
static void try_soon(void *ctx)
{
    struct world *world = ctx;
    if (world->step >= world->hurry_at)
        kube_watch_try_soon(world->watch);
    loop_arm(world->loop, &world->hurry, 100);
}

/* Who waits because of a failure comes soon, but not before the server wishes; for all others it means nothing. */
static void test_try_soon(void **state)
{
    (void)state;
    static const struct {
        size_t hurry_at;
        struct script script;
    } cases[] = {
        {6,
         {"a pause after a failure",
          true,
          {{AS_LIST, REFUSAL(503, ""), 0, 0},
           {AS_LIST, REFUSAL(503, ""), FIRST_PAUSE},
           {AS_LIST, REFUSAL(503, ""), SECOND_PAUSE},
           {AS_LIST, REFUSAL(503, ""), 1000, 3010},
           {AS_LIST, REFUSAL(503, ""), 2000, 6010},
           {AS_LIST, REFUSAL(503, ""), 4000, 12010},
           {AS_LIST, BODY(LIST("7", "", "")), 0, 5110}}, /* and not 8000, 24010 */
          "[{HTTP status 503: }[[[[[[]."}},
        {1,
         {"a pause that the server has asked for",
          true,
          {{AS_LIST, BUSY(429, "60"), 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 60000, 61010}},
          "[{HTTP status 429: slower}[]."}},
        {1,
         {"a pause because there is no such kind",
          true,
          {{AS_LIST, MISSING, 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), FIRST_LOOK}},
          "[]." NO_KIND "[]."}},
        {2,
         {"a pause because there is no such kind any more, after a failure",
          true,
          {{AS_LIST, REFUSAL(503, ""), 0, 0},
           {AS_LIST, MISSING, FIRST_PAUSE},
           {AS_LIST, BODY(LIST("7", "", "")), FIRST_LOOK}},
          "[{HTTP status 503: }[]." NO_KIND "[]."}},
        {1,
         {"a list",
          true,
          {{AS_LIST, OPEN("{\"items\":["), 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 30000, 36000}},
          "[{the API server has gone silent}[]."}},
        {1,
         {"a watch",
          true,
          {LISTED, {AS_WATCH("7"), QUIET, 0, 10}, {AS_WATCH("7"), QUIET, 0, 10}},
          "[+a.]."}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.hurry_at = cases[i].hurry_at};
        script_start(&world, &cases[i].script);
        world.hurry = (struct loop_timer){.callback = try_soon, .ctx = &world};
        loop_arm(world.loop, &world.hurry, 100);
        script_end(&world, &cases[i].script);
    }
}

/* Live is who watches, and not who lists, or waits. */
static void test_state(void **state)
{
    (void)state;
    static const struct {
        bool is_live;
        enum kube_watch_known known;
        struct script script;
    } cases[] = {
        {false,
         KUBE_WATCH_NOTHING,
         {"a list", false, {{AS_STREAM, OPEN(ADDED("a", "5")), 0, 0}}, "[+a."}},
        {true,
         KUBE_WATCH_LIST,
         {"a list that is whole",
          false,
          {{AS_STREAM, OPEN(ADDED("a", "5") END("7")), 0, 0}},
          "[+a]."}},
        {false,
         KUBE_WATCH_LIST,
         {"a watch that was not answered",
          true,
          {LISTED, {AS_WATCH("7"), {.ending = API_NOTHING}, 0, 10}},
          "[+a.]."}},
        {false, KUBE_WATCH_NOTHING, {"a list in pages", true, {{AS_LIST, OPEN(""), 0, 0}}, "["}},
        {true,
         KUBE_WATCH_LIST,
         {"a watch",
          true,
          {{AS_LIST, BODY(LIST("7", "", "")), 0, 0}, {AS_WATCH("7"), OPEN(""), 0, 0}},
          "[]."}},
        {false,
         KUBE_WATCH_NOTHING,
         {"a pause", false, {{AS_STREAM, REFUSAL(500, ""), 0, 0}}, "[{HTTP status 500: }"}},
        {false,
         KUBE_WATCH_MISSING,
         {"no such kind", false, {{AS_STREAM, MISSING, 0, 0}}, "[]." NO_KIND}},
        {false,
         KUBE_WATCH_NOTHING,
         {"no such kind, and then it is refused",
          false,
          {{AS_STREAM, MISSING, 0, 0}, {AS_STREAM, REFUSAL(403, ""), FIRST_LOOK}},
          "[]." NO_KIND "[{HTTP status 403: }"}},
        {false,
         KUBE_WATCH_MISSING,
         {"no such kind after all",
          false,
          {{AS_STREAM, MISSING, 0, 0},
           {AS_STREAM, REFUSAL(403, ""), FIRST_LOOK},
           {AS_STREAM, MISSING, FIRST_PAUSE}},
          "[]." NO_KIND "[{HTTP status 403: }[" NO_KIND}},
        {false,
         KUBE_WATCH_LIST,
         {"no such kind any more",
          true,
          {LISTED, {AS_WATCH("7"), MISSING, 0, 10}},
          "[+a.]." NO_KIND}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {0};
        script_start(&world, &cases[i].script);
        CHECK(cases[i].script.name, !kube_watch_is_live(world.watch));
        CHECK(cases[i].script.name, kube_watch_known(world.watch) == KUBE_WATCH_NOTHING);
        loop_run(world.loop);
        CHECK(cases[i].script.name, kube_watch_is_live(world.watch) == cases[i].is_live);
        CHECK(cases[i].script.name, kube_watch_known(world.watch) == cases[i].known);
        loop_arm(world.loop, &world.over, 1);
        /* It may be freed at any time. */
        script_end(&world, &cases[i].script);
    }
    kube_watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),  cmocka_unit_test(test_most),
        cmocka_unit_test(test_built_in), cmocka_unit_test(test_try_soon),
        cmocka_unit_test(test_state),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
