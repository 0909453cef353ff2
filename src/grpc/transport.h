/* One nghttp2 session on one non-blocking socket: what server and client have in common.
 *
 * The owner watches the socket. When it is readable, grpc_transport_receive feeds what came to
 * the session; then grpc_transport_flush writes all that the session has to say, in as few system
 * calls as possible. While the peer does not take what is written (grpc_transport_is_blocked), an
 * owner that does not trust it must not receive: so what waits in memory is no more than one
 * receive gave rise to.
 */
#ifndef GRPC_TRANSPORT_H
#define GRPC_TRANSPORT_H

#include <nghttp2/nghttp2.h>

#include "base/loop.h"
#include "base/mem.h"

struct grpc_transport {
    int fd; /* -1: none */
    nghttp2_session *session;
    struct buf unsent;   /* what the socket did not take, or what is left for the next turn */
    size_t unsent_start; /* bytes of it that it took meanwhile */
};

/* Where bytes are put on their way in or out; nothing stays there, so all transports of a thread
 * share one. */
struct grpc_transport_scratch {
    uint8_t bytes[64 * 1024];
};

/* Receives once and feeds the session. False if the connection is over; *reason (living until the
 * next error) says why. */
bool grpc_transport_receive(struct grpc_transport *transport,
                            struct grpc_transport_scratch *scratch, const char **reason);

/* Writes what the session has to say, until the socket is full. False as above. */
bool grpc_transport_flush(struct grpc_transport *transport, struct grpc_transport_scratch *scratch,
                          const char **reason);

/* Whether the last flush left something: the owner is to wait for EPOLLOUT. */
bool grpc_transport_is_blocked(const struct grpc_transport *transport);

/* Whether the session has ended and everything is written: the owner is to close the connection. */
bool grpc_transport_is_over(const struct grpc_transport *transport);

/* Frees the session and closes the socket. */
void grpc_transport_close(struct grpc_transport *transport);

#endif
