/* For tests: an HTTP server on the loopback interface, on the loop of the test, that answers what the test says.
 *
 * Bodies are sent in chunks. What a peer does not read waits in memory.
 */
#ifndef TESTS_API_SERVER_H
#define TESTS_API_SERVER_H

#include "base/list.h"
#include "base/loop.h"
#include "base/mem.h"

enum api_ending {
    API_WHOLE,       /* the body ends as it should, after `lasts` */
    API_OPEN,        /* it does not end */
    API_CUT,         /* after `lasts` the connection is closed in the middle of it */
    API_UNTIL_CLOSE, /* its end is that of the connection */
    API_NOTHING,     /* no answer at all */
    API_HANG_UP,     /* none, and the connection is closed */
};

struct api_reply {
    unsigned status; /* 0: 200 */
    enum api_ending ending;
    const char *headers; /* more, each with its "\r\n"; NULL: none */
    struct str body;
    size_t chunk;   /* bytes of each chunk; 0: one for all */
    uint64_t lasts; /* milliseconds */
};

struct api_request {
    struct str target; /* "/api/v1/pods?watch=1" */
    struct str head;   /* all of it */
};

/* What is in the reply must live until the handler is called again. */
typedef struct api_reply api_handler(void *ctx, const struct api_request *request);

struct api_server {
    struct loop *loop;
    struct loop_watch listener;
    struct list connections;
    unsigned port;
    unsigned accepted; /* connections, so far */
    api_handler *handler;
    void *ctx;
};

/* It must stay where it is. */
void api_server_start(struct api_server *server, struct loop *loop, api_handler *handler,
                      void *ctx);
void api_server_stop(struct api_server *server);

/* Closes all connections, in the middle of what they are at. */
void api_server_hang_up(struct api_server *server);

/* More of all bodies that are open. */
void api_server_send(struct api_server *server, struct str text);

#endif
