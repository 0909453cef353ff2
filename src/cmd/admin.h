/* The HTTP port for operators (DIKASTES_HTTP_BIND_PORT): /metrics for Prometheus, /healthz and /readyz for probes, /terminate to
 * stop the server gracefully, as jobs do when their work is done.
 */
#ifndef CMD_ADMIN_H
#define CMD_ADMIN_H

#include "cmd/policy_source.h"
#include "cmd/worker.h"
#include "http/server.h"

/* What /metrics tells about. The owner fills it and keeps it up to date. */
struct admin {
    struct worker **workers;
    size_t worker_count;
    const struct policy_source *source;
    const struct authz_snapshot *snapshot; /* in force; NULL before the first */
    uint64_t snapshot_time;                /* clock_nanoseconds when it came to be in force */
    bool ready;
    int statm_fd; /* /proc/self/statm, opened before the process was fenced in; -1: none */
    void (*terminate)(void *ctx);
    void *ctx;
};

/* An http_handler; ctx is the struct admin. */
void admin_handle(void *ctx, struct str method, struct str path, struct http_response *response);

#endif
