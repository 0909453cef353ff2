/* feed.h: what a reader is told, in which order, and when it is called. What falls behind is in feed_lag_test.c. */
#include "feed_world.h"

/* A small node: two pods, a policy and two profiles, a set, an account and a namespace. */
static void tell_node(struct feed_world *world)
{
    tell_members(world, "s", "a b");
    tell_policy(world, "p", "allow", "s");
    tell_profile(world, "all");
    tell_profile(world, "web");
    tell_endpoint(world, "k/web", "p", "all web");
    tell_endpoint(world, "k/db", "", "all");
    tell_account(world, "k", "sa");
    tell_namespace(world, "k", "1");
    tell_in_sync(world);
}

#define NODE_OF_WEB                                                                                \
    "set s {a b}\n"                                                                                \
    "policy P p allow\n"                                                                           \
    "profile all\n"                                                                                \
    "profile web\n"                                                                                \
    "endpoint k8s/k/web/eth0\n"                                                                    \
    "account k/sa\n"                                                                               \
    "namespace k 1\n"                                                                              \
    "in sync"

/* Opens the feed with that node, and a sidecar of the web pod that has read all. */
static void start(struct feed_world *world, struct sidecar *web)
{
    open_feed(world);
    tell_node(world);
    join(world, web, "k/web");
    check_reads("start", web, NODE_OF_WEB);
}

static void finish(struct feed_world *world, struct sidecar *web)
{
    feed_leave(web->reader);
    close_feed(world);
}

static void test_join(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar early, late, other, nobody;
    open_feed(&world);
    join(&world, &early, "k/web");
    check_reads("empty", &early, "");
    tell_node(&world);
    join(&world, &late, "k/web");
    join(&world, &other, "k/db");
    join(&world, &nobody, "k/none");
    check_reads("early", &early, NODE_OF_WEB);
    check_reads("late", &late, NODE_OF_WEB);
    check_reads("less is needed", &other,
                "profile all\nendpoint k8s/k/db/eth0\naccount k/sa\nnamespace k 1\nin sync");
    check_reads("no endpoint", &nobody, "account k/sa\nnamespace k 1\nin sync");
    check_reads("once", &early, "");
    assert_int_equal(world.asked, 1); /* both were told the same bytes */
    tell_endpoint(&world, "k/none", "p", "");
    check_reads("it appears", &nobody, "set s {a b}\npolicy P p allow\nendpoint k8s/k/none/eth0");
    assert_int_equal(feed_stats(world.feed).readers, 4);
    feed_leave(early.reader);
    feed_leave(late.reader);
    feed_leave(other.reader);
    feed_leave(nobody.reader);
    close_feed(&world);
    feed_free(NULL);
}

/* Before all is known nothing is called in sync. */
static void test_not_in_sync(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    open_feed(&world);
    tell_endpoint(&world, "k/web", "", "");
    tell_namespace(&world, "k", "1");
    end_batch(&world);
    join(&world, &web, "k/web");
    check_reads("half", &web, "endpoint k8s/k/web/eth0\nnamespace k 1");
    assert_false(feed_stats(world.feed).in_sync);
    tell_in_sync(&world);
    assert_true(feed_stats(world.feed).in_sync);
    assert_int_equal(web.ready, 1);
    check_reads("all", &web, "in sync");
    finish(&world, &web);
}

/* ---- being called ---- */

static void test_ready(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    assert_int_equal(web.ready, 0); /* whoever joins looks itself */
    tell_policy(&world, "other", "deny", "");
    tell_endpoint(&world, "k/db", "other", "all");
    end_batch(&world);
    assert_int_equal(web.ready, 0);
    tell_policy(&world, "p", "deny", "s");
    tell_change(&world, "s", "c", "", "a b c");
    assert_int_equal(web.ready, 0); /* not before the batch is whole */
    end_batch(&world);
    assert_int_equal(web.ready, 1);
    tell_namespace(&world, "k", "2");
    end_batch(&world);
    assert_int_equal(web.ready, 1); /* it has not read yet */
    check_reads_at_most("not all", &web, 1, "policy P p deny");
    tell_namespace(&world, "k", "3");
    end_batch(&world);
    assert_int_equal(web.ready, 1);
    check_reads("the rest", &web, "delta s +{c}\nnamespace k 2\nnamespace k 3");
    end_batch(&world);
    assert_int_equal(web.ready, 1);
    tell_namespace(&world, "k", "4");
    end_batch(&world);
    assert_int_equal(web.ready, 2);
    check_reads("all", &web, "namespace k 4");
    tell_namespace(&world, "k", "5");
    tell_namespace(&world, "k", "6");
    check_reads_at_most("amid a batch", &web, 1, "namespace k 5");
    end_batch(&world);
    assert_int_equal(web.ready, 2); /* it is about to read the rest */
    finish(&world, &web);
}

/* Whoever is called may leave at once, and take others along. */
static struct sidecar pair[2];

static void leave_both(void *ctx)
{
    (void)ctx;
    for (size_t i = 0; i < COUNT(pair); i++) {
        feed_leave(pair[i].reader);
        pair[i].ready++;
    }
}

static void test_leave_when_ready(void **state)
{
    (void)state;
    struct feed_world world;
    const struct feed_events events = {leave_both, NULL};
    const struct psync_endpoint_id id = feed_endpoint_id("k/web");
    open_feed(&world);
    for (size_t i = 0; i < COUNT(pair); i++) {
        pair[i] = (struct sidecar){feed_join(world.feed, &id, &events), 0};
        check_reads("nothing", &pair[i], "");
    }
    tell_node(&world);
    assert_int_equal(pair[0].ready, 1);
    assert_int_equal(pair[1].ready, 1);
    assert_int_equal(feed_stats(world.feed).readers, 0);
    close_feed(&world);
}

/* ---- changes ---- */

static void test_order_of_changes(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    /* As the calculation tells it. */
    tell_members(&world, "t", "x");
    tell_policy(&world, "p", "allow", "t");
    tell_policy(&world, "q", "deny", "t");
    tell_profile(&world, "new");
    tell_endpoint(&world, "k/web", "q p", "all new");
    tell_namespace(&world, "l", "1");
    tell_no_profile(&world, "web");
    tell_no_set(&world, "s");
    tell_no_namespace(&world, "k");
    end_batch(&world);
    check_reads("changes", &web,
                "set t {x}\n"
                "policy P p allow\n"
                "policy P q deny\n"
                "profile new\n"
                "endpoint k8s/k/web/eth0\n"
                "-profile web\n"
                "-namespace k\n"
                "namespace l 1\n"
                "-set s");
    tell_endpoint(&world, "k/web", "", "all new");
    tell_no_policy(&world, "p");
    tell_no_policy(&world, "q");
    tell_no_set(&world, "t");
    end_batch(&world);
    check_reads("removals", &web, "endpoint k8s/k/web/eth0\n-policy P q\n-policy P p\n-set t");
    assert_int_equal(feed_stats(world.feed).sets, 0);
    assert_int_equal(feed_stats(world.feed).policies, 0);
    assert_int_equal(feed_stats(world.feed).profiles, 2);
    finish(&world, &web);
}

/* States that were overtaken before they were read are not told. */
static void test_overtaken(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    tell_policy(&world, "p", "deny", "s");
    end_batch(&world);
    tell_members(&world, "t", "x");
    tell_policy(&world, "p", "log", "s t");
    end_batch(&world);
    tell_policy(&world, "p", "pass", "s");
    tell_no_set(&world, "t");
    end_batch(&world);
    tell_members(&world, "u", "x");
    tell_policy(&world, "short", "deny", "u");
    tell_endpoint(&world, "k/web", "p short", "all web");
    end_batch(&world);
    tell_endpoint(&world, "k/web", "p", "all web");
    tell_no_policy(&world, "short");
    tell_no_set(&world, "u");
    end_batch(&world);
    check_reads("the last", &web, "policy P p pass\nendpoint k8s/k/web/eth0");
    assert_int_equal(world.asked, 1);
    assert_int_equal(feed_stats(world.feed).sets, 1);
    finish(&world, &web);
}

/* What is not needed any more is needed again before that was read. */
static void test_needed_again(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    tell_policy(&world, "p", "deny", "");
    tell_endpoint(&world, "k/web", "p", "all");
    end_batch(&world);
    check_reads_at_most("half", &web, 1, "policy P p deny");
    tell_change(&world, "s", "c", "a", "b c");
    tell_policy(&world, "p", "allow", "s");
    tell_endpoint(&world, "k/web", "p", "all web");
    end_batch(&world);
    check_reads("set and profile are there still", &web,
                "endpoint k8s/k/web/eth0\ndelta s +{c} -{a}\npolicy P p allow");
    assert_int_equal(world.asked, 1);
    tell_endpoint(&world, "k/web", "", "all web");
    tell_no_policy(&world, "p");
    tell_no_set(&world, "s");
    tell_members(&world, "s", "z");
    tell_policy(&world, "p", "deny", "s");
    tell_endpoint(&world, "k/web", "p", "all web");
    end_batch(&world);
    check_reads("went and came back", &web, "endpoint k8s/k/web/eth0\npolicy P p deny\nset s {z}");
    finish(&world, &web);
}

/* A policy gives up a set, and is given up itself, before its sidecar has heard of either. */
static void test_given_up_twice(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    tell_members(&world, "t", "x");
    tell_policy(&world, "p", "allow", "t");
    tell_endpoint(&world, "k/web", "", "web");
    end_batch(&world);
    check_reads_at_most("endpoint", &web, 1, "endpoint k8s/k/web/eth0");
    tell_endpoint(&world, "k/web", "p", "web");
    tell_policy(&world, "p", "deny", "");
    end_batch(&world);
    tell_endpoint(&world, "k/web", "", "web");
    tell_no_policy(&world, "p");
    tell_no_set(&world, "s");
    tell_no_set(&world, "t");
    end_batch(&world);
    check_reads("the set behind the policy", &web,
                "-profile all\nendpoint k8s/k/web/eth0\n-policy P p\n-set s");
    finish(&world, &web);
}

/* A policy that was given up and is needed again, as it was, needs its set once, not twice: the set goes with it. */
static void test_needed_again_as_it_was(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    tell_endpoint(&world, "k/web", "", "all web");
    end_batch(&world);
    tell_endpoint(&world, "k/web", "p", "all web");
    end_batch(&world);
    check_reads("again", &web, "endpoint k8s/k/web/eth0");
    tell_policy(&world, "p", "deny", "");
    tell_no_set(&world, "s");
    end_batch(&world);
    check_reads("without the set", &web, "policy P p deny\n-set s");
    finish(&world, &web);
}

/* A slow sidecar hears of every thing in its turn, though one of them changes all the time. */
static void test_turns(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web;
    start(&world, &web);
    CLEANUP_BUF struct buf out = {0};
    for (int i = 0; i < 8; i++) {
        char name[] = "0", after[] = "a b 0 1 2 3 4 5 6 7";
        name[0] = (char)('0' + i);
        after[5 + 2 * i] = '\0';
        tell_change(&world, "s", name, "", after);
        tell_namespace(&world, "k", i % 2 == 0 ? "2" : "3");
        if (i == 1)
            tell_policy(&world, "p", "deny", "s");
        end_batch(&world);
        read_into(&out, &web, 1);
    }
    if (!str_eq(buf_str(&out),
                STR("delta s +{0}\nnamespace k 2\nnamespace k 3\ndelta s +{1}\ndelta s +{2}\n"
                    "delta s +{3}\npolicy P p deny\nnamespace k 2")))
        fail_msg("%.*s", STR_ARG(buf_str(&out)));
    finish(&world, &web);
}

/* What two endpoints have in common is removed from each by itself. */
static void test_shared(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, second, db;
    start(&world, &web);
    join(&world, &second, "k/web");
    join(&world, &db, "k/db");
    check_reads("second", &second, NODE_OF_WEB);
    check_reads_at_most("db", &db, 1, "profile all");
    tell_endpoint(&world, "k/web", "", "web");
    tell_no_policy(&world, "p");
    tell_no_set(&world, "s");
    end_batch(&world);
    check_reads("web", &web, "endpoint k8s/k/web/eth0\n-policy P p\n-profile all\n-set s");
    check_reads_at_most("second, slowly", &second, 1, "endpoint k8s/k/web/eth0");
    check_reads("db", &db, "endpoint k8s/k/db/eth0\naccount k/sa\nnamespace k 1\nin sync");
    feed_leave(web.reader);
    check_reads("second", &second, "-policy P p\n-profile all\n-set s");
    feed_leave(db.reader);
    finish(&world, &second);
}

/* ---- endpoints that go ---- */

static void test_endpoint_gone(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, again;
    start(&world, &web);
    tell_no_endpoint(&world, "k/web");
    tell_no_profile(&world, "web");
    tell_no_policy(&world, "p");
    tell_no_set(&world, "s");
    end_batch(&world);
    assert_int_equal(web.ready, 1);
    join(&world, &again, "k/web");
    check_reads("gone", &web, "-endpoint k8s/k/web/eth0\nended");
    check_reads("for ever", &web, "ended");
    tell_endpoint(&world, "k/web", "", "all");
    end_batch(&world);
    check_reads("even if it is back", &web, "ended");
    check_reads("a new stream", &again,
                "profile all\nendpoint k8s/k/web/eth0\naccount k/sa\nnamespace k 1\nin sync");
    feed_leave(again.reader);
    assert_int_equal(feed_stats(world.feed).endpoints, 2);
    tell_no_endpoint(&world, "k/db");
    assert_int_equal(feed_stats(world.feed).endpoints, 1);
    finish(&world, &web);
}

static void test_endpoint_gone_and_back(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar web, late;
    start(&world, &web);
    tell_no_endpoint(&world, "k/web");
    tell_no_profile(&world, "web");
    tell_no_policy(&world, "p");
    end_batch(&world);
    tell_policy(&world, "p", "deny", "s");
    tell_endpoint(&world, "k/web", "p", "all");
    end_batch(&world);
    check_reads("it was never gone", &web,
                "endpoint k8s/k/web/eth0\npolicy P p deny\n-profile web");
    join(&world, &late, "k/web");
    check_reads_at_most("not told of it yet", &late, 2, "set s {a b}\npolicy P p deny");
    tell_no_endpoint(&world, "k/web");
    end_batch(&world);
    check_reads("nothing of it is left", &late,
                "account k/sa\nnamespace k 1\nin sync\n-policy P p\n-set s");
    tell_endpoint(&world, "k/web", "", "all");
    end_batch(&world);
    check_reads("it came", &late, "profile all\nendpoint k8s/k/web/eth0");
    feed_leave(late.reader);
    finish(&world, &web);
}

/* ---- accounts and namespaces ---- */

static void test_labels(void **state)
{
    (void)state;
    struct feed_world world;
    struct sidecar slow;
    open_feed(&world);
    for (char name[] = "a"; name[0] <= 'h'; name[0]++)
        tell_namespace(&world, name, "1");
    tell_in_sync(&world);
    join(&world, &slow, "k/none");
    check_reads_at_most("two", &slow, 2, "namespace a 1\nnamespace b 1");
    tell_namespace(&world, "a", "2"); /* behind it */
    tell_namespace(&world, "d", "2"); /* ahead */
    tell_no_namespace(&world, "b");   /* behind */
    tell_no_namespace(&world, "c");   /* ahead: it never hears of it */
    tell_namespace(&world, "b", "3"); /* a new one, at the end */
    tell_account(&world, "a", "sa");
    tell_no_namespace(&world, "none");
    end_batch(&world);
    check_reads_at_most("what is behind first", &slow, 3,
                        "namespace a 2\n-namespace b\nnamespace d 2");
    for (char name[] = "e"; name[0] <= 'h'; name[0]++) /* so many that the holes are closed */
        tell_no_namespace(&world, name);
    tell_no_namespace(&world, "a");
    end_batch(&world);
    check_reads("the rest", &slow, "-namespace a\nnamespace b 3\nin sync\naccount a/sa");
    tell_namespace(&world, "d", "4");
    tell_namespace(&world, "z", "1");
    tell_no_namespace(&world, "z");
    end_batch(&world);
    check_reads("changes", &slow, "namespace d 4");
    assert_int_equal(feed_stats(world.feed).accounts_and_namespaces, 3);
    finish(&world, &slow);
}

static void test_leave_amid(void **state)
{
    (void)state;
    for (size_t read = 0; read < 9; read++) {
        struct feed_world world;
        struct sidecar web;
        CLEANUP_BUF struct buf out = {0};
        open_feed(&world);
        tell_node(&world);
        join(&world, &web, "k/web");
        read_into(&out, &web, read);
        tell_change(&world, "s", "c", "", "a b c");
        tell_policy(&world, "p", "deny", "");
        tell_no_set(&world, "s");
        tell_no_endpoint(&world, "k/web");
        tell_no_policy(&world, "p");
        tell_no_namespace(&world, "k");
        read_into(&out, &web, 1);
        feed_leave(web.reader);
        struct feed_stats stats = feed_stats(world.feed);
        assert_int_equal(stats.readers, 0);
        assert_int_equal(stats.sets, 0);
        assert_int_equal(stats.policies, 0);
        assert_int_equal(stats.profiles, 2);
        assert_int_equal(stats.endpoints, 1);
        assert_int_equal(stats.accounts_and_namespaces, 1);
        close_feed(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_not_in_sync),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_leave_when_ready),
        cmocka_unit_test(test_order_of_changes),
        cmocka_unit_test(test_overtaken),
        cmocka_unit_test(test_needed_again),
        cmocka_unit_test(test_given_up_twice),
        cmocka_unit_test(test_needed_again_as_it_was),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_endpoint_gone),
        cmocka_unit_test(test_endpoint_gone_and_back),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_leave_amid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
