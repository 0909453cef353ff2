/* feed.h: IP sets with ids so long that they leave little room for members in a message. */
#include "policysync/feed_private.h"

#include "feed_world.h"

enum { ID = 3700 * 1000, MANY = 80 * 1000, HALF = MANY / 2 };

/* All that is to be read stays under gRPC's 4 MiB. */
static void check_limit(struct sidecar *sidecar, int least)
{
    struct str bytes;
    int count = 0;
    for (; feed_read(sidecar->reader, &bytes) == FEED_MESSAGE; count++)
        assert_in_range(bytes.len, 1, 4 * 1024 * 1024);
    assert_in_range(count, least, 10);
}

/* An id is a selector's text. */
static void test_long_id(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    const char *id = arena_printf(&arena, "%0*d", ID, 0).ptr;
    struct psync_strings members = numbers(&arena, 0, MANY);
    struct psync_strings half = {members.items, HALF}, other = {members.items + HALF, HALF};
    open_feed(&world);
    tell_set(&world, id, PSYNC_SET_NET, &members);
    tell_policy(&world, "p", "allow", id);
    tell_endpoint(&world, "k/web", "p", "");
    tell_in_sync(&world);
    join(&world, &web, "k/web");
    check_limit(&web, 2 + 3); /* the set, what its policy and pod are told, in sync */
    tell_delta(&world, id, &half, &other, &half); /* each would fit, but not both */
    end_batch(&world);
    check_limit(&web, 2);
    feed_leave(web.reader);
    close_feed(&world);
}

/* One that leaves no room at all: the server ends the stream by the length of the messages; here they must come to an end. */
static void test_id_without_room(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    struct str bytes;
    CLEANUP_ARENA struct arena arena = {0};
    const char *id = arena_printf(&arena, "%0*d", FEED_MEMBER_BYTES, 0).ptr;
    struct psync_strings members = numbers(&arena, 0, 3);
    open_feed(&world);
    tell_set(&world, id, PSYNC_SET_NET, &members);
    tell_policy(&world, "p", "allow", id);
    tell_endpoint(&world, "k/web", "p", "");
    end_batch(&world);
    join(&world, &web, "k/web");
    for (size_t i = 0; i < members.count + 2; i++) /* a message for each, the policy, the pod */
        assert_int_equal(feed_read(web.reader, &bytes), FEED_MESSAGE);
    assert_int_equal(feed_read(web.reader, &bytes), FEED_NOTHING);
    feed_leave(web.reader);
    close_feed(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_id),
        cmocka_unit_test(test_id_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
