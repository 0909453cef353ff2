/* feed.h: IP sets and changes that one message has no room for. */
#include "policysync/feed_private.h"

#include "feed_world.h"

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

/* All that is to be read stays under gRPC's 4 MiB. */
static void check_limit(struct sidecar *sidecar, int least)
{
    struct str bytes;
    int count = 0;
    for (; feed_read(sidecar->reader, &bytes) == FEED_MESSAGE; count++)
        assert_in_range(bytes.len, 1, 4 * 1024 * 1024);
    assert_in_range(count, least, 10);
}

/* A set's id is a selector's text, which can be long, and has its share of each message. */
static void test_split_by_id(void **state)
{
    (void)state;
    enum { ID = 1500 * 1000, MANY = 40000 };
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    const char *id = arena_printf(&arena, "%0*d", ID, 0).ptr;
    struct psync_strings members = long_members(&arena, MANY);
    struct psync_strings half = {members.items, MANY / 2};
    struct psync_strings other = {members.items + MANY / 2, MANY / 2};
    open_feed(&world);
    tell_set(&world, id, PSYNC_SET_NET, &members);
    tell_policy(&world, "p", "allow", id);
    tell_endpoint(&world, "k/web", "p", "");
    tell_in_sync(&world);
    join(&world, &web, "k/web");
    check_limit(&web, 2 + 3);
    tell_delta(&world, id, &half, &other, &half); /* the members alone would fit into one message */
    end_batch(&world);
    check_limit(&web, 2);
    feed_leave(web.reader);
    close_feed(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_change),
        cmocka_unit_test(test_split_by_bytes),
        cmocka_unit_test(test_split_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
