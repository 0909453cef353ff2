/* kube/watch.h: refusals, silence, pauses; lists that are asked for; ends at any time. */
#include "watch_world.h"

#define NO_KIND "{there is no such kind in the cluster}"

static void test_refusals(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {"401, then not",
         true,
         {{AS_LIST, REFUSAL(401, STATUS("401", "Unauthorized")), 0, 0},
          {AS_LIST, BODY(LIST("7", "", OBJECT("a", "5"))), FIRST_PAUSE},
          {AS_WATCH("7"), QUIET, 0, 10}},
         "[{HTTP status 401: Unauthorized}[+a.]."},
        {"401 of a watch changes nothing",
         true,
         {LISTED,
          {AS_WATCH("7"), REFUSAL(401, STATUS("401", "Unauthorized")), 0, 10},
          {AS_WATCH("7"), STREAM(ADDED("b", "8"), LONG), FIRST_PAUSE},
          {AS_WATCH("8"), QUIET, 0, 10}},
         "[+a.].{HTTP status 401: Unauthorized}+b.{}"},
        {"403 of a watch changes nothing, and is said once",
         true,
         {LISTED,
          {AS_WATCH("7"), REFUSAL(403, STATUS("403", "no right")), 0, 10},
          {AS_WATCH("7"), REFUSAL(403, STATUS("403", "no right")), FIRST_PAUSE},
          {AS_WATCH("7"), REFUSAL(403, STATUS("403", "still none")), SECOND_PAUSE},
          {AS_WATCH("7"), QUIET, 1000, 3010},
          {AS_WATCH("7"), QUIET, 0, 10}},
         "[+a.].{HTTP status 403: no right}{HTTP status 403: still none}{}"},
        {"403 from the beginning: it is not known, and not empty",
         false,
         {{AS_STREAM, REFUSAL(403, STATUS("403", "no right")), 0, 0},
          {AS_STREAM, REFUSAL(403, STATUS("403", "no right")), FIRST_PAUSE},
          {AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), SECOND_PAUSE}},
         "[{HTTP status 403: no right}[[+a]."},
        {"404 from the beginning: it is empty, until it is there",
         false,
         {{AS_STREAM, REFUSAL(404, "404 page not found\n"), 0, 0},
          {AS_STREAM, REFUSAL(404, "404 page not found\n"), 10000, 30010},
          {AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), 10000, 30010}},
         "[]." NO_KIND "[[+a]."},
        {"404 from the beginning, of a list",
         true,
         {{AS_LIST, REFUSAL(404, ""), 0, 0},
          {AS_LIST, BODY(LIST("7", "", OBJECT("a", "5"))), 10000, 30010}},
         "[]." NO_KIND "[+a.]."},
        {"404 in the middle of the first list",
         true,
         {{AS_LIST, BODY(LIST("7", MORE("p2"), OBJECT("a", "5"))), 0, 0},
          {AS_PAGE("p2"), REFUSAL(404, ""), 0, 10},
          {AS_LIST, BODY(LIST("9", "", "")), 10000, 30010}},
         "[+a.]." NO_KIND "[]."},
        {"404 in the middle of a later list: it is not whole",
         true,
         {LISTED,
          {AS_WATCH("7"), REFUSAL(410, ""), 0, 10},
          {AS_FRESH_LIST, BODY(LIST("9", MORE("p2"), OBJECT("b", "5"))), 0, 520},
          {AS_PAGE("p2"), REFUSAL(404, ""), 0, 10},
          {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("c", "8"))), 10000, 30010}},
         "[+a.].[+b." NO_KIND "[+c.]."},
        {"404 later: what was told stays, and nothing is told",
         true,
         {LISTED,
          {AS_WATCH("7"), REFUSAL(404, ""), 0, 10},
          {AS_LIST, REFUSAL(404, ""), 10000, 30010},
          {AS_LIST, BODY(LIST("9", "", "")), 10000, 30010},
          {AS_WATCH("9"), QUIET, 0, 10}},
         "[+a.]." NO_KIND "[[]."},
        {"400 of a list",
         true,
         {{AS_LIST, REFUSAL(400, STATUS("400", "bad selector")), 0, 0},
          {AS_LIST, REFUSAL(400, STATUS("400", "bad selector")), FIRST_PAUSE}},
         "[{HTTP status 400: bad selector}["},
        {"500, 503, and a redirection, which is not followed",
         true,
         {LISTED,
          {AS_WATCH("7"), REFUSAL(500, "oh\n"), 0, 10},
          {AS_WATCH("7"), {.status = 302, .headers = "Location: /elsewhere\r\n"}, FIRST_PAUSE},
          {AS_WATCH("7"), REFUSAL(503, ""), SECOND_PAUSE},
          {AS_WATCH("7"), STREAM(BOOKMARK("8"), LONG), 1000, 3010},
          {AS_WATCH("8"), QUIET, 0, 10}},
         "[+a.].{HTTP status 500: oh\n}{HTTP status 302: }{}"},
    };
    run_scripts(scripts, COUNT(scripts));
}

#define BUSY(code, seconds)                                                                        \
    {                                                                                              \
        .status = (code), .headers = "Retry-After: " seconds "\r\n",                               \
        .body = STR_INIT(STATUS("429", "slower"))                                                  \
    }

static void test_retry_after(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {"as long as the server asks for, and a little more",
         true,
         {{AS_LIST, BUSY(429, "7"), 0, 0},
          {AS_LIST, BUSY(503, "50"), 7000, 8010},
          {AS_LIST, BUSY(429, "90"), 50000, 51010},
          {AS_LIST, BUSY(429, "0"), 90000, 91010}},
         "[{HTTP status 429: slower}[[["},
        {"no shorter than our own pause",
         true,
         {{AS_LIST, BUSY(429, "1"), 0, 0},
          {AS_LIST, BUSY(429, "1"), 1000, 2010},
          {AS_LIST, BUSY(429, "1"), 1000, 2010},
          {AS_LIST, BUSY(429, "1"), 1000, 3010},
          {AS_LIST, BUSY(429, "1"), 2000, 6010}},
         "[{HTTP status 429: slower}[[[["},
        {"nonsense",
         true,
         {{AS_LIST, BUSY(429, "3600"), 0, 0},
          {AS_LIST, BUSY(429, "-5"), FIRST_PAUSE},
          {AS_LIST, BUSY(429, "soon"), SECOND_PAUSE},
          {AS_LIST, BUSY(429, "99999999999999999999"), 1000, 3010},
          {AS_LIST, BODY(LIST("7", "", "")), 2000, 6010}},
         "[{HTTP status 429: slower}[[[[]."},
    };
    run_scripts(scripts, COUNT(scripts));
}

/* It is looked for every five seconds. */
static void test_silence(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {"no answer to a list",
         true,
         {{AS_LIST, {.ending = API_NOTHING}, 0, 0},
          {AS_LIST, BODY(LIST("7", "", "")), 30250, 35770}},
         "[{the API server has gone silent}[]."},
        {"the body of a list stops",
         true,
         {{AS_LIST, OPEN("{\"items\":[" OBJECT("a", "5") ","), 0, 0},
          {AS_LIST, BODY(LIST("7", "", "")), 30250, 35770}},
         "[+a.{the API server has gone silent}[]."},
        {"no answer to a stream: it is asked for a list",
         false,
         {{AS_STREAM, {.ending = API_NOTHING}, 0, 0},
          {AS_LIST, BODY(LIST("7", "", "")), 15250, 20770}},
         "[{the API server has gone silent}[]."},
        {"no answer to a watch",
         true,
         {LISTED,
          {AS_WATCH("7"), {.ending = API_NOTHING}, 0, 10},
          {AS_WATCH("7"), QUIET, 30250, 35770}},
         "[+a.].{the API server has gone silent}"},
        {"a watch that has worked is tried anew without a word",
         true,
         {LISTED,
          {AS_WATCH("7"), OPEN(ADDED("b", "8")), 0, 10},
          {AS_WATCH("8"), QUIET, 150000, 155100}},
         "[+a.].+b."},
        {"a streamed list is a watch then",
         false,
         {{AS_STREAM, OPEN(END("7")), 0, 0}, {AS_WATCH("7"), QUIET, 150000, 155100}},
         "[]."},
    };
    run_scripts(scripts, COUNT(scripts));
}

/* ---- pauses ---- */

enum { TRIES = 14 };

struct refusal {
    struct loop *loop;
    uint64_t times[TRIES];
    size_t count;
};

static struct api_reply refuse(void *ctx, const struct api_request *request)
{
    struct refusal *refusal = ctx;
    (void)request;
    if (refusal->count < TRIES)
        refusal->times[refusal->count++] = loop_now(refusal->loop);
    if (refusal->count == TRIES)
        loop_stop(refusal->loop);
    return (struct api_reply){.status = 503};
}

/* Half to one and a half times what doubles from half a second up to half a minute; and not the same twice. */
static void test_pauses_grow(void **state)
{
    (void)state;
    const struct kube_watch_options options = {.path = "/api/v1/things"};
    struct world world = {.name = "pauses"};
    world_start(&world, &options);
    struct refusal refusal = {.loop = world.loop};
    world.server.handler = refuse;
    world.server.ctx = &refusal;
    loop_run(world.loop);
    assert_int_equal(refusal.count, TRIES);
    uint64_t base = 500, first_share = 0;
    bool differs = false;
    for (size_t i = 1; i < TRIES; i++) {
        uint64_t pause = refusal.times[i] - refusal.times[i - 1];
        if (pause < base / 2 || pause > base * 3 / 2 + 10)
            fail_msg("pause %zu: %u ms", i, (unsigned)pause);
        uint64_t share = pause * 100 / base;
        differs |= i > 1 && share != first_share;
        first_share = i == 1 ? share : first_share;
        base = base < 15000 ? base * 2 : 30000;
    }
    assert_true(differs);
    world_end(&world);
}

/* Watches that start together part. */
static void test_starts_are_spread(void **state)
{
    (void)state;
    enum { WATCHES = 20 };
    const struct kube_watch_options options = {.path = "/api/v1/things"};
    uint64_t least = UINT64_MAX, most = 0;
    for (size_t i = 0; i < WATCHES; i++) {
        static const struct step steps[] = {{AS_STREAM, QUIET, 0, 520}};
        struct world world = {.name = "start", .steps = steps, .step_count = 1};
        world_start(&world, &options);
        uint64_t begun = world.answered;
        loop_run(world.loop);
        check_steps(&world);
        uint64_t waited = world.replied - begun;
        least = waited < least ? waited : least;
        most = waited > most ? waited : most;
        world_end(&world);
    }
    assert_true(most - least > 100);
}

/* ---- streams that never come to their end ---- */

struct talker {
    struct world *world;
    struct loop_timer timer;
    uint64_t ends; /* as loop_now */
    bool was_asked_for_list;
};

static void talk(void *ctx)
{
    struct talker *talker = ctx;
    loop_arm(talker->world->loop, &talker->timer, 5000);
    api_server_send(&talker->world->server, STR(MODIFIED("a", "6")));
}

/* A stream for as long as the client asks for, and then a list. */
static struct api_reply answer_talking(void *ctx, const struct api_request *request)
{
    struct talker *talker = ctx;
    const struct str key = STR("timeoutSeconds=");
    struct str rest = request->target, seconds;
    if (str_contains(rest, STR("limit="))) {
        talker->was_asked_for_list = true;
        loop_stop(talker->world->loop);
        return (struct api_reply){.ending = API_NOTHING};
    }
    assert_true(world_is_as_expected(request->target, AS_STREAM));
    while (!str_starts_with(rest, key))
        rest = str_from(rest, 1);
    uint64_t number;
    str_cut(str_from(rest, key.len), '&', &seconds, &rest);
    assert_true(str_parse_uint(seconds, 119, &number) && number >= 60);
    loop_arm(talker->world->loop, &talker->timer, 5000);
    return (struct api_reply){.body = STR(ADDED("a", "5")), .lasts = number * 1000};
}

/* There are always changes: it is not silence that shows that the end is never told. */
static void test_stream_without_an_end(void **state)
{
    (void)state;
    const struct kube_watch_options options = {.path = "/api/v1/things"};
    struct world world = {.name = "no end"};
    struct talker talker = {.world = &world};
    world_start(&world, &options);
    talker.timer = (struct loop_timer){.callback = talk, .ctx = &talker};
    world.server.handler = answer_talking;
    world.server.ctx = &talker;
    uint64_t begun = loop_now(world.loop);
    loop_run(world.loop);
    loop_disarm(world.loop, &talker.timer);
    assert_true(talker.was_asked_for_list);
    uint64_t took = loop_now(world.loop) - begun;
    assert_true(took >= 60 * 1000 && took < 121 * 1000);
    assert_false(str_contains(buf_str(&world.trace), STR("{")));
    world_end(&world);
}

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
          {{AS_LIST, REFUSAL(404, ""), 0, 0},
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
        {AS_STREAM, REFUSAL(404, STATUS("404", "who?")), 0, 0},
        {AS_STREAM, STREAM(END("7"), LONG), FIRST_PAUSE},
        {AS_WATCH("7"), REFUSAL(404, ""), 0, 10},
        {AS_WATCH("7"), QUIET, FIRST_PAUSE},
    };
    const struct kube_watch_options options = {.path = "/api/v1/things", .is_built_in = true};
    struct world world = {.name = "built in", .steps = steps, .step_count = COUNT(steps)};
    world_start(&world, &options);
    loop_run(world.loop);
    check_steps(&world);
    check_text("trace", buf_str(&world.trace),
               STR("[{HTTP status 404: who?}[].{}{HTTP status 404: }"));
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
          {{AS_LIST, REFUSAL(404, ""), 0, 0}, {AS_LIST, BODY(LIST("7", "", "")), 10000, 30010}},
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
        {false, {"no such kind", false, {{AS_STREAM, REFUSAL(404, ""), 0, 0}}, "[]." NO_KIND}},
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
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_pauses_grow),
        cmocka_unit_test(test_starts_are_spread),
        cmocka_unit_test(test_stream_without_an_end),
        cmocka_unit_test(test_relist),
        cmocka_unit_test(test_relist_at_the_end_of_a_batch),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_try_soon),
        cmocka_unit_test(test_is_live),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
