/* The datastore of a cluster: Kubernetes' own resources and Calico's, listed and watched at the API server.
 *
 * Calico's are read in the group in which they are stored: crd.projectcalico.org/v1, or projectcalico.org/v3 where only that is there (if
 * both are, the second is served by Calico's API server from the first). CALICO_API_GROUP in the environment says which, as with
 * upstream; without it, globalnetworkpolicies must be listable in the group that is there, or (404) in neither. Kinds that are not
 * installed (says the API server; another's 404 is an error) count as empty; they are found when they are installed later.
 *
 * It is in sync once every kind was read. After that nothing that the API server fails to say changes anything: what was read stays
 * in force.
 *
 * Of pods that run nowhere or have finished nothing is read, and of all pods only the fields that count.
 */
#ifndef DATASTORE_KUBERNETES_H
#define DATASTORE_KUBERNETES_H

#include "base/loop.h"
#include "datastore/datastore.h"
#include "kube/config.h"

struct kubernetes;

/* Finds out which cluster is meant (`path` as in kube/config.h), and loads what it takes to talk to it: for programs that cannot do
 * so later. Freed with kube_config_free, on error too. False: no cluster can be had; so it is in every static build. */
bool kubernetes_find(struct kube_config *config, const char *path, struct error *err);

/* For whom it is read. */
struct kubernetes_options {
    const struct kube_config
        *config; /* from kubernetes_find; borrowed, it must outlive the datastore */
    /* A node's agent: the Node of this name, FelixConfigurations and the ClusterInformation are told as well. NULL: a sidecar. */
    const char *node;
    /* A sidecar: of namespaced policies only those of this namespace (a valid name) are told, and no right to others is
     * needed. NULL: an agent. */
    const char *namespace;
};

/* Starts to read; nothing is told from within. NULL: it cannot be done, as far as is known without asking. */
struct kubernetes *kubernetes_open(struct loop *loop, const struct kubernetes_options *options,
                                   const struct datastore_sink *sink, struct error *err);
void kubernetes_close(struct kubernetes *kubernetes);

struct kubernetes_stats {
    size_t kinds, live;       /* that are read; that are being watched at the moment */
    size_t objects;           /* that are there */
    uint64_t requests, bytes; /* so far */
};
struct kubernetes_stats kubernetes_stats(const struct kubernetes *kubernetes);

#endif
