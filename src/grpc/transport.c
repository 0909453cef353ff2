#include "grpc/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is written in one turn of the loop to one peer, so that one that reads fast does not keep
 * the others waiting. */
enum { TURN_LIMIT = 1024 * 1024 };

bool grpc_transport_receive(struct grpc_transport *transport,
                            struct grpc_transport_scratch *scratch, const char **reason)
{
    ssize_t len = recv(transport->fd, scratch->bytes, sizeof(scratch->bytes), 0);
    if (len == 0) {
        *reason = "closed by the peer";
        return false;
    }
    if (len < 0) {
        *reason = strerror(errno);
        return errno == EAGAIN || errno == EINTR;
    }
    ssize_t used = nghttp2_session_mem_recv(transport->session, scratch->bytes, (size_t)len);
    if (used < 0)
        *reason = nghttp2_strerror((int)used);
    return used >= 0;
}

/* *sent: how much the socket took, possibly nothing. */
static bool send_some(int fd, const void *data, size_t len, size_t *sent, const char **reason)
{
    ssize_t result = send(fd, data, len, MSG_NOSIGNAL);
    *sent = result > 0 ? (size_t)result : 0;
    if (result >= 0 || errno == EAGAIN || errno == EINTR)
        return true;
    *reason = strerror(errno);
    return false;
}

static bool send_unsent(struct grpc_transport *transport, const char **reason)
{
    size_t left = transport->unsent.len - transport->unsent_start;
    if (left == 0)
        return true;
    size_t sent;
    if (!send_some(transport->fd, transport->unsent.data + transport->unsent_start, left, &sent,
                   reason))
        return false;
    transport->unsent_start += sent;
    if (sent == left) {
        /* An idle connection holds no buffer. */
        buf_free(&transport->unsent);
        transport->unsent_start = 0;
    }
    return true;
}

/* Only called while nothing is unsent. */
static bool send_or_hold(struct grpc_transport *transport, const uint8_t *data, size_t len,
                         const char **reason)
{
    size_t sent = 0;
    if (len > 0 && !send_some(transport->fd, data, len, &sent, reason))
        return false;
    buf_append(&transport->unsent, data + sent, len - sent);
    return true;
}

bool grpc_transport_flush(struct grpc_transport *transport, struct grpc_transport_scratch *scratch,
                          const char **reason)
{
    if (!send_unsent(transport, reason))
        return false;
    size_t used = 0, written = 0;
    while (transport->unsent.len == 0) {
        const uint8_t *frame;
        ssize_t result = nghttp2_session_mem_send(transport->session, &frame);
        if (result < 0) {
            *reason = nghttp2_strerror((int)result);
            return false;
        }
        size_t len = (size_t)result;
        /* Frames are gathered until there are no more or the next does not fit. One frame always
         * does: nghttp2 sends no payload over 16 KiB unless it is told to. */
        if (len == 0 || len > sizeof(scratch->bytes) - used) {
            if (!send_or_hold(transport, scratch->bytes, used, reason))
                return false;
            written += used;
            used = 0;
        }
        if (len == 0)
            break;
        if (written >= TURN_LIMIT || transport->unsent.len > 0) {
            buf_append(&transport->unsent, frame, len);
        } else {
            memcpy(scratch->bytes + used, frame, len);
            used += len;
        }
    }
    return true;
}

bool grpc_transport_is_blocked(const struct grpc_transport *transport)
{
    return transport->unsent.len > 0;
}

bool grpc_transport_is_over(const struct grpc_transport *transport)
{
    return !grpc_transport_is_blocked(transport) &&
           !nghttp2_session_want_read(transport->session) &&
           !nghttp2_session_want_write(transport->session);
}

void grpc_transport_close(struct grpc_transport *transport)
{
    nghttp2_session_del(transport->session);
    buf_free(&transport->unsent);
    if (transport->fd >= 0)
        close(transport->fd);
}
