#include <stdlib.h>

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
};

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

void grpc_call_recycle(struct buf *b)
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
    grpc_call_recycle(&call->reader.held);
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
    grpc_call_recycle(&call->out);
    grpc_call_recycle(&call->status_message);
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

/* --- the request ---------------------------------------------------------------------------- */

/* Answers before the handler was asked. What still comes of the request is ignored. */
static void refuse(struct grpc_call *call, enum grpc_code code, struct str message)
{
    release_request(call);
    grpc_call_finish(call, code, message);
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
    else if (!call->is_post || !call->is_grpc)
        grpc_call_refuse_http(call);
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
