/* feed.h: accounts and namespaces: readers that fall behind with them, what those leave that come and go, and their order with InSync.
 * What a reader is told of them otherwise is in feed_test.c. */
#include "policysync/feed_private.h"

#include <stdio.h>

#include "feed_world.h"

/* Changes namespaces, as many bytes in one batch. */
static void tell_many_labels(struct feed_world *world, size_t bytes)
{
    static char value[4096];
    static unsigned version;
    memset(value, 'x', sizeof(value) - 1);
    for (size_t sent = 0; sent < bytes; sent += sizeof(value)) {
        char name[32];
        snprintf(name, sizeof(name), "n%zu", sent / sizeof(value) % 100);
        value[0] = (char)('a' + version++ % 26);
        tell_namespace(world, name, value);
    }
    end_batch(world);
}

/* One that does not read is given up, is told so though it did not ask, costs nothing from then on, and takes nobody along. */
static void test_behind_with_labels(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar stalled, sound;
    open_feed(&world);
    tell_in_sync(&world);
    join(&world, &stalled, "k/none");
    join(&world, &sound, "k/none");
    check_reads("stalled", &stalled, "in sync");
    check_reads("sound", &sound, "in sync");
    tell_namespace(&world, "k", "1");
    tell_namespace(&world, "l", "1");
    end_batch(&world);
    check_reads_at_most("stalled", &stalled, 1, "namespace k 1");
    assert_int_equal(stalled.ready, 1);
    for (int round = 0; round < 20; round++) {
        CLEANUP_BUF struct buf out = {0};
        tell_many_labels(&world, FEED_LAG / 4);
        read_into(&out, &sound, 1000);
        assert_false(str_ends_with(buf_str(&out), STR("behind")));
        assert_in_range(world.feed->change_bytes, 0, 2 * FEED_LAG);
    }
    assert_int_equal(stalled.ready, 2);
    assert_true(feed_is_behind(stalled.reader));
    assert_false(feed_is_behind(sound.reader));
    check_reads("stalled", &stalled, "behind");
    tell_many_labels(&world, 2 * FEED_LAG);
    CLEANUP_BUF struct buf out = {0};
    read_into(&out, &sound, 10000);
    assert_false(str_ends_with(buf_str(&out), STR("behind"))); /* all of one batch */
    assert_in_range(world.feed->change_bytes, 0, 8192);        /* the last ones of each chain */
    feed_leave(stalled.reader);
    feed_leave(sound.reader);
    close_feed(&world);
}

/* Namespaces that come and go leave nothing behind, and readers find their way past the holes. */
static void test_label_churn(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    char name[32], expected[128];
    open_feed(&world);
    tell_namespace(&world, "first", "1");
    tell_in_sync(&world);
    join(&world, &web, "k/none");
    check_reads("join", &web, "namespace first 1\nin sync");
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        tell_namespace(&world, name, "2");
        if (i >= 3) {
            snprintf(name, sizeof(name), "n%d", i - 3);
            tell_no_namespace(&world, name);
        }
        end_batch(&world);
        snprintf(expected, sizeof(expected), "%s%s%snamespace n%d 2", i >= 3 ? "-namespace " : "",
                 i >= 3 ? name : "", i >= 3 ? "\n" : "", i);
        check_reads("churn", &web, expected);
    }
    assert_in_range(world.feed->label_capacity, 1, 64);
    assert_int_equal(feed_stats(world.feed).accounts_and_namespaces, 4);
    feed_leave(web.reader);
    join(&world, &web, "k/none");
    check_reads(
        "late", &web,
        "namespace first 1\nnamespace n2997 2\nnamespace n2998 2\nnamespace n2999 2\nin sync");
    feed_leave(web.reader);
    close_feed(&world);
}

/* Those that were there when all was told come before InSync, though they came while others were being read; what comes later
 * does not hold it up. */
static void test_in_sync(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar early, late;
    open_feed(&world);
    join(&world, &early, "k/none");
    tell_namespace(&world, "a", "1");
    tell_namespace(&world, "b", "1");
    end_batch(&world);
    check_reads_at_most("the first", &early, 1, "namespace a 1");
    tell_namespace(&world, "c", "1");
    tell_in_sync(&world);
    check_reads("the others before it", &early, "namespace b 1\nnamespace c 1\nin sync");
    join(&world, &late, "k/none");
    check_reads_at_most("all", &late, 3, "namespace a 1\nnamespace b 1\nnamespace c 1");
    tell_namespace(&world, "b", "2");
    tell_namespace(&world, "d", "1");
    end_batch(&world);
    check_reads("the change behind it", &late, "in sync\nnamespace b 2\nnamespace d 1");
    tell_in_sync(&world);
    check_reads("only once", &late, "");
    feed_leave(early.reader);
    feed_leave(late.reader);
    close_feed(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_behind_with_labels),
        cmocka_unit_test(test_label_churn),
        cmocka_unit_test(test_in_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
