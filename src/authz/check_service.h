/* The service that Envoy asks: envoy.service.auth.{v3,v2,v2alpha}.Authorization/Check.
 *
 *     CheckRequest bytes ──decode──► request ──evaluate(snapshot)──► verdict ──encode──► CheckResponse bytes
 *
 * Whatever is decided or in doubt is said inside of the CheckResponse; a gRPC error (INVALID_ARGUMENT) is given only to bytes
 * that are no CheckRequest.
 *
 * It logs refusals (level info) and `log` rules that matched, so many a second at most, with a count of what was left out. A
 * line holds the reason, what decided, the peer, the method and the normal path; never headers, queries or bodies.
 *
 * Staged policies are judged beside the enforced ones, tallied, and logged where they would refuse; the verdict does not depend
 * on them.
 *
 * Threads: the loop's.
 */
#ifndef AUTHZ_CHECK_SERVICE_H
#define AUTHZ_CHECK_SERVICE_H

#include "authz/check_metrics.h"
#include "authz/identity.h"
#include "authz/snapshot.h"
#include "base/loop.h"
#include "grpc/server.h"

/* Lines about requests in one second. */
enum { CHECK_LOG_LINES = 50 };

struct check_service;

/* `believed` is borrowed. Before the first check_service_set_snapshot every request is refused. */
struct check_service *check_service_new(struct loop *loop, const struct identity_domains *believed);
void check_service_free(struct check_service *service);

/* From now on requests are judged by this snapshot; borrowed until the next one is set. */
void check_service_set_snapshot(struct check_service *service,
                                const struct authz_snapshot *snapshot);

/* Its counters, which any thread may read. */
const struct check_metrics *check_service_metrics(const struct check_service *service);

/* A grpc_handler; ctx is the service. */
void check_service_handle(void *ctx, struct grpc_call *call, struct str message);

#endif
