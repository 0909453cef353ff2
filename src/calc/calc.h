/* The calculation: from all resources to what one endpoint's sidecar needs.
 *
 *     resources ──► inventory ──► order ─► scope ─► rules ─► IP sets ──► sent ──► messages
 *                                (which policies apply, and what they mean)    (what changed)
 *
 * The interface is one of changes in, changes out: resources come and go one by one, and calc_flush sends the messages that bring a
 * receiver from the last state to the present one, in an order in which nothing is used before it is there nor removed
 * while it is used.
 *
 * Nothing is sent before calc_set_in_sync: half a policy is worse than none.
 *
 * Within, each flush computes the endpoint's needs afresh; its cost grows with the policies and endpoints that exist. For one
 * sidecar over a directory that is some 20 ms at 5,000 pods and 50 policies; requests wait that long.
 *
 * Threads: one.
 */
#ifndef CALC_CALC_H
#define CALC_CALC_H

#include "model/resource.h"
#include "policysync/message.h"

struct calc;

/* For the endpoint of NAMESPACE/NAME: a Pod, or a WorkloadEndpoint whose pod or workload has that name. The name is copied. */
struct calc *calc_new(struct str workload);
void calc_free(struct calc *calc);

/* The resource is the calculation's from now on. */
void calc_update(struct calc *calc, struct model_resource *resource);
void calc_remove(struct calc *calc, const struct model_key *key);

/* The datastore has told all that it has. */
void calc_set_in_sync(struct calc *calc);

/* Sends what changed since the last flush, and InSync with the first; the sink's batch_end is called if anything was sent. */
void calc_flush(struct calc *calc, const struct psync_sink *sink);

#endif
