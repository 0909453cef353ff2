/* What a call answers: its messages, and the status that ends it. */
#include "base/log.h"
#include "grpc/header.h"
#include "grpc/server_private.h"

/* A shared message from this size on is not copied. */
enum { SHARED_LEAST = 16 * 1024 };

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
        grpc_call_recycle(&call->out);
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

void grpc_call_refuse_http(struct grpc_call *call)
{
    const nghttp2_nv *headers = call->is_post ? unsupported_media_type : method_not_allowed;
    call->finished = true;
    check_queued(call, nghttp2_submit_response(call->connection->transport.session, call->stream_id,
                                               headers, call->is_post ? 1 : 2, NULL));
    grpc_connection_wake(call->connection);
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

void grpc_call_on_drained(struct grpc_call *call, void (*on_drained)(void *ctx), void *ctx)
{
    if (call->finished)
        return;
    call->on_drained = on_drained;
    call->drained_ctx = ctx;
}

void grpc_call_tell_drained(struct grpc_call *call)
{
    if (call->on_drained != NULL && call->responding && grpc_call_pending(call) == 0)
        call->on_drained(call->drained_ctx);
}

size_t grpc_call_pending(const struct grpc_call *call)
{
    size_t shared = call->shared != NULL ? call->shared->len - call->shared_start : 0;
    return call->out.len - call->out_start + shared;
}
