/* loop.h: watches and timers, and what callbacks may do to them. */
#include "base/loop.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"

/* What happened, a letter each, in order. */
struct world {
    struct loop *loop;
    char trace[64];
};

static void trace(struct world *world, char letter)
{
    size_t used = strlen(world->trace);
    assert_true(used + 1 < sizeof(world->trace));
    world->trace[used] = letter;
}

static struct world world_new(void)
{
    struct error err;
    struct world world = {.loop = loop_new(&err)};
    assert_non_null(world.loop);
    return world;
}

/* A pipe whose reading end is watched. */
struct source {
    struct world *world;
    struct loop_watch watch;
    int writer;
    char letter;
    void (*on_ready)(struct source *source, uint32_t events);
    struct source *other;
};

static void source_ready(void *ctx, uint32_t events)
{
    struct source *source = ctx;
    trace(source->world, source->letter);
    source->on_ready(source, events);
}

static void source_open(struct source *source, struct world *world, char letter,
                        void (*on_ready)(struct source *source, uint32_t events))
{
    int ends[2];
    struct error err;
    assert_int_equal(pipe(ends), 0);
    *source = (struct source){.world = world,
                              .watch = {ends[0], source_ready, source},
                              .writer = ends[1],
                              .letter = letter,
                              .on_ready = on_ready};
    assert_true(loop_add(world->loop, &source->watch, EPOLLIN, &err));
}

static void source_close(struct source *source)
{
    close(source->watch.fd);
    if (source->writer >= 0)
        close(source->writer);
}

static void source_write(const struct source *source)
{
    assert_int_equal(write(source->writer, "x", 1), 1);
}

static void on_ready_stop(struct source *source, uint32_t events)
{
    assert_true(events & EPOLLIN);
    loop_stop(source->world->loop);
}

static void test_watch(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a;
    source_open(&a, &world, 'a', on_ready_stop);
    source_write(&a);
    loop_run(world.loop);
    loop_run(world.loop); /* the byte is still there, so it is called again */
    assert_string_equal(world.trace, "aa");
    source_close(&a);
    loop_free(world.loop);
}

static void on_ready_hang_up(struct source *source, uint32_t events)
{
    assert_true(events & EPOLLHUP);
    loop_remove(source->world->loop, &source->watch);
    loop_stop(source->world->loop);
}

static void test_hang_up(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a;
    source_open(&a, &world, 'a', on_ready_hang_up);
    close(a.writer);
    a.writer = -1;
    loop_run(world.loop);
    assert_string_equal(world.trace, "a");
    source_close(&a);
    loop_free(world.loop);
}

static void on_ready_remove_other(struct source *source, uint32_t events)
{
    (void)events;
    loop_remove(source->world->loop, &source->other->watch);
    close(source->other->watch.fd);
    source->other->watch.fd = -1;
    loop_stop(source->world->loop);
}

/* Both are ready in one turn; whoever comes first takes the other out. */
static void test_remove_in_same_turn(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a, b;
    source_open(&a, &world, 'x', on_ready_remove_other);
    source_open(&b, &world, 'x', on_ready_remove_other);
    a.other = &b;
    b.other = &a;
    source_write(&a);
    source_write(&b);
    loop_run(world.loop);
    assert_string_equal(world.trace, "x");
    source_close(&a);
    source_close(&b);
    loop_free(world.loop);
}

static void on_ready_swap(struct source *source, uint32_t events)
{
    struct error err;
    (void)events;
    loop_remove(source->world->loop, &source->watch);
    assert_true(loop_add(source->world->loop, &source->other->watch, EPOLLIN, &err));
}

static void test_add_and_remove_itself(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a, b;
    source_open(&a, &world, 'a', on_ready_swap);
    source_open(&b, &world, 'b', on_ready_stop);
    a.other = &b;
    loop_remove(world.loop, &b.watch);
    source_write(&a);
    source_write(&b);
    loop_run(world.loop);
    assert_string_equal(world.trace, "ab");
    source_close(&a);
    source_close(&b);
    loop_free(world.loop);
}

static void test_modify(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a, b;
    source_open(&a, &world, 'a', on_ready_stop);
    source_open(&b, &world, 'b', on_ready_stop);
    source_write(&a);
    source_write(&b);
    loop_modify(world.loop, &a.watch, 0);
    loop_run(world.loop);
    assert_string_equal(world.trace, "b");
    loop_modify(world.loop, &b.watch, 0);
    loop_modify(world.loop, &a.watch, EPOLLIN);
    loop_run(world.loop);
    assert_string_equal(world.trace, "ba");
    source_close(&a);
    source_close(&b);
    loop_free(world.loop);
}

static void test_add_fails(void **state)
{
    (void)state;
    struct world world = world_new();
    struct loop_watch watch = {.fd = -1};
    struct error err = {""};
    assert_false(loop_add(world.loop, &watch, EPOLLIN, &err));
    assert_true(strlen(err.text) > 0);
    loop_free(world.loop);
    loop_free(NULL);
}

/* A timer with a letter; `then` is what else it does. */
struct alarm {
    struct world *world;
    struct loop_timer timer;
    char letter;
    void (*then)(struct alarm *alarm);
    struct alarm *other;
    uint64_t called_at;
};

static void alarm_due(void *ctx)
{
    struct alarm *alarm = ctx;
    trace(alarm->world, alarm->letter);
    alarm->called_at = loop_now(alarm->world->loop);
    if (alarm->then != NULL)
        alarm->then(alarm);
}

static void alarm_init(struct alarm *alarm, struct world *world, char letter,
                       void (*then)(struct alarm *alarm))
{
    *alarm = (struct alarm){.world = world, .letter = letter, .then = then};
    alarm->timer.callback = alarm_due;
    alarm->timer.ctx = alarm;
}

static void then_stop(struct alarm *alarm)
{
    loop_stop(alarm->world->loop);
}

static void test_timers_in_order(void **state)
{
    (void)state;
    struct world world = world_new();
    struct alarm a, b, c, d;
    alarm_init(&a, &world, 'a', NULL);
    alarm_init(&b, &world, 'b', NULL);
    alarm_init(&c, &world, 'c', NULL);
    alarm_init(&d, &world, 'd', then_stop);
    uint64_t start = loop_now(world.loop);
    loop_arm(world.loop, &d.timer, 40);
    loop_arm(world.loop, &b.timer, 20);
    loop_arm(world.loop, &a.timer, 10);
    loop_arm(world.loop, &c.timer, 20);
    loop_run(world.loop);
    assert_string_equal(world.trace, "abcd");
    assert_true(a.called_at >= start + 10 && b.called_at >= start + 20);
    assert_true(d.called_at >= start + 40 && d.called_at < start + 5000);
    assert_int_equal(a.timer.due, 0);
    loop_free(world.loop);
}

static void test_arm_moves(void **state)
{
    (void)state;
    struct world world = world_new();
    struct alarm a, b, stop;
    alarm_init(&a, &world, 'a', NULL);
    alarm_init(&b, &world, 'b', NULL);
    alarm_init(&stop, &world, 's', then_stop);
    loop_arm(world.loop, &a.timer, 5);
    loop_arm(world.loop, &b.timer, 10);
    loop_arm(world.loop, &stop.timer, 30);
    loop_arm(world.loop, &a.timer, 20);
    loop_run(world.loop);
    assert_string_equal(world.trace, "bas");
    loop_free(world.loop);
}

static void test_disarm(void **state)
{
    (void)state;
    enum { COUNT_ALL = 4 };
    /* The first, one in the middle and the last of the queue. */
    for (int which = 0; which < COUNT_ALL - 1; which++) {
        struct world world = world_new();
        struct alarm alarms[COUNT_ALL];
        for (int i = 0; i < COUNT_ALL; i++) {
            alarm_init(&alarms[i], &world, (char)('a' + i), i == COUNT_ALL - 1 ? then_stop : NULL);
            loop_arm(world.loop, &alarms[i].timer, (uint64_t)i + 1);
        }
        loop_disarm(world.loop, &alarms[which].timer);
        loop_disarm(world.loop, &alarms[which].timer);
        assert_int_equal(alarms[which].timer.due, 0);
        loop_run(world.loop);
        assert_int_equal(strlen(world.trace), COUNT_ALL - 1);
        assert_null(strchr(world.trace, 'a' + which));
        loop_free(world.loop);
    }
}

static void then_disarm_other(struct alarm *alarm)
{
    loop_disarm(alarm->world->loop, &alarm->other->timer);
}

/* Two are due in the same turn; the first takes the second away. */
static void test_disarm_in_same_turn(void **state)
{
    (void)state;
    struct world world = world_new();
    struct alarm a, b, stop;
    alarm_init(&a, &world, 'a', then_disarm_other);
    alarm_init(&b, &world, 'b', NULL);
    alarm_init(&stop, &world, 's', then_stop);
    a.other = &b;
    loop_arm(world.loop, &a.timer, 1);
    loop_arm(world.loop, &b.timer, 1);
    loop_arm(world.loop, &stop.timer, 10);
    loop_run(world.loop);
    assert_string_equal(world.trace, "as");
    loop_free(world.loop);
}

static void then_arm_again(struct alarm *alarm)
{
    if (strlen(alarm->world->trace) < 5)
        loop_arm(alarm->world->loop, &alarm->timer, 0);
}

/* One that re-arms itself without delay does not keep watches from being called. */
static void test_timer_does_not_starve(void **state)
{
    (void)state;
    struct world world = world_new();
    struct alarm a;
    struct source source;
    alarm_init(&a, &world, 't', then_arm_again);
    source_open(&source, &world, 'w', on_ready_stop);
    source_write(&source);
    loop_arm(world.loop, &a.timer, 0);
    loop_run(world.loop);
    assert_non_null(strchr(world.trace, 'w'));
    assert_true(strlen(world.trace) <= 2);
    loop_disarm(world.loop, &a.timer);
    source_close(&source);
    loop_free(world.loop);
}

/* The turn in which it is stopped is finished: the other watch is called too, then no more. */
static void test_stop_ends_after_turn(void **state)
{
    (void)state;
    struct world world = world_new();
    struct source a, b;
    source_open(&a, &world, 'x', on_ready_stop);
    source_open(&b, &world, 'x', on_ready_stop);
    source_write(&a);
    source_write(&b);
    loop_run(world.loop);
    assert_string_equal(world.trace, "xx");
    source_close(&a);
    source_close(&b);
    loop_free(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_remove_in_same_turn),
        cmocka_unit_test(test_add_and_remove_itself),
        cmocka_unit_test(test_modify),
        cmocka_unit_test(test_add_fails),
        cmocka_unit_test(test_timers_in_order),
        cmocka_unit_test(test_arm_moves),
        cmocka_unit_test(test_disarm),
        cmocka_unit_test(test_disarm_in_same_turn),
        cmocka_unit_test(test_timer_does_not_starve),
        cmocka_unit_test(test_stop_ends_after_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
