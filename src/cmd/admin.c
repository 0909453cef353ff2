#include "cmd/admin.h"

#include <stdlib.h>

#include "base/clock.h"
#include "http/metrics.h"

static void write_tally(struct buf *out, const struct authz_tier *tier,
                        const struct authz_place *place, const char *action,
                        const _Atomic uint64_t *count)
{
    CLEANUP_BUF struct buf policy = {0};
    psync_policy_id_format(&policy, &place->id);
    buf_printf(out, "dikastes_staged_verdicts_total{");
    metrics_label(out, "tier", tier->name);
    buf_append_byte(out, ',');
    metrics_label(out, "policy", buf_str(&policy));
    buf_printf(out, ",action=\"%s\"} %llu\n", action,
               (unsigned long long)atomic_load_explicit(count, memory_order_relaxed));
}

static void write_staged(struct buf *out, const struct authz_snapshot *snapshot)
{
    buf_printf(out,
               "# HELP dikastes_staged_verdicts_total Requests that a staged policy would decide.\n"
               "# TYPE dikastes_staged_verdicts_total counter\n");
    for (size_t i = 0; i < snapshot->tier_count; i++) {
        const struct authz_tier *tier = &snapshot->tiers[i];
        for (size_t j = 0; j < tier->policy_count; j++) {
            const struct authz_place *place = &tier->policies[j];
            if (!place->is_staged || place->policy == NULL)
                continue;
            write_tally(out, tier, place, "allow", &place->policy->tally->allowed);
            write_tally(out, tier, place, "deny", &place->policy->tally->denied);
        }
    }
}

static void write_kubernetes(struct buf *out, const struct kubernetes *kubernetes)
{
    struct kubernetes_stats stats = kubernetes_stats(kubernetes);
    metrics_gauge(out, "dikastes_kubernetes_kinds",
                  "Kinds that are read from the API server, of those that are installed.",
                  (double)stats.kinds);
    metrics_gauge(out, "dikastes_kubernetes_watches", "Of them those that are being watched now.",
                  (double)stats.live);
}

static void write_policy(struct buf *out, const struct admin *admin)
{
    const struct authz_snapshot *s = admin->snapshot;
    metrics_gauge(out, "dikastes_policy_in_sync", "Whether a policy is in force.",
                  s != NULL && s->in_sync);
    metrics_gauge(out, "dikastes_ready", "Whether a policy is in force and news of it would come.",
                  admin->ready);
    metrics_counter(out, "dikastes_policy_sync_streams_total", "Policy Sync streams that came up.",
                    (double)policy_source_streams(admin->source));
    if (policy_source_kubernetes(admin->source) != NULL)
        write_kubernetes(out, policy_source_kubernetes(admin->source));
    if (s == NULL)
        return;
    metrics_counter(out, "dikastes_policy_version", "Snapshots of the policy so far.",
                    (double)s->version);
    metrics_gauge(out, "dikastes_policy_age_seconds", "Since the policy in force was made.",
                  (double)(clock_nanoseconds() - admin->snapshot_time) / 1e9);
    metrics_gauge(out, "dikastes_snapshot_build_seconds", "What making the last snapshot took.",
                  (double)s->build_nanoseconds / 1e9);
    metrics_gauge(out, "dikastes_ip_sets", "Places for IP sets in the snapshot.",
                  (double)s->set_count);
    write_staged(out, s);
}

static void write_process(struct buf *out, const struct admin *admin)
{
    struct grpc_server_stats total = {0};
    for (size_t i = 0; i < admin->worker_count; i++) {
        struct grpc_server_stats stats = worker_stats(admin->workers[i]);
        total.connections += stats.connections;
        total.calls += stats.calls;
    }
    metrics_gauge(out, "dikastes_connections", "Connections of Envoys.", (double)total.connections);
    metrics_gauge(out, "dikastes_calls", "Calls in flight.", (double)total.calls);
    metrics_process(out, admin->statm_fd);
    buf_printf(out,
               "# HELP dikastes_build_info Which program this is.\n"
               "# TYPE dikastes_build_info gauge\n"
               "dikastes_build_info{version=\"%s\"} 1\n",
               DIKAST_VERSION);
}

static void write_metrics(struct buf *out, const struct admin *admin)
{
    const struct check_metrics **metrics = mem_alloc(admin->worker_count * sizeof(*metrics));
    for (size_t i = 0; i < admin->worker_count; i++)
        metrics[i] = worker_metrics(admin->workers[i]);
    check_metrics_write(out, metrics, admin->worker_count);
    free(metrics);
    write_policy(out, admin);
    write_process(out, admin);
}

static struct str readiness(const struct admin *admin)
{
    if (admin->ready)
        return STR("ok\n");
    return admin->snapshot != NULL && admin->snapshot->in_sync
               ? STR("a policy is in force, but news of it would not come\n")
               : STR("no policy in sync\n");
}

void admin_handle(void *ctx, struct str method, struct str path, struct http_response *response)
{
    struct admin *admin = ctx;
    if (str_eq(path, STR("/metrics"))) {
        response->content_type = METRICS_CONTENT_TYPE;
        write_metrics(&response->body, admin);
    } else if (str_eq(path, STR("/healthz"))) {
        buf_append_str(&response->body, STR("ok\n"));
    } else if (str_eq(path, STR("/readyz"))) {
        response->status = admin->ready ? 200 : 503;
        buf_append_str(&response->body, readiness(admin));
    } else if (str_eq(path, STR("/terminate")) && str_eq(method, STR("HEAD"))) {
        response->status = 405; /* looking must not do */
    } else if (str_eq(path, STR("/terminate"))) {
        buf_append_str(&response->body, STR("terminating Dikastes\n"));
        admin->terminate(admin->ctx);
    } else {
        response->status = 404;
        buf_append_str(&response->body, STR("there are /metrics, /healthz, /readyz, /terminate\n"));
    }
}
