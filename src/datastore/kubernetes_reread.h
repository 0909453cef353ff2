/* Reads single objects of one kind again: those that count since another, which meant the same resource, has gone.
 *
 * What they say was told, and then replaced by what the other said; nobody keeps it. So each is asked for by its name, one at a time,
 * which costs the API server little, whoever makes objects go and come.
 */
#ifndef DATASTORE_KUBERNETES_REREAD_H
#define DATASTORE_KUBERNETES_REREAD_H

#include "datastore/kubernetes_objects.h"
#include "kube/client.h"

struct kubernetes_reread;

struct kubernetes_reread_options {
    struct loop *loop;
    struct kube_client *client;
    struct kubernetes_objects *objects;
    const char *path;        /* "/apis/projectcalico.org/v3/networkpolicies" */
    bool is_of_namespace;    /* the path says of which */
    const char *const *drop; /* see kube/split.h */
    /* What was told so far belongs together. */
    void (*batch_end)(void *ctx);
    void *ctx;
};

/* All is borrowed. */
struct kubernetes_reread *kubernetes_reread_new(const struct kubernetes_reread_options *options);
void kubernetes_reread_free(struct kubernetes_reread *reread);

/* Looks whether objects are wanted, and begins to ask for them, soon. */
void kubernetes_reread_look(struct kubernetes_reread *reread);

#endif
