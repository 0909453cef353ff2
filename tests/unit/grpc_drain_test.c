/* The gRPC server stops: what is in flight is answered, and nobody waits for ever. */
#include "grpc_peer.h"

/* --- drain ---------------------------------------------------------------------------------- */

static void test_drain_idle(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    UNTIL(w, grpc_server_stats(w->server).connections == 1);
    for (int i = 0; i < 5; i++)
        turn(w);
    grpc_server_drain(w->server, 60000, on_drained, w);
    assert_false(w->drained);
    UNTIL(w, w->drained);
    UNTIL(w, peer->gone);
    /* With no stream left, nghttp2 takes the first one for the end. */
    assert_true(peer->goaways >= 1);
    peer_free(peer);
}

static void test_drain_nobody(void **state)
{
    struct world *w = *state;
    grpc_server_drain(w->server, 60000, on_drained, w);
    UNTIL(w, w->drained);
}

/* A call in flight ends as if nothing were; a stream is told; a call that comes between the two
 * GOAWAYs is served. */
static void test_drain_with_calls(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    CLEANUP_PEER_CALL struct peer_call uploading = {0}, held = {0}, stream = {0}, late = {0};
    peer_start(peer, &stream, "/t.T/Watch", STR("\0\0\0\0\1x"), true);
    UNTIL(w, stream.data.len > 0);
    peer_start(peer, &held, "/t.T/Hold", STR("\0\0\0\0\1x"), true);
    peer_start(peer, &uploading, "/t.T/Echo", STR("\0\0\0\0\2x"), false);
    UNTIL(w, grpc_server_stats(w->server).calls == 3 && w->handled == 2);
    grpc_server_drain(w->server, 60000, on_drained, w);
    assert_int_equal(w->closed, 1); /* the stream's */
    peer_start(peer, &late, "/t.T/Echo", STR("\0\0\0\0\1x"), true);
    UNTIL(w, stream.closed && late.closed && peer->goaways == 2);
    assert_int_equal(stream.grpc_status, GRPC_UNAVAILABLE);
    assert_int_equal(late.grpc_status, GRPC_OK);
    assert_int_equal(peer->last_id, late.id);
    assert_false(uploading.closed || held.closed || w->drained);
    peer_continue(peer, &uploading, STR("y"), true);
    UNTIL(w, uploading.closed);
    assert_int_equal(uploading.grpc_status, GRPC_OK);
    assert_false(w->drained);
    struct grpc_connection *connection = w->server->connections;
    for (struct grpc_call *call = connection->calls; call != NULL; call = call->next)
        grpc_call_finish(call, GRPC_OK, STR(""));
    UNTIL(w, held.closed && peer->gone && w->drained);
    assert_int_equal(held.grpc_status, GRPC_OK);
    peer_free(peer);
}

static void test_drain_patience(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    CLEANUP_PEER_CALL struct peer_call held = {0};
    peer_start(peer, &held, "/t.T/Hold", STR("\0\0\0\0\1x"), true);
    int silent = connect_raw(w);
    UNTIL(w, w->handled == 1 && grpc_server_stats(w->server).connections == 2);
    grpc_server_drain(w->server, 20, on_drained, w);
    UNTIL(w, w->drained && peer->gone);
    assert_int_equal(held.grpc_status, GRPC_UNAVAILABLE);
    assert_int_equal(w->closed, 1);
    close(silent);
    peer_free(peer);
}

static void test_drain_from_handler(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0}, stream = {0};
    start_at(w, w->path, "/t.T/Watch", STR("x"), &stream);
    UNTIL(w, stream.messages == 1);
    ask(w, "/t.T/Drain", STR("bye"), &a);
    assert_int_equal(a.code, GRPC_OK);
    assert_str(buf_str(&a.last), "bye");
    UNTIL(w, stream.ended && w->drained);
    assert_int_equal(stream.code, GRPC_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_drain_idle),         WORLD_TEST(test_drain_nobody),
        WORLD_TEST(test_drain_with_calls),   WORLD_TEST(test_drain_patience),
        WORLD_TEST(test_drain_from_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
