/* kube/client.h: requests that are held until a program has given credentials. */
#include "client_world.h"
#include "exec_run.h"

enum { CALLS = 4 };

/* The program waits for the file `go`. */
static void start_program(struct world *world, const char *script)
{
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, "while [ ! -e go ]; do sleep 0.01; done; %s", script);
    buf_append_byte(&text, '\0');
    exec_run_write_script("program", text.data);
    world->config = exec_run_config("./program");
    world->reply.body = STR("x");
    world_start(world, "");
}

/* Lets it go on, and the calls come to their end: for real, without time to skip. */
static void go(struct world *world)
{
    folder_write("go", STR(""), 0600);
    clock_patience = 10 * 1000;
    loop_run(world->loop);
    clock_patience = 5;
    remove("go");
}

/* They neither fail nor count as silent meanwhile, and go out when it has answered. */
static void test_held(void **state)
{
    (void)state;
    struct world world = {0};
    struct call calls[CALLS] = {0};
    start_program(&world, TOKEN);
    for (size_t i = 0; i < CALLS; i++)
        call_start(&calls[i], &world, "/path", 20000);
    clock_pass(world.loop, 50 * 1000);
    assert_int_equal(world.asked, 0);
    kube_request_cancel(calls[1].request);
    world.open--;
    go(&world);
    for (size_t i = 0; i < CALLS; i++) {
        CHECK("ended", calls[i].has_ended == (i != 1));
        CHECK("well", i == 1 || (calls[i].outcome == KUBE_OK && calls[i].body.len == 1));
        call_free(&calls[i]);
    }
    assert_int_equal(world.asked, CALLS - 1);
    check_text("path", buf_str(&world.target), STR("/path"));
    assert_true(str_contains(buf_str(&world.head), STR("\r\nAuthorization: Bearer t\r\n")));
    world_end(&world);
}

/* Silence counts from when it was sent. */
static void test_silent_later(void **state)
{
    (void)state;
    struct world world = {0};
    struct call call = {0};
    start_program(&world, TOKEN);
    call_start(&call, &world, "/", 20000);
    clock_pass(world.loop, 50 * 1000);
    folder_write("go", STR(""), 0600);
    world.reply.ending = API_NOTHING;
    clock_patience = 1000;
    uint64_t begun = loop_now(world.loop);
    loop_run(world.loop);
    clock_patience = 5;
    remove("go");
    assert_int_equal(call.outcome, KUBE_SILENT);
    assert_in_range(loop_now(world.loop) - begun, 20 * 1000, 26 * 1000);
    call_free(&call);
    world_end(&world);
}

static void test_it_fails(void **state)
{
    (void)state;
    struct world world = {0};
    struct call calls[CALLS] = {0};
    start_program(&world, "exit 3");
    for (size_t i = 0; i < CALLS; i++)
        call_start(&calls[i], &world, "/", 0);
    go(&world);
    for (size_t i = 0; i < CALLS; i++) {
        CHECK("failed", calls[i].has_ended && calls[i].outcome == KUBE_FAILED);
        check_text("why", buf_str(&calls[i].message), STR("./program: failed with exit status 3"));
        call_free(&calls[i]);
    }
    assert_int_equal(world.asked, 0);
    world_end(&world);
}

/* After a 401 nobody but who got it hears of it. */
static void test_renewal(void **state)
{
    (void)state;
    struct world world = {0};
    struct call calls[3] = {0};
    start_program(&world, TOKEN);
    call_start(&calls[0], &world, "/", 0);
    go(&world);
    clock_pass(world.loop, 10 * 1000);
    world.reply.status = 401;
    call_run(&calls[1], &world, "/");
    assert_int_equal(calls[1].outcome, KUBE_UNAUTHORIZED);
    world.reply.status = 200;
    call_start(&calls[2], &world, "/", 0);
    go(&world);
    assert_int_equal(calls[2].outcome, KUBE_OK);
    for (size_t i = 0; i < COUNT(calls); i++)
        call_free(&calls[i]);
    world_end(&world);
}

static void test_free_while_held(void **state)
{
    (void)state;
    struct world world = {0};
    struct call call = {0};
    start_program(&world, TOKEN);
    call_start(&call, &world, "/", 0);
    clock_pass(world.loop, 10);
    kube_request_cancel(call.request);
    assert_false(call.has_ended);
    call_free(&call);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_silent_later),
        cmocka_unit_test(test_it_fails),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_free_while_held),
    };
    clock_patience = 5;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
