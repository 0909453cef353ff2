/* A gRPC server on a listening socket: HTTP/2 cleartext with prior knowledge, over nghttp2.
 *
 * What is done of gRPC: unary and server-streaming methods, one message a request, deadlines
 * (grpc-timeout), no compression. Anything that a peer does wrong ends its call (with a gRPC
 * status) or, if the HTTP/2 framing itself is broken, its connection; never the process.
 *
 * A handler is called once a call, when the request has ended (END_STREAM) and was exactly one
 * whole message. It answers at once or keeps the call and answers later:
 *
 *     void check(void *ctx, struct grpc_call *call, struct str request)
 *     {
 *         grpc_call_send(call, response);
 *         grpc_call_finish(call, GRPC_OK, STR(""));
 *     }
 *
 * What is answered without a handler:
 *
 *     HTTP 405                not a POST
 *     HTTP 415                content-type is not application/grpc (alone, +FORMAT or ;PARAMETERS)
 *     UNIMPLEMENTED           :path is not, byte for byte, that of a method; a compressed message
 *     INVALID_ARGUMENT        no message in the request; a malformed grpc-timeout
 *     INTERNAL                bad framing: an unknown flag, a message cut short, a second message
 *     RESOURCE_EXHAUSTED      a message over GRPC_MESSAGE_LIMIT (said as soon as its length is
 *                             known); headers over 64 KiB; on one connection over 16 MiB of
 *                             unfinished requests, or 32 MiB of answers that wait
 *     DEADLINE_EXCEEDED       the deadline passed while the request was not complete or the handler
 *                             kept the call
 *     reset (PROTOCOL_ERROR)  malformed HTTP, such as a :path that does not begin with "/"; but see
 *                             grpc_server_allow_path_authority
 *
 * Limits, all of them per peer but the first: 1,024 connections; 16,384 calls at once (see
 * grpc_server_set_limits for other numbers); a peer that leaves 4 MiB of answers unread is not read
 * from until it reads; one that resets streams faster than any proxy would is disconnected. Idle
 * connections are never closed.
 *
 * Ownership: `request` lives until the handler returns. What is given to grpc_call_send is
 * copied. A call is the server's; after grpc_call_finish, or once on_closed was called, it must
 * not be touched. (Until the loop turns, grpc_call_send and grpc_call_finish do nothing then: a
 * handler need not ask in between.)
 * Threads: everything happens on the loop's thread.
 * Source of outside facts: the public gRPC documentation, "gRPC over HTTP2"; RFC 9113.
 */
#ifndef GRPC_SERVER_H
#define GRPC_SERVER_H

#include "base/blob.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/str.h"
#include "grpc/status.h"

struct grpc_server;
struct grpc_call;

typedef void grpc_handler(void *ctx, struct grpc_call *call, struct str request);

struct grpc_method {
    struct str path; /* "/package.Service/Method" */
    grpc_handler *handler;
    void *ctx;
};

/* Serves `methods` (borrowed, must outlive the server) on listen_fd (non-blocking, already
 * listening; the server closes it, on error too). NULL on error. */
struct grpc_server *grpc_server_new(struct loop *loop, int listen_fd,
                                    const struct grpc_method *methods, size_t method_count,
                                    struct error *err);

/* For listeners whose peers must not be able to take much; by default those above. For connections that are opened from
 * then on. */
struct grpc_server_limits {
    size_t connections;
    uint32_t calls;       /* at once, on one connection */
    size_t request_bytes; /* of unfinished requests, on one connection */
    size_t unsent_bytes;  /* that the socket did not take; beyond, nothing is read from that peer */
};
void grpc_server_set_limits(struct grpc_server *server, const struct grpc_server_limits *limits);

/* For listeners on unix sockets that Go's programs call. Older versions of its gRPC (in kubelets, in upstream's dikastes) send the
 * socket's path as :authority, which is malformed (RFC 3986, 3.2), and for which nghttp2 resets the stream. For connections that
 * are opened from now on, a request's head is not checked beyond what is looked at here: :method, :path and content-type must
 * still be what they have to be. */
void grpc_server_allow_path_authority(struct grpc_server *server);

/* Stops accepting, tells all peers (GOAWAY), lets calls in flight end; then calls `done` (may be
 * NULL), from the loop, not from within this function. `done` may free the server. Calls that a
 * handler keeps and has sent messages on (streams, such as health watches) are ended with
 * UNAVAILABLE at once. What is left after `patience` milliseconds is ended with UNAVAILABLE, too,
 * and its connection closed. May be called from a handler. A second call replaces patience and
 * done. */
void grpc_server_drain(struct grpc_server *server, uint64_t patience, void (*done)(void *ctx),
                       void *ctx);

/* Closes everything at once and frees the server. Not from a handler or an on_closed; NULL is
 * fine. */
void grpc_server_free(struct grpc_server *server);

/* Sends one message. More than one makes sense on server-streaming methods only. A message over
 * GRPC_MESSAGE_LIMIT is logged, and the call is ended with RESOURCE_EXHAUSTED instead. */
void grpc_call_send(struct grpc_call *call, struct str message);

/* The same for one that many calls are sent: a large one is not copied, but held until it was taken for the network. */
void grpc_call_send_shared(struct grpc_call *call, struct blob *message);

/* Ends the call with a status; `message` is percent-encoded on the wire as gRPC wants it, and cut
 * at 1 KiB. */
void grpc_call_finish(struct grpc_call *call, enum grpc_code code, struct str message);

/* Ends the call at once, by a reset of its stream, and drops what waits for the peer: for one that does not read. */
void grpc_call_reset(struct grpc_call *call);

/* For a handler that keeps the call: called once if the call ends by other hands (peer reset it,
 * connection lost, deadline passed, server drained or freed) before grpc_call_finish. A handler
 * that keeps a call needs it: there is no other way to learn that the call is gone. */
void grpc_call_on_closed(struct grpc_call *call, void (*on_closed)(void *ctx), void *ctx);

/* For long streams, so that a slow peer does not make them wait in memory: send while
 * grpc_call_pending is small, go on in on_drained. It is called whenever all messages that were
 * sent so far have been taken for the network, until the call ends; it may send and finish. */
void grpc_call_on_drained(struct grpc_call *call, void (*on_drained)(void *ctx), void *ctx);

/* Bytes that grpc_call_send was given and that wait for the peer. */
size_t grpc_call_pending(const struct grpc_call *call);

/* Numbers for tests and metrics. */
struct grpc_server_stats {
    size_t connections;
    size_t calls;    /* in flight */
    uint64_t closed; /* connections that have ended so far */
};
struct grpc_server_stats grpc_server_stats(const struct grpc_server *server);

#endif
