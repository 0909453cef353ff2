/* The gRPC server against peers that do what no gRPC library does. */
#include "grpc_peer.h"

static void test_framing(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    assert_status(w, peer, STR("\0\0\0\0\1x"), true, GRPC_OK);
    assert_status(w, peer, STR("\0\0\0\0\0"), true, GRPC_OK);
    assert_status(w, peer, STR(""), true, GRPC_INVALID_ARGUMENT);
    assert_status(w, peer, STR("\0"), true, GRPC_INTERNAL);
    assert_status(w, peer, STR("\0\0\0\0\2x"), true, GRPC_INTERNAL);
    assert_status(w, peer, STR("\0\0\0\0\1x\0\0\0\0\1x"), true, GRPC_INTERNAL);
    assert_status(w, peer, STR("\0\0\0\0\1xy"), true, GRPC_INTERNAL);
    assert_status(w, peer, STR("\1\0\0\0\1x"), true, GRPC_UNIMPLEMENTED);
    assert_status(w, peer, STR("\2\0\0\0\1x"), true, GRPC_INTERNAL);
    /* Said before the request has ended, which is then cut off. */
    assert_status(w, peer, STR("\0\0\x40\0\1"), false, GRPC_RESOURCE_EXHAUSTED);
    assert_status(w, peer, STR("\0\xff\xff\xff\xff"), false, GRPC_RESOURCE_EXHAUSTED);
    assert_status(w, peer, STR("\1\0\0\0\1"), false, GRPC_UNIMPLEMENTED);
    assert_status(w, peer, STR("\0\0\0\0\1xx"), false, GRPC_INTERNAL);
    assert_int_equal(w->server->connections->buffered, 0);
    assert_int_equal(w->server->connections->pending, 0);
    peer_free(peer);
}

/* However a request is cut into DATA frames and writes, it is the same request. */
static void test_pieces(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    struct str body = STR("\0\0\0\0\6abcdef");
    CLEANUP_PEER_CALL struct peer_call bytes = {0}, late_end = {0};
    peer_start(peer, &bytes, "/t.T/Echo", STR(""), false);
    for (size_t i = 0; i < body.len; i++) {
        turn(w);
        peer_continue(peer, &bytes, str_head(str_from(body, i), 1), i == body.len - 1);
    }
    UNTIL(w, bytes.closed);
    assert_int_equal(bytes.grpc_status, GRPC_OK);
    assert_str(buf_str(&w->request), "abcdef");
    /* END_STREAM comes in a frame of its own. */
    peer_start(peer, &late_end, "/t.T/Echo", body, false);
    for (int i = 0; i < 5; i++)
        turn(w);
    assert_int_equal(w->handled, 1);
    assert_int_equal(w->server->connections->buffered, 6);
    peer_continue(peer, &late_end, STR(""), true);
    UNTIL(w, late_end.closed);
    assert_int_equal(late_end.grpc_status, GRPC_OK);
    assert_true(str_eq(buf_str(&late_end.data), body));
    peer_free(peer);
}

static void assert_headers(struct world *w, struct peer *peer, const char *const *headers, int http,
                           int grpc)
{
    CLEANUP_PEER_CALL struct peer_call call = {0};
    buf_append_str(&call.body, STR("\0\0\0\0\1x"));
    peer_open(peer, &call, headers, true);
    UNTIL(w, call.closed);
    assert_int_equal(call.http_status, http);
    assert_int_equal(call.grpc_status, grpc);
}

#define POST(path)  ":method", "POST", ":scheme", "http", ":path", path, ":authority", "t"
#define TYPE(value) "content-type", value
#define HEADERS(...)                                                                               \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void test_headers(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    const char *const timeouts[] = {"", "1", "S", "123456789S", "-1S", "1s", "1 S", "1.5S", "1x"};
    assert_headers(w, peer, HEADERS(POST("/t.T/Echo"), TYPE("application/grpc")), 200, GRPC_OK);
    assert_headers(w, peer, HEADERS(POST("/t.T/Echo"), TYPE("application/grpc;x=y")), 200, GRPC_OK);
    assert_headers(w, peer, HEADERS(POST("/t.T/Echo"), TYPE("application/grpc-web")), 415, -1);
    assert_headers(w, peer, HEADERS(POST("/t.T/Echo"), TYPE("application/json")), 415, -1);
    assert_headers(w, peer, HEADERS(POST("/t.T/Echo")), 415, -1);
    assert_headers(w, peer,
                   HEADERS(":method", "GET", ":scheme", "http", ":path", "/t.T/Echo", ":authority",
                           "t", TYPE("application/grpc")),
                   405, -1);
    assert_headers(w, peer, HEADERS(":method", "CONNECT", ":authority", "t"), 405, -1);
    assert_headers(w, peer, HEADERS(POST("/t.T/Nope"), TYPE("application/grpc")), 200,
                   GRPC_UNIMPLEMENTED);
    /* With this scheme nghttp2 has no opinion about paths. */
    assert_headers(w, peer,
                   HEADERS(":method", "POST", ":scheme", "x", ":path", "t.T/Echo", ":authority",
                           "t", TYPE("application/grpc")),
                   200, GRPC_UNIMPLEMENTED);
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
        assert_headers(
            w, peer,
            HEADERS(POST("/t.T/Echo"), TYPE("application/grpc"), "grpc-timeout", timeouts[i]), 200,
            GRPC_INVALID_ARGUMENT);
    assert_headers(
        w, peer, HEADERS(POST("/t.T/Echo"), TYPE("application/grpc"), "grpc-timeout", "99999999H"),
        200, GRPC_OK);
    assert_int_equal(w->server->deadlines.count, 0);
    peer_free(peer);
}

static void test_header_list_limit(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    char value[4000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    /* The same again and again: a few bytes each in HPACK. */
    nghttp2_nv list[40];
    const char *const first[] = {POST("/t.T/Echo"), TYPE("application/grpc")};
    for (size_t i = 0; i < 40; i++)
        list[i] = i < 5 ? pair(first[2 * i], first[2 * i + 1]) : pair("x-filler", value);
    CLEANUP_PEER_CALL struct peer_call call = {.end = true, .grpc_status = -1};
    nghttp2_data_provider body = {.source.ptr = &call, .read_callback = read_body};
    nghttp2_submit_request(peer->transport.session, NULL, list, 40, &body, &call);
    peer->open++;
    UNTIL(w, call.closed);
    assert_int_equal(call.grpc_status, GRPC_RESOURCE_EXHAUSTED);
    peer_free(peer);
}

static void test_deadlines(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    CLEANUP_PEER_CALL struct peer_call kept = {0}, unfinished = {0}, now = {0};
    buf_append_str(&kept.body, STR("\0\0\0\0\1x"));
    buf_append_str(&now.body, STR("\0\0\0\0\1x"));
    peer_open(peer, &kept,
              HEADERS(POST("/t.T/Watch"), TYPE("application/grpc"), "grpc-timeout", "30m"), true);
    peer_open(peer, &unfinished,
              HEADERS(POST("/t.T/Echo"), TYPE("application/grpc"), "grpc-timeout", "20000u"),
              false);
    UNTIL(w, unfinished.closed && kept.closed);
    assert_int_equal(kept.grpc_status, GRPC_DEADLINE_EXCEEDED);
    assert_true(str_eq(buf_str(&kept.data), STR("\0\0\0\0\5first")));
    assert_int_equal(w->closed, 1);
    assert_int_equal(unfinished.grpc_status, GRPC_DEADLINE_EXCEEDED);
    peer_open(peer, &now,
              HEADERS(POST("/t.T/Echo"), TYPE("application/grpc"), "grpc-timeout", "0n"), true);
    UNTIL(w, now.closed);
    assert_int_equal(now.grpc_status, GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(w->handled, 1);
    peer_free(peer);
}

static void test_reset_by_peer(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    CLEANUP_PEER_CALL struct peer_call call = {0};
    peer_start(peer, &call, "/t.T/Watch", STR("\0\0\0\0\1x"), true);
    UNTIL(w, call.data.len > 0);
    peer_reset(peer, &call);
    UNTIL(w, w->closed == 1);
    assert_int_equal(grpc_server_stats(w->server).calls, 0);
    assert_int_equal(grpc_server_stats(w->server).connections, 1);
    peer_free(peer);
    UNTIL(w, grpc_server_stats(w->server).connections == 0);
}

static void test_10000_calls_at_once(void **state)
{
    struct world *w = *state;
    enum { CALLS = 10000 };
    struct peer *peer = peer_new(w, 65535);
    struct peer_call *calls = mem_zalloc(CALLS * sizeof(*calls));
    /* All open at the same time: the bodies come later. */
    for (size_t i = 0; i < CALLS; i++)
        peer_start(peer, &calls[i], "/t.T/Echo", STR("\0\0\0\0\5"), false);
    UNTIL(w, grpc_server_stats(w->server).calls == CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%05zu", i);
        peer_continue(peer, &calls[i], str_make(text, 5), true);
    }
    UNTIL(w, peer->open == 0);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].grpc_status, GRPC_OK);
        char text[8];
        snprintf(text, sizeof(text), "%05zu", i);
        assert_str(str_from(buf_str(&calls[i].data), GRPC_FRAME_PREFIX), text);
        peer_call_free(&calls[i]);
    }
    assert_int_equal(w->handled, CALLS);
    assert_int_equal(grpc_server_stats(w->server).calls, 0);
    assert_in_range(w->server->free_call_count, 1, 256);
    free(calls);
    peer_free(peer);
}

/* Five of the longest messages side by side are more than is held for one connection: whatever is
 * refused, none may wait for ever. */
static void test_buffered_limit(void **state)
{
    struct world *w = *state;
    enum { CALLS = 5 };
    struct peer *peer = peer_new(w, 16 * 1024 * 1024);
    CLEANUP_FREE char *bytes = mem_alloc(GRPC_MESSAGE_LIMIT);
    memset(bytes, 'b', GRPC_MESSAGE_LIMIT);
    struct peer_call calls[CALLS] = {0};
    nghttp2_session_set_local_window_size(peer->transport.session, 0, 0, 64 * 1024 * 1024);
    for (size_t i = 0; i < CALLS; i++) {
        peer_start(peer, &calls[i], "/t.T/Echo", STR("\0\0\x40\0\0"), false);
        peer_continue(peer, &calls[i], str_make(bytes, GRPC_MESSAGE_LIMIT - 1), false);
    }
    size_t most = 0;
    for (int i = 0; i < 20000 && peer->open == CALLS; i++) {
        turn(w);
        if (w->server->connections->buffered > most)
            most = w->server->connections->buffered;
    }
    assert_in_range(most, 1024 * 1024, 16 * 1024 * 1024);
    assert_int_equal(peer->open, CALLS - 1);
    for (size_t i = 0; i < CALLS; i++) {
        if (calls[i].closed)
            assert_int_equal(calls[i].grpc_status, GRPC_RESOURCE_EXHAUSTED);
        else
            peer_continue(peer, &calls[i], STR("b"), true);
    }
    UNTIL(w, peer->open == 0);
    assert_int_equal(w->handled, CALLS - 1);
    assert_int_equal(w->server->connections->buffered, 0);
    for (size_t i = 0; i < CALLS; i++)
        peer_call_free(&calls[i]);
    peer_free(peer);
}

/* A peer that asks and asks and never reads is not read from any more; others do not notice; it is
 * served when it reads again. */
static void test_deaf_peer(void **state)
{
    struct world *w = *state;
    enum { CALLS = 1000, SIZE = 16000 };
    struct peer *peer = peer_new(w, 16 * 1024 * 1024);
    CLEANUP_FREE char *bytes = mem_zalloc(SIZE);
    struct peer_call *calls = mem_zalloc(CALLS * sizeof(*calls));
    nghttp2_session_set_local_window_size(peer->transport.session, 0, 0, 64 * 1024 * 1024);
    /* First it must hear how much it may send. */
    UNTIL(w, nghttp2_session_get_remote_window_size(peer->transport.session) > 65535);
    peer->deaf = true;
    for (size_t i = 0; i < CALLS; i++) {
        grpc_frame_append(&calls[i].body, str_make(bytes, SIZE));
        peer_start(peer, &calls[i], "/t.T/Echo", STR(""), true);
    }
    UNTIL(w, w->server->connections->events == EPOLLOUT);
    size_t handled = w->handled;
    assert_in_range(handled, 1, CALLS / 2);
    assert_in_range(w->server->connections->pending, 0, 1024 * 1024);
    CLEANUP_ANSWER struct answer other = {0};
    ask(w, "/t.T/Refuse", STR("x"), &other);
    assert_int_equal(other.code, GRPC_NOT_FOUND);
    assert_int_equal(w->handled, handled);
    peer->deaf = false;
    peer_wake(peer);
    UNTIL(w, peer->open == 0);
    assert_int_equal(w->handled, CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].data.len, SIZE + GRPC_FRAME_PREFIX);
        peer_call_free(&calls[i]);
    }
    free(calls);
    peer_free(peer);
}

/* A peer that writes 10,000 requests before it reads a word (a simple client with a blocking
 * socket does) and the server do not wait for each other. */
static void test_all_requests_first(void **state)
{
    struct world *w = *state;
    enum { CALLS = 10000 };
    struct peer *peer = peer_new(w, 65535);
    struct peer_call *calls = mem_zalloc(CALLS * sizeof(*calls));
    UNTIL(w, nghttp2_session_get_remote_window_size(peer->transport.session) > 65535);
    peer->deaf = true;
    for (size_t i = 0; i < CALLS; i++)
        peer_start(peer, &calls[i], "/t.T/Echo", STR("\0\0\0\0\1x"), true);
    UNTIL(w, w->handled == CALLS);
    peer->deaf = false;
    peer_wake(peer);
    UNTIL(w, peer->open == 0);
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].grpc_status, GRPC_OK);
        peer_call_free(&calls[i]);
    }
    free(calls);
    peer_free(peer);
}

/* A peer that reads, but opens no window for the answers. */
static void test_no_window(void **state)
{
    struct world *w = *state;
    enum { CALLS = 40 };
    struct peer *peer = peer_new(w, 0);
    CLEANUP_FREE char *bytes = mem_zalloc(1024 * 1024);
    struct peer_call calls[CALLS] = {0};
    size_t refused = 0;
    for (size_t i = 0; i < CALLS; i++) {
        grpc_frame_append(&calls[i].body, str_make(bytes, 1024 * 1024));
        peer_start(peer, &calls[i], "/t.T/Echo", STR(""), true);
        UNTIL(w, calls[i].closed || w->handled == i + 1);
    }
    for (size_t i = 0; i < CALLS; i++) {
        refused += calls[i].grpc_status == GRPC_RESOURCE_EXHAUSTED;
        peer_call_free(&calls[i]);
    }
    assert_int_equal(w->handled, 32);
    assert_int_equal(refused, 8);
    assert_in_range(w->server->connections->pending, 32 * 1024 * 1024, 33 * 1024 * 1024 + 200);
    peer_free(peer);
    UNTIL(w, grpc_server_stats(w->server).connections == 0);
}

/* Streams opened and reset by the thousand (CVE-2023-44487): no call is left behind, and the one
 * who goes on with it loses the connection. */
static void test_reset_flood(void **state)
{
    struct world *w = *state;
    enum { CALLS = 40000, BATCH = 1000 };
    struct peer *peer = peer_new(w, 65535);
    struct peer_call *calls = mem_zalloc(CALLS * sizeof(*calls));
    size_t opened = 0, reset = 0;
    while (!peer->gone && opened < CALLS) {
        for (size_t i = 0; i < BATCH; i++)
            peer_start(peer, &calls[opened++], "/t.T/Hold", STR("\0\0\0\0\0"), true);
        UNTIL(w, peer->gone || w->handled == opened);
        for (; reset < opened; reset++)
            peer_reset(peer, &calls[reset]);
        UNTIL(w, peer->gone || grpc_server_stats(w->server).calls == 0);
    }
    assert_true(peer->gone);
    assert_in_range(opened, 16384, CALLS - 1);
    assert_int_equal(w->closed, w->handled);
    assert_int_equal(grpc_server_stats(w->server).connections, 0);
    for (size_t i = 0; i < opened; i++)
        peer_call_free(&calls[i]);
    free(calls);
    peer_free(peer);
}

/* --- bytes that are no HTTP/2 --------------------------------------------------------------- */

/* Sends bytes over a connection of their own. Returns whether the server hangs up. */
static bool send_bytes(struct world *w, struct str bytes)
{
    int fd = connect_raw(w);
    char ignored[4096];
    ssize_t len = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    assert_int_equal(len, bytes.len);
    for (int i = 0; i < 20; i++) {
        turn(w);
        while ((len = recv(fd, ignored, sizeof(ignored), 0)) > 0)
            continue;
        if (len == 0)
            break;
    }
    close(fd);
    UNTIL(w, grpc_server_stats(w->server).connections == 0);
    return len == 0;
}

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void test_garbage(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0};
    assert_true(send_bytes(w, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    assert_true(send_bytes(w, STR("\x16\x03\x01\x02\0\1\0\1\xfc\3\3")));
    assert_false(send_bytes(w, STR("PRI * HT")));
    assert_true(send_bytes(w, STR(PREFACE "PRI * HTTP/2.0\r\n\r\n")));
    assert_false(send_bytes(w, STR(PREFACE SETTINGS_FRAME)));
    /* HPACK that refers to nothing; DATA on a stream that is not open; a frame that is too long. */
    assert_true(send_bytes(w, STR(PREFACE SETTINGS_FRAME "\0\0\1\1\5\0\0\0\1\xff")));
    assert_true(send_bytes(w, STR(PREFACE SETTINGS_FRAME "\0\0\1\0\0\0\0\0\1x")));
    assert_true(send_bytes(w, STR(PREFACE SETTINGS_FRAME "\xff\xff\xff\0\0\0\0\0\1x")));
    ask(w, "/t.T/Echo", STR("still there"), &a);
    assert_str(buf_str(&a.last), "still there");
}

/* Endless CONTINUATION frames (CVE-2024-28182). */
static void test_continuations(void **state)
{
    struct world *w = *state;
    CLEANUP_BUF struct buf bytes = {0};
    buf_append_str(&bytes, STR(PREFACE SETTINGS_FRAME "\0\0\1\1\0\0\0\0\1\x83"));
    for (int i = 0; i < 1000; i++)
        buf_append_str(&bytes, STR("\0\0\1\x09\0\0\0\0\1\x84"));
    assert_true(send_bytes(w, buf_str(&bytes)));
}

/* What shuts its sending side has left. */
static void test_half_close(void **state)
{
    struct world *w = *state;
    struct peer *peer = peer_new(w, 65535);
    CLEANUP_PEER_CALL struct peer_call call = {0};
    peer_start(peer, &call, "/t.T/Watch", STR("\0\0\0\0\1x"), true);
    UNTIL(w, call.data.len > 0);
    shutdown(peer->transport.fd, SHUT_WR);
    UNTIL(w, peer->gone);
    assert_int_equal(w->closed, 1);
    peer_free(peer);
}

static void test_connection_limit(void **state)
{
    struct world *w = *state;
    enum { LIMIT = 1024, MORE = 10 };
    struct rlimit files;
    int fds[LIMIT + MORE];
    char ignored[256];
    getrlimit(RLIMIT_NOFILE, &files);
    struct rlimit more = {.rlim_cur = files.rlim_max, .rlim_max = files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &more);
    assert_in_range(files.rlim_max, 3 * LIMIT, RLIM_INFINITY); /* ulimit -Hn */
    for (size_t i = 0; i < LIMIT + MORE; i++) {
        fds[i] = connect_raw(w);
        if (i % 64 == 0)
            turn(w);
    }
    UNTIL(w, grpc_server_stats(w->server).connections == LIMIT);
    for (int i = 0; i < 10; i++)
        turn(w);
    assert_int_equal(grpc_server_stats(w->server).connections, LIMIT);
    for (size_t i = 0; i < MORE; i++) {
        while (recv(fds[LIMIT + i], ignored, sizeof(ignored), 0) > 0)
            continue;
        assert_int_equal(recv(fds[LIMIT + i], ignored, sizeof(ignored), 0), 0);
    }
    for (size_t i = 0; i < LIMIT + MORE; i++)
        close(fds[i]);
    UNTIL(w, grpc_server_stats(w->server).connections == 0);
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Out of file descriptors: the loop does not spin, and goes on accepting when there are some. */
static void test_out_of_files(void **state)
{
    struct world *w = *state;
    struct rlimit files, none;
    struct timespec before, after;
    CLEANUP_ANSWER struct answer a = {0};
    int fd = connect_raw(w);
    getrlimit(RLIMIT_NOFILE, &files);
    none = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = files.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    UNTIL(w, w->server->accept_timer.due != 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    struct loop_timer timer = {.callback = stop_loop, .ctx = w->loop};
    loop_arm(w->loop, &timer, 90);
    loop_run(w->loop);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    assert_in_range(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 0, 40);
    assert_int_equal(grpc_server_stats(w->server).connections, 0);
    setrlimit(RLIMIT_NOFILE, &files);
    ask(w, "/t.T/Echo", STR("x"), &a);
    assert_int_equal(a.code, GRPC_OK);
    close(fd);
}

/* A call whose shared message waits for the peer's window has not drained, whatever else of its connection has. */
static void test_shared_has_not_drained(void **state)
{
    struct world *w = *state;
    enum { SIZE = 300 * 1024 };
    CLEANUP_PEER_CALL struct peer_call call = {0};
    CLEANUP_FREE char *bytes = mem_zalloc(SIZE);
    struct blob *blob = blob_new(str_make(bytes, SIZE));
    struct peer *peer = peer_new(w, 100); /* and so no more of it is taken than that */
    peer_start(peer, &call, "/t.T/Hold", STR("\0\0\0\0\1x"), true);
    UNTIL(w, w->kept != NULL);
    struct grpc_call *kept = w->kept;
    peer->deaf = true;
    peer_wake(peer);
    turn(w);
    grpc_call_on_drained(kept, on_drained, w);
    grpc_call_send_shared(kept, blob);
    UNTIL(w, kept->out.len == 0);
    assert_in_range(grpc_call_pending(kept), 1, SIZE);
    grpc_call_tell_drained(kept);
    assert_false(w->drained);
    peer_free(peer);
    UNTIL(w, w->kept == NULL);
    assert_int_equal(blob->refs, 1);
    blob_unref(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_framing),
        WORLD_TEST(test_pieces),
        WORLD_TEST(test_headers),
        WORLD_TEST(test_header_list_limit),
        WORLD_TEST(test_deadlines),
        WORLD_TEST(test_reset_by_peer),
        WORLD_TEST(test_10000_calls_at_once),
        WORLD_TEST(test_buffered_limit),
        WORLD_TEST(test_deaf_peer),
        WORLD_TEST(test_all_requests_first),
        WORLD_TEST(test_no_window),
        WORLD_TEST(test_reset_flood),
        WORLD_TEST(test_shared_has_not_drained),
        WORLD_TEST(test_garbage),
        WORLD_TEST(test_continuations),
        WORLD_TEST(test_half_close),
        WORLD_TEST(test_connection_limit),
        WORLD_TEST(test_out_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
