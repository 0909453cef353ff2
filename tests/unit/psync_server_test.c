/* policysync/server.h: streams that cannot go on, that come too fast, and that do not read; what is kept for them, and for how long. */
#include "psync_server_world.h"

#include <sys/ioctl.h>

/* A policy and a set of the web pod, and the db pod with neither. */
static void tell_node(struct node *node)
{
    tell_members(&node->told, "s", "a b");
    tell_policy(&node->told, "p", "allow", "s");
    tell_endpoint(&node->told, "k/web", "p", "");
    tell_endpoint(&node->told, "k/db", "", "");
    tell_in_sync(&node->told);
}

#define WEB_HEAD "set s {a b}\npolicy P p allow\nendpoint k8s/k/web/eth0"
#define WEB      WEB_HEAD "\nin sync"
#define DB       "endpoint k8s/k/db/eth0\nin sync"

static void change(struct node *node, const char *value)
{
    tell_namespace(&node->told, "k", value);
    end_batch(&node->told);
    node_pass(node, 1);
}

/* ---- messages that are too long ---- */

/* The web pod's policy becomes a message of so many bytes. */
static void tell_policy_of(struct node *node, size_t bytes)
{
    enum { OTHER = 100 }; /* at least the bytes that are not its rule's action */
    CLEANUP_FREE char *action = mem_zalloc(bytes);
    struct map_entry *entry;
    size_t position = 0;
    memset(action, 'x', bytes - OTHER);
    tell_policy(&node->told, "p", action, "");
    entry = map_next(&node->told.feed->items, &position);
    memset(action, 'x',
           2 * (bytes - OTHER) - ((struct feed_item *)entry->value)->update->len + OTHER);
    tell_policy(&node->told, "p", action, "");
    assert_int_equal(((struct feed_item *)entry->value)->update->len, bytes);
    end_batch(&node->told);
    node_pass(node, 1);
}

static void test_message_too_long(void **state)
{
    (void)state;
    static const char reason[] = "a message is longer than 4 MiB";
    struct node node;
    struct stream_seen web, again, db;
    node_open(&node);
    tell_node(&node);
    stream_open(&node, &web, "web");
    stream_open(&node, &db, "db");
    check_stream("web", &web, WEB);
    check_stream("db", &db, DB);
    tell_policy_of(&node, PSYNC_MESSAGE_LIMIT);
    check_stream("just short enough", &web, "large\n-set s");
    tell_policy_of(&node, PSYNC_MESSAGE_LIMIT + 1);
    check_ended("a byte more", &web, GRPC_RESOURCE_EXHAUSTED, reason);
    stream_open(&node, &again, "web");
    check_ended("at the join", &again, GRPC_RESOURCE_EXHAUSTED, reason);
    stream_close(&node, &again);
    change(&node, "1");
    check_stream("the others go on", &db, "namespace k 1");
    assert_int_equal(psync_server_stats(node.server).streams, 1);
    tell_policy(&node.told, "p", "allow", "s");
    end_batch(&node.told);
    stream_open(&node, &again, "web");
    check_stream("it is shorter again", &again, WEB_HEAD "\nnamespace k 1\nin sync");
    stream_close(&node, &web);
    stream_close(&node, &again);
    stream_close(&node, &db);
    node_close(&node);
}

/* ---- whole sets that are kept ---- */

enum { LARGE = FEED_MEMBERS + 10 };

static void tell_large_set(struct node *node)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, LARGE);
    tell_set(&node->told, "s", PSYNC_SET_NET, &members);
    end_batch(&node->told);
}

/* They are kept for those who join at once, and not for ever, though streams begin all the time. */
static void test_sets_are_given_back(void **state)
{
    (void)state;
    enum { JOINS = 40, PAUSE = 1000 };
    struct node node;
    struct stream_seen web;
    node_open(&node);
    tell_node(&node);
    for (int i = 0; i < 2; i++) {
        stream_open(&node, &web, "web");
        check_stream("at once", &web, WEB);
        stream_close(&node, &web);
    }
    assert_int_equal(node.told.asked, 1);
    assert_true(feed_keeps_sets(node.told.feed));
    node_pass(&node, 60000);
    assert_false(feed_keeps_sets(node.told.feed));
    for (int i = 0; i < JOINS; i++) {
        stream_open(&node, &web, "web");
        check_stream("one after the other", &web, WEB);
        stream_close(&node, &web);
        node_pass(&node, PAUSE);
    }
    assert_in_range(node.told.asked, 3, JOINS / 2);
    node_close(&node);
}

/* What a stream that lags is amid is kept for it alone, until it has read it. */
static void test_set_that_is_being_read(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen web;
    CLEANUP_PEER_CALL struct peer_call call = {0};
    node_open(&node);
    tell_node(&node);
    tell_large_set(&node);
    struct peer *slow = peer_new(&node.peers, LOOP_SCRATCH);
    slow->deaf = true;
    peer_start(slow, &call, SYNC, STR("\0\0\0\0\0"), true);
    node_pass(&node, 60000);
    assert_int_equal(psync_server_stats(node.server).streams, 1);
    assert_false(feed_keeps_sets(node.told.feed));
    assert_in_range(node.told.feed->snapshot_bytes, LARGE, SIZE_MAX);
    slow->deaf = false;
    peer_wake(slow);
    UNTIL(&node.peers, node.told.feed->snapshot_bytes == 0);
    assert_int_equal(node.told.asked, 1);
    stream_open(&node, &web, "web");
    check_stream("it is made again", &web,
                 "large\ndelta s +{82200 82201 82202 82203 82204 82205 82206 82207 82208 82209}\n"
                 "policy P p allow\nendpoint k8s/k/web/eth0\nin sync");
    assert_int_equal(node.told.asked, 2);
    peer_free(slow);
    stream_close(&node, &web);
    node_close(&node);
}

/* ---- streams that begin ---- */

static void test_newer_stream(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen older, newer;
    node_open(&node);
    tell_node(&node);
    stream_open(&node, &older, "web");
    check_stream("older", &older, WEB);
    stream_open(&node, &newer, "web");
    check_ended("older", &older, GRPC_UNAVAILABLE,
                "replaced by a newer stream of the same workload");
    check_stream("newer", &newer, WEB);
    stream_close(&node, &older);
    change(&node, "1");
    check_stream("newer", &newer, "namespace k 1");
    assert_int_equal(psync_server_stats(node.server).streams, 1);
    assert_int_equal(psync_server_stats(node.server).joins, 2);
    stream_close(&node, &newer);
    assert_int_equal(psync_server_stats(node.server).streams, 0);
    node_close(&node);
}

/* Of the streams that begin one after the other on the web pod's socket, the last two. */
struct last_two {
    struct stream_seen seen[2];
    unsigned live; /* which of them is */
};

/* Begins streams, each of which ends the one before, until one is refused; how many began. */
static size_t join_until_refused(struct node *node, struct last_two *last)
{
    enum { MANY = 200 };
    for (size_t i = 0; i < MANY; i++) {
        struct stream_seen *next = &last->seen[1 - last->live];
        stream_close(node, next);
        stream_open(node, next, "web");
        if (next->has_ended) {
            check_ended("refused", next, GRPC_RESOURCE_EXHAUSTED,
                        "too many streams in a short time");
            return i;
        }
        last->live = 1 - last->live;
    }
    return MANY;
}

static void test_streams_that_come_too_fast(void **state)
{
    (void)state;
    struct node node;
    struct last_two last = {0};
    struct stream_seen db;
    node_open(&node);
    size_t at_once = join_until_refused(&node, &last);
    assert_in_range(at_once, 16, 64);
    assert_int_equal(join_until_refused(&node, &last), 0);
    stream_open(&node, &db, "db"); /* each socket counts for itself */
    tell_node(&node);
    node_pass(&node, 1);
    check_stream("the last that began lives on", &last.seen[last.live], WEB);
    check_stream("another pod's", &db, DB);
    for (int i = 0; i < 3; i++) {
        node_pass(&node, 1000);
        assert_in_range(join_until_refused(&node, &last), 1, at_once / 2);
    }
    node_pass(&node, 3600 * 1000); /* no more is saved than was there at the start */
    assert_int_equal(join_until_refused(&node, &last), at_once);
    stream_close(&node, &last.seen[0]);
    stream_close(&node, &last.seen[1]);
    stream_close(&node, &db);
    node_close(&node);
}

/* ---- streams that do not read ---- */

enum { POLICIES = 400, POLICY = 10 * 1000, LARGE_WINDOW = 1 << 30 };

/* The web pod has so many policies. */
static void tell_many_policies(struct node *node)
{
    CLEANUP_BUF struct buf names = {0};
    char action[POLICY + 1] = {0};
    memset(action, 'x', POLICY);
    for (size_t i = 0; i < POLICIES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "p%zu", i);
        buf_printf(&names, "%s ", name);
        tell_policy(&node->told, name, action, "");
    }
    buf_append_byte(&names, '\0');
    tell_endpoint(&node->told, "k/web", names.data, "");
    tell_in_sync(&node->told);
}

/* Bytes of policies that the only stream has taken from the feed. */
static size_t taken(const struct node *node)
{
    const struct feed_reader *reader = node->told.feed->readers.items[0];
    size_t bytes = 0, position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&reader->entries, &position)) != NULL) {
        const struct feed_item_entry *item = entry->value;
        bytes += item->version != 0 ? item->item->update->len : 0;
    }
    return bytes;
}

/* Of what a stream was given and its sidecar has not read, the agent holds little: what HTTP/2 lets nobody send yet, and what the
 * kernel did not take. */
static void test_what_is_held_for_who_does_not_read(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t window;
    } cases[] = {{"no window", NGHTTP2_INITIAL_WINDOW_SIZE}, {"a large one", LARGE_WINDOW}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum { HELD = 4 * 64 * 1024 };
        struct node node;
        int in_kernel;
        CLEANUP_PEER_CALL struct peer_call call = {0};
        node_open(&node);
        tell_many_policies(&node);
        struct peer *peer = peer_new(&node.peers, (uint32_t)cases[i].window);
        nghttp2_session_set_local_window_size(peer->transport.session, 0, 0, cases[i].window);
        peer->deaf = true;
        peer_start(peer, &call, SYNC, STR("\0\0\0\0\0"), true);
        node_pass(&node, 100);
        size_t before = taken(&node);
        node_pass(&node, 100);
        check_number(cases[i].name, (long long)taken(&node), (long long)before);
        assert_int_equal(ioctl(peer->transport.fd, FIONREAD, &in_kernel), 0);
        assert_in_range(before, POLICY, (size_t)in_kernel + HELD);
        assert_in_range(before, POLICY, POLICIES * POLICY / 2);
        peer->deaf = false;
        peer_wake(peer);
        UNTIL(&node.peers, call.data.len > POLICIES * POLICY);
        check_number(cases[i].name, (long long)(taken(&node) / POLICY), POLICIES);
        peer_free(peer);
        node_close(&node);
    }
}

/* A large message waits where all share it: for who does not read, no copy of it is made. */
static void test_large_message_that_is_not_read(void **state)
{
    (void)state;
    struct node node;
    CLEANUP_PEER_CALL struct peer_call call = {0};
    node_open(&node);
    tell_node(&node);
    tell_large_set(&node);
    struct peer *peer = peer_new(&node.peers, LARGE_WINDOW);
    nghttp2_session_set_local_window_size(peer->transport.session, 0, 0, LARGE_WINDOW);
    peer->deaf = true;
    peer_start(peer, &call, SYNC, STR("\0\0\0\0\0"), true);
    node_pass(&node, 100);
    const struct feed_set *set = map_get(&node.told.feed->sets, STR("s"));
    const struct blob *message = set->snapshot->messages.items[0];
    const struct feed_reader *reader = node.told.feed->readers.items[0];
    assert_ptr_equal(feed_shared(reader), message);
    assert_int_equal(message->refs, 3); /* the set's, the reader's, the call's */
    peer->deaf = false;
    peer_wake(peer);
    UNTIL(&node.peers, reader->told_in_sync);
    assert_int_equal(message->refs, 1);
    peer_free(peer);
    node_close(&node);
}

/* ---- streams that fall behind ---- */

/* Namespaces of 4 KiB each, in one batch. */
static void tell_many_namespaces(struct node *node, char version)
{
    enum { NAMESPACES = 100, VALUE = 4096 };
    char value[VALUE + 1] = {0};
    memset(value, version, VALUE);
    for (size_t i = 0; i < NAMESPACES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%zu", i);
        tell_namespace(&node->told, name, value);
    }
    end_batch(&node->told);
    node_pass(node, 1);
}

/* One that does not read is ended all the same, and what waited for it is dropped with it. */
static void test_behind_without_reading(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen web, db;
    CLEANUP_PEER_CALL struct peer_call call = {0};
    node_open(&node);
    tell_node(&node);
    struct peer *peer = peer_new(&node.peers, 0);
    peer->deaf = true;
    peer_start(peer, &call, SYNC, STR("\0\0\0\0\0"), true);
    stream_open(&node, &db, "db");
    for (char version = 'a'; version <= 'z'; version++)
        tell_many_namespaces(&node, version);
    assert_int_equal(psync_server_stats(node.server).streams, 1);
    assert_int_equal(feed_stats(node.told.feed).readers, 1);
    assert_false(db.has_ended);
    peer->deaf = false;
    peer_wake(peer);
    UNTIL(&node.peers, call.closed);
    assert_int_equal(call.reset_code, NGHTTP2_CANCEL);
    stream_open(&node, &web, "web");
    assert_true(str_starts_with(buf_str(&web.text), STR(WEB_HEAD)));
    assert_true(str_ends_with(buf_str(&web.text), STR("\nin sync")));
    peer_free(peer);
    stream_close(&node, &web);
    stream_close(&node, &db);
    node_close(&node);
}

/* One that reads is told why, and may come back at once. */
static void test_behind_in_one_batch(void **state)
{
    (void)state;
    struct node node;
    struct stream_seen web, again;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings after = numbers(&arena, 0, LARGE + FEED_LAG / 4), none = {NULL, 0};
    struct psync_strings added = {after.items + LARGE, FEED_LAG / 4};
    node_open(&node);
    tell_node(&node);
    tell_large_set(&node);
    stream_open(&node, &web, "web");
    assert_true(str_ends_with(buf_str(&web.text), STR("\nin sync")));
    tell_delta(&node.told, "s", &added, &none, &after);
    tell_delta(&node.told, "s", &none, &added, &after);
    end_batch(&node.told);
    node_pass(&node, 1);
    check_ended("behind", &web, GRPC_RESOURCE_EXHAUSTED,
                "fell too far behind; call again to start anew");
    stream_open(&node, &again, "web");
    assert_true(str_ends_with(buf_str(&again.text), STR("\nin sync")));
    stream_close(&node, &web);
    stream_close(&node, &again);
    node_close(&node);
}

/* ---- what a socket takes ---- */

/* Whoever opens connections, calls or requests without end is refused, and costs the other socket nothing. */
static void test_limits_of_a_socket(void **state)
{
    (void)state;
    enum { PEERS = 40, FEW = 16, SENT = 128 * 1024 };
    struct node node;
    struct stream_seen db;
    struct peer *peers[PEERS];
    CLEANUP_PEER_CALL struct peer_call call = {0};
    CLEANUP_BUF struct buf body = {0};
    node_open(&node);
    tell_node(&node);
    for (size_t i = 0; i < PEERS; i++)
        peers[i] = peer_new(&node.peers, LARGE_WINDOW);
    node_pass(&node, 1);
    assert_in_range(psync_server_stats(node.server).connections, 1, FEW);
    assert_false(peers[0]->gone);
    assert_true(peers[PEERS - 1]->gone);
    assert_in_range(nghttp2_session_get_remote_settings(peers[0]->transport.session,
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
                    1, FEW);
    buf_append_str(&body, STR("\0\0\x10\0\0")); /* the beginning of a mebibyte */
    for (size_t i = 0; i < SENT; i++)
        buf_append_byte(&body, 'x');
    peer_start(peers[0], &call, SYNC, buf_str(&body), false);
    UNTIL(&node.peers, call.closed);
    assert_int_equal(call.grpc_status, GRPC_RESOURCE_EXHAUSTED);
    stream_open(&node, &db, "db");
    check_stream("another pod's", &db, DB);
    for (size_t i = 0; i < PEERS; i++)
        peer_free(peers[i]);
    node_pass(&node, 1);
    assert_int_equal(psync_server_stats(node.server).connections, 1);
    stream_close(&node, &db);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_too_long),
        cmocka_unit_test(test_sets_are_given_back),
        cmocka_unit_test(test_set_that_is_being_read),
        cmocka_unit_test(test_newer_stream),
        cmocka_unit_test(test_streams_that_come_too_fast),
        cmocka_unit_test(test_what_is_held_for_who_does_not_read),
        cmocka_unit_test(test_large_message_that_is_not_read),
        cmocka_unit_test(test_behind_without_reading),
        cmocka_unit_test(test_behind_in_one_batch),
        cmocka_unit_test(test_limits_of_a_socket),
    };
    return cmocka_run_group_tests(tests, folder_enter, folder_leave);
}
