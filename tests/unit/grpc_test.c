/* The gRPC server and client against each other, and the parts that they are made of. */
#include "grpc_world.h"

static void test_unary(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0}, empty = {0}, refused = {0}, longer = {0};
    ask(w, "/t.T/Echo", STR("a\0b"), &a);
    assert_int_equal(a.code, GRPC_OK);
    assert_int_equal(a.messages, 1);
    assert_true(str_eq(buf_str(&a.last), STR("a\0b")));
    ask(w, "/t.T/Echo", STR(""), &empty);
    assert_int_equal(empty.code, GRPC_OK);
    assert_int_equal(empty.messages, 1);
    assert_int_equal(empty.bytes, 0);
    ask(w, "/t.T/Refuse", STR("x"), &refused);
    assert_int_equal(refused.code, GRPC_NOT_FOUND);
    assert_int_equal(refused.messages, 0);
    assert_str(buf_str(&refused.message), " 100 % gone:\n\xc3\xa4 ");
    ask(w, "/t.T/Long", STR("x"), &longer);
    assert_int_equal(longer.code, GRPC_RESOURCE_EXHAUSTED);
    UNTIL(w, grpc_server_stats(w->server).connections == 0);
    assert_int_equal(grpc_server_stats(w->server).calls, 0);
}

static void test_large_messages(void **state)
{
    struct world *w = *state;
    struct error err;
    const size_t sizes[] = {65536, 3900 * 1024, GRPC_MESSAGE_LIMIT};
    CLEANUP_FREE char *bytes = mem_alloc(GRPC_MESSAGE_LIMIT + 1);
    for (size_t i = 0; i < GRPC_MESSAGE_LIMIT; i++)
        bytes[i] = (char)(i * 31 + i / 257);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CLEANUP_ANSWER struct answer a = {0};
        ask(w, "/t.T/Echo", str_make(bytes, sizes[i]), &a);
        assert_int_equal(a.code, GRPC_OK);
        assert_true(str_eq(buf_str(&a.last), str_make(bytes, sizes[i])));
        assert_true(str_eq(buf_str(&w->request), str_make(bytes, sizes[i])));
    }
    struct str longest = str_make(bytes, GRPC_MESSAGE_LIMIT + 1);
    assert_null(grpc_client_start(w->loop, str_from_c(w->path), STR("/t.T/Echo"), longest,
                                  (struct grpc_client_callbacks){0}, &err));
}

static void test_unknown_method(void **state)
{
    struct world *w = *state;
    const char *const paths[] = {"/t.T/echo", "/t.T/Echo/",  "/t.T/Ech",
                                 "/",         "/t.T/Echo?x", "/t.T//Echo"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        CLEANUP_ANSWER struct answer a = {0};
        ask(w, paths[i], STR("x"), &a);
        assert_int_equal(a.code, GRPC_UNIMPLEMENTED);
    }
    /* Not even HTTP: nghttp2 resets it. */
    CLEANUP_ANSWER struct answer a = {0};
    ask(w, "t.T/Echo", STR("x"), &a);
    assert_int_equal(a.code, GRPC_UNAVAILABLE);
    assert_int_equal(w->handled, 0);
}

/* A message that many are sent is held, not copied, and let go when it was taken, or the call has ended. */
static void test_shared(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0};
    CLEANUP_FREE char *bytes = mem_zalloc(SHARED_LARGE);
    for (size_t i = 1; i < SHARED_LARGE; i++)
        bytes[i] = (char)(i * 31 + i / 257);
    bytes[0] = 'x';
    w->shared = blob_new(str_make(bytes, SHARED_LARGE));
    start_at(w, w->path, "/t.T/Share", STR("x"), &a);
    UNTIL(w, a.messages == SHARED_MESSAGES);
    assert_int_equal(a.bytes, SHARED_BYTES);
    assert_true(str_eq(buf_str(&a.last), str_make(bytes, SHARED_LARGE)));
    assert_int_equal(w->shared->refs, 1);
    grpc_call_send_shared(w->kept, w->shared);
    assert_int_equal(w->shared->refs, 2);
    grpc_call_reset(w->kept);
    assert_int_equal(w->shared->refs, 1);
    UNTIL(w, a.ended);
    blob_unref(w->shared);
}

static void test_stream_in_order(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0};
    ask(w, "/t.T/Flood", STR("x"), &a);
    assert_int_equal(a.code, GRPC_OK);
    assert_int_equal(a.messages, FLOOD_MESSAGES);
    assert_int_equal(a.bytes, FLOOD_MESSAGES * FLOOD_SIZE);
    assert_false(a.out_of_order);
    assert_in_range(w->flood_most, 1, 80 * 1024);
}

static void test_stream_cancelled(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0}, b = {0};
    struct grpc_client_call *call = start_at(w, w->path, "/t.T/Watch", STR("x"), &a);
    UNTIL(w, a.messages == 1);
    grpc_call_send(w->kept, STR("second")); /* from outside of a turn */
    UNTIL(w, a.messages == 2);
    assert_str(buf_str(&a.last), "second");
    assert_int_equal(w->closed, 0);
    grpc_client_cancel(call);
    UNTIL(w, w->closed == 1);
    /* From within its own callback. */
    b.cancel = start_at(w, w->path, "/t.T/Watch", STR("x"), &b);
    UNTIL(w, w->closed == 2);
    assert_int_equal(b.messages, 1);
    assert_false(a.ended || b.ended);
    grpc_client_cancel(NULL);
}

static void test_stream_ended_later(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0}, b = {0};
    start_at(w, w->path, "/t.T/Watch", STR("x"), &a);
    UNTIL(w, a.messages == 1);
    grpc_call_finish(w->kept, GRPC_PERMISSION_DENIED, STR("enough"));
    UNTIL(w, a.ended);
    assert_int_equal(a.code, GRPC_PERMISSION_DENIED);
    assert_str(buf_str(&a.message), "enough");
    start_at(w, w->path, "/t.T/Hold", STR("x"), &b);
    UNTIL(w, w->handled == 2);
    grpc_call_send(w->kept, STR("late"));
    grpc_call_finish(w->kept, GRPC_OK, STR(""));
    UNTIL(w, b.ended);
    assert_int_equal(b.code, GRPC_OK);
    assert_str(buf_str(&b.last), "late");
    assert_int_equal(w->closed, 0);
}

static void test_server_freed_under_calls(void **state)
{
    struct world *w = *state;
    CLEANUP_ANSWER struct answer a = {0};
    start_at(w, w->path, "/t.T/Watch", STR("x"), &a);
    UNTIL(w, a.messages == 1);
    grpc_server_free(w->server);
    w->server = NULL;
    assert_int_equal(w->closed, 1);
    UNTIL(w, a.ended);
    assert_int_equal(a.code, GRPC_UNAVAILABLE);
}

/* A target that cannot be used, and a word that the message must hold. */
static void refuse_target(struct world *w, const char *target, const char *word)
{
    struct error err = {""};
    assert_null(grpc_client_start(w->loop, str_from_c(target), STR("/t.T/Echo"), STR(""),
                                  (struct grpc_client_callbacks){0}, &err));
    if (!str_contains(str_from_c(err.text), str_from_c(word)))
        fail_msg("%s: message lacks \"%s\": %s", target, word, err.text);
}

static void test_targets(void **state)
{
    struct world *w = *state;
    char unix_target[80];
    CLEANUP_ANSWER struct answer a = {0};
    refuse_target(w, "", "want a path");
    refuse_target(w, "nothing", "bad target \"nothing\"");
    refuse_target(w, "localhost:", "port");
    refuse_target(w, "localhost:0", "port");
    refuse_target(w, "localhost:65536", "port");
    refuse_target(w, "localhost:80x", "port");
    refuse_target(w, ":80", "bad target");
    refuse_target(w, "::1:80", "bad target");
    refuse_target(w, "[::1]", "bad target");
    refuse_target(w, "[::1]x:1", "bad target");
    refuse_target(w, "[::1:1", "bad target");
    refuse_target(w, "[]:1", "bad target");
    refuse_target(w, "[not-an-address-]:1", "cannot resolve");
    refuse_target(w, "unix:", "not a path");
    refuse_target(w, "/tmp/there/is/no.sock",
                  "cannot connect to \"/tmp/there/is/no.sock\": No such file");
    refuse_target(w,
                  "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789"
                  "/0123456789/0123456789/0123456789",
                  "has 110 bytes, a socket's has at most 107");
    snprintf(unix_target, sizeof(unix_target), "unix:%s", w->path);
    start_at(w, unix_target, "/t.T/Echo", STR("x"), &a);
    UNTIL(w, a.ended);
    assert_int_equal(a.code, GRPC_OK);
}

/* Said at once or later, as the kernel likes. */
static void test_refused_connection(void **state)
{
    struct world *w = *state;
    struct error err;
    CLEANUP_ANSWER struct answer a = {0};
    struct grpc_client_callbacks callbacks = {
        .on_message = on_message, .on_end = on_end, .ctx = &a};
    if (grpc_client_start(w->loop, STR("localhost:1"), STR("/t.T/Echo"), STR(""), callbacks,
                          &err)) {
        UNTIL(w, a.ended);
        assert_int_equal(a.code, GRPC_UNAVAILABLE);
        assert_str(buf_str(&a.message), "cannot connect to \"localhost:1\": Connection refused");
    } else {
        assert_str(str_from_c(err.text), "cannot connect to \"localhost:1\": Connection refused");
    }
}

static void serve_tcp(struct world *w, const char *host, int family)
{
    struct error err;
    char target[64];
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = family == AF_INET6 ? sizeof(v6) : sizeof(v4);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, address, len) != 0) {
        close(fd); /* no IPv6 here */
        return;
    }
    assert_int_equal(listen(fd, 8), 0);
    getsockname(fd, address, &len);
    snprintf(target, sizeof(target), "%s:%u", host,
             ntohs(family == AF_INET6 ? v6.sin6_port : v4.sin_port));
    struct grpc_server *server = grpc_server_new(w->loop, fd, methods, 1, &err);
    CLEANUP_ANSWER struct answer a = {0};
    start_at(w, target, "/t.T/Echo", STR("over TCP"), &a);
    UNTIL(w, a.ended);
    assert_int_equal(a.code, GRPC_OK);
    assert_str(buf_str(&a.last), "over TCP");
    grpc_server_free(server);
}

static void test_tcp(void **state)
{
    serve_tcp(*state, "127.0.0.1", AF_INET);
    serve_tcp(*state, "localhost", AF_INET); /* ::1 may refuse first */
    serve_tcp(*state, "[::1]", AF_INET6);
}

/* --- servers that are none ------------------------------------------------------------------ */

/* Accepts one connection at `path`, says `bytes` and, if `hang_up`, closes. */
struct fake_server {
    struct loop *loop;
    struct loop_watch watch;
    struct str bytes;
    bool hang_up;
    int fd;
};

static void on_fake_accept(void *ctx, uint32_t events)
{
    (void)events;
    struct fake_server *fake = ctx;
    fake->fd = accept(fake->watch.fd, NULL, NULL);
    ssize_t sent = send(fake->fd, fake->bytes.ptr, fake->bytes.len, MSG_NOSIGNAL);
    assert_int_equal(sent, fake->bytes.len);
    if (fake->hang_up)
        shutdown(fake->fd, SHUT_RDWR);
    loop_remove(fake->loop, &fake->watch);
}

static void ask_fake(struct world *w, struct str bytes, bool hang_up, enum grpc_code code,
                     const char *word)
{
    struct error err;
    char path[80];
    snprintf(path, sizeof(path), "%s.fake", w->path);
    struct fake_server fake = {.loop = w->loop, .bytes = bytes, .hang_up = hang_up};
    fake.watch = (struct loop_watch){listen_at(path), on_fake_accept, &fake};
    assert_true(loop_add(w->loop, &fake.watch, EPOLLIN, &err));
    CLEANUP_ANSWER struct answer a = {0};
    start_at(w, path, "/t.T/Echo", STR("x"), &a);
    UNTIL(w, a.ended);
    if (a.code != code || !str_contains(buf_str(&a.message), str_from_c(word)))
        fail_msg("wanted \"%s\": got %d %s", word, a.code, quote(buf_str(&a.message)).text);
    close(fake.fd);
    close(fake.watch.fd);
    unlink(path);
}

static void test_fake_servers(void **state)
{
    struct world *w = *state;
    ask_fake(w, STR(""), true, GRPC_UNAVAILABLE, "connection lost");
    ask_fake(w, STR("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), false,
             GRPC_UNAVAILABLE, "does not speak HTTP/2");
    ask_fake(w, STR("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), false, GRPC_UNAVAILABLE,
             "does not speak HTTP/2");
    ask_fake(w, STR(SETTINGS_FRAME), true, GRPC_UNAVAILABLE, "connection lost");
    /* HEADERS with END_STREAM: :status 404, 503, 200. */
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\1\1\5\0\0\0\1\x8d"), false, GRPC_UNKNOWN,
             "HTTP status 404");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\5\1\5\0\0\0\1\x08\003503"), false, GRPC_UNAVAILABLE,
             "HTTP status 503");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\1\1\5\0\0\0\1\x88"), false, GRPC_UNKNOWN,
             "no grpc-status");
    /* :status 200, then DATA: flag 1, flag 7, a length over the limit. */
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1\1\0\0\0\1"), false,
             GRPC_INTERNAL, "compressed");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1\7\0\0\0\1"), false,
             GRPC_INTERNAL, "prefix");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\1\1\4\0\0\0\1\x88\0\0\5\0\0\0\0\0\1\0\0\x40\0\1"), false,
             GRPC_RESOURCE_EXHAUSTED, "over 4 MiB");
    /* RST_STREAM with REFUSED_STREAM; GOAWAY that names no stream. */
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\4\3\0\0\0\0\1\0\0\0\7"), false, GRPC_UNAVAILABLE,
             "REFUSED_STREAM");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0"), false, GRPC_UNAVAILABLE,
             "");
    /* grpc-status 0, but the message before it is cut short; a status out of range. */
    ask_fake(w,
             STR(SETTINGS_FRAME "\0\0\1\1\4\0\0\0\1\x88"
                                "\0\0\6\0\0\0\0\0\1\0\0\0\0\5x"
                                "\0\0\17\1\5\0\0\0\1\0\013grpc-status\0010"),
             false, GRPC_INTERNAL, "ends within a message");
    ask_fake(w, STR(SETTINGS_FRAME "\0\0\21\1\5\0\0\0\1\x88\0\013grpc-status\00299"), false,
             GRPC_UNKNOWN, "");
}

static void test_unary_alone(void **state)
{
    (void)state;
    struct error err = {""};
    enum grpc_code code = GRPC_OK;
    CLEANUP_BUF struct buf response = {0}, message = {0};
    char path[64];
    snprintf(path, sizeof(path), "/tmp/grpc_test.%d.alone", (int)getpid());
    int fd = listen_at(path);
    /* Nobody accepts: the backlog takes the connection. */
    assert_false(grpc_client_unary(str_from_c(path), STR("/t.T/Echo"), STR("x"), 30, &code,
                                   &response, &message, &err));
    assert_true(str_contains(str_from_c(err.text), STR("within 30 ms")));
    pid_t child = fork();
    if (child == 0) {
        struct world w = {.loop = loop_new(&err)};
        methods[0].ctx = &w;
        grpc_server_new(w.loop, fd, methods, 2, &err);
        loop_run(w.loop);
    }
    close(fd);
    assert_true(grpc_client_unary(str_from_c(path), STR("/t.T/Echo"), STR("x"), 9000, &code,
                                  &response, &message, &err));
    assert_int_equal(code, GRPC_OK);
    assert_str(buf_str(&response), "x");
    assert_true(grpc_client_unary(str_from_c(path), STR("/t.T/Refuse"), STR("x"), 9000, &code,
                                  &response, &message, &err));
    assert_int_equal(code, GRPC_NOT_FOUND);
    assert_str(buf_str(&response), "x");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_false(grpc_client_unary(str_from_c(path), STR("/t.T/Echo"), STR("x"), 9000, &code,
                                   &response, &message, &err));
    assert_true(str_contains(str_from_c(err.text), STR("Connection refused")));
    unlink(path);
}

/* --- the parts ------------------------------------------------------------------------------ */

static void test_timeout_values(void **state)
{
    (void)state;
    uint64_t ms;
    const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1H", 3600000},
                {"2M", 120000},
                {"3S", 3000},
                {"4m", 4},
                {"1u", 1},
                {"1001u", 2},
                {"0n", 0},
                {"1n", 1},
                {"1000001n", 2},
                {"00000001S", 1000},
                {"99999999H", UINT64_C(359999996400000)}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(grpc_header_parse_timeout(str_from_c(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
    }
}

static void test_status_messages(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf encoded = {0}, decoded = {0}, cut = {0};
    struct str message = STR(" a b%\r\n\0\x7f\xff~ ");
    char longer[3000];
    memset(longer, '\n', sizeof(longer));
    grpc_header_encode_message(&encoded, message);
    assert_str(buf_str(&encoded), "%20a b%25%0D%0A%00%7F%FF~%20");
    grpc_header_decode_message(&decoded, buf_str(&encoded));
    assert_true(str_eq(buf_str(&decoded), message));
    decoded.len = 0;
    grpc_header_decode_message(&decoded, STR("%4a%4A%%4%zz%4"));
    assert_str(buf_str(&decoded), "JJ%%4%zz%4");
    grpc_header_encode_message(&cut, str_make(longer, sizeof(longer)));
    assert_int_equal(cut.len, 3 * 1024);
}

static void test_frame_reader(void **state)
{
    (void)state;
    struct str stream = STR("\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\1d");
    const char *const wanted[] = {"abc", "", "d"};
    /* Cut at every length of pieces. */
    for (size_t piece = 1; piece <= stream.len; piece++) {
        struct grpc_frame_reader reader = {0};
        size_t count = 0;
        for (size_t at = 0; at < stream.len; at += piece) {
            struct str input = str_head(str_from(stream, at), piece), message;
            while (input.len > 0) {
                enum grpc_frame_result result = grpc_frame_read(&reader, &input, &message);
                assert_in_range(result, GRPC_FRAME_PARTIAL, GRPC_FRAME_MESSAGE);
                if (result == GRPC_FRAME_MESSAGE)
                    assert_str(message, wanted[count++]);
            }
        }
        assert_int_equal(count, 3);
        assert_false(grpc_frame_is_partial(&reader));
        buf_free(&reader.held);
    }
}

static void note_expired(void *owner)
{
    size_t *expired = owner;
    (*expired)++;
}

static void test_deadline_order(void **state)
{
    struct world *w = *state;
    enum { COUNT = 2000 };
    struct grpc_deadlines all;
    struct grpc_deadline *each = mem_zalloc(COUNT * sizeof(*each));
    size_t expired = 0, cleared = 0;
    grpc_deadlines_init(&all, w->loop, note_expired);
    uint64_t now = loop_now(w->loop);
    for (size_t i = 0; i < COUNT; i++)
        grpc_deadlines_set(&all, &each[i], &expired, now + 1 + i * 7919 % 40);
    for (size_t i = 0; i < COUNT; i += 3, cleared++)
        grpc_deadlines_clear(&all, &each[i]);
    while (all.count > 0) {
        turn(w);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(each[i].position == 0 || each[i].due > loop_now(w->loop));
    }
    assert_int_equal(expired, COUNT - cleared);
    grpc_deadlines_clear(&all, &each[1]);
    grpc_deadlines_free(&all);
    free(each);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_unary),
        WORLD_TEST(test_large_messages),
        WORLD_TEST(test_unknown_method),
        WORLD_TEST(test_shared),
        WORLD_TEST(test_stream_in_order),
        WORLD_TEST(test_stream_cancelled),
        WORLD_TEST(test_stream_ended_later),
        WORLD_TEST(test_server_freed_under_calls),
        WORLD_TEST(test_targets),
        WORLD_TEST(test_refused_connection),
        WORLD_TEST(test_tcp),
        WORLD_TEST(test_fake_servers),
        cmocka_unit_test(test_unary_alone),
        cmocka_unit_test(test_timeout_values),
        cmocka_unit_test(test_status_messages),
        cmocka_unit_test(test_frame_reader),
        WORLD_TEST(test_deadline_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
