#include "cmd/felix_agent.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/loop.h"
#include "cmd/felix_ports.h"
#include "cmd/felix_settings.h"
#include "cmd/signals.h"
#include "datastore/directory.h"

/* When a prefix that cannot be served under is tried again, in milliseconds. */
enum { RETRY_PAUSE = 2000 };

struct felix_agent {
    struct loop *loop;
    struct signals signals;
    struct felix_config *config;
    struct felix_settings settings;
    struct directory *directory; /* this, or the next two */
    struct kube_config cluster;
    struct kubernetes *kubernetes;
    struct calc *calc;
    struct feed *feed;
    struct psync_sink sink; /* the feed's */
    struct psync_server *server;
    char *prefix; /* that is, or should be, served under; empty: none */
    struct loop_timer retry;
    struct error told; /* why it cannot be; empty: nothing was told */
    bool is_started;   /* the settings that were read at the start are in force */
    struct felix_ports ports;
    struct felix_status status;
};

/* ---- the Policy Sync server ---- */

static void start_server(void *ctx)
{
    struct felix_agent *agent = ctx;
    struct error err;
    agent->server = psync_server_new(agent->loop, agent->feed, agent->prefix, &err);
    agent->status.server = agent->server;
    agent->status.is_serving = agent->server != NULL || agent->prefix[0] == '\0';
    if (agent->server != NULL) {
        agent->told.text[0] = '\0';
        log_event(LOG_INFO, "Serving the Policy Sync API", LOG_C("prefix", agent->prefix));
        return;
    }
    log_event(error_is_news(&agent->told, err.text) ? LOG_ERROR : LOG_DEBUG,
              "Cannot serve the Policy Sync API; trying again every two seconds",
              LOG_C("prefix", agent->prefix), LOG_C("problem", err.text));
    loop_arm(agent->loop, &agent->retry, RETRY_PAUSE);
}

static void set_prefix(struct felix_agent *agent, struct str prefix)
{
    if (agent->prefix != NULL && str_eq(str_from_c(agent->prefix), prefix))
        return;
    loop_disarm(agent->loop, &agent->retry);
    psync_server_free(agent->server);
    agent->server = NULL;
    agent->status.server = NULL;
    free(agent->prefix);
    agent->prefix = mem_strndup(prefix);
    agent->status.is_serving = prefix.len == 0;
    if (prefix.len > 0)
        start_server(agent);
    else
        log_message(LOG_INFO, "Policy Sync API is off: policySyncPathPrefix is empty");
}

/* ---- configuration ---- */

static void apply_config(struct felix_agent *agent)
{
    struct str prefix, others;
    str_cut(felix_config_get(agent->config, FELIX_INTERFACE_PREFIX), ',', &prefix, &others);
    calc_set_interface_prefix(agent->calc, prefix);
    log_set_level(felix_config_log_level(agent->config));
    set_prefix(agent, felix_config_get(agent->config, FELIX_POLICY_SYNC_PATH_PREFIX));
    felix_ports_apply(&agent->ports);
}

/* ---- the datastore ---- */

/* Only that of this name counts: calicoctl writes no other. */
static bool is_cluster_information(const struct model_key *key)
{
    return key->kind == MODEL_CLUSTER_INFORMATION && str_eq(key->name, STR("default"));
}

static void set_held(struct felix_agent *agent, bool held)
{
    if (held != agent->status.is_held)
        log_message(LOG_WARNING,
                    held ? "ClusterInformation says that the datastore is not ready; what is in "
                           "force stays in force until it is"
                         : "ClusterInformation says that the datastore is ready again");
    agent->status.is_held = held;
}

static void on_update(void *ctx, struct model_resource *resource)
{
    struct felix_agent *agent = ctx;
    if (is_cluster_information(&resource->key))
        set_held(agent, !resource->cluster_information.datastore_ready);
    if (felix_settings_are(resource->key.kind))
        felix_settings_put(&agent->settings, resource);
    else
        calc_update(agent->calc, resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct felix_agent *agent = ctx;
    if (is_cluster_information(key))
        set_held(agent, false);
    if (felix_settings_are(key->kind))
        felix_settings_remove(&agent->settings, key);
    else
        calc_remove(agent->calc, key);
}

static void on_in_sync(void *ctx)
{
    struct felix_agent *agent = ctx;
    agent->status.in_sync = true;
    calc_set_in_sync(agent->calc);
}

static void on_batch_end(void *ctx)
{
    struct felix_agent *agent = ctx;
    bool is_first = agent->status.in_sync && !agent->is_started;
    /* A datastore that is not ready may lack its FelixConfigurations too, and with them the sockets' place. */
    if (agent->status.is_held && agent->is_started)
        return;
    if (felix_settings_apply(&agent->settings, agent->config) || is_first)
        apply_config(agent);
    agent->is_started = agent->status.in_sync;
    if (agent->status.is_held)
        return;
    uint64_t start = clock_nanoseconds();
    calc_flush(agent->calc, &agent->sink);
    agent->status.flush_nanoseconds += clock_nanoseconds() - start;
    if (is_first)
        malloc_trim(0); /* reading everything took more than keeping it */
}

static void on_problem(void *ctx, const struct datastore_problem *problem)
{
    struct felix_agent *agent = ctx;
    if (problem->is_warning)
        agent->status.warnings++;
    else
        agent->status.problems++;
    datastore_log_problem(problem);
}

static bool open_datastore(struct felix_agent *agent, struct error *err)
{
    const struct datastore_sink sink = {on_update,  on_remove,  on_batch_end,
                                        on_in_sync, on_problem, agent};
    if (str_eq_nocase(felix_config_get(agent->config, FELIX_DATASTORE_TYPE), STR("directory"))) {
        CLEANUP_FREE char *path = mem_strndup(felix_config_get(agent->config, FELIX_DIRECTORY));
        agent->directory = directory_open(agent->loop, path, &sink, err);
        return agent->directory != NULL;
    }
    CLEANUP_FREE char *node = mem_strndup(felix_config_get(agent->config, FELIX_HOSTNAME));
    const struct kubernetes_options options = {.config = &agent->cluster, .node = node};
    if (!kubernetes_find(&agent->cluster, NULL, err))
        return false;
    agent->kubernetes = kubernetes_open(agent->loop, &options, &sink, err);
    agent->status.kubernetes = agent->kubernetes;
    return agent->kubernetes != NULL;
}

/* ---- the process ---- */

static void on_signal(void *ctx, const char *name)
{
    const struct felix_agent *agent = ctx;
    log_event(LOG_INFO, "Stopping", LOG_C("reason", name));
    loop_stop(agent->loop);
}

/* Hundreds of pods with a socket and a connection each. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_event(LOG_WARNING, "Cannot raise the limit of open files",
                  LOG_C("problem", strerror(errno)));
}

static bool set_members(void *ctx, struct str id, struct arena *arena, int *type,
                        struct psync_strings *members)
{
    return calc_set_members(ctx, id, arena, type, members);
}

static bool start(struct felix_agent *agent, struct error *err)
{
    const struct endpoints_scope scope = {.node = felix_config_get(agent->config, FELIX_HOSTNAME)};
    agent->loop = loop_new(err);
    if (agent->loop == NULL || !signals_start(&agent->signals, agent->loop, on_signal, agent, err))
        return false;
    raise_file_limit();
    felix_ports_init(&agent->ports, agent->loop, agent->config, &agent->status);
    agent->settings.node = scope.node;
    agent->calc = calc_new(&scope);
    const struct feed_source source = {set_members, agent->calc};
    agent->feed = feed_new(&source);
    agent->sink = feed_sink(agent->feed);
    agent->status.calc = agent->calc;
    agent->status.feed = agent->feed;
    agent->retry = (struct loop_timer){.callback = start_server, .ctx = agent};
    /* What is set here says where to ask how it is, long before a cluster that does not answer has been read. */
    felix_ports_apply(&agent->ports);
    return open_datastore(agent, err);
}

static void stop(struct felix_agent *agent)
{
    felix_ports_close(&agent->ports);
    if (agent->loop != NULL)
        psync_server_free(agent->server);
    directory_close(agent->directory);
    kubernetes_close(agent->kubernetes);
    kube_config_free(&agent->cluster);
    feed_free(agent->feed);
    calc_free(agent->calc);
    felix_settings_free(&agent->settings);
    free(agent->prefix);
    signals_stop(&agent->signals);
    loop_free(agent->loop);
}

bool felix_agent_run(struct felix_config *config, struct error *err)
{
    struct felix_agent agent = {.config = config, .signals.watch.fd = -1};
    felix_status_init(&agent.status);
    bool ok = start(&agent, err);
    if (ok) {
        log_event(LOG_INFO, "Felix is running",
                  LOG_STR("node", felix_config_get(config, FELIX_HOSTNAME)),
                  LOG_STR("datastore", felix_config_get(config, FELIX_DATASTORE_TYPE)),
                  LOG_C("version", DIKAST_VERSION));
        loop_run(agent.loop);
    }
    stop(&agent);
    felix_status_close(&agent.status);
    return ok;
}
