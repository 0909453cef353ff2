/* Which group Calico's resources are in: asked of the API server until it is known, or given by CALICO_API_GROUP in the environment.
 *
 * It asks for one policy of a group, since that says for sure whether there are any: a server that has just started lists no groups of
 * CRDs for a second, but answers to this that it is not ready. Where neither is installed it goes on looking, less and less often.
 */
#ifndef DATASTORE_KUBERNETES_GROUP_H
#define DATASTORE_KUBERNETES_GROUP_H

#include "kube/client.h"

struct kubernetes_group_events {
    /* Once, and the last: "crd.projectcalico.org/v1" or "projectcalico.org/v3", a constant. */
    void (*found)(void *ctx, struct str api);
    /* Once: neither is installed yet. */
    void (*missing)(void *ctx);
    void *ctx;
};

struct kubernetes_group;

/* All but the events is borrowed; nothing is told from within. `server`: for the log. NULL: what is in the environment is no group. */
struct kubernetes_group *kubernetes_group_new(struct loop *loop, struct kube_client *client,
                                              const char *server,
                                              const struct kubernetes_group_events *events,
                                              struct error *err);
void kubernetes_group_free(struct kubernetes_group *group);

/* As kube_watch_try_soon. */
void kubernetes_group_try_soon(struct kubernetes_group *group);

#endif
