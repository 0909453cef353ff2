/* feed.h: large sets, readers that fall behind with them, and what they may cost. */
#include "policysync/feed_private.h"

#include <stdio.h>

#include "feed_world.h"

enum { LARGE = FEED_MEMBERS + 10 };

/* A policy of the pod k/web needs the set `s`, which has so many members. */
static void open_with_set(struct feed_world *world, size_t size)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, size);
    open_feed(world);
    tell_set(world, "s", PSYNC_SET_NET, &members);
    tell_policy(world, "p", "allow", "s");
    tell_endpoint(world, "k/web", "p", "");
    tell_in_sync(world);
}

/* From the first `from` members to the first `to`. */
static void resize(struct feed_world *world, size_t from, size_t to)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings none = {NULL, 0}, after = numbers(&arena, 0, to);
    struct psync_strings changed =
        from < to ? numbers(&arena, from, to) : numbers(&arena, to, from);
    tell_delta(world, "s", from < to ? &changed : &none, from < to ? &none : &changed, &after);
    end_batch(world);
}

#define REST "policy P p allow\nendpoint k8s/k/web/eth0\nin sync"

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

/* As many members of 100 bytes. */
static struct psync_strings long_members(struct arena *arena, size_t count)
{
    struct psync_strings list = {arena_array(arena, count, sizeof(struct str)), 0};
    for (size_t i = 0; i < count; i++)
        list.items[list.count++] = arena_printf(arena, "%0100zu", i);
    return list;
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

/* ---- falling behind ---- */

/* Resizes the set up and down until more than FEED_LAG bytes wait. */
static void outgrow(struct feed_world *world, size_t low, size_t high)
{
    size_t bytes = 0;
    for (int i = 0; bytes < 2 * FEED_LAG; i++) {
        resize(world, i % 2 == 0 ? low : high, i % 2 == 0 ? high : low);
        bytes += (high - low) * 5;
    }
}

/* A small set is told whole again, in one message; what waits is bounded, also for who never reads. */
static void test_behind_with_small_set(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, never;
    open_with_set(&world, 12);
    join(&world, &web, "k/web");
    join(&world, &never, "k/web");
    check_reads("join", &web, "set s 12\n" REST);
    check_reads("join", &never, "set s 12\n" REST);
    resize(&world, 12, 13);
    check_reads("keeps up", &web, "delta s +{12}");
    resize(&world, 13, 12);
    check_reads("keeps up", &web, "delta s -{12}");
    outgrow(&world, 12, 30000);
    assert_in_range(world.feed->change_bytes, 0, 2 * FEED_LAG);
    CLEANUP_BUF struct buf out = {0};
    read_into(&out, &web, 1);
    assert_true(str_starts_with(buf_str(&out), STR("set s ")));
    read_into(&out, &web, 1000);
    assert_false(str_ends_with(buf_str(&out), STR("behind")));
    feed_leave(web.reader);
    feed_leave(never.reader);
    close_feed(&world);
}

/* What waits for all things together is bounded as well, though for each it is little. */
static void test_behind_with_many_sets(void **state)
{
    (void)state;
    enum { SETS = 20, MANY = 9000 };
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf all = {0}, out = {0};
    struct psync_strings members = long_members(&arena, MANY), none = {NULL, 0};
    char names[SETS][8];
    open_feed(&world);
    for (size_t i = 0; i < SETS; i++) {
        snprintf(names[i], sizeof(names[i]), "s%zu", i);
        tell_members(&world, names[i], "a");
        buf_printf(&all, "%s ", names[i]);
    }
    buf_append_byte(&all, '\0');
    tell_policy(&world, "p", "allow", all.data);
    tell_endpoint(&world, "k/web", "p", "");
    tell_in_sync(&world);
    join(&world, &web, "k/web");
    read_into(&out, &web, 1000);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SETS; i++) {
            tell_delta(&world, names[i], round == 0 ? &members : &none,
                       round == 0 ? &none : &members, round == 0 ? &members : &none);
            end_batch(&world);
            assert_in_range(world.feed->change_bytes, 0, FEED_LAG_OF_ALL + 3 * FEED_LAG);
        }
        /* Once it was too much, nobody is waited for in any of them. */
        assert_in_range(world.feed->change_bytes, 0, FEED_LAG_OF_ALL / 2);
    }
    out.len = 0;
    read_into(&out, &web, 1000);
    assert_true(str_starts_with(buf_str(&out), STR("set s0\n"))); /* whole */
    assert_false(str_ends_with(buf_str(&out), STR("behind")));
    feed_leave(web.reader);
    close_feed(&world);
}

/* A large one would be half a set for a moment: the stream begins anew. */
static void test_behind_with_large_set(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, slow;
    open_with_set(&world, LARGE);
    join(&world, &web, "k/web");
    check_reads_at_most("not in sync yet", &web, 3,
                        "set s 82200\ndelta s +{82200 82201 82202 82203 82204 82205 82206 82207 "
                        "82208 82209}\npolicy P p allow");
    join(&world, &slow, "k/web");
    check_reads_at_most("slow", &slow, 1, "set s 82200");
    outgrow(&world, LARGE, LARGE + 50000);
    CLEANUP_BUF struct buf out = {0};
    read_into(&out, &web, 1000);
    assert_true(str_starts_with(buf_str(&out), STR("endpoint k8s/k/web/eth0\nset s 82200\n")));
    assert_true(str_ends_with(buf_str(&out), STR("in sync"))); /* nobody judged by it so far */
    outgrow(&world, LARGE, LARGE + 50000);
    check_reads("behind", &web, "behind");
    check_reads("for ever", &web, "behind");
    resize(&world, LARGE, LARGE + 1);
    tell_policy(&world, "p", "deny", "s");
    end_batch(&world);
    check_reads("for ever", &web, "behind");
    feed_leave(web.reader);
    feed_leave(slow.reader);
    close_feed(&world);
}

/* A set is given up because of what waits in others; who has not heard InSync yet hears it behind the set, told whole once more,
 * and goes on. */
static void test_given_up_for_others(void **state)
{
    (void)state;
    enum { MANY = FEED_LAG_OF_ALL / 100 + 1000 };
    struct feed_world world;
    struct sidecar web, stalled;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    struct psync_strings members = long_members(&arena, MANY), none = {NULL, 0};
    open_with_set(&world, LARGE);
    tell_members(&world, "t", "");
    tell_members(&world, "u", "");
    tell_policy(&world, "q", "allow", "t u");
    tell_endpoint(&world, "k/stalled", "q", "");
    end_batch(&world);
    join(&world, &stalled, "k/stalled");
    check_reads("stalled, before it was", &stalled,
                "set t\nset u\npolicy P q allow\nendpoint k8s/k/stalled/eth0\nin sync");
    join(&world, &web, "k/web");
    read_into(&out, &web, 4);
    assert_true(str_ends_with(buf_str(&out), STR("endpoint k8s/k/web/eth0")));
    resize(&world, LARGE, LARGE + 1);
    tell_delta(&world, "t", &members, &none, &none);
    tell_change(&world, "u", "x", "", "x");
    end_batch(&world);
    out.len = 0;
    read_into(&out, &web, 1000);
    assert_true(str_starts_with(buf_str(&out), STR("set s 82200\n")));
    assert_true(str_ends_with(buf_str(&out), STR("\nin sync")));
    feed_leave(web.reader);
    feed_leave(stalled.reader);
    close_feed(&world);
}

/* A policy that waited before its new set came up never goes out with half of it, though the set's turn was cut short. */
static void test_behind_amid_a_new_set(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, LARGE);
    open_feed(&world);
    tell_policy(&world, "p", "allow", "");
    tell_endpoint(&world, "k/web", "p", "");
    tell_in_sync(&world);
    join(&world, &web, "k/web");
    check_reads("join", &web, REST);
    tell_policy(&world, "p", "log", "");
    end_batch(&world);
    tell_set(&world, "s", PSYNC_SET_NET, &members);
    tell_policy(&world, "p", "deny", "s");
    end_batch(&world);
    check_reads_at_most("half of the set, before the policy", &web, 1, "set s 82200");
    outgrow(&world, LARGE, LARGE + 50000);
    check_reads("not the policy", &web, "behind");
    feed_leave(web.reader);
    close_feed(&world);
}

/* After a large change that everybody has read, a small one that waits is no lag. */
static void test_not_behind(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    open_with_set(&world, LARGE);
    join(&world, &web, "k/web");
    CLEANUP_BUF struct buf out = {0};
    read_into(&out, &web, 1000);
    resize(&world, LARGE, LARGE + 2 * FEED_MEMBERS);
    check_reads("large", &web, "delta s +82200 -0\ndelta s +82200 -0");
    resize(&world, LARGE + 2 * FEED_MEMBERS, LARGE + 2 * FEED_MEMBERS + 1);
    resize(&world, LARGE + 2 * FEED_MEMBERS + 1, LARGE + 2 * FEED_MEMBERS + 2);
    check_reads("small", &web, "delta s +{246610}\ndelta s +{246611}");
    feed_leave(web.reader);
    close_feed(&world);
}

/* ---- too many whole sets ---- */

/* Each reader stops amid another version of a large set. With long ids a few of them are as many bytes as there may be.
 * Whoever stops amid the newest version of another set is left alone. */
static void test_too_many_snapshots(void **state)
{
    (void)state;
    enum { READERS = 24, ID = 2 * 1024 * 1024, MOST = 64 * 1024 * 1024 };
    struct feed_world world;
    struct sidecar readers[READERS], other;
    struct str bytes;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, FEED_MEMBERS + 1);
    CLEANUP_FREE char *id = mem_zalloc(ID);
    memset(id, 'i', ID - 1);
    open_feed(&world);
    tell_set(&world, "other", PSYNC_SET_NET, &members);
    tell_policy(&world, "q", "allow", "other");
    tell_endpoint(&world, "k/other", "q", "");
    end_batch(&world);
    join(&world, &other, "k/other");
    assert_int_equal(feed_read(other.reader, &bytes), FEED_MESSAGE);
    size_t most = 0, behind = 0;
    for (size_t i = 0; i < READERS; i++) {
        tell_set(&world, id, PSYNC_SET_NET, &members);
        tell_policy(&world, "p", "allow", id);
        tell_endpoint(&world, "k/web", "p", "");
        end_batch(&world);
        join(&world, &readers[i], "k/web");
        assert_int_equal(feed_read(readers[i].reader, &bytes), FEED_MESSAGE);
        most = world.feed->snapshot_bytes > most ? world.feed->snapshot_bytes : most;
    }
    /* The one that it is told of is made before the others go. */
    assert_in_range(most, MOST / 2, MOST + 8 * 1024 * 1024);
    check_reads("other", &other,
                "delta other +{82200}\npolicy P q allow\nendpoint k8s/k/other/eth0");
    feed_leave(other.reader);
    for (size_t i = 0; i < READERS; i++) {
        behind += feed_read(readers[i].reader, &bytes) == FEED_BEHIND;
        feed_leave(readers[i].reader);
    }
    assert_in_range(behind, 1, READERS - 1);
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
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_behind_with_small_set),
        cmocka_unit_test(test_behind_with_many_sets),
        cmocka_unit_test(test_behind_with_large_set),
        cmocka_unit_test(test_given_up_for_others),
        cmocka_unit_test(test_behind_amid_a_new_set),
        cmocka_unit_test(test_not_behind),
        cmocka_unit_test(test_too_many_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
