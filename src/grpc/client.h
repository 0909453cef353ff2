/* A gRPC client call: one connection, one call, then gone.
 *
 * Enough for `dikastes client`, `dikastes health` and for one long server stream (the Policy Sync
 * API), where a call and its connection live and die together. HTTP/2 cleartext with prior
 * knowledge, over nghttp2. Windows are large, so that a long stream comes as fast as it is read;
 * what is held of it is at most one message (GRPC_MESSAGE_LIMIT).
 *
 * Threads: the loop's thread only.
 * Source of outside facts: the public gRPC documentation, "gRPC over HTTP2".
 */
#ifndef GRPC_CLIENT_H
#define GRPC_CLIENT_H

#include "base/error.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/str.h"
#include "grpc/status.h"

struct grpc_client_call;

struct grpc_client_callbacks {
    /* One whole message, in the order that the server sent them; the bytes live until it returns.
     * It may call grpc_client_cancel. */
    void (*on_message)(void *ctx, struct str message);
    /* May be NULL. Called behind the messages that were received together, so that a receiver can
     * take them as one. It may call grpc_client_cancel. */
    void (*on_turn_end)(void *ctx);
    /* Called exactly once, last, unless cancelled: the status that the server gave, or what went
     * wrong:
     *
     *     UNAVAILABLE         cannot connect, connection lost, stream reset, not HTTP/2, or HTTP
     *                         status 429, 502, 503 or 504
     *     UNKNOWN             another HTTP status, or no grpc-status: not gRPC
     *     RESOURCE_EXHAUSTED  a message over GRPC_MESSAGE_LIMIT
     *     INTERNAL            bad framing of the messages
     *
     * The call is freed after it. Never called from within grpc_client_start. */
    void (*on_end)(void *ctx, enum grpc_code code, struct str message);
    void *ctx;
};

/* Starts a call. `target` is a path of a unix socket (with a "/" in it: "/run/x.sock", "./x.sock"),
 * "unix:PATH", or HOST:PORT (a name, which is resolved at once, an IPv4 address, or an IPv6 address
 * in brackets). `request` (at most GRPC_MESSAGE_LIMIT) is copied. Bad targets, a socket that is not
 * there and connections that are refused at once are errors here (NULL); what is found out later
 * comes to on_end. */
struct grpc_client_call *grpc_client_start(struct loop *loop, struct str target, struct str method,
                                           struct str request,
                                           struct grpc_client_callbacks callbacks,
                                           struct error *err);

/* Ends the call and frees it; no callback comes any more. NULL is fine. */
void grpc_client_cancel(struct grpc_client_call *call);

/* One unary call from start to end on a loop of its own, at most `timeout` milliseconds. False:
 * no gRPC server answered (err says why). True: *code and, if it is GRPC_OK, *response (appended
 * to); `message` gets the status message. */
bool grpc_client_unary(struct str target, struct str method, struct str request, uint64_t timeout,
                       enum grpc_code *code, struct buf *response, struct buf *message,
                       struct error *err);

#endif
