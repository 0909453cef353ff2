/* For the tests of the gRPC server and client: a server with a few methods, and our client. Server and peers share one loop, so that a
 * test is one thread.
 */
#ifndef TESTS_GRPC_WORLD_H
#define TESTS_GRPC_WORLD_H

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

/* ---- a server with a few methods ---- */

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

static inline void on_closed(void *ctx)
{
    struct world *w = ctx;
    w->closed++;
    w->kept = NULL;
}

static inline void echo(void *ctx, struct grpc_call *call, struct str request)
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

static inline void refuse(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    grpc_call_finish(call, GRPC_NOT_FOUND, STR(" 100 % gone:\n\xc3\xa4 "));
}

/* Keeps the call without a word. */
static inline void hold(void *ctx, struct grpc_call *call, struct str request)
{
    (void)request;
    struct world *w = ctx;
    w->handled++;
    w->kept = call;
    grpc_call_on_closed(call, on_closed, w);
}

static inline void watch(void *ctx, struct grpc_call *call, struct str request)
{
    hold(ctx, call, request);
    grpc_call_send(call, STR("first"));
}

static inline void too_long(void *ctx, struct grpc_call *call, struct str request)
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

static inline void share(void *ctx, struct grpc_call *call, struct str request)
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

static inline void flood_on(void *ctx)
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

static inline void flood(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    hold(ctx, call, request);
    w->flood_left = FLOOD_MESSAGES;
    grpc_call_on_drained(call, flood_on, w);
    flood_on(w);
}

static inline void on_drained(void *ctx)
{
    ((struct world *)ctx)->drained = true;
}

static inline void drain(void *ctx, struct grpc_call *call, struct str request)
{
    struct world *w = ctx;
    grpc_server_drain(w->server, 5000, on_drained, w);
    echo(ctx, call, request);
}

static inline int listen_at(const char *path)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct world *w = *state;
    grpc_server_free(w->server);
    loop_free(w->loop);
    unlink(w->path);
    buf_free(&w->request);
    free(w);
    return 0;
}

static inline void stop_loop(void *ctx)
{
    loop_stop(ctx);
}

static inline void turn(struct world *w)
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

static inline void on_message(void *ctx, struct str message)
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

static inline void on_end(void *ctx, enum grpc_code code, struct str message)
{
    struct answer *a = ctx;
    assert_false(a->ended);
    a->ended = true;
    a->code = code;
    buf_append_str(&a->message, message);
}

static inline void answer_free(struct answer *a)
{
    buf_free(&a->last);
    buf_free(&a->message);
}
#define CLEANUP_ANSWER __attribute__((cleanup(answer_free)))

static inline struct grpc_client_call *start_at(struct world *w, const char *target,
                                                const char *method, struct str request,
                                                struct answer *a)
{
    struct error err;
    struct grpc_client_call *call = grpc_client_start(
        w->loop, str_from_c(target), str_from_c(method), request,
        (struct grpc_client_callbacks){.on_message = on_message, .on_end = on_end, .ctx = a}, &err);
    if (call == NULL)
        fail_msg("%s", err.text);
    return call;
}

static inline void ask(struct world *w, const char *method, struct str request, struct answer *a)
{
    start_at(w, w->path, method, request, a);
    UNTIL(w, a->ended);
}

static inline void assert_str(struct str got, const char *wanted)
{
    if (!str_eq(got, str_from_c(wanted)))
        fail_msg("got %s, wanted \"%s\"", quote(got).text, wanted);
}

/* Empty SETTINGS, with which each side of HTTP/2 begins. */
#define SETTINGS_FRAME "\0\0\0\4\0\0\0\0\0"

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
