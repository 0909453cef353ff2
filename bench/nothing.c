/* The least that an ext_authz server can be: HTTP/2 by libnghttp2, one thread, one answer for whatever is asked.
 *
 *     nothing SOCKET
 *
 * It is the measure of `dikastes server`: what that costs above this is the cost of judging. So it has the same
 * library, the same settings and the same pattern of system calls, and nothing else: no messages are read, no errors
 * are told apart, and what fails at the start ends it.
 */
#include <err.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, BACKLOG = 512, READY = 64 };

struct connection {
    int fd;
    bool blocked; /* epoll waits until more can be written */
    nghttp2_session *session;
    const uint8_t *frame; /* nghttp2's, did not fit into `out` any more */
    size_t frame_len;
    size_t out_len;
    uint8_t out[BUFFER];
};

#define HEADER(name, value)                                                                        \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

static const nghttp2_nv headers[] = {
    HEADER(":status", "200"),
    HEADER("content-type", "application/grpc"),
};
static const nghttp2_nv trailers[] = {HEADER("grpc-status", "0")};

/* gRPC's prefix, and a CheckResponse with an empty status: allowed. */
static const uint8_t answer[] = {0, 0, 0, 0, 2, 0x0a, 0};

static ssize_t read_answer(nghttp2_session *session, int32_t stream_id, uint8_t *place, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    (void)room; /* a frame's, 16 KiB */
    (void)source;
    (void)user_data;
    memcpy(place, answer, sizeof(answer));
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, stream_id, trailers, 1);
    return (ssize_t)sizeof(answer);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    const nghttp2_data_provider body = {.read_callback = read_answer};
    (void)user_data;
    if (frame->hd.type != NGHTTP2_DATA || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    return nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &body);
}

static struct connection *open_connection(int fd)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 16384},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1024 * 1024},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    static nghttp2_session_callbacks *callbacks;
    static nghttp2_option *option;
    if (callbacks == NULL) {
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_option_new(&option);
        /* Or closed streams are kept for the sake of priorities, and memory grows. */
        nghttp2_option_set_no_closed_streams(option, 1);
    }
    struct connection *c = calloc(1, sizeof(*c));
    if (c == NULL || nghttp2_session_server_new2(&c->session, callbacks, NULL, option) != 0)
        err(1, "connection");
    c->fd = fd;
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 3);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 16 * 1024 * 1024);
    return c;
}

static void close_connection(struct connection *c)
{
    nghttp2_session_del(c->session);
    close(c->fd);
    free(c);
}

/* Gathers frames until there are no more or the next does not fit. */
static bool gather(struct connection *c)
{
    for (;;) {
        if (c->frame_len == 0) {
            ssize_t len = nghttp2_session_mem_send(c->session, &c->frame);
            if (len <= 0)
                return len == 0;
            c->frame_len = (size_t)len;
        }
        if (c->frame_len > sizeof(c->out) - c->out_len)
            return true;
        memcpy(c->out + c->out_len, c->frame, c->frame_len);
        c->out_len += c->frame_len;
        c->frame_len = 0;
    }
}

/* Writes all that there is to say, or as much as the socket takes. */
static bool flush(struct connection *c)
{
    for (;;) {
        if (!gather(c))
            return false;
        if (c->out_len == 0)
            return true;
        ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        c->out_len -= (size_t)sent;
        memmove(c->out, c->out + sent, c->out_len);
    }
}

static bool receive(struct connection *c)
{
    static uint8_t in[BUFFER];
    ssize_t len = recv(c->fd, in, sizeof(in), 0);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    return len > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)len) >= 0;
}

static void serve(int epoll, struct connection *c, uint32_t events)
{
    bool alive = ((events & EPOLLOUT) != 0 || receive(c)) && flush(c);
    if (!alive) {
        close_connection(c);
        return;
    }
    if ((c->out_len > 0) != c->blocked) {
        c->blocked = !c->blocked;
        struct epoll_event event = {.events = c->blocked ? EPOLLOUT : EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void accept_one(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = open_connection(fd)};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        errx(1, "the socket's path is too long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0777) != 0 || listen(fd, BACKLOG) != 0)
        err(1, "%s", path);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        errx(2, "usage: nothing SOCKET");
    int listener = listen_at(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN}, ready[READY];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        err(1, "epoll");
    for (;;) {
        int count = epoll_wait(epoll, ready, READY, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == NULL)
                accept_one(epoll, listener);
            else
                serve(epoll, ready[i].data.ptr, ready[i].events);
        }
    }
}
