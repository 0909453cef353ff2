/* The messages of the Policy Sync API as C values: what a node agent tells a sidecar.
 *
 * This is the seam between the two halves. The calculation makes these values; the sidecar's store takes them, whether they
 * came over a wire (policysync/decode.h) or straight from the calculation in the same process.
 *
 * Ownership: a message borrows everything that it points to; it lives as long as the arena that it was made in.
 * Receivers copy what they keep. Fields have the names and meaning of proto/felix.proto.
 */
#ifndef POLICYSYNC_MESSAGE_H
#define POLICYSYNC_MESSAGE_H

#include "base/labels.h"
#include "base/mem.h"

/* Bytes of one message on the wire: gRPC's usual limit, beyond which receivers refuse. */
enum { PSYNC_MESSAGE_LIMIT = 4 * 1024 * 1024 };

struct psync_strings {
    struct str *items;
    size_t count;
};

enum psync_set_type {
    PSYNC_SET_IP = 0,
    PSYNC_SET_IP_AND_PORT = 1,
    PSYNC_SET_NET = 2,
    /* Ours: nobody knows the members. Like any type that our sidecar does not know, it makes rules that need the set refuse; what
     * upstream's makes of it is in docs/differences.md. */
    PSYNC_SET_UNREADABLE = 255,
};

struct psync_ipset_update {
    struct str id;
    int type; /* enum psync_set_type, or a number that this version does not know */
    struct psync_strings members;
};

struct psync_ipset_delta {
    struct str id;
    struct psync_strings added, removed;
};

/* Newer senders fill namespace, name, kind; older ones tier and name. */
struct psync_policy_id {
    struct str tier, namespace, name, kind;
};

/* Appends "NetworkPolicy default/web", "GlobalNetworkPolicy customer", "Profile kns.default"; of ids without a kind the name alone. */
void psync_policy_id_format(struct buf *out, const struct psync_policy_id *id);

enum psync_choice { PSYNC_NONE, PSYNC_NUMBER, PSYNC_NAME };

struct psync_protocol {
    bool present;
    enum psync_choice choice; /* NONE: a Protocol with nothing in it */
    int32_t number;
    struct str name;
};

struct psync_port_range {
    int32_t first, last;
};
struct psync_port_ranges {
    struct psync_port_range *items;
    size_t count;
};

struct psync_icmp {
    bool present;
    bool has_code;
    int32_t type, code;
};

struct psync_account_match {
    struct str selector;
    struct psync_strings names;
};

enum psync_path_kind { PSYNC_PATH_NONE, PSYNC_PATH_EXACT, PSYNC_PATH_PREFIX };

struct psync_path {
    enum psync_path_kind kind;
    struct str text;
};

struct psync_http_match {
    struct psync_strings methods;
    struct psync_path *paths;
    size_t path_count;
};

/* What a rule says about one of the two sides. */
struct psync_rule_side {
    struct psync_strings nets, not_nets;
    struct psync_port_ranges ports, not_ports;
    struct psync_strings set_ids, not_set_ids;
    struct psync_strings named_port_set_ids, not_named_port_set_ids;
    struct psync_strings ip_port_set_ids;                  /* destination only */
    struct str selector, not_selector, namespace_selector; /* original_… */
    struct str service, service_namespace;                 /* original_… */
    struct psync_account_match account;
};

struct psync_rule {
    struct str action;
    int32_t ip_version;
    struct psync_protocol protocol, not_protocol;
    struct psync_icmp icmp, not_icmp;
    struct psync_rule_side source, destination;
    struct psync_http_match http;
    struct labels annotations; /* of the rule's metadata; sent, not read */
    struct str rule_id;
};
struct psync_rules {
    struct psync_rule *items;
    size_t count;
};

/* `malformed`: the bytes of it could not be read; whoever reaches it must refuse. */
struct psync_policy {
    struct psync_policy_id id;
    bool malformed;
    struct str namespace; /* empty: a global policy */
    struct psync_rules inbound, outbound;
    bool untracked, pre_dnat;
    struct str original_selector;
    struct str tier;
};

struct psync_profile {
    struct str name;
    bool malformed;
    struct psync_rules inbound, outbound;
};

struct psync_policy_ids {
    struct psync_policy_id *items;
    size_t count;
};

struct psync_tier {
    struct str name, default_action;
    struct psync_policy_ids ingress, egress;
};

struct psync_endpoint_id {
    struct str orchestrator, workload, endpoint;
};

struct psync_endpoint {
    struct psync_endpoint_id id;
    bool malformed;
    struct str state, name, mac;
    struct psync_strings profile_ids, ipv4_nets, ipv6_nets;
    struct psync_tier *tiers;
    size_t tier_count;
};

/* A service account (namespace and name) or a namespace (name). */
struct psync_labelled {
    struct str namespace, name;
    struct labels labels;
};

enum psync_kind {
    PSYNC_IGNORED, /* a message that sidecars have no use for, or of a newer version */
    PSYNC_IN_SYNC,
    PSYNC_IPSET_UPDATE,
    PSYNC_IPSET_DELTA,
    PSYNC_IPSET_REMOVE,
    PSYNC_PROFILE_UPDATE,
    PSYNC_PROFILE_REMOVE,
    PSYNC_POLICY_UPDATE,
    PSYNC_POLICY_REMOVE,
    PSYNC_ENDPOINT_UPDATE,
    PSYNC_ENDPOINT_REMOVE,
    PSYNC_ACCOUNT_UPDATE,
    PSYNC_ACCOUNT_REMOVE,
    PSYNC_NAMESPACE_UPDATE,
    PSYNC_NAMESPACE_REMOVE,
};

struct psync_message {
    enum psync_kind kind;
    uint64_t sequence_number;
    union {
        struct psync_ipset_update ipset_update;
        struct psync_ipset_delta ipset_delta;
        struct str ipset_remove; /* id */
        struct psync_profile profile;
        struct str profile_remove; /* name */
        struct psync_policy policy;
        struct psync_policy_id policy_remove;
        struct psync_endpoint endpoint;
        struct psync_endpoint_id endpoint_remove;
        struct psync_labelled account; /* removes: without labels */
        struct psync_labelled namespace;
    };
};

/* Where messages go, in order; `in_sync` is a message too. The end of a batch says that all before it belong together: a
 * request sees all of them or none. */
struct psync_sink {
    void (*message)(void *ctx, const struct psync_message *message);
    void (*batch_end)(void *ctx);
    void *ctx;
};

#endif
