/* Where a sidecar's policy comes from: a directory or a cluster (datastore and calculation in this process), or a node agent
 * (the Policy Sync API). Either way a keeper is fed.
 *
 *     directory:PATH           a folder of resources
 *     kubernetes:[KUBECONFIG]  the cluster of a kubeconfig, or the one that kube/config.h finds
 *     else                     a node agent, see grpc/target.h
 */
#ifndef CMD_POLICY_SOURCE_H
#define CMD_POLICY_SOURCE_H

#include "authz/keeper.h"
#include "base/loop.h"
#include "datastore/kubernetes.h"

struct policy_source;

struct policy_source_events {
    /* Whether policy flows: a stream is up, a directory was read. From a cluster it does as soon as it is asked for: a
     * sidecar goes on with what it has read while the API server is away, and so does the pod's service. */
    void (*up)(void *ctx, bool up);
    void *ctx;
};

/* Whether a target and a workload (NULL: none given) go together; says what is wrong. */
bool policy_source_check(const char *target, const char *workload, struct error *err);

/* With what must be read before the process is fenced in (cmd/harden.h). Both strings passed policy_source_check and outlive it.
 * NULL: no cluster can be had. */
struct policy_source *policy_source_new(const char *target, const char *workload,
                                        struct error *err);
/* What is connected to, if it is a cluster, else NULL. */
const struct kube_config *policy_source_cluster(const struct policy_source *source);

/* False: it cannot be had (a directory that is not there). A node agent or API server that is not there is waited for. */
bool policy_source_start(struct policy_source *source, struct loop *loop,
                         struct authz_keeper *keeper, const struct policy_source_events *events,
                         struct error *err);
/* NULL: it is no cluster. */
const struct kubernetes *policy_source_kubernetes(const struct policy_source *source);
/* How many Policy Sync streams have come up so far; of a directory, 0. */
uint64_t policy_source_streams(const struct policy_source *source);

void policy_source_free(struct policy_source *source);

#endif
