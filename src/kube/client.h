/* Requests to the API server, over HTTPS, any number at once on the loop; libcurl's multi interface underneath.
 *
 * With HTTP/2 all of them share one connection. A connection that has died without a word is noticed within half a minute.
 *
 * Threads: the loop's.
 */
#ifndef KUBE_CLIENT_H
#define KUBE_CLIENT_H

#include "base/loop.h"
#include "kube/config.h"

struct kube_client;
struct kube_request;

/* `config` (borrowed) must outlive the client. NULL: libcurl cannot be had. */
struct kube_client *kube_client_new(struct loop *loop, const struct kube_config *config,
                                    struct error *err);
/* All requests must have ended or been cancelled. */
void kube_client_free(struct kube_client *client);

enum kube_outcome {
    KUBE_OK,           /* 2xx, and the body came to its end */
    KUBE_UNAUTHORIZED, /* 401 */
    KUBE_FORBIDDEN,    /* 403 */
    KUBE_NOT_FOUND,    /* 404, of an API server (kube/missing.h) */
    KUBE_GONE,         /* 410 */
    KUBE_INVALID,      /* another 4xx: what was asked is not understood */
    KUBE_BUSY,         /* 429 */
    KUBE_SILENT,       /* nothing came for too long */
    KUBE_FAILED, /* 5xx, 3xx, another's 404, no connection, one that broke, no credentials, cut off by on_data */
};

struct kube_callbacks {
    /* Some bytes of the body of a 2xx answer. False: it makes no sense, and the request ends as KUBE_FAILED. It may not cancel. */
    bool (*on_data)(void *ctx, struct str bytes);
    /* Behind the data that came together, and before the end; may be NULL. */
    void (*on_turn_end)(void *ctx);
    /* Called once, last, unless cancelled; never from within kube_request_start. `message` is for people; `retry_after`:
     * seconds that the server asks for, less than an hour, 0: it does not say. */
    void (*on_end)(void *ctx, enum kube_outcome outcome, struct str message, unsigned retry_after);
    void *ctx;
};

/* GETs a path with its query ("/api/v1/pods?watch=1"). `silence`: milliseconds without a byte after which it is given up, of a refusal
 * in all; 0: none. While
 * a program is asked for credentials, a minute at most, it is held, which does not count as silence. */
struct kube_request *kube_request_start(struct kube_client *client, const char *path,
                                        uint64_t silence, const struct kube_callbacks *callbacks);
void kube_request_set_silence(struct kube_request *request, uint64_t silence);
/* Whether the server has begun to answer with a 2xx: it has taken the request. */
bool kube_request_is_answered(const struct kube_request *request);
/* No callback comes any more. NULL is fine. */
void kube_request_cancel(struct kube_request *request);

struct kube_client_stats {
    uint64_t requests, bytes; /* of bodies, as they came over the wire */
};
struct kube_client_stats kube_client_stats(const struct kube_client *client);

#endif
