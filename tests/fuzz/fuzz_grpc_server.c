/* Any bytes from a peer: the server neither crashes nor leaks, and no call outlives its
 * connection. The first byte chooses how large the pieces are in which the others arrive; by its
 * lowest bit the client's greeting is put before them, so that the fuzzer need not find it out. */
#include <assert.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "grpc/server_private.h"

static struct grpc_call *kept;

static void on_closed(void *ctx)
{
    (void)ctx;
    kept = NULL;
}

static void echo(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    grpc_call_send(call, request);
    grpc_call_finish(call, GRPC_OK, request);
}

/* Keeps one call, and ends the one that it kept before. */
static void keep(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    if (kept != NULL)
        grpc_call_finish(kept, GRPC_NOT_FOUND, STR("superseded"));
    kept = call;
    grpc_call_on_closed(call, on_closed, NULL);
    grpc_call_send(call, request);
}

static void drain(void *ctx, struct grpc_call *call, struct str request)
{
    struct grpc_server **server = ctx;
    (void)request;
    grpc_server_drain(*server, 1000, NULL, NULL);
    grpc_call_finish(call, GRPC_OK, STR(""));
}

/* Lets the server read and write, and throws away what it says. False if it has hung up. */
static bool turn(struct grpc_server *server, int peer)
{
    char ignored[4096];
    if (server->connections == NULL)
        return false;
    struct loop_watch *watch = &server->connections->watch;
    watch->callback(watch->ctx, EPOLLIN | EPOLLOUT);
    while (recv(peer, ignored, sizeof(ignored), 0) > 0)
        continue;
    return server->connections != NULL;
}

static void say(struct grpc_server *server, int peer, const uint8_t *data, size_t size,
                size_t piece)
{
    bool alive = true;
    for (size_t at = 0; at < size && alive; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        ssize_t sent = send(peer, data + at, len, MSG_NOSIGNAL);
        assert(sent == (ssize_t)len);
        alive = turn(server, peer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    struct error err;
    struct grpc_server *server;
    const struct grpc_method methods[] = {{STR_INIT("/a/E"), echo, NULL},
                                          {STR_INIT("/a/K"), keep, NULL},
                                          {STR_INIT("/a/D"), drain, &server}};
    int pair[2];
    if (size == 0)
        return 0;
    log_set_level(LOG_ERROR + 1);
    struct loop *loop = loop_new(&err);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    server = grpc_server_new(loop, listener, methods, sizeof(methods) / sizeof(methods[0]), &err);
    assert(server != NULL);
    int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    assert(made == 0);
    grpc_connection_open(server, pair[0]);

    if ((data[0] & 1) != 0)
        say(server, pair[1], greeting, sizeof(greeting), sizeof(greeting));
    say(server, pair[1], data + 1, size - 1, (size_t)(data[0] / 2) * 16 + 1);
    if (kept != NULL)
        grpc_call_finish(kept, GRPC_OK, STR(""));
    kept = NULL;
    turn(server, pair[1]);
    close(pair[1]);
    if (turn(server, pair[1]))
        turn(server, pair[1]);
    assert(grpc_server_stats(server).calls == 0 && grpc_server_stats(server).connections == 0);
    grpc_server_free(server);
    loop_free(loop);
    return 0;
}
