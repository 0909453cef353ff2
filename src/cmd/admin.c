#include "cmd/admin.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

static void write_gauge(struct buf *out, const char *name, const char *help, double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.9g\n", name, help, name, name, value);
}

static void write_counter(struct buf *out, const char *name, const char *help, double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n%s %.9g\n", name, help, name, name, value);
}

/* Names of policies are Kubernetes' (or the sender's): quoted as the format wants it. */
static void write_label(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "%s=\"", key);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, c == '\n' ? ' ' : c);
    }
    buf_append_byte(out, '"');
}

static void write_tally(struct buf *out, const struct authz_tier *tier,
                        const struct authz_place *place, const char *action,
                        const _Atomic uint64_t *count)
{
    CLEANUP_BUF struct buf policy = {0};
    authz_policy_id_format(&policy, &place->id);
    buf_printf(out, "dikastes_staged_verdicts_total{");
    write_label(out, "tier", tier->name);
    buf_append_byte(out, ',');
    write_label(out, "policy", buf_str(&policy));
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

static void write_policy(struct buf *out, const struct admin *admin)
{
    const struct authz_snapshot *s = admin->snapshot;
    write_gauge(out, "dikastes_policy_in_sync", "Whether a policy is in force.",
                s != NULL && s->in_sync);
    write_gauge(out, "dikastes_ready", "Whether a policy is in force and news of it would come.",
                admin->ready);
    write_counter(out, "dikastes_policy_sync_streams_total", "Policy Sync streams that came up.",
                  (double)policy_source_streams(admin->source));
    if (s == NULL)
        return;
    write_counter(out, "dikastes_policy_version", "Snapshots of the policy so far.",
                  (double)s->version);
    write_gauge(out, "dikastes_policy_age_seconds", "Since the policy in force was made.",
                (double)(clock_nanoseconds() - admin->snapshot_time) / 1e9);
    write_gauge(out, "dikastes_snapshot_build_seconds", "What making the last snapshot took.",
                (double)s->build_nanoseconds / 1e9);
    write_gauge(out, "dikastes_ip_sets", "Places for IP sets in the snapshot.",
                (double)s->set_count);
    write_staged(out, s);
}

/* Resident memory in bytes, from /proc ("SIZE RESIDENT …", in pages); 0 where that cannot be read. */
static double resident_memory(int statm_fd)
{
    char text[128];
    struct str size, resident, rest;
    uint64_t pages = 0;
    ssize_t len = pread(statm_fd, text, sizeof(text), 0);
    if (len <= 0)
        return 0;
    str_cut(str_make(text, (size_t)len), ' ', &size, &rest);
    str_cut(rest, ' ', &resident, &rest);
    str_parse_uint(resident, UINT64_MAX, &pages);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_process(struct buf *out, const struct admin *admin)
{
    struct rusage usage;
    struct grpc_server_stats total = {0};
    for (size_t i = 0; i < admin->worker_count; i++) {
        struct grpc_server_stats stats = worker_stats(admin->workers[i]);
        total.connections += stats.connections;
        total.calls += stats.calls;
    }
    getrusage(RUSAGE_SELF, &usage);
    write_gauge(out, "dikastes_connections", "Connections of Envoys.", (double)total.connections);
    write_gauge(out, "dikastes_calls", "Calls in flight.", (double)total.calls);
    write_gauge(out, "process_resident_memory_bytes", "Resident memory.",
                resident_memory(admin->statm_fd));
    write_counter(out, "process_cpu_seconds_total", "User and system time.",
                  seconds(usage.ru_utime) + seconds(usage.ru_stime));
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

void admin_handle(void *ctx, struct str method, struct str path, struct http_response *response)
{
    struct admin *admin = ctx;
    if (str_eq(path, STR("/metrics"))) {
        response->content_type = "text/plain; version=0.0.4; charset=utf-8";
        write_metrics(&response->body, admin);
    } else if (str_eq(path, STR("/healthz"))) {
        buf_append_str(&response->body, STR("ok\n"));
    } else if (str_eq(path, STR("/readyz"))) {
        response->status = admin->ready ? 200 : 503;
        buf_append_str(&response->body, admin->ready ? STR("ok\n") : STR("no policy in sync\n"));
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
