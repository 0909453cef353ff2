/* dikastes server: plugs a source of policy, its keeper and the services together, and runs them on one loop.
 *
 *     policy source ──messages──► keeper ──snapshot──► check service ◄── Envoy
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "authz/check_service.h"
#include "authz/health_service.h"
#include "base/log.h"
#include "base/loop.h"
#include "cmd/commands.h"
#include "cmd/listen.h"
#include "cmd/options.h"
#include "cmd/policy_source.h"

/* How long calls in flight may take to end after SIGTERM, in milliseconds. */
enum { DRAIN_PATIENCE = 5000 };

struct server_options {
    const char *listen, *dial, *workload, *trust_domain, *log_level, *log_format;
    bool debug, help;
};

struct server {
    struct loop *loop;
    struct loop_watch signals;
    bool draining;
    struct identity_domains domains;
    struct authz_keeper *keeper;
    struct policy_source *source;
    bool source_is_up;
    struct check_service *check;
    struct health_service *health;
    struct grpc_server *grpc;
};

/* ---- policy ---- */

/* Ready: a policy is in force, and news of it would come. */
static void update_health(struct server *s)
{
    health_service_set_ready(s->health, s->source_is_up && check_service_is_ready(s->check));
}

static void on_snapshot(void *ctx, struct authz_snapshot *snapshot)
{
    struct server *s = ctx;
    check_service_set_snapshot(s->check, snapshot);
    log_message(LOG_DEBUG, "A new policy snapshot is in force");
    update_health(s);
}

static void on_source_up(void *ctx, bool up)
{
    struct server *s = ctx;
    s->source_is_up = up;
    update_health(s);
}

/* ---- signals ---- */

static void on_drained(void *ctx)
{
    loop_stop(((struct server *)ctx)->loop);
}

static void on_signal(void *ctx, uint32_t events)
{
    struct server *s = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (read(s->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (s->draining) {
            log_message(LOG_WARNING, "Second signal: stopping at once");
            loop_stop(s->loop);
            return;
        }
        s->draining = true;
        log_event(LOG_INFO, "Stopping", LOG_C("signal", sigabbrev_np((int)info.ssi_signo)));
        grpc_server_drain(s->grpc, DRAIN_PATIENCE, on_drained, s);
    }
}

static bool start_signals(struct server *s, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = (struct loop_watch){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal, s};
    if (s->signals.fd < 0)
        return error_set(err, "cannot watch signals: %s", strerror(errno));
    return loop_add(s->loop, &s->signals, EPOLLIN, err);
}

/* ---- the server ---- */

static bool serve(struct server *s, int listen_fd, struct error *err)
{
    const struct grpc_method methods[] = {
        {STR("/envoy.service.auth.v3.Authorization/Check"), check_service_handle, s->check},
        {STR("/envoy.service.auth.v2.Authorization/Check"), check_service_handle, s->check},
        {STR("/envoy.service.auth.v2alpha.Authorization/Check"), check_service_handle, s->check},
        {STR("/dikastes.Healthz/CheckLiveness"), health_service_liveness, s->health},
        {STR("/dikastes.Healthz/CheckReadiness"), health_service_readiness, s->health},
        {STR("/grpc.health.v1.Health/Check"), health_service_check, s->health},
        {STR("/grpc.health.v1.Health/Watch"), health_service_watch, s->health},
    };
    s->grpc =
        grpc_server_new(s->loop, listen_fd, methods, sizeof(methods) / sizeof(methods[0]), err);
    if (s->grpc == NULL)
        return false;
    loop_run(s->loop);
    grpc_server_free(s->grpc);
    s->grpc = NULL;
    return true;
}

static void free_server(struct server *s)
{
    policy_source_close(s->source);
    check_service_free(s->check); /* gives its snapshot back, so before the keeper */
    authz_keeper_free(s->keeper);
    health_service_free(s->health);
    if (s->signals.fd >= 0)
        close(s->signals.fd);
    loop_free(s->loop);
}

static bool run_server(struct server *s, const struct server_options *o, struct error *err)
{
    const struct policy_source_events events = {on_source_up, s};
    s->signals.fd = -1;
    s->loop = loop_new(err);
    if (s->loop == NULL || !start_signals(s, err))
        return false;
    s->keeper = authz_keeper_new(on_snapshot, s);
    s->health = health_service_new();
    s->check = check_service_new(s->loop, &s->domains);
    /* Listening comes first: a path that cannot be had is the likelier mistake, and Envoy may connect at once. Until the policy
     * is read, requests wait in the socket's queue. */
    int listen_fd = listen_unix(o->listen, err);
    if (listen_fd < 0)
        return false;
    s->source = policy_source_open(s->loop, o->dial, o->workload, s->keeper, &events, err);
    bool ok = s->source != NULL;
    if (ok) {
        log_event(LOG_INFO, "Serving", LOG_C("listen", o->listen), LOG_C("policy", o->dial),
                  LOG_C("workload", o->workload != NULL ? o->workload : ""),
                  LOG_C("version", DIKAST_VERSION));
        ok = serve(s, listen_fd, err);
    } else {
        close(listen_fd);
    }
    unlink(o->listen);
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
         "SIGTERM and SIGINT stop it: what is in flight is answered first. A second one stops it "
         "at once.\n"
         "Exit status: 0 stopped by a signal, 1 it could not start.");
}

static struct identity_domains split_domains(struct arena *arena, const char *list)
{
    struct identity_domains domains = {0};
    struct str rest = str_from_c(list), domain;
    struct str *items = arena_array(arena, rest.len + 1, sizeof(*items));
    while (rest.len > 0) {
        str_cut(rest, ',', &domain, &rest);
        if (domain.len > 0)
            items[domains.count++] = domain;
    }
    domains.items = items;
    return domains;
}

static bool check_options(const struct server_options *o, const struct identity_domains *domains,
                          struct error *err)
{
    enum log_level level = LOG_INFO;
    if (!log_parse_level(str_from_c(o->log_level), &level))
        return error_set(err, "--log-level: %s is not debug, info, warning or error",
                         quote(str_from_c(o->log_level)).text);
    log_set_level(o->debug ? LOG_DEBUG : level);
    bool json = str_eq(str_from_c(o->log_format), STR("json"));
    if (!json && !str_eq(str_from_c(o->log_format), STR("logfmt")))
        return error_set(err, "--log-format: %s is not logfmt or json",
                         quote(str_from_c(o->log_format)).text);
    log_set_format(json ? LOG_JSON : LOG_LOGFMT);
    if (o->trust_domain != NULL && domains->count == 0)
        return error_set(err, "--trust-domain: no domain given");
    return policy_source_check(o->dial, o->workload, err);
}

int command_server(int first, int argc, char **argv)
{
    struct server_options o = {.listen = DEFAULT_SOCKET,
                               .dial = "localhost:50051",
                               .log_level = "info",
                               .log_format = "logfmt"};
    const struct option_spec specs[] = {
        {'l', "listen", "PATH", "unix socket to serve on (default: " DEFAULT_SOCKET ")", &o.listen,
         NULL},
        {'d', "dial", "TARGET",
         "where policy comes from: a node agent's Policy Sync API (a unix socket's path,\n"
         "unix:PATH or HOST:PORT; default: localhost:50051), or directory:PATH, a folder of\n"
         "YAML and JSON files with Kubernetes and Calico resources, which is watched",
         &o.dial, NULL},
        {0, "workload", "NAMESPACE/POD", "whose policy it is (with directory:PATH)", &o.workload,
         NULL},
        {0, "trust-domain", "D[,D]",
         "believe certificates of these SPIFFE trust domains only\n(default: any)", &o.trust_domain,
         NULL},
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
    s.domains = split_domains(&arena, o.trust_domain != NULL ? o.trust_domain : "");
    if (!check_options(&o, &s.domains, &err))
        return command_usage_error("server", err.text);
    bool ok = run_server(&s, &o, &err);
    if (!ok)
        log_event(LOG_ERROR, "Cannot serve", LOG_C("problem", err.text));
    free_server(&s);
    return ok ? EXIT_DONE : EXIT_USAGE;
}
