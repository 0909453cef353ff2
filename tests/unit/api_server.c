#include "api_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

struct connection {
    struct api_server *server;
    struct loop_watch watch;
    struct loop_timer end; /* of the body */
    struct buf in, out;
    size_t sent;    /* of out */
    bool is_open;   /* a body is being sent */
    bool closes;    /* once all is sent */
    bool ends_well; /* the body, when its time is over */
};

static void close_connection(struct connection *c)
{
    loop_disarm(c->server->loop, &c->end);
    loop_remove(c->server->loop, &c->watch);
    close(c->watch.fd);
    list_remove_item(&c->server->connections, c);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

/* Sends what the kernel takes. It may close the connection. */
static void flush(struct connection *c)
{
    while (c->sent < c->out.len) {
        ssize_t len = send(c->watch.fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (len < 0 && errno == EAGAIN)
            break;
        c->closes |= len < 0;
        c->sent += len < 0 ? c->out.len - c->sent : (size_t)len;
    }
    bool is_done = c->sent == c->out.len;
    if (is_done)
        c->sent = c->out.len = 0;
    loop_modify(c->server->loop, &c->watch, is_done ? EPOLLIN : EPOLLIN | EPOLLOUT);
    if (c->closes && is_done)
        close_connection(c);
}

static void append_chunks(struct connection *c, struct str text, size_t size)
{
    while (text.len > 0) {
        struct str chunk = str_head(text, size > 0 ? size : text.len);
        buf_printf(&c->out, "%zx\r\n", chunk.len);
        buf_append_str(&c->out, chunk);
        buf_append_str(&c->out, STR("\r\n"));
        text = str_from(text, chunk.len);
    }
}

static void end_body(struct connection *c)
{
    c->is_open = false;
    if (c->ends_well)
        buf_append_str(&c->out, STR("0\r\n\r\n"));
    else
        c->closes = true;
}

static void on_end(void *ctx)
{
    struct connection *c = ctx;
    end_body(c);
    flush(c);
}

static void reply(struct connection *c, const struct api_reply *r)
{
    bool has_chunks = r->ending != API_UNTIL_CLOSE;
    if (r->ending == API_NOTHING)
        return;
    if (r->ending == API_HANG_UP) {
        c->closes = true;
        return;
    }
    buf_printf(&c->out, "HTTP/1.1 %u Reason\r\nContent-Type: application/json\r\n%s%s\r\n",
               r->status > 0 ? r->status : 200,
               has_chunks ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n",
               r->headers != NULL ? r->headers : "");
    if (has_chunks)
        append_chunks(c, r->body, r->chunk);
    else
        buf_append_str(&c->out, r->body);
    c->is_open = true;
    c->ends_well = r->ending == API_WHOLE;
    if (r->ending != API_OPEN && r->lasts > 0)
        loop_arm(c->server->loop, &c->end, r->lasts);
    else if (r->ending != API_OPEN)
        end_body(c);
}

/* The first request of what was read, if it is there whole. */
static bool take_request(struct connection *c)
{
    struct str in = buf_str(&c->in), rest, method;
    struct api_request request;
    const char *end = in.len > 0 ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return false;
    request.head = str_head(in, (size_t)(end - in.ptr) + 4);
    str_cut(request.head, ' ', &method, &rest);
    str_cut(rest, ' ', &request.target, &rest);
    struct api_reply r = c->server->handler(c->server->ctx, &request);
    c->in.len -= request.head.len;
    memmove(c->in.data, c->in.data + request.head.len, c->in.len);
    reply(c, &r);
    return true;
}

static void on_ready(void *ctx, uint32_t events)
{
    struct connection *c = ctx;
    (void)events;
    ssize_t len = recv(c->watch.fd, buf_reserve(&c->in, 4096), 4096, 0);
    if (len == 0 || (len < 0 && errno != EAGAIN)) {
        close_connection(c);
        return;
    }
    c->in.len += len > 0 ? (size_t)len : 0;
    /* Whoever has a body that is open does not ask for another over the same connection. */
    if (!c->is_open && !c->closes)
        take_request(c);
    flush(c);
}

static void on_connection(void *ctx, uint32_t events)
{
    struct api_server *server = ctx;
    struct error err;
    (void)events;
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    /* A small piece does not wait until the one before is acknowledged. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct connection *c = mem_zalloc(sizeof(*c));
    c->server = server;
    c->watch = (struct loop_watch){fd, on_ready, c};
    c->end = (struct loop_timer){.callback = on_end, .ctx = c};
    list_add(&server->connections, c);
    server->accepted++;
    assert_true(loop_add(server->loop, &c->watch, EPOLLIN, &err));
}

void api_server_start(struct api_server *server, struct loop *loop, api_handler *handler, void *ctx)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    struct error err;
    *server = (struct api_server){.loop = loop, .handler = handler, .ctx = ctx};
    setenv("no_proxy", "*", 1); /* whatever else stands in the environment */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 64) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    server->listener = (struct loop_watch){fd, on_connection, server};
    assert_true(loop_add(loop, &server->listener, EPOLLIN, &err));
}

void api_server_hang_up(struct api_server *server)
{
    while (server->connections.count > 0)
        close_connection(server->connections.items[0]);
}

void api_server_stop(struct api_server *server)
{
    api_server_hang_up(server);
    list_free(&server->connections);
    loop_remove(server->loop, &server->listener);
    close(server->listener.fd);
}

void api_server_send(struct api_server *server, struct str text)
{
    for (uint32_t i = server->connections.count; i > 0; i--) {
        struct connection *c = server->connections.items[i - 1];
        if (!c->is_open)
            continue;
        append_chunks(c, text, 0);
        flush(c);
    }
}
