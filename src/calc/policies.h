/* Policies: all that there are, and which of them the node's endpoints need.
 *
 * A policy is active while it selects an endpoint of this node. Only active ones are converted and sent, and only their rules keep
 * IP sets in use.
 *
 * Changes are noted as they come and worked off in the steps of a flush (calc/calc.c): settle, prepare, send. What changed and
 * changed back in between costs nothing.
 */
#ifndef CALC_POLICIES_H
#define CALC_POLICIES_H

#include "calc/ipsets.h"
#include "calc/order.h"

struct policy {
    struct label_selector match;     /* which of the node's endpoints it applies to */
    struct model_resource *resource; /* NULL: it was removed */
    struct tier *tier;
    uint32_t endpoints; /* of this node, that it applies to */
    bool is_indexed;    /* `match` is in the index */
    bool is_rescoped;   /* `match` is not what the resource says any more */
    bool is_changed;    /* it is in the list of changes */
    bool is_sent;
    uint64_t digest;                /* of the message that was sent */
    struct list sets;               /* struct ipset: used by its rules as prepared last */
    struct psync_message *prepared; /* to be sent in this flush */
    struct arena arena;             /* of the selector */
    size_t key_len;
    char key[]; /* its place in the map of all policies */
};

struct policies;

struct policies_context {
    struct label_index *endpoints; /* the node's endpoints, and these policies' selectors */
    struct ipsets *ipsets;
    /* How the policies that select a group of endpoints are evaluated has changed. */
    void (*group_changed)(void *ctx, struct label_group *group);
    void *ctx;
};

struct policies *policies_new(const struct policies_context *context);
void policies_free(struct policies *policies);

/* The resource is the policies' from now on; it replaces one with the same key. */
void policies_put(struct policies *policies, struct model_resource *resource);
void policies_remove(struct policies *policies, const struct model_key *key);
/* `resource` NULL: the tier has no resource any more; else borrowed. */
void policies_set_tier(struct policies *policies, struct str name,
                       const struct model_resource *resource);

/* Endpoints of this node, that a policy begins or ceases to apply to. */
void policies_count(struct policies *policies, struct policy *policy, uint32_t endpoints,
                    bool comes);

/* ---- the steps of a flush ---- */

/* Brings the selectors in the index up to date. */
void policies_settle(struct policies *policies);
/* Converts what is new, in the arena; takes the IP sets that it needs into use. */
void policies_prepare(struct policies *policies, struct arena *arena);
void policies_send_updates(struct policies *policies, const struct psync_sink *sink);
/* Behind the endpoints, which name policies no more. */
void policies_send_removals(struct policies *policies, const struct psync_sink *sink);

struct psync_policy_id policy_id(const struct model_key *key);

struct policies_stats {
    size_t tiers, policies, active;
};
struct policies_stats policies_stats(const struct policies *policies);

#endif
