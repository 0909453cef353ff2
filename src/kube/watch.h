/* One kind of resource, listed and watched: told whole at first, then by its changes, for as long as it takes.
 *
 *     list ──► whole ──► watch ──► changes …            (a server that streams lists does both in one request)
 *      ▲                   │
 *      └── 410: too old ───┘      any other end: on from the last resource version, after a pause (kube/pause.h)
 *
 * A version that the server does not understand is as good as one that is too old.
 *
 * Lists are read object by object, as they come. The first is asked of the server's cache, so that a node that starts costs etcd
 * nothing; one after a 410 is consistent. Where the server streams lists, all are, and come from its cache all the same.
 *
 * What was told stays true until it is told otherwise: an outage, a refusal (401, 403) or a kind that is not there any more (404)
 * changes nothing. A kind that was not there from the beginning counts as empty, until it is; so says the API server itself, or nobody
 * (kube/missing.h).
 *
 * Threads: the loop's. Source: Kubernetes' documentation, "Kubernetes API Concepts".
 */
#ifndef KUBE_WATCH_H
#define KUBE_WATCH_H

#include "kube/client.h"
#include "model/doc.h"

struct kube_watch;

struct kube_watch_events {
    /* All objects are told anew; those that are not told until `whole` are gone. */
    void (*begin)(void *ctx);
    void (*whole)(void *ctx);
    /* An object that is there, or (`is_deleted`) that has gone. It lives until the call returns. */
    void (*object)(void *ctx, const struct doc_node *object, bool is_deleted);
    /* What was told so far belongs together. */
    void (*batch_end)(void *ctx);
    /* For people: what is in the way (once, until it is another thing); NULL: nothing any more. */
    void (*problem)(void *ctx, const char *problem);
    void *ctx;
};

struct kube_watch_options {
    const char *path;        /* "/api/v1/pods" */
    const char *query;       /* more of it, URL-encoded: "fieldSelector=…"; NULL: none */
    const char *const *drop; /* fields that are not needed (kube/split.h); NULL: all are */
    bool is_built_in;        /* every API server has it: 404 comes from something else */
    bool no_streaming;       /* do not try to stream the list */
    unsigned most; /* objects of one list, which is refused if it has more; 0: 1,000,000 */
};

/* All is borrowed. It starts within half a second. */
struct kube_watch *kube_watch_new(struct loop *loop, struct kube_client *client,
                                  const struct kube_watch_options *options,
                                  const struct kube_watch_events *events);
void kube_watch_free(struct kube_watch *watch);

/* The server answers others again: if this waits because it did not answer, it need not wait for long (kube_pause_hurry). */
void kube_watch_try_soon(struct kube_watch *watch);

/* What is known of the kind. */
enum kube_watch_known {
    KUBE_WATCH_NOTHING,
    KUBE_WATCH_MISSING, /* there is none of it, and never was: it counts as empty */
    KUBE_WATCH_LIST,    /* what was read last */
};
enum kube_watch_known kube_watch_known(const struct kube_watch *watch);

/* Whether it is watching now: news would come. */
bool kube_watch_is_live(const struct kube_watch *watch);

#endif
