/* The plain evaluator: the specification in code.
 *
 * One function a part of a rule (match.h), in the order of the specification, no caching, no cleverness. It is what a faster
 * evaluator is tested against, and what explains a request.
 *
 * Pure: no I/O, no allocation, no globals, no locks.
 */
#ifndef AUTHZ_INTERPRETER_H
#define AUTHZ_INTERPRETER_H

#include "authz/request.h"
#include "authz/snapshot.h"
#include "authz/verdict.h"

/* Told about every `log` rule that matched on the way. */
struct authz_observer {
    void (*logged)(void *ctx, struct str tier, const struct psync_policy_id *policy, int rule);
    void *ctx;
};

/* `request` must have been prepared. `observer` may be NULL. */
struct authz_verdict authz_interpret(const struct authz_snapshot *snapshot,
                                     const struct authz_request *request,
                                     const struct authz_observer *observer);

/* What the request's verdict would be if staged policies were enforced, as far as a staged policy would decide it: a rule of its
 * own, or its tier's default action after it. *place is then that policy's, else NULL. Nothing is observed. */
struct authz_verdict authz_interpret_staged(const struct authz_snapshot *snapshot,
                                            const struct authz_request *request,
                                            const struct authz_place **place);

#endif
