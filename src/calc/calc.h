/* The calculation: from all resources to what the sidecars of a node need. Incremental: one change costs what it changes.
 *
 *     Pod, WorkloadEndpoint, HostEndpoint, NetworkSet ─► ipsets (all peers × selectors of rules in use) ──┐
 *     EndpointSlice ────────────────────────────────────► services ─► ipsets                              │
 *     Namespace, ServiceAccount, Profile ─► profiles ─► labels passed on, to both indexes                 ├─► sink
 *     Pod, WorkloadEndpoint of this node ─► endpoints ◄─ index (local endpoints × all policies) ─┐        │
 *     policies, Tier ─► policies ◄────────────────────────────────────────────────────────────────┘────────┘
 *
 * Resources come and go one by one; calc_flush sends the messages that bring a receiver from the last state to the present one, in
 * an order in which nothing is used before it is there nor removed while it is used:
 *
 *     updates:  IP sets, policies, profiles, endpoints, namespaces, service accounts
 *     removals: endpoints, profiles, policies, IP sets, namespaces, service accounts
 *
 * The result is always that of a calculation from scratch. Nothing is sent before calc_set_in_sync: half a policy is worse
 * than none; InSync is the last message of the first flush.
 *
 * Of a resource is kept what is needed: policies and this node's endpoints whole, of all others addresses and labels.
 *
 * Threads: one.
 */
#ifndef CALC_CALC_H
#define CALC_CALC_H

#include "calc/endpoints.h"

struct calc;

/* For the endpoints of a node, of one workload (a Pod, or a WorkloadEndpoint whose pod or workload has that name), or, with
 * {0}, for all. */
struct calc *calc_new(const struct endpoints_scope *scope);
void calc_free(struct calc *calc);

/* The resource is the calculation's from now on. */
void calc_update(struct calc *calc, struct model_resource *resource);
void calc_remove(struct calc *calc, const struct model_key *key);

/* What the names of pods' interfaces begin with; "cali" until it is set. */
void calc_set_interface_prefix(struct calc *calc, struct str prefix);

/* The datastore has told all that it has. */
void calc_set_in_sync(struct calc *calc);

/* Sends what changed since the last flush, and InSync with the first; the sink's batch_end is called if anything was sent. */
void calc_flush(struct calc *calc, const struct psync_sink *sink);

/* The members of a set that was sent and not removed, as of the last flush, so that what the next one tells fits to them; in
 * the arena, in no order. *type as in the message. False: there is no such set. */
bool calc_set_members(const struct calc *calc, struct str id, struct arena *arena, int *type,
                      struct psync_strings *members);

struct calc_stats {
    struct policies_stats policies;
    struct profiles_stats profiles;
    struct ipsets_stats ipsets;
    size_t endpoints; /* of this node */
    uint64_t updates; /* calls of calc_update and calc_remove */
    uint64_t messages, flushes;
};
/* Costs a walk over sets and policies. */
struct calc_stats calc_stats(const struct calc *calc);

#endif
