/* Private to decode*.c: what each kind makes of its `spec` (and `status`). The key, the labels and the names of the
 * fields at the top are decode.c's.
 *
 * Each fills the part of d->resource that belongs to its kind, and leaves it fit to be used even if the resource is
 * broken. */
#ifndef MODEL_DECODE_KINDS_H
#define MODEL_DECODE_KINDS_H

#include "model/decode_fields.h"

/* The rules of one direction. */
struct rule_side {
    bool egress;
    bool namespaced; /* of a namespaced policy; other rules must name the namespace of a service */
    bool profile;    /* of a Profile, where upstream has no say about directions */
};
void decode_rules(struct decoder *d, const struct field *list, const struct rule_side *side,
                  struct model_rules *out);

typedef void decode_kind(struct decoder *d, const struct field *root);

decode_kind decode_policy;              /* Calico's, staged and not (decode_policy.c) */
decode_kind decode_kubernetes_policy;   /* staged too (decode_kubernetes.c) */
decode_kind decode_pod;                 /* decode_pod.c */
decode_kind decode_workload_endpoint;   /* decode_endpoint.c */
decode_kind decode_host_endpoint;       /* decode_endpoint.c */
decode_kind decode_profile;             /* decode_sets.c */
decode_kind decode_tier;                /* decode_sets.c */
decode_kind decode_network_set;         /* decode_sets.c; the global ones too */
decode_kind decode_endpoint_slice;      /* decode_cluster.c */
decode_kind decode_cluster_information; /* decode_cluster.c */
decode_kind decode_felix_configuration; /* decode_felix_configuration.c */

/* What pods and WorkloadEndpoints have in common (decode_endpoint.c). */

/* The endpoint's labels, with the reserved ones; its orchestrator and account are set already. */
void endpoint_set_labels(struct model_resource *r);
/* A port more, in an array with room for it. */
void endpoint_add_port(struct model_endpoint *endpoint, struct str name, uint8_t protocol,
                       int64_t port);
/* "NAMESPACE/NAME" */
struct str endpoint_workload_id(struct model_resource *r, struct str name);

/* What all kinds of policy have in common (decode_policy.c). */

/* `types` or `policyTypes`. Absent: from the rules that there are; unreadable: both. `kubernetes`: the
 * default always has ingress. */
void policy_types(struct decoder *d, const struct field *spec, struct str key, bool kubernetes);
/* stagedAction; "Delete" allows no field but those named. */
void policy_staged_action(struct decoder *d, const struct field *spec,
                          struct field_names with_delete);
#endif
