/* feed.h: readers that fall behind with sets, and what they may cost. */
#include <stdio.h>

#include "feed_large_world.h"

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

/* Because of what waits in others a set is given up, too. Who has not heard InSync yet hears it behind the set, told whole once more;
 * who does not lag is left alone. */
static void test_given_up_for_others(void **state)
{
    (void)state;
    enum { MANY = FEED_LAG_OF_ALL / 100 + 1000 };
    struct feed_world world;
    struct sidecar web, sound, stalled;
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
    join(&world, &sound, "k/web");
    read_into(&out, &sound, 1000);
    join(&world, &web, "k/web");
    read_into(&out, &web, 4);
    assert_true(str_ends_with(buf_str(&out), STR("in sync\nset s 82200\n" SECOND "\n" HEAD)));
    resize(&world, LARGE, LARGE + 1);
    check_reads("sound", &sound, "delta s +{82210}");
    tell_delta(&world, "t", &members, &none, &none);
    tell_change(&world, "u", "x", "", "x");
    end_batch(&world);
    check_reads("sound", &sound, "");
    check_reads("web", &web, "set s 82200\ndelta s +11 -0\nin sync");
    feed_leave(web.reader);
    feed_leave(sound.reader);
    feed_leave(stalled.reader);
    close_feed(&world);
}

/* A policy that waited before its new set came up never goes out with half of it, though the set's turn was cut short. */
static void test_behind_amid_a_new_set(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    join_before_new_set(&world, &web);
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
        cmocka_unit_test(test_behind_with_small_set), cmocka_unit_test(test_behind_with_many_sets),
        cmocka_unit_test(test_behind_with_large_set), cmocka_unit_test(test_given_up_for_others),
        cmocka_unit_test(test_behind_amid_a_new_set), cmocka_unit_test(test_not_behind),
        cmocka_unit_test(test_too_many_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
