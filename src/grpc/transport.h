/* One nghttp2 session on one non-blocking socket: what server and client have in common.
 *
 * The owner watches the socket. When it is readable, grpc_transport_receive feeds what came to
 * the session; then grpc_transport_flush writes all that the session has to say, in as few system
 * calls as possible, and holds what the peer does not take. Once that is much
 * (grpc_transport_is_blocked), an owner that does not trust the peer must not receive: so what
 * waits in memory is bounded.
 */
#ifndef GRPC_TRANSPORT_H
#define GRPC_TRANSPORT_H

#include <nghttp2/nghttp2.h>

#include "base/loop.h"
#include "base/mem.h"

/* What is held for a peer that does not read. Large enough for the answers to 10,000 calls: there are peers that write all
 * their requests before they read, and they must not wait for us while we wait for them. */
enum { GRPC_UNSENT_LIMIT = 4 * 1024 * 1024 };

struct grpc_transport {
    int fd;            /* -1: none */
    struct loop *loop; /* whose scratch bytes are put in on their way in or out */
    nghttp2_session *session;
    struct buf unsent;   /* what the socket did not take */
    size_t unsent_start; /* bytes of it that it took meanwhile */
    size_t unsent_limit; /* at most so much, and some frames, is held; set by the owner */
    bool paused;         /* the session may have more to say than is written in one turn */
};

/* Receives once and feeds the session. False if the connection is over; *reason (living until the
 * next error) says why. */
bool grpc_transport_receive(struct grpc_transport *transport, const char **reason);

/* Writes or holds what the session has to say. False as above. */
bool grpc_transport_flush(struct grpc_transport *transport, const char **reason);

/* Whether so much is unsent that no more should be asked for. */
bool grpc_transport_is_blocked(const struct grpc_transport *transport);

/* Whether the last flush left something: the owner is to wait for EPOLLOUT. */
bool grpc_transport_wants_write(const struct grpc_transport *transport);

/* Whether the session has ended and everything is written: the owner is to close the connection. */
bool grpc_transport_is_over(const struct grpc_transport *transport);

/* For a buffer that is appended to and consumed from its head: drops the first *start bytes once
 * they are the larger part. */
void grpc_transport_compact(struct buf *b, size_t *start);

/* Frees the session and closes the socket. */
void grpc_transport_close(struct grpc_transport *transport);

#endif
