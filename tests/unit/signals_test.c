/* cmd/signals.h: what is told, and what does not end the program. */
#include "cmd/signals.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "check.h"

struct world {
    struct loop *loop;
    struct signals signals;
    char told[64];
    unsigned wanted; /* signals, before the loop stops */
};

static void on_signal(void *ctx, const char *name)
{
    struct world *world = ctx;
    strncat(world->told, name, sizeof(world->told) - strlen(world->told) - 1);
    strncat(world->told, " ", sizeof(world->told) - strlen(world->told) - 1);
    if (--world->wanted == 0)
        loop_stop(world->loop);
}

static void test_told(void **state)
{
    (void)state;
    struct world world = {.wanted = 2, .signals.watch.fd = -1};
    struct error err;
    signals_stop(&world.signals); /* it was never started */
    world.loop = loop_new(&err);
    assert_true(signals_start(&world.signals, world.loop, on_signal, &world, &err));
    kill(getpid(), SIGPIPE);
    kill(getpid(), SIGINT);
    kill(getpid(), SIGTERM);
    loop_run(world.loop);
    assert_string_equal(world.told, "SIGINT SIGTERM ");
    signals_stop(&world.signals);
    assert_int_equal(world.signals.watch.fd, -1);
    signals_stop(&world.signals);
    loop_free(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
