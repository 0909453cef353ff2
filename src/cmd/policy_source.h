/* Where a sidecar's policy comes from: a directory (datastore and calculation in this process) or a node agent (the Policy
 * Sync API). Either way a keeper is fed.
 */
#ifndef CMD_POLICY_SOURCE_H
#define CMD_POLICY_SOURCE_H

#include "authz/keeper.h"
#include "base/loop.h"

struct policy_source;

struct policy_source_events {
    /* Whether policy flows: a stream is up, a directory was read. */
    void (*up)(void *ctx, bool up);
    void *ctx;
};

/* Whether a target and a workload (NULL: none given) go together; says what is wrong. */
bool policy_source_check(const char *target, const char *workload, struct error *err);

/* NULL: it cannot be had (a directory that is not there). A node agent that is not there is waited for. */
struct policy_source *policy_source_open(struct loop *loop, const char *target,
                                         const char *workload, struct authz_keeper *keeper,
                                         const struct policy_source_events *events,
                                         struct error *err);
/* How many Policy Sync streams have come up so far; of a directory, 0. */
uint64_t policy_source_streams(const struct policy_source *source);

void policy_source_close(struct policy_source *source);

#endif
