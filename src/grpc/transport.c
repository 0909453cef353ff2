#include "grpc/transport.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is written in one turn of the loop to one peer, so that one that reads fast does not keep the others waiting. */
enum { TURN_LIMIT = 1024 * 1024 };

bool grpc_transport_receive(struct grpc_transport *transport, const char **reason)
{
    uint8_t *scratch = loop_scratch(transport->loop);
    ssize_t len = recv(transport->fd, scratch, LOOP_SCRATCH, 0);
    if (len == 0) {
        *reason = "closed by the peer";
        return false;
    }
    if (len < 0) {
        bool later = errno == EAGAIN || errno == EINTR;
        *reason = strerror(errno);
        return later;
    }
    ssize_t used = nghttp2_session_mem_recv(transport->session, scratch, (size_t)len);
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

static size_t unsent_len(const struct grpc_transport *transport)
{
    return transport->unsent.len - transport->unsent_start;
}

static bool send_unsent(struct grpc_transport *transport, const char **reason)
{
    size_t left = unsent_len(transport), sent;
    if (left == 0)
        return true;
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

static bool send_or_hold(struct grpc_transport *transport, const uint8_t *data, size_t len,
                         const char **reason)
{
    size_t sent = 0;
    if (len > 0 && unsent_len(transport) == 0 &&
        !send_some(transport->fd, data, len, &sent, reason))
        return false;
    grpc_transport_compact(&transport->unsent, &transport->unsent_start);
    buf_append(&transport->unsent, data + sent, len - sent);
    return true;
}

void grpc_transport_compact(struct buf *b, size_t *start)
{
    if (*start <= b->len / 2)
        return;
    b->len -= *start;
    memmove(b->data, b->data + *start, b->len);
    *start = 0;
}

bool grpc_transport_flush(struct grpc_transport *transport, const char **reason)
{
    uint8_t *scratch = loop_scratch(transport->loop);
    size_t used = 0, total = 0;
    if (!send_unsent(transport, reason))
        return false;
    while (total < TURN_LIMIT && unsent_len(transport) < transport->unsent_limit) {
        const uint8_t *frame;
        ssize_t result = nghttp2_session_mem_send(transport->session, &frame);
        if (result < 0) {
            *reason = nghttp2_strerror((int)result);
            return false;
        }
        size_t len = (size_t)result;
        if (len == 0)
            break;
        /* Frames are gathered until the next does not fit. One always does: nghttp2 sends no
         * payload over 16 KiB unless it is told to. */
        if (len > LOOP_SCRATCH - used) {
            if (!send_or_hold(transport, scratch, used, reason))
                return false;
            used = 0;
        }
        memcpy(scratch + used, frame, len);
        used += len;
        total += len;
    }
    transport->paused = total >= TURN_LIMIT;
    return send_or_hold(transport, scratch, used, reason);
}

bool grpc_transport_is_blocked(const struct grpc_transport *transport)
{
    return unsent_len(transport) >= transport->unsent_limit;
}

bool grpc_transport_wants_write(const struct grpc_transport *transport)
{
    return unsent_len(transport) > 0 || transport->paused;
}

bool grpc_transport_is_over(const struct grpc_transport *transport)
{
    return !grpc_transport_wants_write(transport) &&
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
