/* Counters of one check service: how many requests ended in which way, and how long they took.
 *
 * One thread counts; any thread may read at any time (relaxed atomics: each number is right, several of them may be of slightly
 * different moments). A service of each worker has its own, so that counting shares no cache line; they are added up when
 * they are read.
 */
#ifndef AUTHZ_CHECK_METRICS_H
#define AUTHZ_CHECK_METRICS_H

#include <stdatomic.h>

#include "authz/verdict.h"
#include "base/mem.h"

enum { CHECK_METRICS_BUCKETS = 14 };

struct check_metrics {
    _Atomic uint64_t by_reason[AUTHZ_REASON_COUNT];
    _Atomic uint64_t undecodable;
    _Atomic uint64_t
        buckets[CHECK_METRICS_BUCKETS + 1]; /* not cumulative; the last: longer than all */
    _Atomic uint64_t nanoseconds;
};

void check_metrics_count(struct check_metrics *metrics, enum authz_reason reason);
/* How long one request took. Not all need be timed: on some machines the clock costs more than the verdict. */
void check_metrics_time(struct check_metrics *metrics, uint64_t nanoseconds);
void check_metrics_count_undecodable(struct check_metrics *metrics);

/* Appends the sums of several in Prometheus' text format. */
void check_metrics_write(struct buf *out, const struct check_metrics *const *list, size_t count);

#endif
