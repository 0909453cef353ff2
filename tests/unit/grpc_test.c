/* The gRPC server and client: against each other, and against peers that do what no gRPC library
 * does. Server and peers share one loop, so that a test is one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/log.h"
#include "grpc/client.h"
#include "grpc/frame.h"
#include "grpc/header.h"
#include "grpc/server_private.h"

/* --- a server with a few methods ------------------------------------------------------------ */

enum { FLOOD_MESSAGES = 4000, FLOOD_SIZE = 4300 };

struct world {
    struct loop *loop;
    struct grpc_server *server;
    char path[64];
    struct buf request;     /* what the last handler was given */
    size_t handled;         /* handlers called */
    struct grpc_call *kept; /* by "hold" or "watch" */
    size_t closed;          /* calls of on_closed */
    size_t flood_left;      /* messages that "flood" has still to send */
    size_t flood_most;      /* the most bytes that ever waited for its peer */
    struct blob *shared;    /* what "share" sends */
    bool drained;
};

static void on_closed(void *ctx)
{
    struct world *w = ctx;
    w->closed++;
    w->kept = NULL;
}

static void echo(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    w->handled++;
    w->request.len = 0;
    buf_append_str(&w->request, request);
    grpc_call_send(call, request);
    grpc_call_finish(call, GRPC_OK, STR(""));
    /* Has ended already: neither may do anything. */
    grpc_call_send(call, STR("late"));
    grpc_call_finish(call, GRPC_INTERNAL, STR("late"));
}

static void refuse(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    grpc_call_finish(call, GRPC_NOT_FOUND, STR(" 100 % gone:\n\xc3\xa4 "));
}

/* Keeps the call without a word. */
static void hold(void *ctx, struct grpc_call *call, struct str request)
{
    (void)request;
    struct world *w = ctx;
    w->handled++;
    w->kept = call;
    grpc_call_on_closed(call, on_closed, w);
}

static void watch(void *ctx, struct grpc_call *call, struct str request)
{
    hold(ctx, call, request);
    grpc_call_send(call, STR("first"));
}

static void too_long(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    CLEANUP_BUF struct buf answer = {0};
    buf_reserve(&answer, GRPC_MESSAGE_LIMIT + 1);
    memset(answer.data, 'x', GRPC_MESSAGE_LIMIT + 1);
    grpc_call_send(call, str_make(answer.data, GRPC_MESSAGE_LIMIT + 1));
    grpc_call_finish(call, GRPC_OK, STR(""));
}

/* Small ones and large ones, of which some are sent before the one before was taken. */
enum { SHARED_MESSAGES = 7, SHARED_LARGE = 300 * 1024, SHARED_BYTES = 5 * SHARED_LARGE + 2 * 5 };

static void share(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    hold(ctx, call, request);
    struct blob *small = blob_new(STR("small"));
    for (size_t i = 0; i < SHARED_MESSAGES; i++)
        grpc_call_send_shared(call, i % 3 == 2 ? small : w->shared);
    assert_int_equal(small->refs, 1); /* copied */
    blob_unref(small);
    assert_int_equal(w->shared->refs, 2); /* the last; those before it had to make room */
    assert_int_equal(grpc_call_pending(call), SHARED_BYTES + SHARED_MESSAGES * GRPC_FRAME_PREFIX);
}

static void flood_on(void *ctx)
{
    struct world *w = ctx;
    char message[FLOOD_SIZE] = {0};
    while (w->flood_left > 0 && grpc_call_pending(w->kept) < 64 * 1024) {
        snprintf(message, sizeof(message), "%zu", FLOOD_MESSAGES - w->flood_left--);
        grpc_call_send(w->kept, str_make(message, sizeof(message)));
        if (grpc_call_pending(w->kept) > w->flood_most)
            w->flood_most = grpc_call_pending(w->kept);
    }
    if (w->flood_left == 0)
        grpc_call_finish(w->kept, GRPC_OK, STR(""));
}

static void flood(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    hold(ctx, call, request);
    w->flood_left = FLOOD_MESSAGES;
    grpc_call_on_drained(call, flood_on, w);
    flood_on(w);
}

static void on_drained(void *ctx)
{
    ((struct world *)ctx)->drained = true;
}

static void drain(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    grpc_server_drain(w->server, 5000, on_drained, w);
    echo(ctx, call, request);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 128), 0);
    return fd;
}

static struct grpc_method methods[] = {
    {STR_INIT("/t.T/Echo"), echo, NULL},     {STR_INIT("/t.T/Refuse"), refuse, NULL},
    {STR_INIT("/t.T/Hold"), hold, NULL},     {STR_INIT("/t.T/Watch"), watch, NULL},
    {STR_INIT("/t.T/Flood"), flood, NULL},   {STR_INIT("/t.T/Drain"), drain, NULL},
    {STR_INIT("/t.T/Long"), too_long, NULL}, {STR_INIT("/t.T/Share"), share, NULL},
};

static int setup(void **state)
{
    struct error err;
    struct world *w = mem_zalloc(sizeof(*w));
    log_set_level(LOG_ERROR + 1);
    snprintf(w->path, sizeof(w->path), "/tmp/grpc_test.%d.sock", (int)getpid());
    w->loop = loop_new(&err);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        methods[i].ctx = w;
    w->server = grpc_server_new(w->loop, listen_at(w->path), methods,
                                sizeof(methods) / sizeof(methods[0]), &err);
    assert_non_null(w->server);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    grpc_server_free(w->server);
    loop_free(w->loop);
    unlink(w->path);
    buf_free(&w->request);
    free(w);
    return 0;
}

static void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

static void turn(struct world *w)
{
    struct loop_timer timer = {.callback = stop_loop, .ctx = w->loop};
    loop_arm(w->loop, &timer, 1);
    loop_run(w->loop);
    loop_disarm(w->loop, &timer);
}

/* Turns the loop until `condition` holds; 20 s are enough under valgrind, too. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        for (int turns_ = 0; turns_ < 20000 && !(condition); turns_++)                             \
            turn(w);                                                                               \
        assert_true(condition);                                                                    \
    } while (0)

/* --- our client ----------------------------------------------------------------------------- */

struct answer {
    size_t messages;
    size_t bytes;
    struct buf last;
    bool ended;
    enum grpc_code code;
    struct buf message;
    struct grpc_client_call *cancel; /* to be cancelled at the first message */
    bool out_of_order;
};

static void on_message(void *ctx, struct str message)
{
    struct answer *a = ctx;
    a->out_of_order |= message.len == FLOOD_SIZE && strtoul(message.ptr, NULL, 10) != a->messages;
    a->messages++;
    a->bytes += message.len;
    a->last.len = 0;
    buf_append_str(&a->last, message);
    if (a->cancel != NULL)
        grpc_client_cancel(a->cancel);
}

static void on_end(void *ctx, enum grpc_code code, struct str message)
{
    struct answer *a = ctx;
    assert_false(a->ended);
    a->ended = true;
    a->code = code;
    buf_append_str(&a->message, message);
}

static void answer_free(struct answer *a)
{
    buf_free(&a->last);
    buf_free(&a->message);
}
#define CLEANUP_ANSWER __attribute__((cleanup(answer_free)))

static struct grpc_client_call *start_at(struct world *w, const char *target, const char *method,
                                         struct str request, struct answer *a)
{
    struct error err;
    struct grpc_client_call *call = grpc_client_start(
        w->loop, str_from_c(target), str_from_c(method), request,
        (struct grpc_client_callbacks){.on_message = on_message, .on_end = on_end, .ctx = a}, &err);
    if (call == NULL)
        fail_msg("%s", err.text);
    return call;
}

static void ask(struct world *w, const char *method, struct str request, struct answer *a)
{
    start_at(w, w->path, method, request, a);
    UNTIL(w, a->ended);
}

static void assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_c(wanted)))
        fail_msg("got %s, wanted \"%s\"", quote(got).text, wanted);
}

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

#define SETTINGS_FRAME "\0\0\0\4\0\0\0\0\0"

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

/* --- a raw client: any headers, any bytes, any order ---------------------------------------- */

struct peer_call {
    int32_t id;
    struct buf body; /* nghttp2 has taken the first `sent` bytes */
    size_t sent;
    bool end; /* END_STREAM behind the body */
    int http_status, grpc_status;
    struct buf data;
    bool accepts_identity; /* grpc-accept-encoding */
    bool answered;         /* END_STREAM from the server */
    bool closed;
    uint32_t reset_code;
};

struct peer {
    struct loop *loop;
    struct loop_watch watch;
    struct grpc_transport transport;
    size_t open; /* calls that are not closed */
    bool gone;   /* the server has closed the connection */
    bool deaf;   /* does not read */
    int goaways;
    int32_t last_id; /* of the last GOAWAY */
};

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *place, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)session;
    (void)id;
    (void)user_data;
    struct peer_call *call = source->ptr;
    size_t len = call->body.len - call->sent;
    len = len < room ? len : room;
    if (len > 0)
        memcpy(place, call->body.data + call->sent, len);
    call->sent += len;
    if (call->sent == call->body.len && call->end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (len == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)len;
}

static int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                          const uint8_t *name_bytes, size_t name_len, const uint8_t *value_bytes,
                          size_t value_len, uint8_t flags, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct str name = str_make((const char *)name_bytes, name_len);
    struct str value = str_make((const char *)value_bytes, value_len);
    if (str_eq(name, STR(":status")))
        call->http_status = atoi(value.ptr);
    if (str_eq(name, STR("grpc-status")))
        call->grpc_status = atoi(value.ptr);
    if (str_eq(name, STR("grpc-accept-encoding")))
        call->accepts_identity = str_eq(value, STR("identity"));
    return 0;
}

static int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                        size_t len, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, id);
    buf_append(&call->data, data, len);
    return 0;
}

static int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct peer *peer = user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->goaways++;
        peer->last_id = frame->goaway.last_stream_id;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        call->answered = true;
    return 0;
}

static int peer_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    struct peer *peer = user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, id);
    call->closed = true;
    call->reset_code = code;
    peer->open--;
    return 0;
}

static void peer_wake(struct peer *peer)
{
    uint32_t in = peer->deaf ? 0 : (uint32_t)EPOLLIN;
    if (!peer->gone)
        loop_modify(peer->loop, &peer->watch, in | EPOLLOUT);
}

static void peer_on_event(void *ctx, uint32_t events)
{
    struct peer *peer = ctx;
    const char *reason;
    bool alive = (events & EPOLLIN) == 0 || grpc_transport_receive(&peer->transport, &reason);
    alive = alive && grpc_transport_flush(&peer->transport, &reason);
    if (!alive || (events & EPOLLERR) != 0) {
        loop_remove(peer->loop, &peer->watch);
        peer->gone = true;
        return;
    }
    uint32_t out = grpc_transport_wants_write(&peer->transport) ? (uint32_t)EPOLLOUT : 0;
    loop_modify(peer->loop, &peer->watch, (peer->deaf ? 0 : (uint32_t)EPOLLIN) | out);
}

static int connect_raw(struct world *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* `window`: that the peer opens for each answer. */
static struct peer *peer_new(struct world *w, uint32_t window)
{
    struct error err;
    struct peer *peer = mem_zalloc(sizeof(*peer));
    peer->loop = w->loop;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_option_new(&option);
    nghttp2_option_set_peer_max_concurrent_streams(option, 20000);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1024 * 1024);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_close);
    nghttp2_session_client_new2(&peer->transport.session, callbacks, peer, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_submit_settings(peer->transport.session, 0, settings, 1);
    peer->transport.fd = connect_raw(w);
    peer->transport.loop = w->loop;
    peer->transport.unsent_limit = GRPC_UNSENT_LIMIT;
    peer->watch = (struct loop_watch){peer->transport.fd, peer_on_event, peer};
    assert_true(loop_add(w->loop, &peer->watch, EPOLLIN | EPOLLOUT, &err));
    return peer;
}

static void peer_free(struct peer *peer)
{
    if (!peer->gone)
        loop_remove(peer->loop, &peer->watch);
    grpc_transport_close(&peer->transport);
    free(peer);
}

static void peer_call_free(struct peer_call *call)
{
    buf_free(&call->body);
    buf_free(&call->data);
}
#define CLEANUP_PEER_CALL __attribute__((cleanup(peer_call_free)))

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

/* Opens a stream with these headers, a list of names and values that ends with NULL. */
static void peer_open(struct peer *peer, struct peer_call *call, const char *const *headers,
                      bool end)
{
    nghttp2_nv list[16];
    size_t count = 0;
    for (; headers[2 * count] != NULL; count++)
        list[count] = pair(headers[2 * count], headers[2 * count + 1]);
    call->end = end;
    call->grpc_status = -1;
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_body};
    call->id = nghttp2_submit_request(peer->transport.session, NULL, list, count, &body, call);
    assert_true(call->id > 0);
    peer->open++;
    peer_wake(peer);
}

/* A proper call of `method` with these raw bytes as its body. */
static void peer_start(struct peer *peer, struct peer_call *call, const char *method,
                       struct str body, bool end)
{
    const char *const headers[] = {
        ":method", "POST",       ":scheme", "http",         ":path",
        method,    ":authority", "t",       "content-type", "application/grpc+proto",
        NULL};
    buf_append_str(&call->body, body);
    peer_open(peer, call, headers, end);
}

/* Sends more of the body. */
static void peer_continue(struct peer *peer, struct peer_call *call, struct str body, bool end)
{
    buf_append_str(&call->body, body);
    call->end = end;
    nghttp2_session_resume_data(peer->transport.session, call->id);
    peer_wake(peer);
}

static void peer_reset(struct peer *peer, struct peer_call *call)
{
    nghttp2_submit_rst_stream(peer->transport.session, 0, call->id, NGHTTP2_CANCEL);
    peer_wake(peer);
}

/* The status that a request with these bytes gets; the connection must live on. */
static void assert_status(struct world *w, struct peer *peer, struct str body, bool end, int wanted)
{
    CLEANUP_PEER_CALL struct peer_call call = {0}, after = {0};
    peer_start(peer, &call, "/t.T/Echo", body, end);
    UNTIL(w, call.closed);
    assert_int_equal(call.http_status, 200);
    assert_int_equal(call.grpc_status, wanted);
    assert_int_equal(call.accepts_identity, wanted == GRPC_UNIMPLEMENTED);
    peer_start(peer, &after, "/t.T/Echo", STR("\0\0\0\0\1x"), true);
    UNTIL(w, after.closed);
    assert_int_equal(after.grpc_status, GRPC_OK);
    assert_true(str_eq(buf_str(&after.data), STR("\0\0\0\0\1x")));
}

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

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        WORLD_TEST(test_garbage),
        WORLD_TEST(test_continuations),
        WORLD_TEST(test_half_close),
        WORLD_TEST(test_connection_limit),
        WORLD_TEST(test_out_of_files),
        WORLD_TEST(test_drain_idle),
        WORLD_TEST(test_drain_nobody),
        WORLD_TEST(test_drain_with_calls),
        WORLD_TEST(test_drain_patience),
        WORLD_TEST(test_drain_from_handler),
        cmocka_unit_test(test_timeout_values),
        cmocka_unit_test(test_status_messages),
        cmocka_unit_test(test_frame_reader),
        WORLD_TEST(test_deadline_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
