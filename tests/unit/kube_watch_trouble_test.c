/* kube/watch.h: refusals, silence, pauses; streams that never come to their end. */
#include "kube/pause.h"
#include "watch_world.h"

static const struct script refusals[] = {
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
     {{AS_STREAM, MISSING, 0, 0},
      {AS_STREAM, MISSING, FIRST_LOOK},
      {AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), SECOND_LOOK}},
     "[]." NO_KIND "[[+a]."},
    {"404 from the beginning, of a list",
     true,
     {{AS_LIST, MISSING, 0, 0}, {AS_LIST, BODY(LIST("7", "", OBJECT("a", "5"))), FIRST_LOOK}},
     "[]." NO_KIND "[+a.]."},
    {"404 as a status",
     false,
     {{AS_STREAM, REFUSAL(404, NOT_FOUND("who?")), 0, 0},
      {AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), FIRST_LOOK}},
     "[]." NO_KIND "[+a]."},
    {"404 of another than the API server: nothing is known, and it is no empty list",
     false,
     {{AS_STREAM, REFUSAL(404, "<html>"), 0, 0},
      {AS_STREAM, REFUSAL(404, STATUS("404", "who?")), FIRST_PAUSE},
      {AS_STREAM, STREAM(ADDED("a", "5") END("7"), LONG), SECOND_PAUSE}},
     "[{HTTP status 404: <html>}[{HTTP status 404: who?}[+a]."},
    {"404 in the middle of the first list",
     true,
     {{AS_LIST, BODY(LIST("7", MORE("p2"), OBJECT("a", "5"))), 0, 0},
      {AS_PAGE("p2"), MISSING, 0, 10},
      {AS_LIST, BODY(LIST("9", "", "")), FIRST_LOOK}},
     "[+a.]." NO_KIND "[]."},
    {"404 in the middle of a later list: it is not whole",
     true,
     {LISTED,
      {AS_WATCH("7"), REFUSAL(410, ""), 0, 10},
      {AS_FRESH_LIST, BODY(LIST("9", MORE("p2"), OBJECT("b", "5"))), LOST_PAUSE},
      {AS_PAGE("p2"), MISSING, 0, 10},
      {AS_FRESH_LIST, BODY(LIST("9", "", OBJECT("c", "8"))), FIRST_LOOK}},
     "[+a.].[+b." NO_KIND "[+c.]."},
    {"404 later: what was told stays, and nothing is told",
     true,
     {LISTED,
      {AS_WATCH("7"), MISSING, 0, 10},
      {AS_LIST, MISSING, FIRST_LOOK},
      {AS_LIST, BODY(LIST("9", "", "")), SECOND_LOOK},
      {AS_WATCH("9"), QUIET, 0, 10}},
     "[+a.]." NO_KIND "[[]."},
    {"400 of a list",
     true,
     {{AS_LIST, REFUSAL(400, STATUS("400", "bad selector")), 0, 0},
      {AS_LIST, REFUSAL(400, STATUS("400", "bad selector")), FIRST_PAUSE}},
     "[{HTTP status 400: bad selector}["},
    {"a watch whose version is refused: it means nothing any more",
     true,
     {LISTED,
      {AS_WATCH("7"), REFUSAL(400, STATUS("400", "invalid resource version")), 0, 10},
      {AS_LIST, BODY(LIST("9", "", OBJECT("b", "8"))), FIRST_PAUSE},
      {AS_WATCH("9"), REFUSAL(500, STATUS("500", "resourceVersion: Invalid value: x")), 0, 10},
      {AS_LIST, BODY(LIST("5", "", OBJECT("b", "8"))), SECOND_PAUSE},
      {AS_WATCH("5"), QUIET, 0, 10}},
     "[+a.].{HTTP status 400: invalid resource version}[+b.].{HTTP status 500: resourceVersion: "
     "Invalid value: x}[+b.]."},
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

static void test_refusals(void **state)
{
    (void)state;
    run_scripts(refusals, COUNT(refusals));
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

/* The connection of a watch that has worked breaks, as it does for all nodes when a server goes away: they do not come back at once. */
static void test_losses_are_spread(void **state)
{
    (void)state;
    enum { WATCHES = 20 };
    const struct kube_watch_options options = {.path = "/api/v1/things", .no_streaming = true};
    uint64_t most = 0;
    for (size_t i = 0; i < WATCHES; i++) {
        static const struct step steps[] = {
            LISTED,
            {AS_WATCH("7"), {.ending = API_CUT, .lasts = LONG}, 0, 10},
            {AS_WATCH("7"), QUIET, LOST_PAUSE}};
        struct world world = {.name = "loss", .steps = steps, .step_count = COUNT(steps)};
        world_start(&world, &options);
        uint64_t begun = world.answered;
        loop_run(world.loop);
        check_steps(&world);
        uint64_t took = world.replied - begun;
        most = took > most ? took : most;
        world_end(&world);
    }
    assert_true(most > KUBE_PAUSE_START + LONG + 1000);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_pauses_grow),
        cmocka_unit_test(test_starts_are_spread),
        cmocka_unit_test(test_losses_are_spread),
        cmocka_unit_test(test_stream_without_an_end),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
