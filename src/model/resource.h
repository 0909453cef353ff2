/* The resources: what a platform engineer writes, as typed values.
 *
 * Kubernetes objects are turned into Calico's forms while they are decoded: a Pod is an endpoint, a
 * Kubernetes NetworkPolicy is a policy of the default tier, so that the calculation knows one form of each.
 *
 * A resource is immutable once decoded and owns an arena in which all of it lives; model_resource_free
 * frees it whole.
 *
 * A resource that was found wrong is still a resource if its key could be read: `broken` says why, and
 * what could be read of it is there. A broken policy keeps its place and refuses (spec: closed): its tier, order,
 * types and selectors are kept; unreadable types are both directions, an unreadable selector has
 * no parse, like one that is absent (all()), and it has no rules, since half of them must not be taken for all. The same holds for
 * the rules of a broken profile. A broken endpoint is not live; a broken network set or endpoint slice has
 * what could be read of it. A broken FelixConfiguration has its good settings.
 *
 * Source of the fields' meaning: the public API of Calico (projectcalico.org/v3) and of Kubernetes.
 */
#ifndef MODEL_RESOURCE_H
#define MODEL_RESOURCE_H

#include "base/ip.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/str.h"
#include "selector/selector.h"

enum model_kind {
    MODEL_NAMESPACE,
    MODEL_SERVICE_ACCOUNT,
    MODEL_POD,
    MODEL_WORKLOAD_ENDPOINT,
    MODEL_PROFILE,
    MODEL_TIER,
    MODEL_NETWORK_SET,
    MODEL_GLOBAL_NETWORK_SET,
    MODEL_NETWORK_POLICY,
    MODEL_GLOBAL_NETWORK_POLICY,
    MODEL_KUBERNETES_NETWORK_POLICY,
    MODEL_STAGED_NETWORK_POLICY,
    MODEL_STAGED_GLOBAL_NETWORK_POLICY,
    MODEL_STAGED_KUBERNETES_NETWORK_POLICY,
    MODEL_HOST_ENDPOINT,
    MODEL_SERVICE,
    MODEL_ENDPOINT_SLICE,
    MODEL_NODE,
    MODEL_FELIX_CONFIGURATION,
    MODEL_CLUSTER_INFORMATION,
    MODEL_KIND_COUNT,
};

struct model_key {
    enum model_kind kind;
    struct str namespace; /* empty if the kind is not namespaced */
    struct str
        name; /* policies of the default tier: without a leading "default."; of others as written */
};

struct model_strings {
    struct str *items;
    size_t count;
};

/* A selector field: what the user wrote, and its parse (NULL if the field is absent or blank). */
struct model_selector {
    struct str text;
    const struct selector *parsed;
};

enum model_action { MODEL_ALLOW, MODEL_DENY, MODEL_LOG, MODEL_PASS };

struct model_protocol {
    bool present;
    struct str name; /* lower-case; empty if given by number */
    uint8_t number;  /* always set if present */
};

struct model_icmp {
    bool present;
    int type; /* -1: any */
    int code; /* -1: any */
};

struct model_port {
    struct str name; /* a named port; else empty and: */
    uint16_t first, last;
};
struct model_ports {
    struct model_port *items;
    size_t count;
};

struct model_nets {
    struct ip_net *items;
    size_t count;
};

/* One side of a rule (v3 EntityRule). */
struct model_entity {
    struct model_nets nets, not_nets;
    struct model_selector selector, not_selector, namespace_selector;
    struct model_ports ports, not_ports;
    struct model_strings account_names;
    struct model_selector account_selector;
    bool has_services;
    struct str service_name, service_namespace;
};

struct model_path {
    bool prefix; /* else exact */
    struct str text;
};

struct model_rule {
    enum model_action action;
    uint8_t ip_version; /* 0: any, 4, 6 */
    struct model_protocol protocol, not_protocol;
    struct model_icmp icmp, not_icmp;
    struct model_entity source, destination;
    struct model_strings methods;
    struct model_path *paths;
    size_t path_count;
    struct labels annotations;
};
struct model_rules {
    struct model_rule *items;
    size_t count;
};

enum model_staged_action {
    MODEL_STAGED_SET,
    MODEL_STAGED_DELETE,
    MODEL_STAGED_LEARN,
    MODEL_STAGED_IGNORE
};

/* The tier of a policy whose tier cannot be read: before all others. No resource can have this name. */
#define MODEL_TIER_UNREADABLE STR("(unreadable)")

/* Every kind of policy. */
struct model_policy {
    struct str tier;                /* "default" if the field is absent */
    bool has_order;                 /* false: after all that have one */
    double order;                   /* -INFINITY where it could not be read: before all others */
    struct model_selector selector; /* absent: all() */
    struct model_selector namespace_selector; /* global policies */
    struct model_selector account_selector;
    bool applies_ingress, applies_egress; /* `types`, defaults filled in */
    struct model_rules ingress, egress;
    bool do_not_track, pre_dnat, apply_on_forward;
    enum model_staged_action staged_action;
};

struct model_endpoint_port {
    struct str name;
    uint8_t protocol;
    uint16_t port;
};

/* Whether it is an endpoint, or why it is none. */
enum model_presence {
    MODEL_UNREADABLE, /* broken */
    MODEL_LIVE,
    MODEL_ON_HOST_NETWORK,
    MODEL_UNSCHEDULED,
    MODEL_WITHOUT_ADDRESS,
    MODEL_FINISHED, /* its addresses may be another's by now */
};

/* A Pod, a WorkloadEndpoint or a HostEndpoint. Of the last, orchestrator, workload, endpoint and account are empty, and its
 * addresses are its expectedIPs. */
struct model_endpoint {
    enum model_presence presence;
    struct str node;         /* where it runs */
    struct str orchestrator; /* "k8s" */
    struct str workload;     /* "NAMESPACE/POD" */
    struct str endpoint;     /* "eth0" */
    /* On the node; of pods what follows the prefix of all pods' interfaces; of a host maybe "*" or empty. */
    struct str interface;
    struct str account; /* service account; empty: none named */
    /* Own ones without pcns., pcsa.; projectcalico.org/… set, but of HostEndpoints. */
    struct labels labels;
    struct model_strings profiles; /* in order */
    struct ip_net *nets; /* its addresses, /32 or /128 (a WorkloadEndpoint may have shorter) */
    size_t net_count;
    struct model_endpoint_port *ports;
    size_t port_count;
};

struct model_profile {
    struct labels labels_to_apply;
    struct model_rules ingress, egress;
};

/* The tiers that are there without a resource, and that a resource cannot change. */
struct model_builtin_tier {
    struct str name;
    double order;
    bool default_pass;
};
/* NULL: it is not one. */
const struct model_builtin_tier *model_builtin_tier(struct str name);

struct model_tier {
    bool has_order;
    double order;
    bool default_pass; /* defaultAction: Pass; else Deny */
};

struct model_network_set {
    struct ip_net *nets;
    size_t net_count;
};

/* Where the pods of a Service are (discovery.k8s.io/v1). Its addresses and ports are those that are of use: IP addresses and
 * ports with a number. Whether they are ready does not matter. */
struct model_slice_port {
    uint8_t protocol;
    uint16_t port;
};
struct model_endpoint_slice {
    struct str service; /* of the slice's namespace; empty: of none */
    struct ip_addr *addresses;
    size_t address_count;
    struct model_slice_port *ports;
    size_t port_count;
};

/* The fields that are set and that hold a scalar, as text: "healthPort" = "9099", "bpfEnabled" = "true". As to upstream, a
 * field with an empty text is not set. */
struct model_felix_configuration {
    struct labels settings;
    struct model_selector node_selector; /* of those that are neither `default` nor `node.NAME` */
    int64_t created;                     /* seconds since 1970; 0: not known */
};

struct model_cluster_information {
    bool datastore_ready; /* true if the field is absent */
};

struct model_resource {
    struct arena arena;
    struct model_key key;
    struct labels labels; /* metadata.labels */
    struct str broken; /* empty: sound; else the first error: "spec.order: expected a number, …" */
    unsigned line;     /* where it begins in its file */
    uint64_t digest;   /* doc_digest of its document: tells whether a newer text says the same */
    union {
        struct model_policy policy;
        struct model_endpoint endpoint;
        struct model_profile profile;
        struct model_tier tier;
        struct model_network_set network_set;
        struct model_endpoint_slice endpoint_slice;
        struct model_felix_configuration felix_configuration;
        struct model_cluster_information cluster_information;
    };
};

/* A broken one of which nothing is known but its key; `why` is for people. It is what a text would give that says nothing else
 * that can be read. */
struct model_resource *model_resource_new_unreadable(const struct model_key *key, struct str why);

void model_resource_free(struct model_resource *resource);

/* "NetworkPolicy", "Pod", …: the kind as the user writes it; for MODEL_KUBERNETES_NETWORK_POLICY the wire's
 * "KubernetesNetworkPolicy". */
struct str model_kind_name(enum model_kind kind);
bool model_kind_is_namespaced(enum model_kind kind);
bool model_kind_is_policy(enum model_kind kind);
bool model_kind_is_staged(enum model_kind kind);
/* NetworkSet or GlobalNetworkSet. */
bool model_kind_is_network_set(enum model_kind kind);

/* "NetworkPolicy default/allow-web", "Tier platform": for messages and the log. */
struct str model_key_format(struct arena *arena, const struct model_key *key);

bool model_key_eq(const struct model_key *a, const struct model_key *b);

/* KIND (a number), NAMESPACE and NAME, a NUL between each two: what resources are known by in maps; `out` is empty before. And back:
 * the key's parts are parts of the text. (Names of broken resources may hold anything but NUL, which no document has.) */
struct str model_key_text(struct buf *out, const struct model_key *key);
struct model_key model_key_of_text(struct str text);

#endif
