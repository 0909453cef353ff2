#include "grpc/target.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST_SIZE = 256 }; /* a DNS name has at most 253 bytes */

static bool set_path(struct grpc_target *target, struct str path, struct error *err)
{
    size_t most = sizeof(target->path.sun_path) - 1;
    if (path.len == 0 || str_find(path, '\0') < path.len)
        return error_set(err, "bad target %s: not a path of a socket", target->name.text);
    if (path.len > most)
        return error_set(err, "bad target %s: the path has %zu bytes, a socket's has at most %zu",
                         target->name.text, path.len, most);
    target->path.sun_family = AF_UNIX;
    memcpy(target->path.sun_path, path.ptr, path.len);
    return true;
}

/* "HOST:PORT" or "[HOST]:PORT". */
static bool split_host_port(struct str text, struct str *host, struct str *port)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        struct str rest;
        return str_cut(str_from(text, 1), ']', host, &rest) && host->len > 0 &&
               str_cut(rest, ':', &rest, port) && rest.len == 0;
    }
    return str_cut(text, ':', host, port) && host->len > 0 && str_find(*port, ':') == port->len;
}

/* The two parts as C strings, which getaddrinfo wants. */
struct host_port {
    char host[HOST_SIZE], port[8];
};

static bool parse_host_port(const struct grpc_target *target, struct str text,
                            struct host_port *parsed, struct error *err)
{
    struct str host, port;
    uint64_t number;
    if (!split_host_port(text, &host, &port))
        return error_set(err, "bad target %s: want a path, unix:PATH or HOST:PORT",
                         target->name.text);
    if (!str_parse_uint(port, 65535, &number) || number == 0)
        return error_set(err, "bad target %s: the port is not a number from 1 to 65535",
                         target->name.text);
    if (host.len >= sizeof(parsed->host) || str_find(host, '\0') < host.len)
        return error_set(err, "bad target %s: not the name of a host", target->name.text);
    snprintf(parsed->host, sizeof(parsed->host), "%.*s", STR_ARG(host));
    snprintf(parsed->port, sizeof(parsed->port), "%u", (unsigned)number);
    return true;
}

static bool resolve(struct grpc_target *target, const struct host_port *parsed, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    /* localhost is what it always is (RFC 6761), with or without /etc/hosts. */
    bool is_local = str_eq_nocase(str_from_c(parsed->host), STR("localhost"));
    int result =
        getaddrinfo(is_local ? NULL : parsed->host, parsed->port, &hints, &target->addresses);
    if (result != 0)
        return error_set(err, "cannot resolve the host of %s: %s", target->name.text,
                         gai_strerror(result));
    target->first = target->addresses;
    return true;
}

/* Whether the target is a unix socket's, and which part of the text is its path. */
static bool is_path(struct str text, struct str *path)
{
    *path = text;
    if (!str_starts_with(text, STR("unix:")))
        return str_find(text, '/') < text.len;
    *path = str_from(text, strlen("unix:"));
    return true;
}

bool grpc_target_resolve(struct grpc_target *target, struct str text, struct error *err)
{
    struct str path;
    struct host_port parsed;
    *target = (struct grpc_target){.name = quote(text)};
    if (is_path(text, &path))
        return set_path(target, path, err);
    return parse_host_port(target, text, &parsed, err) && resolve(target, &parsed, err);
}

bool grpc_target_check(struct str text, struct error *err)
{
    struct str path;
    struct host_port parsed;
    struct grpc_target target = {.name = quote(text)};
    return is_path(text, &path) ? set_path(&target, path, err)
                                : parse_host_port(&target, text, &parsed, err);
}

void grpc_target_free(struct grpc_target *target)
{
    if (target->addresses != NULL)
        freeaddrinfo(target->addresses);
    target->addresses = NULL;
    target->first = NULL;
}

static int start_connect(const struct grpc_target *target, const struct sockaddr *address,
                         socklen_t len, struct error *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        /* Requests are written whole. A unix socket has none of these options. */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        /* A peer that vanishes without a word is noticed within half a minute. */
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){10}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){5}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){4}, sizeof(int));
        if (connect(fd, address, len) == 0 || errno == EINPROGRESS)
            return fd;
    }
    error_set(err, "cannot connect to %s: %s", target->name.text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int grpc_target_connect(struct grpc_target *target, struct error *err)
{
    int fd = -1;
    if (target->path.sun_family == AF_UNIX && !target->path_tried) {
        target->path_tried = true;
        fd = start_connect(target, (const struct sockaddr *)&target->path, sizeof(target->path),
                           err);
    }
    while (fd < 0 && target->first != NULL) {
        const struct addrinfo *address = target->first;
        target->first = address->ai_next;
        fd = start_connect(target, address->ai_addr, address->ai_addrlen, err);
    }
    return fd;
}
