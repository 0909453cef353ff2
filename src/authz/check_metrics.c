#include "authz/check_metrics.h"

/* Upper bounds in nanoseconds. */
static const uint64_t bounds[CHECK_METRICS_BUCKETS] = {
    500,    1000,   2500,    5000,    10000,    25000,    50000,
    100000, 250000, 1000000, 5000000, 20000000, 50000000, 200000000,
};

/* There is one writer, so that adding needs no locked instruction. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void check_metrics_count(struct check_metrics *metrics, enum authz_reason reason)
{
    add(&metrics->by_reason[reason], 1);
}

void check_metrics_time(struct check_metrics *metrics, uint64_t nanoseconds)
{
    size_t bucket = 0;
    while (bucket < CHECK_METRICS_BUCKETS && nanoseconds > bounds[bucket])
        bucket++;
    add(&metrics->buckets[bucket], 1);
    add(&metrics->nanoseconds, nanoseconds);
}

void check_metrics_count_undecodable(struct check_metrics *metrics)
{
    add(&metrics->undecodable, 1);
}

/* The sum of one counter, `offset` bytes into each. */
static uint64_t sum(const struct check_metrics *const *list, size_t count, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const _Atomic uint64_t *counter =
            (const _Atomic uint64_t *)((const char *)list[i] + offset);
        total += atomic_load_explicit(counter, memory_order_relaxed);
    }
    return total;
}

static const char *verdict_of(enum authz_reason reason)
{
    return reason == AUTHZ_ALLOWED_BY_RULE || reason == AUTHZ_ALLOWED_BY_PROFILE ? "allow" : "deny";
}

void check_metrics_write(struct buf *out, const struct check_metrics *const *list, size_t count)
{
    buf_printf(out, "# HELP dikastes_checks_total Requests judged, by verdict and reason.\n"
                    "# TYPE dikastes_checks_total counter\n");
    for (int i = 0; i < AUTHZ_REASON_COUNT; i++) {
        enum authz_reason reason = (enum authz_reason)i;
        size_t offset = offsetof(struct check_metrics, by_reason) + (size_t)i * sizeof(uint64_t);
        buf_printf(out, "dikastes_checks_total{verdict=\"%s\",reason=\"%.*s\"} %llu\n",
                   verdict_of(reason), STR_ARG(authz_reason_name(reason)),
                   (unsigned long long)sum(list, count, offset));
    }
    buf_printf(
        out,
        "# HELP dikastes_undecodable_requests_total Calls whose message was no CheckRequest.\n"
        "# TYPE dikastes_undecodable_requests_total counter\n"
        "dikastes_undecodable_requests_total %llu\n",
        (unsigned long long)sum(list, count, offsetof(struct check_metrics, undecodable)));
    buf_printf(out, "# HELP dikastes_check_duration_seconds Time from a request's bytes to its "
                    "answer's, of one in 16.\n"
                    "# TYPE dikastes_check_duration_seconds histogram\n");
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= CHECK_METRICS_BUCKETS; i++) {
        cumulative +=
            sum(list, count, offsetof(struct check_metrics, buckets) + i * sizeof(uint64_t));
        if (i < CHECK_METRICS_BUCKETS)
            buf_printf(out, "dikastes_check_duration_seconds_bucket{le=\"%g\"} %llu\n",
                       (double)bounds[i] / 1e9, (unsigned long long)cumulative);
    }
    buf_printf(out,
               "dikastes_check_duration_seconds_bucket{le=\"+Inf\"} %llu\n"
               "dikastes_check_duration_seconds_sum %.9f\n"
               "dikastes_check_duration_seconds_count %llu\n",
               (unsigned long long)cumulative,
               (double)sum(list, count, offsetof(struct check_metrics, nanoseconds)) / 1e9,
               (unsigned long long)cumulative);
}
