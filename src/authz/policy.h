/* A policy or profile, compiled: checked, normalised and laid out for evaluation, once, off the request path.
 *
 * Everything that can be known before a request comes is done here: nets are numbers, paths are normal, selectors are
 * parsed, IP sets are slots. What cannot be understood makes the whole policy `malformed`; it keeps its place and whoever
 * reaches it is refused (spec page 3, "malformed").
 *
 * Only inbound rules: a sidecar judges nothing else.
 *
 * Ownership: counted, not atomically; made and released on the main thread. Immutable, so reading is free for all.
 */
#ifndef AUTHZ_POLICY_H
#define AUTHZ_POLICY_H

#include <stdatomic.h>

#include "authz/slots.h"
#include "base/ip.h"
#include "base/mem.h"
#include "policysync/message.h"
#include "selector/selector.h"

enum authz_action { AUTHZ_ALLOW, AUTHZ_DENY, AUTHZ_PASS, AUTHZ_LOG };

struct authz_nets {
    const struct ip_net *items;
    size_t count;
};

struct authz_ports {
    const struct psync_port_range *items;
    size_t count;
};

/* Slots of IP sets. */
struct authz_sets {
    const uint32_t *items;
    size_t count;
};

/* What a rule says about one side; empty parts match everything. */
struct authz_side {
    struct authz_nets nets, not_nets;
    struct authz_ports ports, not_ports;
    struct authz_sets sets, not_sets;
    struct authz_sets named_ports, not_named_ports;
    struct authz_sets ip_ports;
    bool has_account; /* a service account match with something in it: */
    struct psync_strings account_names;
    const struct selector *account_selector;   /* NULL: none */
    const struct selector *namespace_selector; /* NULL: none */
    bool own_namespace; /* no namespace selector: the peer must be in the policy's namespace */
    bool
        has_positive_set; /* an IP set of any kind, not negated, that plain text can fall back to */
};

struct authz_path {
    bool prefix; /* else exact */
    struct str normal;
};

struct authz_rule {
    enum authz_action action;
    uint8_t family;   /* 4, 6; 0: any */
    int protocol;     /* -1: any */
    int not_protocol; /* -1: none excluded */
    bool icmp;        /* an ICMP type is asked for: no request is that */
    struct authz_side source, destination;
    struct psync_strings methods;
    const struct authz_path *paths;
    size_t path_count;
};

/* What a staged policy would have decided. It outlives the versions of its policy. */
struct authz_tally {
    unsigned references; /* the main thread counts */
    _Atomic uint64_t allowed, denied;
};

struct authz_policy {
    unsigned references;
    struct arena arena;
    struct psync_policy_id id; /* of a profile: its name, and kind "Profile" */
    struct str namespace;      /* of the policy's rules; empty: global */
    struct str malformed;      /* empty: sound; else why */
    struct authz_tally *tally; /* of a staged policy; else NULL */
    struct authz_rule *rules;
    size_t rule_count;
    /* Who counts the slots. */
    struct slot_table *table;
    struct slot **slots;
    size_t slot_count, slot_capacity;
};

/* `before`: the version that it replaces, or NULL. */
struct authz_policy *authz_policy_compile(const struct psync_policy *source,
                                          struct slot_table *table,
                                          const struct authz_policy *before);
struct authz_policy *authz_profile_compile(const struct psync_profile *source,
                                           struct slot_table *table);
void authz_policy_unref(struct authz_policy *policy);

/* Whether a policy of this id is of a staged kind: not enforced. */
bool authz_policy_id_is_staged(const struct psync_policy_id *id);

#endif
