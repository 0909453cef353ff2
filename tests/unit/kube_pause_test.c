/* kube/pause.h: how long pauses are, and that they differ. */
#include "kube/pause.h"

#include "check.h"
#include "skipping_clock.h"

enum { ROUNDS = 4000 };

static void do_nothing(void *ctx)
{
    (void)ctx;
}

static void start(struct kube_pause *pause)
{
    struct error err;
    *pause = (struct kube_pause){.loop = loop_new(&err), .timer = {.callback = do_nothing}};
    clock_pass(pause->loop, 1);
}

static void end(struct kube_pause *pause)
{
    loop_disarm(pause->loop, &pause->timer);
    loop_free(pause->loop);
}

static uint64_t length(const struct kube_pause *pause)
{
    return pause->timer.due - loop_now(pause->loop);
}

/* Of many pauses, each is within bounds, and together they come near to both. */
static void check_spread(const char *name, void (*make)(struct kube_pause *pause), uint64_t least,
                         uint64_t most)
{
    uint64_t shortest = UINT64_MAX, longest = 0;
    struct kube_pause pause;
    start(&pause);
    for (int i = 0; i < ROUNDS; i++) {
        make(&pause);
        uint64_t took = length(&pause);
        shortest = took < shortest ? took : shortest;
        longest = took > longest ? took : longest;
    }
    uint64_t margin = (most - least) / 10;
    if (shortest < least || longest > most || shortest > least + margin || longest < most - margin)
        fail_msg("%s: %u to %u ms", name, (unsigned)shortest, (unsigned)longest);
    end(&pause);
}

static void spread(struct kube_pause *pause)
{
    kube_pause_spread(pause, KUBE_PAUSE_SPREAD);
}

static void fail_first(struct kube_pause *pause)
{
    pause->failures = 0;
    kube_pause_after_failure(pause, 0);
}

static void fail_third(struct kube_pause *pause)
{
    pause->failures = 2;
    kube_pause_after_failure(pause, 0);
}

static void fail_often(struct kube_pause *pause)
{
    pause->failures = 4000000000;
    kube_pause_after_failure(pause, 0);
}

static void fail_with_wish(struct kube_pause *pause)
{
    pause->failures = 0;
    kube_pause_after_failure(pause, 60);
}

static void miss_first(struct kube_pause *pause)
{
    pause->looks = 0;
    kube_pause_missing(pause);
}

static void miss_second(struct kube_pause *pause)
{
    pause->looks = 1;
    kube_pause_missing(pause);
}

static void miss_often(struct kube_pause *pause)
{
    pause->looks = 4000000000;
    kube_pause_missing(pause);
}

static void hurry(struct kube_pause *pause)
{
    fail_often(pause);
    kube_pause_hurry(pause);
}

static void hurry_against_wish(struct kube_pause *pause)
{
    fail_with_wish(pause);
    kube_pause_hurry(pause);
}

static void test_lengths(void **state)
{
    (void)state;
    check_spread("a spread", spread, 0, 5000);
    check_spread("a failure", fail_first, 250, 750);
    check_spread("the third failure", fail_third, 1000, 3000);
    check_spread("the last failure", fail_often, 15000, 45000);
    check_spread("a wish", fail_with_wish, 60000, 61000);
    check_spread("nothing there", miss_first, 10000, 30000);
    check_spread("nothing there again", miss_second, 20000, 60000);
    check_spread("nothing there for long", miss_often, 100000, 300000);
    check_spread("hurry", hurry, 0, 5000);
    check_spread("hurry, against a wish", hurry_against_wish, 60000, 61000);
}

static void test_counts(void **state)
{
    (void)state;
    struct kube_pause pause;
    start(&pause);
    for (unsigned i = 0; i < 3; i++) {
        kube_pause_after_failure(&pause, 0);
        assert_int_equal(pause.failures, i + 1);
    }
    kube_pause_missing(&pause);
    assert_int_equal(pause.failures, 0); /* it has answered */
    assert_int_equal(pause.looks, 1);
    end(&pause);
}

/* Who does not wait, or waits for something else, or not for long, is left alone. */
static void test_hurry_leaves_alone(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct kube_pause pause;
        start(&pause);
        pause.failures = 1;
        kube_pause_hurry(&pause);
        assert_int_equal(pause.timer.due, 0);
        kube_pause_missing(&pause);
        uint64_t due = pause.timer.due;
        kube_pause_hurry(&pause);
        assert_int_equal(pause.timer.due, due);
        fail_first(&pause);
        due = pause.timer.due;
        kube_pause_hurry(&pause);
        assert_true(pause.timer.due <= due);
        end(&pause);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_hurry_leaves_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
