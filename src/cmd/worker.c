#include "cmd/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "authz/health_service.h"
#include "base/log.h"

/* How often a worker tells its numbers, in milliseconds. */
enum { STATS_PAUSE = 1000, METHOD_COUNT = 7 };

struct worker {
    struct loop *loop;
    bool has_thread;
    bool thread_runs;
    pthread_t thread;
    int listen_fd;
    struct check_service *check;
    struct health_service *health;
    struct grpc_server *grpc;
    struct grpc_method methods[METHOD_COUNT];

    /* From the main thread to the worker's. */
    struct loop_watch wake;
    _Atomic(struct authz_snapshot *) next;
    atomic_bool ready;
    _Atomic uint64_t drain_patience; /* to drain with from now on; 0: no news */

    /* From the worker's thread to the main one. */
    _Atomic uint64_t in_use; /* version of the snapshot that it judges by */
    _Atomic size_t connections, calls;
    atomic_bool drained;
    struct loop_timer stats;
    uint64_t closed; /* connections that had ended when the numbers were last told */

    /* The main thread's: what was handed out and may still be in use, oldest first. */
    struct authz_snapshot **handed;
    size_t handed_count, handed_capacity;
};

/* ---- on the worker's thread ---- */

static void take_snapshot(struct worker *w)
{
    struct authz_snapshot *snapshot = atomic_exchange(&w->next, NULL);
    if (snapshot == NULL)
        return;
    check_service_set_snapshot(w->check, snapshot);
    atomic_store(&w->in_use, snapshot->version);
}

static void on_drained(void *ctx)
{
    struct worker *w = ctx;
    atomic_store(&w->drained, true);
    if (w->has_thread)
        loop_stop(w->loop);
}

/* Each new patience counts from when it was given. */
static void start_draining(struct worker *w)
{
    uint64_t patience = atomic_exchange(&w->drain_patience, 0);
    if (patience > 0)
        grpc_server_drain(w->grpc, patience, on_drained, w);
}

static void on_wake(void *ctx, uint32_t events)
{
    struct worker *w = ctx;
    uint64_t count;
    (void)events;
    ssize_t ignored = read(w->wake.fd, &count, sizeof(count));
    (void)ignored; /* it only counts wake-ups */
    take_snapshot(w);
    health_service_set_ready(w->health, atomic_load(&w->ready));
    start_draining(w);
}

static void on_stats(void *ctx)
{
    struct worker *w = ctx;
    struct grpc_server_stats stats = grpc_server_stats(w->grpc);
    /* Peers have gone: what they took is to go back to the system. */
    if (stats.closed != w->closed)
        malloc_trim(0);
    w->closed = stats.closed;
    atomic_store(&w->connections, stats.connections);
    atomic_store(&w->calls, stats.calls);
    loop_arm(w->loop, &w->stats, STATS_PAUSE);
}

static void *run(void *ctx)
{
    struct worker *w = ctx;
    loop_run(w->loop);
    return NULL;
}

/* ---- on the main thread ---- */

static void set_methods(struct worker *w)
{
    const struct grpc_method methods[METHOD_COUNT] = {
        {STR("/envoy.service.auth.v3.Authorization/Check"), check_service_handle, w->check},
        {STR("/envoy.service.auth.v2.Authorization/Check"), check_service_handle, w->check},
        {STR("/envoy.service.auth.v2alpha.Authorization/Check"), check_service_handle, w->check},
        {STR("/dikastes.Healthz/CheckLiveness"), health_service_liveness, w->health},
        {STR("/dikastes.Healthz/CheckReadiness"), health_service_readiness, w->health},
        {STR("/grpc.health.v1.Health/Check"), health_service_check, w->health},
        {STR("/grpc.health.v1.Health/Watch"), health_service_watch, w->health},
    };
    memcpy(w->methods, methods, sizeof(methods));
}

static bool open_wake(struct worker *w, struct error *err)
{
    w->wake = (struct loop_watch){eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), on_wake, w};
    if (w->wake.fd < 0)
        return error_set(err, "cannot make an eventfd: %s", strerror(errno));
    return loop_add(w->loop, &w->wake, EPOLLIN, err);
}

struct worker *worker_new(struct loop *loop, int listen_fd, const struct identity_domains *believed,
                          struct error *err)
{
    struct worker *w = mem_zalloc(sizeof(*w));
    w->has_thread = loop == NULL;
    w->wake.fd = -1;
    w->listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    w->loop = loop != NULL ? loop : loop_new(err);
    if (w->loop == NULL || !open_wake(w, err)) {
        worker_free(w);
        return NULL;
    }
    w->health = health_service_new();
    w->check = check_service_new(w->loop, believed);
    w->stats = (struct loop_timer){.callback = on_stats, .ctx = w};
    set_methods(w);
    return w;
}

bool worker_start(struct worker *w, struct error *err)
{
    w->grpc = grpc_server_new(w->loop, w->listen_fd, w->methods, METHOD_COUNT, err);
    w->listen_fd = -1; /* the server's now */
    if (w->grpc == NULL)
        return false;
    loop_arm(w->loop, &w->stats, STATS_PAUSE);
    if (!w->has_thread)
        return true;
    int problem = pthread_create(&w->thread, NULL, run, w);
    w->thread_runs = problem == 0;
    return problem == 0 || error_set(err, "cannot start a thread: %s", strerror(problem));
}

/* A worker on the main loop is simply called. */
static void wake(struct worker *w)
{
    if (w->thread_runs) {
        ssize_t ignored = write(w->wake.fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)ignored; /* full: it is awake anyhow */
    } else {
        take_snapshot(w);
        health_service_set_ready(w->health, atomic_load(&w->ready));
    }
}

void worker_publish(struct worker *w, struct authz_snapshot *snapshot)
{
    snapshot->references++;
    MEM_GROW(w->handed, w->handed_count, w->handed_capacity);
    w->handed[w->handed_count++] = snapshot;
    atomic_store(&w->next, snapshot);
    wake(w);
}

void worker_set_ready(struct worker *w, bool ready)
{
    atomic_store(&w->ready, ready);
    wake(w);
}

bool worker_sweep(struct worker *w)
{
    uint64_t in_use = atomic_load(&w->in_use);
    size_t done = 0;
    while (done < w->handed_count && w->handed[done]->version < in_use)
        authz_snapshot_unref(w->handed[done++]);
    w->handed_count -= done;
    memmove(w->handed, w->handed + done, w->handed_count * sizeof(struct authz_snapshot *));
    return w->handed_count <= 1;
}

void worker_drain(struct worker *w, uint64_t patience)
{
    atomic_store(&w->drain_patience, patience);
    if (w->thread_runs)
        wake(w);
    else
        start_draining(w);
}

bool worker_is_drained(const struct worker *w)
{
    return atomic_load(&w->drained);
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    if (w->thread_runs) {
        if (!worker_is_drained(w))
            worker_drain(w, 1);
        pthread_join(w->thread, NULL);
    }
    if (w->loop != NULL)
        loop_disarm(w->loop, &w->stats);
    grpc_server_free(w->grpc);
    check_service_free(w->check);
    health_service_free(w->health);
    if (w->wake.fd >= 0) {
        loop_remove(w->loop, &w->wake);
        close(w->wake.fd);
    }
    if (w->listen_fd >= 0)
        close(w->listen_fd);
    if (w->has_thread)
        loop_free(w->loop);
    for (size_t i = 0; i < w->handed_count; i++)
        authz_snapshot_unref(w->handed[i]);
    free(w->handed);
    free(w);
}

const struct check_metrics *worker_metrics(const struct worker *w)
{
    return check_service_metrics(w->check);
}

struct grpc_server_stats worker_stats(const struct worker *w)
{
    return (struct grpc_server_stats){.connections = atomic_load(&w->connections),
                                      .calls = atomic_load(&w->calls)};
}
