/* Private to datastore/kubernetes*.c: what is read of a cluster. */
#ifndef DATASTORE_KUBERNETES_KINDS_H
#define DATASTORE_KUBERNETES_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct kubernetes_kind {
    const char *group; /* "api/v1", "apis/networking.k8s.io/v1"; NULL: Calico's, which is in use */
    const char *resource;    /* "pods" */
    struct str api, kind;    /* of its objects; api empty: Calico's */
    const char *query;       /* which of them; NULL: all */
    const char *const *drop; /* see kube/split.h */
    bool is_of_node;         /* only the one that has the node's name */
    bool is_for_agents;      /* a sidecar does without */
    bool is_policy;          /* a sidecar needs those of its own namespace only */
};

extern const struct kubernetes_kind kubernetes_kinds[];
extern const size_t kubernetes_kind_count;

#endif
