#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ip.h"

enum { HEAD_LIMIT = 8 * 1024, CONNECTION_LIMIT = 32, PATIENCE = 5000, ACCEPT_PAUSE = 200 };

struct connection {
    struct http_server *server;
    struct loop_watch watch;
    struct loop_timer timer;
    struct buf input;
    struct buf output;
    size_t sent;
    struct connection *next, *prev;
};

struct http_server {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_timer resume; /* accepts again after a pause */
    http_handler *handler;
    void *ctx;
    struct connection *connections;
    size_t connection_count;
};

static void close_connection(struct connection *c)
{
    struct http_server *server = c->server;
    loop_remove(server->loop, &c->watch);
    loop_disarm(server->loop, &c->timer);
    close(c->watch.fd);
    buf_free(&c->input);
    buf_free(&c->output);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        server->connections = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    server->connection_count--;
    free(c);
}

static void on_timeout(void *ctx)
{
    close_connection(ctx);
}

/* ---- answering ---- */

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Service Unavailable";
    }
}

static void answer(struct connection *c, struct http_response *response, bool head_only)
{
    int status = response->status != 0 ? response->status : 200;
    const char *type =
        response->content_type != NULL ? response->content_type : "text/plain; charset=utf-8";
    buf_printf(
        &c->output,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        status, status_text(status), type, response->body.len);
    if (!head_only)
        buf_append_str(&c->output, buf_str(&response->body));
    buf_free(&response->body);
    loop_modify(c->server->loop, &c->watch, EPOLLOUT);
}

static void refuse(struct connection *c, int status)
{
    struct http_response response = {.status = status};
    buf_printf(&response.body, "%s\n", status_text(status));
    answer(c, &response, false);
}

/* "METHOD PATH HTTP/1.x" */
static void handle_head(struct connection *c, struct str head)
{
    struct http_response response = {0};
    struct str line, rest, method, target, version, query;
    str_cut(head, '\r', &line, &rest);
    if (!str_cut(line, ' ', &method, &rest) || !str_cut(rest, ' ', &target, &version) ||
        !str_starts_with(version, STR("HTTP/1.")) || target.len == 0 || target.ptr[0] != '/') {
        refuse(c, 400);
        return;
    }
    bool head_only = str_eq(method, STR("HEAD"));
    if (!head_only && !str_eq(method, STR("GET")) && !str_eq(method, STR("POST"))) {
        refuse(c, 405);
        return;
    }
    str_cut(target, '?', &target, &query);
    c->server->handler(c->server->ctx, method, target, &response);
    answer(c, &response, head_only);
}

/* ---- events ---- */

static void on_writable(struct connection *c)
{
    while (c->sent < c->output.len) {
        ssize_t n =
            send(c->watch.fd, c->output.data + c->sent, c->output.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            break;
        c->sent += (size_t)n;
    }
    close_connection(c);
}

static void on_readable(struct connection *c)
{
    ssize_t n = recv(c->watch.fd, buf_reserve(&c->input, 4096), 4096, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_connection(c);
        return;
    }
    c->input.len += (size_t)n;
    const char *end = memmem(c->input.data, c->input.len, "\r\n\r\n", 4);
    if (end != NULL)
        handle_head(c, str_make(c->input.data, (size_t)(end - c->input.data) + 2));
    else if (c->input.len > HEAD_LIMIT)
        refuse(c, 431);
}

static void on_connection(void *ctx, uint32_t events)
{
    struct connection *c = ctx;
    if (c->output.len > 0)
        on_writable(c);
    else if ((events & EPOLLIN) != 0)
        on_readable(c);
    else
        close_connection(c);
}

static void on_accept(void *ctx, uint32_t events)
{
    struct http_server *server = ctx;
    struct error err;
    (void)events;
    int fd = accept4(server->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* Out of descriptors, most likely: the socket stays readable, so look again later only. */
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            loop_modify(server->loop, &server->watch, 0);
            loop_arm(server->loop, &server->resume, ACCEPT_PAUSE);
        }
        return;
    }
    struct connection *c = mem_zalloc(sizeof(*c));
    c->server = server;
    c->watch = (struct loop_watch){fd, on_connection, c};
    c->timer = (struct loop_timer){.callback = on_timeout, .ctx = c};
    if (server->connection_count == CONNECTION_LIMIT ||
        !loop_add(server->loop, &c->watch, EPOLLIN, &err)) {
        close(fd);
        free(c);
        return;
    }
    loop_arm(server->loop, &c->timer, PATIENCE);
    c->next = server->connections;
    if (c->next != NULL)
        c->next->prev = c;
    server->connections = c;
    server->connection_count++;
}

static void on_resume(void *ctx)
{
    struct http_server *server = ctx;
    loop_modify(server->loop, &server->watch, EPOLLIN);
}

/* ---- listening ---- */

static bool parse_port(const char *text, uint16_t *port)
{
    uint64_t value;
    if (!str_parse_uint(str_from_c(text), UINT16_MAX, &value) || value == 0)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* One IPv6 socket serves both families; IPv4 addresses are mapped into it. */
static bool make_address(const char *text, uint16_t port, struct sockaddr_in6 *address)
{
    struct ip_addr ip;
    *address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (text == NULL || text[0] == '\0')
        return true;
    if (!ip_parse_addr(str_from_c(text), &ip))
        return false;
    if (ip.family == 6) {
        memcpy(&address->sin6_addr, ip.bytes, 16);
    } else {
        address->sin6_addr.s6_addr[10] = address->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&address->sin6_addr.s6_addr[12], ip.bytes, 4);
    }
    return true;
}

/* Where the kernel has no IPv6. */
static int listen_v4(const struct sockaddr_in6 *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->sin6_port};
    memcpy(&v4.sin_addr, &address->sin6_addr.s6_addr[12], 4);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0 && listen(fd, CONNECTION_LIMIT) == 0)
        return fd;
    close(fd);
    return -1;
}

static int listen_on(const struct sockaddr_in6 *address)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return listen_v4(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        listen(fd, CONNECTION_LIMIT) == 0)
        return fd;
    int problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

struct http_server *http_server_new(struct loop *loop, const char *address, const char *port,
                                    http_handler *handler, void *ctx, struct error *err)
{
    struct sockaddr_in6 socket_address;
    uint16_t number;
    if (!parse_port(port, &number)) {
        error_set(err, "HTTP port %s is not a port (1-65535)", quote(str_from_c(port)).text);
        return NULL;
    }
    if (!make_address(address, number, &socket_address)) {
        error_set(err, "HTTP address %s is not an IP address", quote(str_from_c(address)).text);
        return NULL;
    }
    struct http_server *server = mem_zalloc(sizeof(*server));
    server->loop = loop;
    server->handler = handler;
    server->ctx = ctx;
    server->watch = (struct loop_watch){listen_on(&socket_address), on_accept, server};
    server->resume = (struct loop_timer){.callback = on_resume, .ctx = server};
    if (server->watch.fd < 0)
        error_set(err, "cannot listen for HTTP on %s port %s: %s",
                  quote(str_from_c(address != NULL ? address : "")).text, port, strerror(errno));
    else if (loop_add(loop, &server->watch, EPOLLIN, err))
        return server;
    else
        close(server->watch.fd);
    free(server);
    return NULL;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    struct connection *next;
    for (struct connection *c = server->connections; c != NULL; c = next) {
        next = c->next;
        close_connection(c);
    }
    loop_remove(server->loop, &server->watch);
    loop_disarm(server->loop, &server->resume);
    close(server->watch.fd);
    free(server);
}
