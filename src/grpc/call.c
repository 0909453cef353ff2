#include <stdlib.h>

#include "base/log.h"
#include "grpc/header.h"
#include "grpc/server_private.h"

enum {
    /* Bytes of responses that wait for a peer that opens no window for them; beyond it, its new
     * calls are refused. */
    PENDING_LIMIT = 32 * 1024 * 1024,
    /* Call objects kept to be used again, and the size of a buffer that each may keep: a steady
     * load of small calls allocates nothing here, and what a burst leaves behind stays under 1
     * MiB. */
    SPARE_CALLS = 256,
    SPARE_BUFFER = 1024,
    /* A shared message from this size on is not copied. */
    SHARED_LEAST = 16 * 1024,
};

enum { STATIC_HEADER = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };

#define HEADER(name, value)                                                                        \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, STATIC_HEADER  \
    }

static const nghttp2_nv response_headers[] = {
    HEADER(":status", "200"),
    HEADER("content-type", "application/grpc"),
};

/* Indexed by enum grpc_code. */
static const nghttp2_nv status_headers[] = {
    HEADER("grpc-status", "0"),  HEADER("grpc-status", "1"),  HEADER("grpc-status", "2"),
    HEADER("grpc-status", "3"),  HEADER("grpc-status", "4"),  HEADER("grpc-status", "5"),
    HEADER("grpc-status", "6"),  HEADER("grpc-status", "7"),  HEADER("grpc-status", "8"),
    HEADER("grpc-status", "9"),  HEADER("grpc-status", "10"), HEADER("grpc-status", "11"),
    HEADER("grpc-status", "12"), HEADER("grpc-status", "13"), HEADER("grpc-status", "14"),
    HEADER("grpc-status", "15"), HEADER("grpc-status", "16"),
};

static const nghttp2_nv method_not_allowed[] = {HEADER(":status", "405"), HEADER("allow", "POST")};
static const nghttp2_nv unsupported_media_type[] = {HEADER(":status", "415")};
static const nghttp2_nv accept_encoding_header = HEADER("grpc-accept-encoding", "identity");

/* --- the life of a call --------------------------------------------------------------------- */

struct grpc_call *grpc_call_open(struct grpc_connection *connection, int32_t stream_id)
{
    struct grpc_server *server = connection->server;
    struct grpc_call *call = server->free_calls;
    if (call != NULL) {
        server->free_calls = call->next;
        server->free_call_count--;
    } else {
        call = mem_zalloc(sizeof(*call));
    }
    call->connection = connection;
    call->stream_id = stream_id;
    call->prev = NULL;
    call->next = connection->calls;
    if (call->next != NULL)
        call->next->prev = call;
    connection->calls = call;
    server->call_count++;
    return call;
}

/* Empties a buffer; one that has grown is given back. */
static void recycle(struct buf *b)
{
    if (b->capacity > SPARE_BUFFER)
        buf_free(b);
    b->len = 0;
}

static void release_request(struct grpc_call *call)
{
    call->connection->buffered -= call->buffered;
    call->buffered = 0;
    call->request = str_make(NULL, 0);
    if (call->connection->borrower == call)
        call->connection->borrower = NULL;
    recycle(&call->reader.held);
}

static void free_call(struct grpc_call *call)
{
    buf_free(&call->reader.held);
    buf_free(&call->out);
    buf_free(&call->status_message);
    free(call);
}

void grpc_call_close(struct grpc_call *call)
{
    struct grpc_connection *connection = call->connection;
    struct grpc_server *server = connection->server;
    if (!call->finished) {
        /* What on_closed may still try to say goes nowhere. */
        call->finished = true;
        if (call->on_closed != NULL)
            call->on_closed(call->closed_ctx);
    }
    grpc_deadlines_clear(&server->deadlines, &call->deadline);
    release_request(call);
    connection->pending -= grpc_call_pending(call);
    blob_unref(call->shared);
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        connection->calls = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    server->call_count--;
    if (server->free_call_count >= SPARE_CALLS) {
        free_call(call);
        return;
    }
    recycle(&call->out);
    recycle(&call->status_message);
    *call = (struct grpc_call){.next = server->free_calls,
                               .reader.held = call->reader.held,
                               .out = call->out,
                               .status_message = call->status_message};
    server->free_calls = call;
    server->free_call_count++;
}

void grpc_call_free_spare(struct grpc_server *server)
{
    while (server->free_calls != NULL) {
        struct grpc_call *call = server->free_calls;
        server->free_calls = call->next;
        free_call(call);
    }
    server->free_call_count = 0;
}

/* --- the response --------------------------------------------------------------------------- */

/* Fills in grpc-status and what goes with it; returns how many. */
static size_t make_status(const struct grpc_call *call, nghttp2_nv headers[static 2])
{
    headers[0] = status_headers[call->code];
    if (call->status_message.len == 0)
        return 1;
    /* Not to be indexed: it would push what is worth it out of the header table. */
    headers[1] = (nghttp2_nv){.name = (uint8_t *)"grpc-message",
                              .namelen = strlen("grpc-message"),
                              .value = (uint8_t *)call->status_message.data,
                              .valuelen = call->status_message.len,
                              .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX};
    return 2;
}

/* nghttp2 fails to queue a frame only for want of memory. */
static void check_queued(struct grpc_call *call, int result)
{
    if (result != 0)
        call->connection->broken = true;
}

static size_t take_out(struct grpc_call *call, uint8_t *place, size_t room)
{
    size_t left = call->out.len - call->out_start, len = left < room ? left : room;
    if (len > 0)
        memcpy(place, call->out.data + call->out_start, len);
    call->out_start += len;
    if (len == left) {
        call->out_start = 0;
        recycle(&call->out);
    }
    return len;
}

static size_t take_shared(struct grpc_call *call, uint8_t *place, size_t room)
{
    if (call->shared == NULL || room == 0)
        return 0;
    size_t left = call->shared->len - call->shared_start, len = left < room ? left : room;
    memcpy(place, call->shared->bytes + call->shared_start, len);
    call->shared_start += len;
    if (len == left) {
        blob_unref(call->shared);
        call->shared = NULL;
    }
    return len;
}

/* nghttp2 fetches the body of the response, as far as flow control lets it send. */
static ssize_t read_response(nghttp2_session *session, int32_t stream_id, uint8_t *place,
                             size_t room, uint32_t *flags, nghttp2_data_source *source,
                             void *user_data)
{
    (void)user_data;
    struct grpc_call *call = source->ptr;
    if (grpc_call_pending(call) == 0 && !call->finished) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t len = take_out(call, place, room);
    len += take_shared(call, place + len, room - len);
    call->connection->pending -= len;
    if (grpc_call_pending(call) > 0)
        return (ssize_t)len;
    if (call->finished) {
        nghttp2_nv trailers[2];
        size_t count = make_status(call, trailers);
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        check_queued(call, nghttp2_submit_trailer(session, stream_id, trailers, count));
    } else if (call->on_drained != NULL) {
        call->connection->has_drained = true;
    }
    return (ssize_t)len;
}

/* Sends the response headers before the first message; later, tells nghttp2 that there is more. */
static void respond(struct grpc_call *call)
{
    nghttp2_session *session = call->connection->transport.session;
    if (!call->responding) {
        nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_response};
        call->responding = true;
        check_queued(call,
                     nghttp2_submit_response(session, call->stream_id, response_headers, 2, &body));
    } else if (call->deferred) {
        call->deferred = false;
        check_queued(call, nghttp2_session_resume_data(session, call->stream_id));
    }
    grpc_connection_wake(call->connection);
}

/* "Trailers-only": the status without any message, all in one frame. */
static void respond_status_only(struct grpc_call *call)
{
    nghttp2_nv headers[5] = {response_headers[0], response_headers[1]};
    size_t count = 2 + make_status(call, headers + 2);
    if (call->refused_encoding)
        headers[count++] = accept_encoding_header;
    check_queued(call, nghttp2_submit_response(call->connection->transport.session, call->stream_id,
                                               headers, count, NULL));
    grpc_connection_wake(call->connection);
}

/* Whether a message may be sent now; what is to come stands behind what was sent before. */
static bool prepare_to_send(struct grpc_call *call, size_t len)
{
    if (call->finished)
        return false;
    if (len > GRPC_MESSAGE_LIMIT) {
        log_event(LOG_ERROR, "Message is too long to be sent",
                  LOG_STR("method", call->method->path), LOG_INT("bytes", len));
        grpc_call_abort(call, GRPC_RESOURCE_EXHAUSTED, STR("the answer is longer than 4 MiB"));
        return false;
    }
    grpc_transport_compact(&call->out, &call->out_start);
    if (call->shared != NULL) {
        buf_append_str(&call->out, str_from(blob_str(call->shared), call->shared_start));
        blob_unref(call->shared);
        call->shared = NULL;
    }
    call->connection->pending += GRPC_FRAME_PREFIX + len;
    return true;
}

void grpc_call_send(struct grpc_call *call, struct str message)
{
    if (!prepare_to_send(call, message.len))
        return;
    grpc_frame_append(&call->out, message);
    respond(call);
}

void grpc_call_send_shared(struct grpc_call *call, struct blob *message)
{
    if (message->len < SHARED_LEAST) {
        grpc_call_send(call, blob_str(message));
        return;
    }
    if (!prepare_to_send(call, message->len))
        return;
    grpc_frame_append_prefix(&call->out, message->len);
    call->shared = blob_ref(message);
    call->shared_start = 0;
    respond(call);
}

void grpc_call_finish(struct grpc_call *call, enum grpc_code code, struct str message)
{
    if (call->finished)
        return;
    call->finished = true;
    call->code = code;
    call->on_closed = call->on_drained = NULL;
    grpc_header_encode_message(&call->status_message, message);
    grpc_deadlines_clear(&call->connection->server->deadlines, &call->deadline);
    if (call->responding)
        respond(call);
    else
        respond_status_only(call);
}

void grpc_call_reset(struct grpc_call *call)
{
    if (call->finished)
        return;
    call->finished = true;
    call->on_closed = call->on_drained = NULL;
    call->connection->pending -= grpc_call_pending(call);
    buf_free(&call->out);
    call->out_start = 0;
    blob_unref(call->shared);
    call->shared = NULL;
    grpc_deadlines_clear(&call->connection->server->deadlines, &call->deadline);
    check_queued(call,
                 nghttp2_submit_rst_stream(call->connection->transport.session, NGHTTP2_FLAG_NONE,
                                           call->stream_id, NGHTTP2_CANCEL));
    grpc_connection_wake(call->connection);
}

void grpc_call_abort(struct grpc_call *call, enum grpc_code code, struct str message)
{
    void (*on_closed)(void *ctx) = call->on_closed;
    void *ctx = call->closed_ctx;
    if (call->finished)
        return;
    grpc_call_finish(call, code, message);
    if (on_closed != NULL)
        on_closed(ctx);
}

void grpc_call_drain(struct grpc_call *call)
{
    if (call->kept && call->responding)
        grpc_call_abort(call, GRPC_UNAVAILABLE, STR("the server is stopping"));
}

void grpc_call_on_closed(struct grpc_call *call, void (*on_closed)(void *ctx), void *ctx)
{
    if (call->finished)
        return;
    call->on_closed = on_closed;
    call->closed_ctx = ctx;
}

void grpc_call_on_drained(struct grpc_call *call, void (*on_drained)(void *ctx), void *ctx)
{
    if (call->finished)
        return;
    call->on_drained = on_drained;
    call->drained_ctx = ctx;
}

void grpc_call_tell_drained(struct grpc_call *call)
{
    if (call->on_drained != NULL && call->responding && call->out.len == 0)
        call->on_drained(call->drained_ctx);
}

size_t grpc_call_pending(const struct grpc_call *call)
{
    size_t shared = call->shared != NULL ? call->shared->len - call->shared_start : 0;
    return call->out.len - call->out_start + shared;
}

/* --- the request ---------------------------------------------------------------------------- */

/* Answers before the handler was asked. What still comes of the request is ignored. */
static void refuse(struct grpc_call *call, enum grpc_code code, struct str message)
{
    release_request(call);
    grpc_call_finish(call, code, message);
}

/* Answers one that does not speak gRPC. */
static void refuse_http(struct grpc_call *call, const nghttp2_nv *headers, size_t count)
{
    call->finished = true;
    check_queued(call, nghttp2_submit_response(call->connection->transport.session, call->stream_id,
                                               headers, count, NULL));
    grpc_connection_wake(call->connection);
}

static const struct grpc_method *find_method(const struct grpc_server *server, struct str path)
{
    for (size_t i = 0; i < server->method_count; i++) {
        if (str_eq(server->methods[i].path, path))
            return &server->methods[i];
    }
    return NULL;
}

static void take_timeout(struct grpc_call *call, struct str value)
{
    uint64_t timeout;
    if (!grpc_header_parse_timeout(value, &timeout)) {
        call->bad_timeout = true;
        return;
    }
    call->has_deadline = true;
    call->due = loop_now(call->connection->server->loop) + timeout;
}

void grpc_call_take_header(struct grpc_call *call, struct str name, struct str value)
{
    call->header_bytes += (uint32_t)(name.len + value.len + 32);
    if (call->header_bytes > GRPC_HEADER_LIST_LIMIT)
        return;
    if (str_eq(name, STR(":path"))) {
        call->method = find_method(call->connection->server, value);
    } else if (str_eq(name, STR(":method"))) {
        call->is_post = str_eq(value, STR("POST"));
    } else if (str_eq(name, STR("content-type"))) {
        call->is_grpc = grpc_header_is_grpc(value);
    } else if (str_eq(name, STR("grpc-timeout"))) {
        take_timeout(call, value);
    }
}

void grpc_call_end_headers(struct grpc_call *call)
{
    if (call->header_bytes > GRPC_HEADER_LIST_LIMIT)
        refuse(call, GRPC_RESOURCE_EXHAUSTED, STR("the headers are longer than 64 KiB"));
    else if (!call->is_post)
        refuse_http(call, method_not_allowed, 2);
    else if (!call->is_grpc)
        refuse_http(call, unsupported_media_type, 1);
    else if (call->method == NULL)
        refuse(call, GRPC_UNIMPLEMENTED, STR("unknown method"));
    else if (call->bad_timeout)
        refuse(call, GRPC_INVALID_ARGUMENT, STR("malformed grpc-timeout"));
    else if (call->has_deadline)
        grpc_deadlines_set(&call->connection->server->deadlines, &call->deadline, call, call->due);
}

static void refuse_frame(struct grpc_call *call, enum grpc_frame_result result)
{
    if (result == GRPC_FRAME_TOO_LARGE) {
        refuse(call, GRPC_RESOURCE_EXHAUSTED, STR("the message is longer than 4 MiB"));
    } else if (result == GRPC_FRAME_COMPRESSED) {
        call->refused_encoding = true;
        refuse(call, GRPC_UNIMPLEMENTED, STR("compressed messages are not supported"));
    } else {
        refuse(call, GRPC_INTERNAL, STR("malformed message prefix"));
    }
}

/* Brings the count of bytes held up to date. */
static void count_buffered(struct grpc_call *call)
{
    struct grpc_connection *connection = call->connection;
    connection->buffered += call->reader.held.len - call->buffered;
    call->buffered = call->reader.held.len;
    /* Holding back flow-control windows instead of refusing would block for ever a peer whose messages come side by
     * side, each of them waiting for the room of the others. */
    if (connection->buffered > connection->server->limits.request_bytes)
        refuse(call, GRPC_RESOURCE_EXHAUSTED,
               STR("too many bytes of unfinished requests on this connection"));
}

void grpc_call_take_data(struct grpc_call *call, struct str data)
{
    if (call->finished)
        return;
    struct str rest = data;
    if (!call->has_request) {
        enum grpc_frame_result result = grpc_frame_read(&call->reader, &rest, &call->request);
        if (result > GRPC_FRAME_MESSAGE) {
            refuse_frame(call, result);
            return;
        }
        call->has_request = result == GRPC_FRAME_MESSAGE;
    }
    if (rest.len > 0)
        refuse(call, GRPC_INTERNAL, STR("more than one message in the request"));
    else if (call->has_request && call->reader.held.len == 0)
        call->connection->borrower = call;
    else
        count_buffered(call);
}

void grpc_call_keep_request(struct grpc_call *call)
{
    call->connection->borrower = NULL;
    buf_append_str(&call->reader.held, call->request);
    call->request = buf_str(&call->reader.held);
    count_buffered(call);
}

/* Asks the handler. */
static void dispatch(struct grpc_call *call)
{
    call->method->handler(call->method->ctx, call, call->request);
    release_request(call);
    call->kept = !call->finished;
    if (call->connection->server->draining)
        grpc_call_drain(call);
}

void grpc_call_end_request(struct grpc_call *call)
{
    if (call->finished)
        return;
    if (grpc_frame_is_partial(&call->reader))
        refuse(call, GRPC_INTERNAL, STR("the request ends within a message"));
    else if (!call->has_request)
        refuse(call, GRPC_INVALID_ARGUMENT, STR("no message in the request"));
    else if (call->has_deadline && call->due <= loop_now(call->connection->server->loop))
        refuse(call, GRPC_DEADLINE_EXCEEDED, STR("the deadline has passed"));
    else if (call->connection->pending > PENDING_LIMIT)
        refuse(call, GRPC_RESOURCE_EXHAUSTED, STR("too many bytes of answers are waiting"));
    else
        dispatch(call);
}
