/* dikastes server: plugs a source of policy, its keeper and the services together, and runs them on one loop.
 *
 *     policy source ──messages──► keeper ──snapshot──► workers ◄── Envoy
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "authz/keeper.h"
#include "base/clock.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/loop.h"
#include "cmd/admin.h"
#include "cmd/commands.h"
#include "cmd/harden.h"
#include "cmd/options.h"
#include "cmd/policy_source.h"
#include "cmd/signals.h"
#include "cmd/worker.h"

/* How long calls in flight may take to end after SIGTERM, in milliseconds. */
enum { DRAIN_PATIENCE = 5000 };

/* How often workers are asked for old snapshots and whether they have drained, in milliseconds; and how many may be had. */
enum { SWEEP_PAUSE = 20, WORKER_LIMIT = 64 };

struct server_options {
    const char *listen, *dial, *workload, *trust_domain, *workers, *log_level, *log_format;
    uint64_t worker_count;
    bool debug, help;
};

struct server {
    struct loop *loop;
    struct signals signals;
    struct loop_timer sweep, stopping;
    bool draining;
    struct identity_domains domains;
    struct authz_keeper *keeper;
    struct policy_source *source;
    bool source_is_up;
    struct authz_snapshot *snapshot; /* in force; NULL before the first */
    struct worker **workers;         /* the first is on the main loop */
    size_t worker_count;
    struct http_server *http;
    struct admin admin;
};

/* ---- policy ---- */

/* Ready: a policy is in force, and news of it would come. */
static void update_health(struct server *s)
{
    s->admin.ready = s->source_is_up && s->snapshot != NULL && s->snapshot->in_sync;
    for (size_t i = 0; i < s->worker_count; i++)
        worker_set_ready(s->workers[i], s->admin.ready);
}

/* Workers on other threads let go of old snapshots a little later. */
static void on_sweep(void *ctx)
{
    struct server *s = ctx;
    bool done = true;
    for (size_t i = 0; i < s->worker_count; i++)
        done &= worker_sweep(s->workers[i]);
    if (!done)
        loop_arm(s->loop, &s->sweep, SWEEP_PAUSE);
}

static void on_snapshot(void *ctx, struct authz_snapshot *snapshot)
{
    struct server *s = ctx;
    authz_snapshot_unref(s->snapshot);
    s->snapshot = snapshot;
    s->admin.snapshot = snapshot;
    s->admin.snapshot_time = clock_nanoseconds();
    for (size_t i = 0; i < s->worker_count; i++)
        worker_publish(s->workers[i], snapshot);
    on_sweep(s);
    log_event(LOG_DEBUG, "A new policy snapshot is in force",
              LOG_INT("version", snapshot->version));
    update_health(s);
}

static void on_source_up(void *ctx, bool up)
{
    struct server *s = ctx;
    s->source_is_up = up;
    update_health(s);
}

/* ---- stopping ---- */

/* All workers must have drained; those on other threads do it in their own time. */
static void on_stopping(void *ctx)
{
    struct server *s = ctx;
    bool done = true;
    for (size_t i = 0; i < s->worker_count; i++)
        done &= worker_is_drained(s->workers[i]);
    if (done)
        loop_stop(s->loop);
    else
        loop_arm(s->loop, &s->stopping, SWEEP_PAUSE);
}

static void stop(struct server *s, const char *why)
{
    if (s->draining) {
        log_message(LOG_WARNING, "Asked to stop a second time: stopping at once");
        loop_stop(s->loop); /* freeing the workers ends their threads */
        return;
    }
    s->draining = true;
    log_event(LOG_INFO, "Stopping", LOG_C("reason", why));
    for (size_t i = 0; i < s->worker_count; i++)
        worker_drain(s->workers[i], DRAIN_PATIENCE);
    loop_arm(s->loop, &s->stopping, 1);
}

static void on_terminate(void *ctx)
{
    struct server *s = ctx;
    if (!s->draining)
        stop(s, "HTTP termination request");
}

static void on_signal(void *ctx, const char *name)
{
    stop(ctx, name);
}

/* ---- the server ---- */

static bool make_workers(struct server *s, size_t count, int listen_fd, struct error *err)
{
    s->workers = mem_zalloc(count * sizeof(struct worker *));
    for (size_t i = 0; i < count; i++) {
        s->workers[i] = worker_new(i == 0 ? s->loop : NULL, listen_fd, &s->domains, err);
        if (s->workers[i] == NULL)
            return false;
        s->worker_count++;
    }
    s->admin.workers = s->workers;
    s->admin.worker_count = s->worker_count;
    return true;
}

static bool start_workers(struct server *s, struct error *err)
{
    for (size_t i = 0; i < s->worker_count; i++) {
        if (!worker_start(s->workers[i], err))
            return false;
    }
    return true;
}

/* The port is asked for by the environment, as upstream's is. */
static bool start_http(struct server *s, struct error *err)
{
    const char *port = getenv("DIKASTES_HTTP_BIND_PORT");
    if (port == NULL || port[0] == '\0')
        return true;
    s->admin.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    s->admin.terminate = on_terminate;
    s->admin.ctx = s;
    s->http = http_server_new(s->loop, getenv("DIKASTES_HTTP_BIND_ADDR"), port, admin_handle,
                              &s->admin, err);
    return s->http != NULL;
}

static bool start_policy(struct server *s, struct error *err)
{
    const struct policy_source_events events = {on_source_up, s};
    s->keeper = authz_keeper_new(on_snapshot, s);
    return policy_source_start(s->source, s->loop, s->keeper, &events, err);
}

static void free_server(struct server *s)
{
    if (s->http != NULL)
        close(s->admin.statm_fd);
    http_server_free(s->http);
    policy_source_free(s->source);
    for (size_t i = 0; i < s->worker_count; i++)
        worker_free(s->workers[i]);
    free(s->workers);
    authz_snapshot_unref(s->snapshot);
    authz_keeper_free(s->keeper);
    signals_stop(&s->signals);
    loop_free(s->loop);
}

/* Everything up to the first request, with the socket open. */
static bool start(struct server *s, const struct server_options *o, int listen_fd,
                  struct error *err)
{
    s->source = policy_source_new(o->dial, o->workload, err);
    if (s->source == NULL)
        return false;
    s->admin.source = s->source;
    const struct harden_paths paths = {o->listen, o->dial, policy_source_cluster(s->source)};
    /* Fenced in before the first byte of policy is read, so that what can be read at the start can be read later too. */
    return make_workers(s, o->worker_count, listen_fd, err) && start_http(s, err) &&
           harden_process(&paths, err) && start_policy(s, err) && start_workers(s, err);
}

static bool run_server(struct server *s, const struct server_options *o, struct error *err)
{
    s->signals.watch.fd = -1;
    s->sweep = (struct loop_timer){.callback = on_sweep, .ctx = s};
    s->stopping = (struct loop_timer){.callback = on_stopping, .ctx = s};
    s->loop = loop_new(err);
    if (s->loop == NULL || !signals_start(&s->signals, s->loop, on_signal, s, err))
        return false;
    /* Listening comes first: a path that cannot be had is the likelier mistake, and Envoy may connect at once. Until the policy
     * is read, its calls wait in the socket's queue. */
    struct listen_socket listener;
    if (!listen_unix(o->listen, 0777, &listener, err)) /* Envoy runs as another user */
        return false;
    bool ok = start(s, o, listener.fd, err);
    close(listener.fd); /* workers have their own */
    if (ok) {
        log_event(LOG_INFO, "Serving", LOG_C("listen", o->listen), LOG_C("policy", o->dial),
                  LOG_C("workload", o->workload != NULL ? o->workload : ""),
                  LOG_INT("workers", o->worker_count), LOG_C("version", DIKAST_VERSION));
        loop_run(s->loop);
    }
    listen_remove(o->listen, &listener);
    return ok;
}

/* ---- the command line ---- */

static void print_help(const struct option_spec *specs, size_t count)
{
    puts("Usage: dikastes server [OPTIONS]\n"
         "\n"
         "Serves Envoy's external authorization (ext_authz gRPC, for the HTTP and the TCP filter) "
         "on a\n"
         "unix socket, and judges every request by the network policy of one workload.\n"
         "\n"
         "Options:");
    options_print(stdout, specs, count);
    puts("\n"
         "DIKASTES_HTTP_BIND_PORT in the environment (and DIKASTES_HTTP_BIND_ADDR, default: all "
         "addresses)\n"
         "opens an HTTP port with /metrics, /healthz, /readyz and /terminate.\n"
         "SIGTERM and SIGINT stop it: what is in flight is answered first. A second one stops it "
         "at once.\n"
         "Exit status: 0 stopped by a signal, 1 it could not start.");
}

/* Domains that no certificate can have would make everybody a stranger. */
static bool split_domains(struct arena *arena, const char *list, struct identity_domains *domains,
                          struct error *err)
{
    struct str rest = str_from_c(list), domain;
    struct str *items = arena_array(arena, rest.len + 1, sizeof(*items));
    bool more = true;
    while (more) {
        more = str_cut(rest, ',', &domain, &rest);
        if (domain.len == 0 || str_find(domain, '/') < domain.len ||
            str_find(domain, ' ') < domain.len)
            return error_set(err,
                             "--trust-domain: %s in %s is not a trust domain (like cluster.local)",
                             quote(domain).text, quote(str_from_c(list)).text);
        items[domains->count++] = domain;
    }
    domains->items = items;
    return true;
}

static bool check_options(struct server_options *o, struct error *err)
{
    enum log_level level;
    enum log_format format;
    if (!log_parse_level(str_from_c(o->log_level), &level))
        return error_set(err, "--log-level: %s is not debug, info, warning or error",
                         quote(str_from_c(o->log_level)).text);
    log_set_level(o->debug ? LOG_DEBUG : level);
    if (!log_parse_format(str_from_c(o->log_format), &format))
        return error_set(err, "--log-format: %s is not logfmt or json",
                         quote(str_from_c(o->log_format)).text);
    log_set_format(format);
    if (!str_parse_uint(str_from_c(o->workers), WORKER_LIMIT, &o->worker_count) ||
        o->worker_count == 0)
        return error_set(err, "--workers: %s is not a number from 1 to %d",
                         quote(str_from_c(o->workers)).text, WORKER_LIMIT);
    return policy_source_check(o->dial, o->workload, err);
}

int command_server(int first, int argc, char **argv)
{
    struct server_options o = {.listen = DEFAULT_SOCKET,
                               .dial = "localhost:50051",
                               .workers = "1",
                               .log_level = "info",
                               .log_format = "logfmt"};
    const struct option_spec specs[] = {
        {'l', "listen", "PATH", "unix socket to serve on (default: " DEFAULT_SOCKET ")", &o.listen,
         NULL},
        {'d', "dial", "TARGET",
         "where policy comes from: a node agent's Policy Sync API (a unix socket's path,\n"
         "unix:PATH or HOST:PORT; default: localhost:50051); directory:PATH, a folder of YAML\n"
         "and JSON files with Kubernetes and Calico resources, which is watched; or\n"
         "kubernetes:[KUBECONFIG], the API server itself (default: as kubectl finds it, or the\n"
         "pod's own cluster)",
         &o.dial, NULL},
        {0, "workload", "NAMESPACE/POD", "whose policy it is (with directory: and kubernetes:)",
         &o.workload, NULL},
        {0, "trust-domain", "D[,D]",
         "believe certificates of these SPIFFE trust domains only\n(default: any)", &o.trust_domain,
         NULL},
        {0, "workers", "N",
         "threads that answer (default: 1, right for a sidecar; gateways may want more)",
         &o.workers, NULL},
        {0, "log-level", "LEVEL", "debug, info, warning or error (default: info)", &o.log_level,
         NULL},
        {0, "log-format", "FORMAT", "logfmt or json (default: logfmt)", &o.log_format, NULL},
        {0, "debug", NULL, "the same as --log-level debug", NULL, &o.debug},
        {'h', "help", NULL, "this text", NULL, &o.help},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    CLEANUP_ARENA struct arena arena = {0};
    struct server s = {0};
    struct error err;
    int words;
    if (!options_parse(specs, count, first, argc, argv, &words, &err))
        return command_usage_error("server", err.text);
    if (o.help) {
        print_help(specs, count);
        return EXIT_DONE;
    }
    if (words > 0) {
        error_set(&err, "unexpected word %s", quote(str_from_c(argv[first])).text);
        return command_usage_error("server", err.text);
    }
    if ((o.trust_domain != NULL && !split_domains(&arena, o.trust_domain, &s.domains, &err)) ||
        !check_options(&o, &err))
        return command_usage_error("server", err.text);
    bool ok = run_server(&s, &o, &err);
    if (!ok)
        log_event(LOG_ERROR, "Cannot serve", LOG_C("problem", err.text));
    free_server(&s);
    return ok ? EXIT_DONE : EXIT_USAGE;
}
