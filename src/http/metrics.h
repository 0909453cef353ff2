/* Prometheus' text format: one metric, or one with labels, at a time.
 *
 * Source: Prometheus' documentation, "Exposition formats".
 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include "base/mem.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A metric without labels, with its HELP and TYPE. */
void metrics_gauge(struct buf *out, const char *name, const char *help, double value);
void metrics_counter(struct buf *out, const char *name, const char *help, double value);

/* key="value", the value quoted as the format wants it. */
void metrics_label(struct buf *out, const char *key, struct str value);

/* process_resident_memory_bytes and process_cpu_seconds_total. `statm_fd`: /proc/self/statm, open; -1: memory is told as 0. */
void metrics_process(struct buf *out, int statm_fd);

#endif
