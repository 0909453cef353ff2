/* What server.c (listening, limits, drain), connection.c (a peer: its socket and session) and
 * call.c (a call: its request and response) know of each other. For these three and their tests
 * only.
 *
 * The way of a request, all within one turn of the loop:
 *
 *     connection.c  socket -> grpc_transport_receive -> nghttp2 -> its callbacks
 *     call.c        -> grpc_call_take_header, grpc_call_take_data -> the handler
 *                   -> grpc_call_send, grpc_call_finish -> queued with nghttp2
 *     connection.c  -> grpc_transport_flush: all the answers of the turn in one write
 */
#ifndef GRPC_SERVER_PRIVATE_H
#define GRPC_SERVER_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/blob.h"
#include "base/loop.h"
#include "base/mem.h"
#include "grpc/deadline.h"
#include "grpc/frame.h"
#include "grpc/server.h"
#include "grpc/transport.h"

/* Bytes in a header list (each field counts 32 more than its name and value), as announced to
 * peers. */
enum { GRPC_HEADER_LIST_LIMIT = 64 * 1024 };

struct grpc_connection;

/* One stream of HTTP/2. Lives from its first header until nghttp2 closes the stream. */
struct grpc_call {
    struct grpc_connection *connection;
    struct grpc_call *next, *prev; /* of the connection; `next` also links the free ones */
    int32_t stream_id;

    /* The request, as it comes. */
    const struct grpc_method *method; /* NULL: unknown, or :path not yet seen */
    uint32_t header_bytes;            /* as RFC 9113 counts the size of a header list */
    bool is_post, is_grpc;
    bool bad_timeout;
    bool has_deadline; /* then `due` counts, from when the headers are complete */
    bool has_request;  /* `request` is complete */
    uint64_t due;
    struct grpc_frame_reader reader;
    size_t buffered;    /* bytes that the reader holds, as counted in the connection */
    struct str request; /* a slice of the reader or of the receive buffer (connection->borrower) */

    /* The response. */
    bool kept;       /* the handler has returned without finishing the call */
    bool responding; /* the response headers are submitted */
    bool deferred;   /* nghttp2 was told that there is no data now, and waits to be woken */
    bool finished;   /* no more comes behind `out`; `code` is the status */
    bool refused_encoding;
    enum grpc_code code;
    struct buf status_message; /* percent-encoded */
    struct buf out;            /* framed messages; nghttp2 has taken the first out_start bytes */
    size_t out_start;
    struct blob *shared; /* comes behind `out`, not copied; NULL: nothing */
    size_t shared_start;
    struct grpc_deadline deadline;

    void (*on_closed)(void *ctx);
    void *closed_ctx;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

/* One peer. */
struct grpc_connection {
    struct grpc_server *server;
    struct grpc_connection *next, *prev;
    struct loop_watch watch;
    uint32_t events; /* what the loop watches for */
    struct grpc_transport transport;
    struct grpc_call *calls;
    struct grpc_call *borrower; /* its request lies in the receive buffer, which is about to go */
    size_t buffered;            /* bytes of requests held */
    size_t pending;             /* bytes of responses that nghttp2 has not taken yet */
    bool busy;                  /* within a turn of its own, at the end of which it is flushed */
    bool broken;                /* nghttp2 failed; to be closed */
    bool has_drained;           /* nghttp2 has taken all messages of a call with an on_drained */
    uint64_t settings_second;   /* when the last SETTINGS came */
    unsigned settings_used;     /* of what the peer may send */
    bool draining;
    bool said_goodbye; /* the last GOAWAY is submitted */
};

struct grpc_server {
    struct loop *loop;
    const struct grpc_method *methods;
    size_t method_count;
    struct grpc_server_limits limits;

    /* Shared by all connections. */
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct grpc_deadlines deadlines;
    struct grpc_call *free_calls; /* call objects to be used again, with their small buffers */
    size_t free_call_count;

    struct loop_watch listener;     /* fd -1: not listening any more */
    struct loop_timer accept_timer; /* ends a pause of accepting */
    uint64_t refusals_logged; /* when it was last logged that there are too many connections */
    size_t refused;           /* connections closed since then */
    struct grpc_connection *connections;
    size_t connection_count, call_count;
    uint64_t closed_count; /* connections that have ended so far */

    bool draining;
    struct loop_timer drain_timer;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

/* server.c */

/* A connection has ended and is freed. */
void grpc_server_connection_closed(struct grpc_server *server);

/* connection.c */

/* Callbacks and options for the sessions of a server. */
void grpc_connection_init_shared(struct grpc_server *server);
/* Serves a connected, non-blocking socket, and closes it in the end. */
void grpc_connection_open(struct grpc_server *server, int fd);
/* Ends all calls and frees the connection. Not within a turn of its own. */
void grpc_connection_close(struct grpc_connection *connection);
/* Has the connection flushed, at the end of its turn or in the next. */
void grpc_connection_wake(struct grpc_connection *connection);
/* Tells the peer to open no more calls; the connection closes after the last one. */
void grpc_connection_drain(struct grpc_connection *connection);
/* Writes once what there is and closes. */
void grpc_connection_hang_up(struct grpc_connection *connection);

/* call.c */

struct grpc_call *grpc_call_open(struct grpc_connection *connection, int32_t stream_id);
void grpc_call_take_header(struct grpc_call *call, struct str name, struct str value);
void grpc_call_end_headers(struct grpc_call *call);
void grpc_call_take_data(struct grpc_call *call, struct str data);
/* Copies a request that lies in the receive buffer. */
void grpc_call_keep_request(struct grpc_call *call);
/* END_STREAM has come. */
void grpc_call_end_request(struct grpc_call *call);
/* Ends a call against the will of its handler. */
void grpc_call_abort(struct grpc_call *call, enum grpc_code code, struct str message);
/* Ends a call that is a stream, which would never end by itself. */
void grpc_call_drain(struct grpc_call *call);
/* The stream is gone. */
void grpc_call_close(struct grpc_call *call);
/* Frees what is kept to be used again. */
void grpc_call_free_spare(struct grpc_server *server);
/* Empties a buffer of a call; one that has grown is given back. */
void grpc_call_recycle(struct buf *b);

/* call_response.c */

/* Answers one that does not speak gRPC, by HTTP's status. */
void grpc_call_refuse_http(struct grpc_call *call);
/* Calls on_drained, if there is one and nothing waits. */
void grpc_call_tell_drained(struct grpc_call *call);

#endif
