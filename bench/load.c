/* A load of Check calls on an ext_authz server: says how many it answers, how fast, and with which verdicts.
 *
 *     load --socket PATH --message FILE [--in-flight 16] [--calls 100000] [--seconds 10] …
 *
 * Closed loop: a fixed number of calls is in flight, each answer brings the next call. With --rate, open loop: calls
 * start by the clock, and a call's time counts from when it was due, so that a server that stalls is not given the time
 * in which nothing could be asked.
 *
 * Ends after so many calls or so many seconds, whatever comes first, and a little later if answers are missing. Prints
 * a name and a number a line. Exit status: 0 every call got a verdict, 1 not so, 2 usage.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "load_options.h"
#include "pb/reader.h"

enum {
    BUFFER = 64 * 1024,
    READY = 64,
    CODES = 17, /* of google.rpc.Status */
};

/* Of the monotonic clock, in nanoseconds, as all times here. */
static const uint64_t SECOND = 1000000000;
static const uint64_t PATIENCE = 5000000000;

struct connection;

struct call {
    struct connection *connection;
    struct call *next_free;
    uint64_t due;
    size_t sent; /* bytes of the message */
    struct buf answer;
    int grpc_status; /* -1: none came */
};

struct connection {
    struct load *load;
    int fd;
    uint32_t events;
    nghttp2_session *session;
    struct call *free_calls;
    struct buf unsent;
};

struct load {
    struct load_options asked;
    int epoll, timer;
    struct connection *connections, *next_connection;
    struct call *calls;
    size_t started, in_flight, answered, failed;
    size_t verdicts[CODES];
    uint32_t *latencies; /* of the answered calls */
    uint64_t connected_at, first_answer_at, start, last_answer_at, end;
};

/* ---- a call ---- */

#define HEADER(name, value)                                                                        \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static ssize_t read_message(nghttp2_session *session, int32_t stream_id, uint8_t *place,
                            size_t room, uint32_t *flags, nghttp2_data_source *source,
                            void *user_data)
{
    const struct load *load = ((struct connection *)user_data)->load;
    struct call *call = source->ptr;
    size_t len = load->asked.message.len - call->sent;
    (void)session;
    (void)stream_id;
    if (len > room)
        len = room;
    memcpy(place, load->asked.message.data + call->sent, len);
    call->sent += len;
    if (call->sent == load->asked.message.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

/* The headers that Envoy sends. Its deadline is 200 ms; this one is as long to write and is not met by a machine
 * that is busy with other things for a moment. */
static void start_call(struct connection *connection, uint64_t due)
{
    struct load *load = connection->load;
    struct call *call = connection->free_calls;
    nghttp2_nv headers[] = {
        HEADER(":method", "POST"),
        HEADER(":scheme", "http"),
        HEADER(":path", ""),
        HEADER(":authority", "dikastes"),
        HEADER("te", "trailers"),
        HEADER("grpc-timeout", "100S"),
        HEADER("content-type", "application/grpc"),
        HEADER("x-envoy-internal", "true"),
        HEADER("x-forwarded-for", "10.65.0.11"),
    };
    const nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_message};
    headers[2].value = (uint8_t *)load->asked.method;
    headers[2].valuelen = strlen(load->asked.method);
    connection->free_calls = call->next_free;
    call->due = due;
    call->sent = 0;
    call->grpc_status = -1;
    call->answer.len = 0;
    load->started++;
    load->in_flight++;
    int id = nghttp2_submit_request(connection->session, NULL, headers,
                                    sizeof(headers) / sizeof(headers[0]), &body, call);
    if (id < 0)
        errx(1, "cannot start a call: %s", nghttp2_strerror(id));
}

/* The code in a gRPC message that holds a CheckResponse (status = 1, its code = 1); -1: it is none. */
static int read_verdict(struct str message)
{
    uint64_t code = 0;
    struct pb_field field, part;
    if (message.len < 5 || message.ptr[0] != 0)
        return -1;
    struct pb_reader response = pb_reader(str_from(message, 5));
    while (pb_next(&response, &field)) {
        if (field.number != 1)
            continue;
        struct pb_reader status = pb_reader(pb_bytes(&response, &field));
        while (pb_next(&status, &part)) {
            if (part.number == 1)
                code = pb_varint(&status, &part);
        }
        if (status.failed)
            return -1;
    }
    return response.failed || code >= CODES ? -1 : (int)code;
}

static void end_call(struct call *call, uint32_t error_code)
{
    struct load *load = call->connection->load;
    int verdict =
        error_code == 0 && call->grpc_status == 0 ? read_verdict(buf_str(&call->answer)) : -1;
    if (verdict >= 0) {
        uint64_t at = clock_nanoseconds(), latency = at - call->due;
        if (load->answered == 0)
            load->first_answer_at = at;
        load->last_answer_at = at;
        load->latencies[load->answered++] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
        load->verdicts[verdict]++;
    } else {
        load->failed++;
    }
    load->in_flight--;
    call->next_free = call->connection->free_calls;
    call->connection->free_calls = call;
}

/* ---- what nghttp2 tells ---- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    uint64_t status;
    (void)flags;
    (void)user_data;
    if (call != NULL && str_eq(str_make((const char *)name, name_len), STR("grpc-status")) &&
        str_parse_uint(str_make((const char *)value, value_len), CODES - 1, &status))
        call->grpc_status = (int)status;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    (void)flags;
    (void)user_data;
    if (call != NULL)
        buf_append(&call->answer, data, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user_data)
{
    struct call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    (void)user_data;
    if (call != NULL)
        end_call(call, error_code);
    return 0;
}

static nghttp2_session *make_session(struct connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1024 * 1024},
    };
    nghttp2_session *session;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_closed_streams(option, 1);
    if (nghttp2_session_client_new2(&session, callbacks, connection, option) != 0)
        errx(1, "no memory for a connection");
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 16 * 1024 * 1024);
    return session;
}

/* ---- a connection ---- */

/* With --wait, tries again until the server listens. */
static int connect_to(const char *path, double wait)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const uint64_t end = clock_nanoseconds() + (uint64_t)(wait * (double)SECOND);
    if (strlen(path) >= sizeof(address.sun_path))
        errx(2, "the socket's path is too long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        err(1, "socket");
    while (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (clock_nanoseconds() >= end || (errno != ENOENT && errno != ECONNREFUSED))
            err(1, "%s", path);
        usleep(50);
    }
    return fd;
}

/* The connections take turns. */
static struct connection *next_connection(struct load *load)
{
    struct connection *connection = load->next_connection;
    bool is_last = connection == &load->connections[load->asked.connection_count - 1];
    load->next_connection = is_last ? load->connections : connection + 1;
    return connection;
}

static void open_connections(struct load *load)
{
    load->connections = mem_zalloc(load->asked.connection_count * sizeof(*load->connections));
    load->calls = mem_zalloc(load->asked.in_flight_limit * sizeof(*load->calls));
    for (size_t i = 0; i < load->asked.connection_count; i++) {
        struct connection *connection = &load->connections[i];
        *connection = (struct connection){.load = load, .events = EPOLLIN};
        connection->fd = connect_to(load->asked.socket, load->asked.wait);
        connection->session = make_session(connection);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
            err(1, "epoll_ctl");
    }
    load->next_connection = load->connections;
    for (size_t i = 0; i < load->asked.in_flight_limit; i++) {
        struct connection *connection = next_connection(load);
        load->calls[i].connection = connection;
        load->calls[i].next_free = connection->free_calls;
        connection->free_calls = &load->calls[i];
    }
    load->connected_at = clock_nanoseconds();
}

/* All that there is to say, in one write if the socket takes it. */
static void flush(struct connection *connection)
{
    struct buf *out = &connection->unsent;
    const uint8_t *frame;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(connection->session, &frame)) > 0)
        buf_append(out, frame, (size_t)len);
    if (len < 0)
        errx(1, "cannot write: %s", nghttp2_strerror((int)len));
    while (out->len > 0) {
        ssize_t sent = send(connection->fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            err(1, "cannot write");
        if (sent < 0)
            break;
        out->len -= (size_t)sent;
        memmove(out->data, out->data + sent, out->len);
    }
    uint32_t events = out->len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (events != connection->events) {
        struct epoll_event event = {.events = events, .data.ptr = connection};
        epoll_ctl(connection->load->epoll, EPOLL_CTL_MOD, connection->fd, &event);
        connection->events = events;
    }
}

static void receive(struct connection *connection)
{
    static uint8_t in[BUFFER];
    ssize_t len = recv(connection->fd, in, sizeof(in), MSG_DONTWAIT);
    if (len == 0)
        errx(1, "the server closed the connection");
    if (len < 0 && errno != EAGAIN && errno != EINTR)
        err(1, "cannot read");
    if (len < 0)
        return;
    ssize_t used = nghttp2_session_mem_recv(connection->session, in, (size_t)len);
    if (used < 0)
        errx(1, "the server does not speak HTTP/2: %s", nghttp2_strerror((int)used));
}

/* ---- the load ---- */

static bool is_over(const struct load *load, uint64_t at)
{
    return load->started >= load->asked.calls_limit || at >= load->end;
}

/* Closed loop: as many calls as may be in flight. */
static void refill(struct connection *connection)
{
    const uint64_t at = clock_nanoseconds();
    while (connection->free_calls != NULL && !is_over(connection->load, at))
        start_call(connection, clock_nanoseconds());
}

/* Open loop: the calls that are due by now. One that finds no place waits, and its time runs. */
static void start_due_calls(struct load *load)
{
    const uint64_t at = clock_nanoseconds();
    uint64_t ticks;
    if (read(load->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
        err(1, "timer");
    while (!is_over(load, at)) {
        uint64_t due = load->start + (uint64_t)((double)load->started * load->asked.interval);
        struct connection *connection = load->next_connection;
        if (due > at || connection->free_calls == NULL)
            return;
        start_call(connection, due);
        flush(connection);
        next_connection(load);
    }
}

static void start_timer(struct load *load)
{
    const uint64_t interval = (uint64_t)load->asked.interval;
    const struct timespec t = {(time_t)(interval / SECOND), (long)(interval % SECOND)};
    struct epoll_event event = {.events = EPOLLIN};
    load->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (load->timer < 0 || timerfd_settime(load->timer, 0, &(struct itimerspec){t, t}, NULL) != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->timer, &event) != 0)
        err(1, "timer");
}

static void serve(struct load *load, struct connection *connection, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLOUT) != 0)
        receive(connection);
    if (load->asked.interval == 0)
        refill(connection);
    flush(connection);
}

static void run(struct load *load)
{
    struct epoll_event ready[READY];
    load->start = clock_nanoseconds();
    load->end = load->start + (uint64_t)(load->asked.seconds * (double)SECOND);
    if (load->asked.interval > 0)
        start_timer(load);
    for (size_t i = 0; i < load->asked.connection_count; i++)
        serve(load, &load->connections[i], EPOLLOUT);
    while (load->in_flight > 0 || !is_over(load, clock_nanoseconds())) {
        int count = epoll_wait(load->epoll, ready, READY, 100);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr != NULL)
                serve(load, ready[i].data.ptr, ready[i].events);
        }
        if (load->asked.interval > 0)
            start_due_calls(load);
        if (clock_nanoseconds() > load->end + PATIENCE)
            break;
    }
}

/* ---- the report ---- */

static int compare_latencies(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct load *load, double share)
{
    size_t last = load->answered - 1;
    return (double)load->latencies[(size_t)((double)last * share)] / 1e3;
}

static void report(struct load *load)
{
    double seconds = (double)(load->last_answer_at - load->start) / (double)SECOND;
    printf("calls %zu\n", load->started);
    if (load->answered > 0) {
        qsort(load->latencies, load->answered, sizeof(*load->latencies), compare_latencies);
        printf("seconds %.6f\n", seconds);
        printf("checks_per_second %.1f\n", (double)load->answered / seconds);
        printf("p50_us %.1f\n", percentile(load, 0.5));
        printf("p99_us %.1f\n", percentile(load, 0.99));
        printf("max_us %.1f\n", percentile(load, 1));
        printf("connected_at_ns %" PRIu64 "\n", load->connected_at);
        printf("first_answer_at_ns %" PRIu64 "\n", load->first_answer_at);
    }
    for (int code = 0; code < CODES; code++) {
        if (load->verdicts[code] > 0)
            printf("verdict_%d %zu\n", code, load->verdicts[code]);
    }
    printf("failed %zu\n", load->failed);
    printf("unanswered %zu\n", load->in_flight);
}

static void free_load(struct load *load)
{
    for (size_t i = 0; i < load->asked.connection_count; i++) {
        nghttp2_session_del(load->connections[i].session);
        buf_free(&load->connections[i].unsent);
        close(load->connections[i].fd);
    }
    for (size_t i = 0; i < load->asked.in_flight_limit; i++)
        buf_free(&load->calls[i].answer);
    free(load->connections);
    free(load->calls);
    free(load->latencies);
    buf_free(&load->asked.message);
    close(load->epoll);
    if (load->asked.interval > 0)
        close(load->timer);
}

int main(int argc, char **argv)
{
    struct load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (load.epoll < 0)
        err(1, "epoll");
    load_options_parse(&load.asked, argc, argv);
    load.latencies = mem_alloc(load.asked.calls_limit * sizeof(*load.latencies));
    open_connections(&load);
    run(&load);
    report(&load);
    bool complete = load.answered == load.started && load.started > 0;
    free_load(&load);
    return complete ? 0 : 1;
}
