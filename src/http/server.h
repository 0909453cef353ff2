/* A very small HTTP/1.1 server, for scrapers, probes and operators: one request a connection, GET, HEAD and POST, no bodies.
 *
 * Peers are not trusted: a request head is at most 8 KiB and must come within five seconds, at most 32 connections are
 * served at once (further ones are closed), and every answer closes its connection.
 *
 * Threads: the loop's.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/loop.h"
#include "base/mem.h"

struct http_server;

struct http_response {
    int status;               /* 200 unless set */
    const char *content_type; /* text/plain unless set */
    struct buf body;          /* the handler appends; the server frees */
};

/* `path` is without its query. */
typedef void http_handler(void *ctx, struct str method, struct str path,
                          struct http_response *response);

/* Listens on an IP address (NULL or empty: all of them, IPv6 and IPv4) and a port, 1-65535, given as text. NULL, with a
 * message that names it, if either is not one or cannot be had. */
struct http_server *http_server_new(struct loop *loop, const char *address, const char *port,
                                    http_handler *handler, void *ctx, struct error *err);
void http_server_free(struct http_server *server);

#endif
