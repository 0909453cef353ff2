/* For the tests of the gRPC server: a raw client, which sends any headers, any bytes, in any order. */
#ifndef TESTS_GRPC_PEER_H
#define TESTS_GRPC_PEER_H

#include "grpc_world.h"

struct peer_call {
    int32_t id;
    struct buf body; /* nghttp2 has taken the first `sent` bytes */
    size_t sent;
    bool end; /* END_STREAM behind the body */
    int http_status, grpc_status;
    struct buf data;
    bool accepts_identity; /* grpc-accept-encoding */
    bool answered;         /* END_STREAM from the server */
    bool closed;
    uint32_t reset_code;
};

struct peer {
    struct loop *loop;
    struct loop_watch watch;
    struct grpc_transport transport;
    size_t open; /* calls that are not closed */
    bool gone;   /* the server has closed the connection */
    bool deaf;   /* does not read */
    int goaways;
    int32_t last_id; /* of the last GOAWAY */
};

static inline ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *place, size_t room,
                                uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)session;
    (void)id;
    (void)user_data;
    struct peer_call *call = source->ptr;
    size_t len = call->body.len - call->sent;
    len = len < room ? len : room;
    if (len > 0)
        memcpy(place, call->body.data + call->sent, len);
    call->sent += len;
    if (call->sent == call->body.len && call->end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (len == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)len;
}

static inline int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                 const uint8_t *name_bytes, size_t name_len,
                                 const uint8_t *value_bytes, size_t value_len, uint8_t flags,
                                 void *user_data)
{
    (void)flags;
    (void)user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct str name = str_make((const char *)name_bytes, name_len);
    struct str value = str_make((const char *)value_bytes, value_len);
    if (str_eq(name, STR(":status")))
        call->http_status = atoi(value.ptr);
    if (str_eq(name, STR("grpc-status")))
        call->grpc_status = atoi(value.ptr);
    if (str_eq(name, STR("grpc-accept-encoding")))
        call->accepts_identity = str_eq(value, STR("identity"));
    return 0;
}

static inline int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                               const uint8_t *data, size_t len, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, id);
    buf_append(&call->data, data, len);
    return 0;
}

static inline int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                                void *user_data)
{
    struct peer *peer = user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        peer->goaways++;
        peer->last_id = frame->goaway.last_stream_id;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        call->answered = true;
    return 0;
}

static inline int peer_on_close(nghttp2_session *session, int32_t id, uint32_t code,
                                void *user_data)
{
    struct peer *peer = user_data;
    struct peer_call *call = nghttp2_session_get_stream_user_data(session, id);
    call->closed = true;
    call->reset_code = code;
    peer->open--;
    return 0;
}

static inline void peer_wake(struct peer *peer)
{
    uint32_t in = peer->deaf ? 0 : (uint32_t)EPOLLIN;
    if (!peer->gone)
        loop_modify(peer->loop, &peer->watch, in | EPOLLOUT);
}

static inline void peer_on_event(void *ctx, uint32_t events)
{
    struct peer *peer = ctx;
    const char *reason;
    bool alive = (events & EPOLLIN) == 0 || grpc_transport_receive(&peer->transport, &reason);
    alive = alive && grpc_transport_flush(&peer->transport, &reason);
    if (!alive || (events & EPOLLERR) != 0) {
        loop_remove(peer->loop, &peer->watch);
        peer->gone = true;
        return;
    }
    uint32_t out = grpc_transport_wants_write(&peer->transport) ? (uint32_t)EPOLLOUT : 0;
    loop_modify(peer->loop, &peer->watch, (peer->deaf ? 0 : (uint32_t)EPOLLIN) | out);
}

static inline int connect_raw(struct world *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* `window`: that the peer opens for each answer. */
static inline struct peer *peer_new(struct world *w, uint32_t window)
{
    struct error err;
    struct peer *peer = mem_zalloc(sizeof(*peer));
    peer->loop = w->loop;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_option_new(&option);
    nghttp2_option_set_peer_max_concurrent_streams(option, 20000);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1024 * 1024);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, peer_on_close);
    nghttp2_session_client_new2(&peer->transport.session, callbacks, peer, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
    nghttp2_submit_settings(peer->transport.session, 0, settings, 1);
    peer->transport.fd = connect_raw(w);
    peer->transport.loop = w->loop;
    peer->transport.unsent_limit = GRPC_UNSENT_LIMIT;
    peer->watch = (struct loop_watch){peer->transport.fd, peer_on_event, peer};
    assert_true(loop_add(w->loop, &peer->watch, EPOLLIN | EPOLLOUT, &err));
    return peer;
}

static inline void peer_free(struct peer *peer)
{
    if (!peer->gone)
        loop_remove(peer->loop, &peer->watch);
    grpc_transport_close(&peer->transport);
    free(peer);
}

static inline void peer_call_free(struct peer_call *call)
{
    buf_free(&call->body);
    buf_free(&call->data);
}
#define CLEANUP_PEER_CALL __attribute__((cleanup(peer_call_free)))

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

/* Opens a stream with these headers, a list of names and values that ends with NULL. */
static inline void peer_open(struct peer *peer, struct peer_call *call, const char *const *headers,
                             bool end)
{
    nghttp2_nv list[16];
    size_t count = 0;
    for (; headers[2 * count] != NULL; count++)
        list[count] = pair(headers[2 * count], headers[2 * count + 1]);
    call->end = end;
    call->grpc_status = -1;
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_body};
    call->id = nghttp2_submit_request(peer->transport.session, NULL, list, count, &body, call);
    assert_true(call->id > 0);
    peer->open++;
    peer_wake(peer);
}

/* A proper call of `method` with these raw bytes as its body. */
static inline void peer_start(struct peer *peer, struct peer_call *call, const char *method,
                              struct str body, bool end)
{
    const char *const headers[] = {
        ":method", "POST",       ":scheme", "http",         ":path",
        method,    ":authority", "t",       "content-type", "application/grpc+proto",
        NULL};
    buf_append_str(&call->body, body);
    peer_open(peer, call, headers, end);
}

/* Sends more of the body. */
static inline void peer_continue(struct peer *peer, struct peer_call *call, struct str body,
                                 bool end)
{
    buf_append_str(&call->body, body);
    call->end = end;
    nghttp2_session_resume_data(peer->transport.session, call->id);
    peer_wake(peer);
}

static inline void peer_reset(struct peer *peer, struct peer_call *call)
{
    nghttp2_submit_rst_stream(peer->transport.session, 0, call->id, NGHTTP2_CANCEL);
    peer_wake(peer);
}

/* The status that a request with these bytes gets; the connection must live on. */
static inline void assert_status(struct world *w, struct peer *peer, struct str body, bool end,
                                 int wanted)
{
    CLEANUP_PEER_CALL struct peer_call call = {0}, after = {0};
    peer_start(peer, &call, "/t.T/Echo", body, end);
    UNTIL(w, call.closed);
    assert_int_equal(call.http_status, 200);
    assert_int_equal(call.grpc_status, wanted);
    assert_int_equal(call.accepts_identity, wanted == GRPC_UNIMPLEMENTED);
    peer_start(peer, &after, "/t.T/Echo", STR("\0\0\0\0\1x"), true);
    UNTIL(w, after.closed);
    assert_int_equal(after.grpc_status, GRPC_OK);
    assert_true(str_eq(buf_str(&after.data), STR("\0\0\0\0\1x")));
}

#endif
