/* The endpoints whose sidecars are served from here: which there are, and what each is told.
 *
 * They are those of one node, or the one of a single workload (a sidecar that reads the datastore itself), or all (for looking
 * at a whole directory).
 *
 * Two resources can claim to be the same endpoint: a Pod goes before WorkloadEndpoints; of several of those nobody knows which is
 * meant, so there is none.
 */
#ifndef CALC_ENDPOINTS_H
#define CALC_ENDPOINTS_H

#include "calc/policies.h"
#include "calc/profiles.h"

struct endpoints;

/* Which endpoints are served: {0} means all. At most one of the two is set; the texts are copied. */
struct endpoints_scope {
    struct str node;
    struct str workload; /* "NAMESPACE/NAME" */
};

struct endpoints *endpoints_new(const struct endpoints_scope *scope, struct label_index *index,
                                struct profiles *profiles);
void endpoints_free(struct endpoints *endpoints);

/* The policies that select endpoints; set once, before the first endpoint comes. */
void endpoints_set_policies(struct endpoints *endpoints, struct policies *policies);

/* What the names of pods' interfaces begin with; "cali" until it is set. */
void endpoints_set_interface_prefix(struct endpoints *endpoints, struct str prefix);

/* Takes in a Pod or WorkloadEndpoint, which is the endpoints' from now on (it is freed if it is none of those that are served). It
 * replaces one with the same key. */
void endpoints_put(struct endpoints *endpoints, struct model_resource *resource);
void endpoints_remove(struct endpoints *endpoints, const struct model_key *key);

/* Endpoints of this group are evaluated in another way from now on. `ctx` is the endpoints. */
void endpoints_group_changed(void *ctx, struct label_group *group);

/* ---- the steps of a flush, as in calc/policies.h ---- */

void endpoints_send_updates(struct endpoints *endpoints, const struct psync_sink *sink);
/* Endpoints that are gone, before what only they needed. */
void endpoints_send_removals(struct endpoints *endpoints, const struct psync_sink *sink);

/* How many there are. */
size_t endpoints_count(const struct endpoints *endpoints);

#endif
