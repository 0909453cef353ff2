/* kube/watch.h: lists of which little comes, or nothing but blanks. */
#include "watch_world.h"

/* The server begins a body, and then sends a piece of it again and again. */
struct drip {
    struct world world;
    struct loop_timer timer;
    const char *first, *piece;
    uint64_t pause; /* milliseconds */
};

static void send_piece(void *ctx)
{
    struct drip *drip = ctx;
    loop_arm(drip->world.loop, &drip->timer, drip->pause);
    api_server_send(&drip->world.server, str_from_c(drip->piece));
}

static struct api_reply begin_body(void *ctx, const struct api_request *request)
{
    struct drip *drip = ctx;
    (void)request;
    loop_arm(drip->world.loop, &drip->timer, drip->pause);
    return (struct api_reply){.ending = API_OPEN, .body = str_from_c(drip->first)};
}

/* Lets five minutes pass; the trace is what has come of it by then. */
static void check_drip(const char *name, struct drip *drip, bool no_streaming, const char *expected)
{
    const struct kube_watch_options options = {.path = "/api/v1/things",
                                               .no_streaming = no_streaming};
    world_start(&drip->world, &options);
    drip->timer = (struct loop_timer){.callback = send_piece, .ctx = drip};
    drip->world.server.handler = begin_body;
    drip->world.server.ctx = drip;
    clock_pass(drip->world.loop, 300 * 1000);
    loop_disarm(drip->world.loop, &drip->timer);
    buf_append_byte(&drip->world.trace, '\0');
    if (strcmp(drip->world.trace.data, expected) != 0)
        fail_msg("%s:\n     got %s\nexpected %s", name, drip->world.trace.data, expected);
    world_end(&drip->world);
}

#define PROBLEM "{no object of the list has come for a minute}"

/* Bytes that bring nothing are silence: four lists in five minutes, and the problem is told once. */
static void test_blanks(void **state)
{
    (void)state;
    struct drip list = {
        .first = "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[" OBJECT("a", "5"),
        .piece = " ",
        .pause = 1000};
    struct drip stream = {.first = ADDED("a", "5"), .piece = "\n", .pause = 1000};
    check_drip("a list", &list, true, "[+a." PROBLEM "[+a.[+a.[+a.[+a.");
    check_drip("a stream", &stream, false, "[+a." PROBLEM "[+a.[+a.[+a.[+a.");
}

/* Slow is not silent, and a watch need not bring anything. */
static void test_slow(void **state)
{
    (void)state;
    struct drip list = {
        .first = "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[" OBJECT("a", "5"),
        .piece = "," OBJECT("b", "6"),
        .pause = 25 * 1000};
    struct drip watch = {.first = ADDED("a", "5") END("7"), .piece = "\n", .pause = 1000};
    check_drip("a list", &list, true, "[+a.+b.+b.+b.+b.+b.+b.+b.+b.+b.+b.+b.");
    check_drip("a watch", &watch, false, "[+a].");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blanks),
        cmocka_unit_test(test_slow),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
