#include <stdlib.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "grpc/server_private.h"

enum {
    /* How much a peer may send ahead. Large, so that requests never wait for a window; what is
     * held of them is bounded elsewhere (call.c), and what is not read yet stays in the kernel. */
    STREAM_WINDOW = 1024 * 1024,
    CONNECTION_WINDOW = 16 * 1024 * 1024,
    /* Streams that a peer may reset: all that it can have open at once, then a thousand a second
     * (a proxy under load gives up calls in bulk). One costs some microseconds; more is an
     * attack, which nghttp2 answers by ending the connection. */
    RESET_BURST = 16384,
    RESETS_A_SECOND = 1000,
    /* SETTINGS that a peer may send: so many, then one a second. Each may change the windows of all its streams, so a few
     * kilobytes of them could keep the loop busy for long. Real peers send one or two in all. */
    SETTINGS_BURST = 32,
};

/* --- what nghttp2 tells --------------------------------------------------------------------- */

static struct grpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* Before the frame is worked on, not after. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *user_data)
{
    (void)session;
    struct grpc_connection *connection = user_data;
    if (header->type != NGHTTP2_SETTINGS || (header->flags & NGHTTP2_FLAG_ACK) != 0)
        return 0;
    uint64_t now = loop_now(connection->server->loop) / 1000;
    uint64_t regained = now - connection->settings_second;
    connection->settings_second = now;
    connection->settings_used -=
        regained < connection->settings_used ? (unsigned)regained : connection->settings_used;
    return connection->settings_used++ < SETTINGS_BURST ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    /* Trailers of a request begin headers, too: gRPC gives them no meaning. */
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_call *call = grpc_call_open(user_data, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    (void)flags;
    (void)user_data;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL)
        grpc_call_take_header(call, str_make((const char *)name, name_len),
                              str_make((const char *)value, value_len));
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct grpc_call *call = call_of(session, stream_id);
    if (call != NULL)
        grpc_call_take_data(call, str_make((const char *)data, len));
    return 0;
}

/* The peer has answered the PING that went with the announcement of the end: the calls that it
 * had opened are here by now, and it is time to say which is the last. (nghttp2 writes a PING
 * before all else, so a call may still cross the announcement; by the number in this GOAWAY its
 * caller knows that it was not served and can be tried elsewhere.) */
static void say_goodbye(struct grpc_connection *connection)
{
    nghttp2_session *session = connection->transport.session;
    if (!connection->draining || connection->said_goodbye)
        return;
    connection->said_goodbye = true;
    nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, NULL,
                          0);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct grpc_connection *connection = user_data;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        say_goodbye(connection);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_call_end_headers(call);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        grpc_call_end_request(call);
    else if (connection->borrower == call)
        grpc_call_keep_request(call);
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)user_data;
    int32_t id = frame->hd.stream_id;
    /* An answer that was given before the request has ended: the peer is asked to leave off (RFC
     * 9113, 8.1), or the stream would stay open for as long as it likes. */
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user_data)
{
    (void)error_code;
    (void)user_data;
    struct grpc_call *call = call_of(session, stream_id);
    if (call != NULL)
        grpc_call_close(call);
    return 0;
}

void grpc_connection_init_shared(struct grpc_server *server)
{
    nghttp2_session_callbacks_new(&server->callbacks);
    nghttp2_session_callbacks_set_on_begin_frame_callback(server->callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(server->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(server->callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(server->callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(server->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(server->callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(server->callbacks, on_stream_close);

    /* No extension frame type is registered: nghttp2 skips them all (CVE-2026-27135). */
    nghttp2_option_new(&server->option);
    /* Closed streams would be kept for the sake of priorities, and memory would grow. */
    nghttp2_option_set_no_closed_streams(server->option, 1);
    nghttp2_option_set_stream_reset_rate_limit(server->option, RESET_BURST, RESETS_A_SECOND);
}

/* --- a turn of the loop --------------------------------------------------------------------- */

static void set_events(struct grpc_connection *connection, uint32_t events)
{
    if (connection->events == events)
        return;
    connection->events = events;
    loop_modify(connection->server->loop, &connection->watch, events);
}

/* Only when the socket has taken everything: so a slow peer holds no more than its calls let
 * wait. */
static void tell_drained(struct grpc_connection *connection)
{
    connection->has_drained = false;
    for (struct grpc_call *call = connection->calls, *next; call != NULL; call = next) {
        next = call->next;
        grpc_call_tell_drained(call);
    }
}

/* False, with a reason, if the connection is to be closed. */
static bool take_turn(struct grpc_connection *connection, uint32_t events, const char **reason)
{
    struct grpc_transport *transport = &connection->transport;
    if ((events & EPOLLIN) != 0) {
        if (!grpc_transport_receive(transport, reason))
            return false;
        if (connection->borrower != NULL)
            grpc_call_keep_request(connection->borrower);
    }
    if (!grpc_transport_flush(transport, reason))
        return false;
    if (connection->has_drained && !grpc_transport_wants_write(transport)) {
        tell_drained(connection);
        if (!grpc_transport_flush(transport, reason))
            return false;
    }
    if (connection->broken) {
        *reason = "out of memory";
        return false;
    }
    return !grpc_transport_is_over(transport);
}

static uint32_t wanted_events(const struct grpc_connection *connection)
{
    uint32_t events = 0;
    if (!grpc_transport_is_blocked(&connection->transport))
        events |= EPOLLIN;
    if (grpc_transport_wants_write(&connection->transport) || connection->has_drained)
        events |= EPOLLOUT;
    return events;
}

static void on_event(void *ctx, uint32_t events)
{
    struct grpc_connection *connection = ctx;
    const char *reason = "finished";
    connection->busy = true;
    bool alive = take_turn(connection, events, &reason);
    connection->busy = false;
    /* Without interest in reading, an error would be reported for ever. */
    if ((events & EPOLLIN) == 0 && (events & (EPOLLERR | EPOLLHUP)) != 0)
        alive = false;
    if (alive) {
        set_events(connection, wanted_events(connection));
    } else {
        log_event(LOG_DEBUG, "gRPC connection ended", LOG_C("reason", reason));
        grpc_connection_close(connection);
    }
}

void grpc_connection_wake(struct grpc_connection *connection)
{
    if (!connection->busy)
        set_events(connection, connection->events | EPOLLOUT);
}

/* --- the life of a connection --------------------------------------------------------------- */

static void make_session(struct grpc_connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, connection->server->limits.calls},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_HEADER_LIST_LIMIT},
        /* All calls are equal; a peer has no use for nghttp2's tree of priorities. */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_session **session = &connection->transport.session;
    nghttp2_session_server_new2(session, connection->server->callbacks, connection,
                                connection->server->option);
    nghttp2_submit_settings(*session, NGHTTP2_FLAG_NONE, settings,
                            sizeof(settings) / sizeof(settings[0]));
    nghttp2_session_set_local_window_size(*session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

void grpc_connection_open(struct grpc_server *server, int fd)
{
    struct error err;
    struct grpc_connection *connection = mem_zalloc(sizeof(*connection));
    connection->server = server;
    connection->transport.fd = fd;
    connection->transport.loop = server->loop;
    connection->transport.unsent_limit = server->limits.unsent_bytes;
    connection->watch = (struct loop_watch){fd, on_event, connection};
    /* The server speaks first: EPOLLOUT, to have its SETTINGS sent. */
    connection->events = EPOLLIN | EPOLLOUT;
    make_session(connection);
    if (!loop_add(server->loop, &connection->watch, connection->events, &err)) {
        log_event(LOG_WARNING, "Closed a gRPC connection", LOG_C("reason", err.text));
        grpc_transport_close(&connection->transport);
        free(connection);
        return;
    }
    connection->next = server->connections;
    if (connection->next != NULL)
        connection->next->prev = connection;
    server->connections = connection;
    server->connection_count++;
}

void grpc_connection_close(struct grpc_connection *connection)
{
    struct grpc_server *server = connection->server;
    /* What on_closed may say to other calls of this connection needs no flush any more. */
    connection->busy = true;
    while (connection->calls != NULL)
        grpc_call_close(connection->calls);
    loop_remove(server->loop, &connection->watch);
    grpc_transport_close(&connection->transport);
    if (connection->prev != NULL)
        connection->prev->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next != NULL)
        connection->next->prev = connection->prev;
    free(connection);
    server->connection_count--;
    grpc_server_connection_closed(server);
}

void grpc_connection_drain(struct grpc_connection *connection)
{
    nghttp2_session *session = connection->transport.session;
    if (connection->draining)
        return;
    connection->draining = true;
    nghttp2_submit_shutdown_notice(session);
    nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, NULL);
    for (struct grpc_call *call = connection->calls, *next; call != NULL; call = next) {
        next = call->next;
        grpc_call_drain(call);
    }
    grpc_connection_wake(connection);
}

void grpc_connection_hang_up(struct grpc_connection *connection)
{
    const char *reason;
    connection->busy = true;
    for (struct grpc_call *call = connection->calls, *next; call != NULL; call = next) {
        next = call->next;
        grpc_call_abort(call, GRPC_UNAVAILABLE, STR("the server has stopped"));
    }
    say_goodbye(connection);
    /* To be polite; that it succeeds does not matter any more. */
    grpc_transport_flush(&connection->transport, &reason);
    grpc_connection_close(connection);
}
