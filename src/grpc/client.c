#include "grpc/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grpc/frame.h"
#include "grpc/header.h"
#include "grpc/target.h"
#include "grpc/transport.h"

enum {
    /* How much a server may send ahead; what is not read yet of it stays in the kernel. */
    WINDOW = 16 * 1024 * 1024,
    NO_STATUS = -1,
};

struct grpc_client_call {
    struct loop *loop;
    struct grpc_client_callbacks callbacks;
    struct grpc_target target;
    struct loop_watch watch;
    uint32_t events; /* what the loop watches for */
    struct grpc_transport transport;
    bool connecting;
    bool busy; /* within a turn, at the end of which it is freed if it is cancelled */
    bool cancelled;
    bool delivered; /* a message in this turn */

    struct buf request; /* framed; nghttp2 has taken the first request_start bytes */
    size_t request_start;

    /* What the server has answered. */
    bool greeted;    /* its SETTINGS: it speaks HTTP/2 */
    int http_status; /* 0: none yet */
    int grpc_status; /* or NO_STATUS */
    struct buf status_message;
    struct grpc_frame_reader reader;
    bool closed; /* nothing comes any more */
    uint32_t reset_code;

    /* What went wrong otherwise. */
    bool failed;
    enum grpc_code failure;
    struct error reason;
};

static void free_call(struct grpc_client_call *call)
{
    if (call->transport.fd >= 0)
        loop_remove(call->loop, &call->watch);
    grpc_transport_close(&call->transport);
    grpc_target_free(&call->target);
    buf_free(&call->request);
    buf_free(&call->status_message);
    buf_free(&call->reader.held);
    free(call);
}

void grpc_client_cancel(struct grpc_client_call *call)
{
    if (call == NULL)
        return;
    call->cancelled = true;
    if (!call->busy)
        free_call(call);
}

static void fail(struct grpc_client_call *call, enum grpc_code code, const char *reason)
{
    call->failed = true;
    call->failure = code;
    error_set(&call->reason, "%s: %s", call->target.name.text, reason);
}

/* --- what nghttp2 tells --------------------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *place,
                            size_t room, uint32_t *flags, nghttp2_data_source *source,
                            void *user_data)
{
    (void)session;
    (void)stream_id;
    (void)user_data;
    struct grpc_client_call *call = source->ptr;
    size_t len = call->request.len - call->request_start;
    if (len > room)
        len = room;
    memcpy(place, call->request.data + call->request_start, len);
    call->request_start += len;
    if (call->request_start == call->request.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name_bytes, size_t name_len, const uint8_t *value_bytes,
                     size_t value_len, uint8_t flags, void *user_data)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct grpc_client_call *call = user_data;
    struct str name = str_make((const char *)name_bytes, name_len);
    struct str value = str_make((const char *)value_bytes, value_len);
    uint64_t number;
    if (str_eq(name, STR(":status"))) {
        /* nghttp2 lets nothing but three digits through. */
        call->http_status = str_parse_uint(value, 999, &number) ? (int)number : 0;
    } else if (str_eq(name, STR("grpc-status"))) {
        call->grpc_status = str_parse_uint(value, 16, &number) ? (int)number : GRPC_UNKNOWN;
    } else if (str_eq(name, STR("grpc-message"))) {
        call->status_message.len = 0;
        grpc_header_decode_message(&call->status_message, value);
    }
    return 0;
}

static void fail_frame(struct grpc_client_call *call, enum grpc_frame_result result)
{
    if (result == GRPC_FRAME_TOO_LARGE)
        fail(call, GRPC_RESOURCE_EXHAUSTED, "the server sent a message over 4 MiB");
    else if (result == GRPC_FRAME_COMPRESSED)
        fail(call, GRPC_INTERNAL, "the server sent a compressed message");
    else
        fail(call, GRPC_INTERNAL, "the server sent a malformed message prefix");
}

/* Failing makes nghttp2 leave the rest of the input alone. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    (void)session;
    (void)flags;
    (void)stream_id;
    struct grpc_client_call *call = user_data;
    struct str rest = str_make((const char *)data, len), message;
    if (call->http_status != 200)
        return 0;
    while (rest.len > 0) {
        enum grpc_frame_result result = grpc_frame_read(&call->reader, &rest, &message);
        if (result > GRPC_FRAME_MESSAGE) {
            fail_frame(call, result);
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        if (result == GRPC_FRAME_MESSAGE) {
            call->delivered = true;
            call->callbacks.on_message(call->callbacks.ctx, message);
        }
        if (call->cancelled)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    (void)session;
    struct grpc_client_call *call = user_data;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        call->greeted = true;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        call->closed = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user_data)
{
    (void)session;
    (void)stream_id;
    struct grpc_client_call *call = user_data;
    if (!call->closed) {
        call->closed = true;
        call->reset_code = error_code;
    }
    return 0;
}

/* --- the end -------------------------------------------------------------------------------- */

/* What an answer means that has an HTTP status but none of gRPC. */
static void fail_http(struct grpc_client_call *call)
{
    int status = call->http_status;
    bool may_pass = status == 429 || status == 502 || status == 503 || status == 504;
    char reason[64];
    snprintf(reason, sizeof(reason), "not a gRPC answer: HTTP status %d", status);
    fail(call, may_pass ? GRPC_UNAVAILABLE : GRPC_UNKNOWN, reason);
}

/* Looks for what is wrong with a stream that has ended. */
static void check_answer(struct grpc_client_call *call)
{
    char reason[64];
    if (call->grpc_status == GRPC_OK && grpc_frame_is_partial(&call->reader)) {
        fail(call, GRPC_INTERNAL, "the answer ends within a message");
    } else if (call->grpc_status != NO_STATUS) {
        return;
    } else if (call->http_status != 0 && call->http_status != 200) {
        fail_http(call);
    } else if (call->reset_code != NGHTTP2_NO_ERROR) {
        snprintf(reason, sizeof(reason), "the server reset the call (%s)",
                 nghttp2_http2_strerror(call->reset_code));
        fail(call, GRPC_UNAVAILABLE, reason);
    } else {
        fail(call, GRPC_UNKNOWN, "the answer has no grpc-status");
    }
}

static void end(struct grpc_client_call *call)
{
    if (!call->failed)
        check_answer(call);
    if (call->failed)
        call->callbacks.on_end(call->callbacks.ctx, call->failure, str_from_c(call->reason.text));
    else
        call->callbacks.on_end(call->callbacks.ctx, (enum grpc_code)call->grpc_status,
                               buf_str(&call->status_message));
}

/* --- a turn of the loop --------------------------------------------------------------------- */

/* Watches a new socket to the next address. */
static bool connect_next(struct grpc_client_call *call, struct error *err)
{
    int fd = grpc_target_connect(&call->target, err);
    if (fd < 0)
        return false;
    call->transport.fd = call->watch.fd = fd;
    call->transport.unsent_limit = GRPC_UNSENT_LIMIT;
    call->events = EPOLLOUT;
    call->connecting = true;
    if (loop_add(call->loop, &call->watch, call->events, err))
        return true;
    close(fd);
    call->transport.fd = -1;
    return false;
}

/* Whether the connection is up now. If not, the next address is being tried, or the call has
 * failed. */
static bool is_connected(struct grpc_client_call *call)
{
    int result = 0;
    if (!call->connecting)
        return true;
    getsockopt(call->transport.fd, SOL_SOCKET, SO_ERROR, &result, &(socklen_t){sizeof(result)});
    if (result == 0) {
        call->connecting = false;
        return true;
    }
    loop_remove(call->loop, &call->watch);
    close(call->transport.fd);
    call->transport.fd = -1;
    error_set(&call->reason, "cannot connect to %s: %s", call->target.name.text, strerror(result));
    if (!connect_next(call, &call->reason)) {
        call->failed = true;
        call->failure = GRPC_UNAVAILABLE;
    }
    return false;
}

static void fail_connection(struct grpc_client_call *call, const char *reason)
{
    char text[128];
    snprintf(text, sizeof(text), "connection lost: %s", reason);
    bool garbage = !call->greeted && !nghttp2_session_want_read(call->transport.session);
    fail(call, GRPC_UNAVAILABLE, garbage ? "the server does not speak HTTP/2" : text);
}

static void take_turn(struct grpc_client_call *call, uint32_t events)
{
    struct grpc_transport *transport = &call->transport;
    const char *reason = "the server broke or ended it";
    bool alive = true;
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        alive = grpc_transport_receive(transport, &reason);
    if (call->closed || call->failed || call->cancelled)
        return;
    alive = alive && grpc_transport_flush(transport, &reason) && !grpc_transport_is_over(transport);
    if (!alive) {
        fail_connection(call, reason);
        return;
    }
    uint32_t wanted = EPOLLIN | (grpc_transport_wants_write(transport) ? (uint32_t)EPOLLOUT : 0);
    if (wanted != call->events)
        loop_modify(call->loop, &call->watch, wanted);
    call->events = wanted;
}

static void on_event(void *ctx, uint32_t events)
{
    struct grpc_client_call *call = ctx;
    call->busy = true;
    call->delivered = false;
    if (is_connected(call))
        take_turn(call, events);
    if (call->delivered && !call->cancelled && call->callbacks.on_turn_end != NULL)
        call->callbacks.on_turn_end(call->callbacks.ctx);
    bool ended = call->closed || call->failed;
    if (ended && !call->cancelled)
        end(call);
    call->busy = false;
    if (ended || call->cancelled)
        free_call(call);
}

/* --- start ---------------------------------------------------------------------------------- */

static nghttp2_nv header(const char *name, struct str value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)value.ptr,
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

static void make_session(struct grpc_client_call *call)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_client_new(&call->transport.session, callbacks, call);
    nghttp2_session_callbacks_del(callbacks);

    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
    };
    nghttp2_submit_settings(call->transport.session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(call->transport.session, NGHTTP2_FLAG_NONE, 0, WINDOW);
}

static void submit_request(struct grpc_client_call *call, struct str authority, struct str method)
{
    const nghttp2_nv headers[] = {
        header(":method", STR("POST")), header(":scheme", STR("http")),
        header(":path", method),        header(":authority", authority),
        header("te", STR("trailers")),  header("content-type", STR("application/grpc")),
    };
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_request};
    nghttp2_submit_request(call->transport.session, NULL, headers,
                           sizeof(headers) / sizeof(headers[0]), &body, NULL);
}

struct grpc_client_call *grpc_client_start(struct loop *loop, struct str target, struct str method,
                                           struct str request,
                                           struct grpc_client_callbacks callbacks,
                                           struct error *err)
{
    if (request.len > GRPC_MESSAGE_LIMIT) {
        error_set(err, "the request is longer than 4 MiB");
        return NULL;
    }
    struct grpc_client_call *call = mem_zalloc(sizeof(*call));
    call->loop = loop;
    call->callbacks = callbacks;
    call->watch = (struct loop_watch){-1, on_event, call};
    call->transport.fd = -1;
    call->transport.loop = loop;
    call->grpc_status = NO_STATUS;
    if (!grpc_target_resolve(&call->target, target, err) || !connect_next(call, err)) {
        free_call(call);
        return NULL;
    }
    grpc_frame_append(&call->request, request);
    make_session(call);
    bool is_path = call->target.addresses == NULL;
    submit_request(call, is_path ? STR("localhost") : target, method);
    return call;
}

/* --- unary ---------------------------------------------------------------------------------- */

struct unary {
    struct loop *loop;
    struct grpc_client_call *call; /* NULL: it has ended */
    bool answered;
    enum grpc_code code;
    size_t message_count;
    struct buf response;
    struct buf message;
};

static void on_unary_message(void *ctx, struct str message)
{
    struct unary *unary = ctx;
    unary->message_count++;
    unary->response.len = 0;
    buf_append_str(&unary->response, message);
}

static void on_unary_end(void *ctx, enum grpc_code code, struct str message)
{
    struct unary *unary = ctx;
    unary->answered = unary->call->grpc_status != NO_STATUS;
    unary->code = code;
    buf_append_str(&unary->message, message);
    if (code == GRPC_OK && unary->message_count != 1) {
        unary->code = GRPC_INTERNAL;
        buf_append_str(&unary->message, STR("the server did not send exactly one message"));
    }
    unary->call = NULL;
    loop_stop(unary->loop);
}

static void on_unary_timeout(void *ctx)
{
    struct unary *unary = ctx;
    loop_stop(unary->loop);
}

/* Runs the loop until the call has ended or the time is over. */
static bool run_unary(struct unary *unary, struct str target, uint64_t timeout, struct error *err)
{
    struct loop_timer timer = {.callback = on_unary_timeout, .ctx = unary};
    loop_arm(unary->loop, &timer, timeout);
    loop_run(unary->loop);
    loop_disarm(unary->loop, &timer);
    if (unary->call != NULL) {
        grpc_client_cancel(unary->call);
        return error_set(err, "%s did not answer within %llu ms", quote(target).text,
                         (unsigned long long)timeout);
    }
    if (!unary->answered)
        return error_set(err, "%.*s", STR_ARG(buf_str(&unary->message)));
    return true;
}

bool grpc_client_unary(struct str target, struct str method, struct str request, uint64_t timeout,
                       enum grpc_code *code, struct buf *response, struct buf *message,
                       struct error *err)
{
    struct unary unary = {.loop = loop_new(err)};
    if (unary.loop == NULL)
        return false;
    struct grpc_client_callbacks callbacks = {on_unary_message, NULL, on_unary_end, &unary};
    unary.call = grpc_client_start(unary.loop, target, method, request, callbacks, err);
    bool ok = unary.call != NULL && run_unary(&unary, target, timeout, err);
    if (ok) {
        *code = unary.code;
        buf_append_str(message, buf_str(&unary.message));
        if (unary.code == GRPC_OK)
            buf_append_str(response, buf_str(&unary.response));
    }
    buf_free(&unary.response);
    buf_free(&unary.message);
    loop_free(unary.loop);
    return ok;
}
