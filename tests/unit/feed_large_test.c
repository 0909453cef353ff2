/* feed.h: sets that take several messages: how they are split, when they are told, and how long they are kept. */
#include "feed_large_world.h"

/* ---- messages of bounded size ---- */

static void test_split(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *expected;
    } cases[] = {
        {0, "set s\n" REST},
        {FEED_MEMBERS, "set s 82200\n" REST},
        {FEED_MEMBERS + 1, "set s 82200\ndelta s +{82200}\n" REST},
        {2 * FEED_MEMBERS + 20, "set s 82200\ndelta s +82200 -0\ndelta s +20 -0\n" REST},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct feed_world world;
        struct sidecar web;
        open_with_set(&world, cases[i].size);
        join(&world, &web, "k/web");
        check_reads("whole", &web, cases[i].expected);
        feed_leave(web.reader);
        close_feed(&world);
    }
}

static void test_split_change(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    open_with_set(&world, 20);
    join(&world, &web, "k/web");
    check_reads("join", &web, "set s 20\n" REST);
    resize(&world, 20, FEED_MEMBERS + 20);
    check_reads("one message", &web, "delta s +82200 -0");
    resize(&world, FEED_MEMBERS + 20, 0);
    check_reads("two messages", &web, "delta s +0 -82200\ndelta s +0 -20");
    struct psync_strings all = numbers(&arena, 0, FEED_MEMBERS);
    struct psync_strings few = numbers(&arena, FEED_MEMBERS, FEED_MEMBERS + 20);
    tell_delta(&world, "s", &few, &(struct psync_strings){NULL, 0}, &few);
    tell_delta(&world, "s", &all, &few, &all);
    end_batch(&world);
    check_reads("what comes is told before what goes", &web,
                "delta s +20 -0\ndelta s +82200 -0\ndelta s +0 -20");
    feed_leave(web.reader);
    close_feed(&world);
}

/* So many messages come; of two in a row the first is large. */
static void check_sizes(struct sidecar *sidecar, int count)
{
    enum { LIMIT = 4 * 1024 * 1024 };
    struct str bytes;
    for (int i = 0; i < count; i++) {
        assert_int_equal(feed_read(sidecar->reader, &bytes), FEED_MESSAGE);
        assert_in_range(bytes.len, i % 2 == 0 ? LIMIT / 2 : 1, LIMIT);
    }
}

/* Long members are fewer to a message, which stays under gRPC's 4 MiB. */
static void test_split_by_bytes(void **state)
{
    (void)state;
    enum { MANY = 50000 };
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = long_members(&arena, MANY), none = {NULL, 0};
    open_with_set(&world, 0);
    join(&world, &web, "k/web");
    check_reads("join", &web, "set s\n" REST);
    tell_delta(&world, "s", &members, &none, &members);
    end_batch(&world);
    check_sizes(&web, 2);
    struct psync_strings half = {members.items, MANY / 2};
    struct psync_strings other = {members.items + MANY / 2, MANY / 2};
    tell_delta(&world, "s", &half, &other, &half); /* each would fit, but not both */
    end_batch(&world);
    check_sizes(&web, 2);
    check_reads("all", &web, "");
    feed_leave(web.reader);
    set_source(&world, "s", PSYNC_SET_NET, &members);
    feed_trim(world.feed);
    join(&world, &web, "k/web");
    check_sizes(&web, 2);
    check_reads("rest", &web, REST);
    feed_leave(web.reader);
    close_feed(&world);
}

/* Changes of a set that is being told wait until it was, and until what came before them was. */
static void test_change_while_told(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, late;
    open_with_set(&world, LARGE);
    join(&world, &web, "k/web");
    check_reads_at_most("half", &web, 1, "set s 82200");
    resize(&world, LARGE, LARGE + 1);
    join(&world, &late, "k/web");
    check_reads("the rest, and what changed", &web,
                "delta s +{82200 82201 82202 82203 82204 82205 "
                "82206 82207 82208 82209}\n" REST "\ndelta s +{82210}");
    check_reads("late", &late, "set s 82200\ndelta s +11 -0\n" REST);
    assert_int_equal(world.asked, 2);
    feed_leave(web.reader);
    feed_leave(late.reader);
    close_feed(&world);
}

/* A set that is another altogether, as when it becomes unreadable, is told whole. */
static void test_replaced(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    const struct psync_strings none = {NULL, 0};
    open_with_set(&world, LARGE);
    join(&world, &web, "k/web");
    check_reads_at_most("half", &web, 1, "set s 82200");
    tell_set(&world, "s", PSYNC_SET_UNREADABLE, &none);
    end_batch(&world);
    check_reads("before it was told", &web, "set s\n" REST);
    resize(&world, 0, 1);
    tell_members(&world, "s", "a b");
    end_batch(&world);
    check_reads("whole again", &web, "set s {a b}");
    world.set_count = 0; /* the source knows of none: nobody may take it for empty */
    tell(&world, (struct psync_message){.kind = PSYNC_IPSET_UPDATE, .ipset_update.id = STR("s")});
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message;
    struct error err;
    struct str bytes;
    assert_int_equal(feed_read(web.reader, &bytes), FEED_MESSAGE);
    assert_true(psync_decode(&arena, bytes, &message, &err));
    assert_int_equal(message.ipset_update.type, PSYNC_SET_UNREADABLE);
    feed_leave(web.reader);
    arena_free(&world.sets[0].arena);
    close_feed(&world);
}

/* A set that takes several messages, and that its policy was told of before, is told to its end before InSync. */
static void test_replaced_before_in_sync(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, LARGE);
    open_with_set(&world, LARGE);
    join(&world, &web, "k/web");
    check_reads_at_most("before", &web, 4, "set s 82200\n" SECOND "\n" HEAD);
    tell_set(&world, "s", PSYNC_SET_NET, &members);
    end_batch(&world);
    check_reads("again", &web, "set s 82200\n" SECOND "\nin sync");
    feed_leave(web.reader);
    close_feed(&world);
}

/* A policy that was in the queue before its new set goes out behind all of it. */
static void test_new_set_of_a_policy_that_waits(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    join_before_new_set(&world, &web);
    check_reads("in order", &web, "set s 82200\n" SECOND "\npolicy P p deny");
    feed_leave(web.reader);
    close_feed(&world);
}

/* ---- what is kept ---- */

static void test_trim(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, second, third;
    open_with_set(&world, 12);
    join(&world, &web, "k/web");
    check_reads("first", &web, "set s 12\n" REST);
    join(&world, &second, "k/web");
    check_reads("second", &second, "set s 12\n" REST);
    assert_int_equal(world.asked, 1);
    assert_in_range(world.feed->snapshot_bytes, 1, SIZE_MAX);
    assert_true(feed_keeps_sets(world.feed));
    feed_trim(world.feed);
    assert_false(feed_keeps_sets(world.feed));
    assert_int_equal(world.feed->snapshot_bytes, 0);
    feed_trim(world.feed);
    join(&world, &third, "k/web");
    check_reads("third", &third, "set s 12\n" REST);
    assert_int_equal(world.asked, 2);
    resize(&world, 12, 13); /* outdated: nobody would be told it */
    assert_int_equal(world.feed->snapshot_bytes, 0);
    feed_leave(web.reader);
    feed_leave(second.reader);
    feed_leave(third.reader);
    close_feed(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_change),
        cmocka_unit_test(test_split_by_bytes),
        cmocka_unit_test(test_change_while_told),
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_replaced_before_in_sync),
        cmocka_unit_test(test_new_set_of_a_policy_that_waits),
        cmocka_unit_test(test_trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
