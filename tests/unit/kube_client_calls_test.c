/* kube/client.h: requests that get no answer, that are cancelled, and that are made from within others. */
#include "client_world.h"

/* Those that begin together need not wait for one of them to end. */
static void test_at_once_without_an_end(void **state)
{
    (void)state;
    struct world world = {.reply = {.ending = API_OPEN}};
    struct call calls[20] = {0};
    world_start(&world, "");
    for (size_t i = 0; i < COUNT(calls); i++)
        call_start(&calls[i], &world, "/", 0);
    clock_pass(world.loop, 1000);
    assert_int_equal(world.asked, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls); i++) {
        kube_request_cancel(calls[i].request);
        call_free(&calls[i]);
    }
    world_end(&world);
}

/* ---- silence ---- */

static void test_silence(void **state)
{
    (void)state;
    static const struct api_reply replies[] = {
        {.ending = API_NOTHING},
        {.ending = API_OPEN, .body = STR_INIT("x")},
        {.ending = API_OPEN},
    };
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct world world = {.reply = replies[i]};
        struct call call = {0};
        world_start(&world, "");
        uint64_t begun = loop_now(world.loop);
        call_start(&call, &world, "/", 20000);
        loop_run(world.loop);
        uint64_t took = loop_now(world.loop) - begun;
        CHECK("silent", call.outcome == KUBE_SILENT && took >= 20000 && took < 25100);
        check_text("silent", buf_str(&call.message), STR("the API server has gone silent"));
        call_free(&call);
        world_end(&world);
    }
}

static void send_byte(void *ctx)
{
    struct world *world = ctx;
    api_server_send(&world->server, STR("y"));
}

/* Each byte counts, and it may be set anew. */
static void test_not_silent(void **state)
{
    (void)state;
    struct world world = {.reply = {.ending = API_OPEN, .body = STR("x")}};
    struct call call = {0};
    world_start(&world, "");
    uint64_t begun = loop_now(world.loop);
    call_start(&call, &world, "/", 20000);
    for (int i = 0; i < 3; i++) {
        struct loop_timer timer = {.callback = send_byte, .ctx = &world};
        loop_arm(world.loop, &timer, 14000);
        clock_pass(world.loop, 15000);
        assert_false(call.has_ended);
    }
    kube_request_set_silence(call.request, 0);
    clock_pass(world.loop, 300000);
    assert_false(call.has_ended);
    kube_request_set_silence(call.request, 320000);
    loop_run(world.loop);
    uint64_t took = loop_now(world.loop) - begun;
    CHECK("silent", call.outcome == KUBE_SILENT && took >= 44000 + 320000 && took < 370100);
    check_text("body", buf_str(&call.body), STR("xyyy"));
    call_free(&call);
    world_end(&world);
}

/* ---- answers ---- */

static void test_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct api_reply reply;
        bool expected;
    } cases[] = {
        {"nothing", {.ending = API_NOTHING}, false},
        {"its beginning", {.ending = API_OPEN}, true},
        {"some of it", {.ending = API_OPEN, .body = STR_INIT("x")}, true},
        {"a refusal", {.status = 403, .ending = API_OPEN}, false},
        {"a redirection", {.status = 302, .ending = API_OPEN}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct world world = {.reply = cases[i].reply};
        struct call call = {0};
        world_start(&world, "");
        call_start(&call, &world, "/", 0);
        CHECK(cases[i].name, !kube_request_is_answered(call.request));
        clock_pass(world.loop, 100);
        CHECK(cases[i].name, kube_request_is_answered(call.request) == cases[i].expected);
        kube_request_cancel(call.request);
        call_free(&call);
        world_end(&world);
    }
}

/* Two connections that are there when the next request gets `reply`, and is silent; how many a request after it opens. */
static unsigned count_opened(const struct api_reply *reply, uint64_t after)
{
    struct world world = {.reply = {.body = STR("x"), .lasts = 10}};
    struct call calls[4] = {0};
    world_start(&world, "");
    call_start(&calls[0], &world, "/", 0);
    call_start(&calls[1], &world, "/", 0);
    loop_run(world.loop);
    assert_int_equal(world.server.accepted, 2);
    world.reply = *reply;
    call_start(&calls[2], &world, "/", 20000);
    loop_run(world.loop);
    assert_int_equal(calls[2].outcome, KUBE_SILENT);
    assert_int_equal(world.server.accepted, 2);
    clock_pass(world.loop, after);
    world.reply = (struct api_reply){.body = STR("x")};
    call_run(&calls[3], &world, "/");
    assert_int_equal(calls[3].outcome, KUBE_OK);
    unsigned opened = world.server.accepted - 2;
    for (size_t i = 0; i < COUNT(calls); i++)
        call_free(&calls[i]);
    world_end(&world);
    return opened;
}

/* Behind a request without an answer, connections that were there are not used for a minute: they may lead to the same server. */
static void test_doubt(void **state)
{
    (void)state;
    const struct api_reply nothing = {.ending = API_NOTHING}, open = {.ending = API_OPEN};
    assert_int_equal(count_opened(&nothing, 1), 1);
    assert_int_equal(count_opened(&nothing, 50 * 1000), 1);
    assert_int_equal(count_opened(&nothing, 61 * 1000), 0);
    assert_int_equal(count_opened(&open, 1), 0);
}

/* ---- cancelling ---- */

static void cancel_other(struct call *call)
{
    struct call *other = call->other;
    if (other->request == NULL)
        return;
    kube_request_cancel(other->request);
    other->request = NULL;
    /* It counts as ended, but nothing is called. */
    if (--call->world->open == 0)
        loop_stop(call->world->loop);
}

static void test_cancel(void **state)
{
    (void)state;
    static const uint64_t times[] = {0, 1, 50, 20000};
    for (size_t i = 0; i < COUNT(times); i++) {
        struct world world = {.reply = {.ending = API_OPEN, .body = STR("x")}};
        struct call call = {0};
        world_start(&world, "");
        call_start(&call, &world, "/", 0);
        if (times[i] > 0)
            clock_pass(world.loop, times[i]);
        size_t heard = call.body.len;
        kube_request_cancel(call.request);
        api_server_send(&world.server, STR("more"));
        clock_pass(world.loop, 1000);
        assert_false(call.has_ended);
        assert_int_equal(call.body.len, heard);
        call_free(&call);
        world_end(&world);
    }
    kube_request_cancel(NULL);
}

/* From within its own end of a turn, and from those of another. */
static void test_cancel_from_callbacks(void **state)
{
    (void)state;
    static const char *const names[] = {"itself", "another at a turn's end", "another at its end"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct world world = {.reply = {.body = STR("x"), .lasts = 10}};
        struct call a = {0}, b = {0};
        world_start(&world, "");
        a.other = i == 0 ? &a : &b;
        a.at_turn_end = i < 2 ? cancel_other : NULL;
        a.at_end = i == 2 ? cancel_other : NULL;
        call_start(&a, &world, "/", 0);
        call_start(&b, &world, "/", 0);
        loop_run(world.loop);
        clock_pass(world.loop, 1000);
        CHECK(names[i], a.has_ended == (i > 0));
        CHECK(names[i], i == 2 || b.has_ended == (i == 0));
        call_free(&a);
        call_free(&b);
        world_end(&world);
    }
}

static void start_other(struct call *call)
{
    call_start(call->other, call->world, "/", 0);
}

static void test_start_from_callbacks(void **state)
{
    (void)state;
    static const struct api_reply replies[] = {
        {.body = STR_INIT("x")}, {.status = 500}, {.ending = API_HANG_UP}};
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct world world = {.reply = replies[i]};
        struct call a = {0}, b = {0};
        world_start(&world, "");
        a.other = &b;
        a.at_end = start_other;
        call_run(&a, &world, "/");
        assert_true(b.has_ended && b.outcome == a.outcome);
        call_free(&a);
        call_free(&b);
        world_end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once_without_an_end),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_not_silent),
        cmocka_unit_test(test_is_answered),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_from_callbacks),
        cmocka_unit_test(test_start_from_callbacks),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
