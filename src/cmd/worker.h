/* A worker: one event loop that answers Envoy's calls. A sidecar has one, on the main loop; a gateway may have more, each
 * on a thread of its own, all accepting from the same socket.
 *
 *     main thread:  keeper ──snapshot──► worker_publish ──(pointer, eventfd)──► worker's thread
 *
 * Snapshots are read-only and are counted on the main thread alone. The main thread keeps what it handed to a worker until the worker
 * says that it uses a newer one; so serving takes no lock and touches no shared counter.
 *
 * Threads: all functions are the main thread's.
 */
#ifndef CMD_WORKER_H
#define CMD_WORKER_H

#include "authz/check_service.h"
#include "base/loop.h"

struct worker;

/* A worker on `loop`, or, if it is NULL, on a thread of its own. It accepts from `listen_fd` (which it duplicates) once it is
 * started. */
struct worker *worker_new(struct loop *loop, int listen_fd, const struct identity_domains *believed,
                          struct error *err);
bool worker_start(struct worker *worker, struct error *err);

/* Requests are judged by the snapshot from now on (on another thread: as soon as it turns). The worker counts for itself. */
void worker_publish(struct worker *worker, struct authz_snapshot *snapshot);
/* What its health services answer. */
void worker_set_ready(struct worker *worker, bool ready);

/* Releases snapshots that the worker is done with; false if some are left. */
bool worker_sweep(struct worker *worker);

/* Stops accepting and lets calls in flight end, for at most `patience` milliseconds. A second call replaces the patience. */
void worker_drain(struct worker *worker, uint64_t patience);

/* Whether it has drained. */
bool worker_is_drained(const struct worker *worker);

/* Waits for its thread, if it has one, and frees it. */
void worker_free(struct worker *worker);

const struct check_metrics *worker_metrics(const struct worker *worker);

/* Connections and calls in flight, as of a short while ago. */
struct grpc_server_stats worker_stats(const struct worker *worker);

#endif
