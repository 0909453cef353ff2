#include "grpc/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "grpc/server_private.h"

enum {
    /* Connections that are accepted in one turn of the loop, so that a flood of them does not
     * stop the others. */
    ACCEPTS_A_TURN = 64,
    /* Milliseconds without accepting when file descriptors or memory have run out: the listener
     * would stay readable, and the loop would spin. */
    ACCEPT_PAUSE = 100,
    /* Least time between two lines in the log about the limit, in milliseconds. */
    LOG_PAUSE = 1000,
};

/* --- accepting ------------------------------------------------------------------------------ */

static void on_accept_pause_end(void *ctx)
{
    struct grpc_server *server = ctx;
    if (server->listener.fd >= 0)
        loop_modify(server->loop, &server->listener, EPOLLIN);
}

static void pause_accepting(struct grpc_server *server, int cause)
{
    log_event(LOG_WARNING, "Cannot accept gRPC connections for now",
              LOG_C("reason", strerror(cause)));
    loop_modify(server->loop, &server->listener, 0);
    loop_arm(server->loop, &server->accept_timer, ACCEPT_PAUSE);
}

static void refuse_connection(struct grpc_server *server, int fd)
{
    close(fd);
    server->refused++;
    if (server->refusals_logged != 0 &&
        loop_now(server->loop) - server->refusals_logged < LOG_PAUSE)
        return;
    log_event(LOG_WARNING, "Closed gRPC connections that are too many",
              LOG_INT("limit", server->limits.connections), LOG_INT("closed", server->refused));
    server->refusals_logged = loop_now(server->loop);
    server->refused = 0;
}

/* Who is behind a unix socket, as the kernel has it: the socket is open to all, so it may be asked afterwards who came. */
static void log_peer(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (log_enabled(LOG_DEBUG) && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        log_event(LOG_DEBUG, "Peer connected", LOG_INT("pid", peer.pid), LOG_INT("uid", peer.uid),
                  LOG_INT("gid", peer.gid));
}

/* Whether another accept makes sense in this turn. */
static bool accept_one(struct grpc_server *server)
{
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(server, errno);
        /* Else there are no more, or this one has gone away while it waited. */
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (server->connection_count >= server->limits.connections) {
        refuse_connection(server, fd);
        return true;
    }
    /* Answers are written whole; a unix socket has no such option. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    log_peer(fd);
    grpc_connection_open(server, fd);
    return true;
}

static void on_listener(void *ctx, uint32_t events)
{
    (void)events;
    struct grpc_server *server = ctx;
    for (int i = 0; i < ACCEPTS_A_TURN && accept_one(server); i++)
        continue;
}

static void stop_listening(struct grpc_server *server)
{
    loop_disarm(server->loop, &server->accept_timer);
    if (server->listener.fd < 0)
        return;
    loop_remove(server->loop, &server->listener);
    close(server->listener.fd);
    server->listener.fd = -1;
}

/* --- drain ---------------------------------------------------------------------------------- */

static void close_all(struct grpc_server *server, void (*close_one)(struct grpc_connection *))
{
    while (server->connections != NULL)
        close_one(server->connections);
}

/* The patience has ended, or all connections have. */
static void on_drain_timer(void *ctx)
{
    struct grpc_server *server = ctx;
    close_all(server, grpc_connection_hang_up);
    loop_disarm(server->loop, &server->drain_timer);
    if (server->drained != NULL)
        server->drained(server->drained_ctx); /* it may free the server */
}

void grpc_server_connection_closed(struct grpc_server *server)
{
    server->closed_count++;
    /* By the timer, so that `done` is called from no place where the server is still at work. */
    if (server->draining && server->connection_count == 0)
        loop_arm(server->loop, &server->drain_timer, 0);
}

void grpc_server_drain(struct grpc_server *server, uint64_t patience, void (*done)(void *ctx),
                       void *ctx)
{
    server->draining = true;
    server->drained = done;
    server->drained_ctx = ctx;
    stop_listening(server);
    for (struct grpc_connection *c = server->connections; c != NULL; c = c->next)
        grpc_connection_drain(c);
    loop_arm(server->loop, &server->drain_timer, server->connection_count > 0 ? patience : 0);
}

/* --- the server ----------------------------------------------------------------------------- */

static void on_deadline(void *owner)
{
    grpc_call_abort(owner, GRPC_DEADLINE_EXCEEDED, STR("the deadline has passed"));
}

static const struct grpc_server_limits default_limits = {
    .connections = 1024,
    .calls = 16384, /* so that 10,000 calls at once are served on one connection */
    .request_bytes = 16 * 1024 * 1024, /* four of the longest messages */
    .unsent_bytes = GRPC_UNSENT_LIMIT,
};

void grpc_server_allow_path_authority(struct grpc_server *server)
{
    nghttp2_option_set_no_http_messaging(server->option, 1);
}

void grpc_server_set_limits(struct grpc_server *server, const struct grpc_server_limits *limits)
{
    server->limits = *limits;
}

struct grpc_server *grpc_server_new(struct loop *loop, int listen_fd,
                                    const struct grpc_method *methods, size_t method_count,
                                    struct error *err)
{
    struct grpc_server *server = mem_zalloc(sizeof(*server));
    server->loop = loop;
    server->methods = methods;
    server->method_count = method_count;
    server->limits = default_limits;
    server->listener = (struct loop_watch){listen_fd, on_listener, server};
    server->accept_timer = (struct loop_timer){.callback = on_accept_pause_end, .ctx = server};
    server->drain_timer = (struct loop_timer){.callback = on_drain_timer, .ctx = server};
    if (!loop_add(loop, &server->listener, EPOLLIN, err)) {
        close(listen_fd);
        free(server);
        return NULL;
    }
    grpc_deadlines_init(&server->deadlines, loop, on_deadline);
    grpc_connection_init_shared(server);
    return server;
}

void grpc_server_free(struct grpc_server *server)
{
    if (server == NULL)
        return;
    stop_listening(server);
    close_all(server, grpc_connection_close);
    loop_disarm(server->loop, &server->drain_timer);
    grpc_deadlines_free(&server->deadlines);
    grpc_call_free_spare(server);
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->option);
    free(server);
}

struct grpc_server_stats grpc_server_stats(const struct grpc_server *server)
{
    return (struct grpc_server_stats){.connections = server->connection_count,
                                      .calls = server->call_count,
                                      .closed = server->closed_count};
}
