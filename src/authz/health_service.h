/* Health, in two languages: dikastes.Healthz (what the sidecar's probes call by `dikastes health`) and
 * grpc.health.v1.Health (what Kubernetes' own gRPC probes call).
 *
 * Live: the loop turns, or nobody would answer. Ready: a policy is in force. The services of grpc.health.v1 are "" (ready),
 * "liveness", "readiness" and the names of the authorization services (ready).
 */
#ifndef AUTHZ_HEALTH_SERVICE_H
#define AUTHZ_HEALTH_SERVICE_H

#include "grpc/server.h"

struct health_service;

struct health_service *health_service_new(void);
void health_service_free(struct health_service *service);

/* Tells watchers if it changed. */
void health_service_set_ready(struct health_service *service, bool ready);

/* grpc_handlers; ctx is the service. */
void health_service_liveness(void *ctx, struct grpc_call *call, struct str request);
void health_service_readiness(void *ctx, struct grpc_call *call, struct str request);
void health_service_check(void *ctx, struct grpc_call *call, struct str request);
void health_service_watch(void *ctx, struct grpc_call *call, struct str request);

#endif
