/* calc.h: what a flush takes at a size at which policies, tiers and pods multiplied would take many times as much. */
#include <sys/resource.h>

#include "base/log.h"

#include "calc_world.h"

enum { TIERS = 100, POLICIES = 2000, PODS = 250 };

/* Most that this process ever had, in MiB. */
static long peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
}

static void count_message(void *ctx, const struct psync_message *message)
{
    (void)message;
    ++*(size_t *)ctx;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void put_policies(struct calc_world *world)
{
    CLEANUP_BUF struct buf yaml = {0};
    for (size_t i = 0; i < TIERS; i++)
        buf_printf(&yaml, TIER("t%zu", "order: %zu"), i, i);
    for (size_t i = 0; i < POLICIES; i++)
        buf_printf(&yaml, GLOBAL("p%zu", "tier: t%zu, types: [Ingress, Egress]"), i, i % TIERS);
    for (size_t i = 0; i < PODS; i++)
        buf_printf(&yaml, POD("pod-%zu", "10.0.0.%zu", "app: a%zu", ""), i, i, i);
    buf_append_byte(&yaml, '\0');
    put(world, yaml.data);
}

/* Policies for all in many tiers, and pods that all have their own labels: each endpoint is told of all policies. */
static void test_memory(void **state)
{
    (void)state;
    struct calc_world world;
    size_t messages = 0;
    const struct psync_sink sink = {count_message, ignore, &messages};
    open_calc(&world, "node-1", NULL);
    put_policies(&world);
    calc_set_in_sync(world.calc);
    long before = peak();
    calc_flush(world.calc, &sink);
    put(&world, TIER("t0", "order: 1000"));
    calc_flush(world.calc, &sink);
    /* Every policy, every endpoint, again every endpoint; a profile; in sync. */
    check_number("messages", (long long)messages, POLICIES + 2 * PODS + 1 + 1);
    if (peak() - before >
        1000) /* with room for what a sanitizer keeps; it took three times as much */
        fail_msg("a flush took %ld MiB", peak() - before);
    close_calc(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
