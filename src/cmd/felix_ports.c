#include "cmd/felix_ports.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/metrics.h"

/* When a port that could not be opened is tried again, in milliseconds. */
enum { RETRY_PAUSE = 2000 };

void felix_status_init(struct felix_status *status)
{
    status->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

void felix_status_close(struct felix_status *status)
{
    if (status->statm_fd >= 0)
        close(status->statm_fd);
}

/* ---- health ---- */

static bool is_ready(const struct felix_status *status)
{
    return status->in_sync && !status->is_held && status->is_serving;
}

static void tell_readiness(const struct felix_status *status, struct http_response *response)
{
    response->status = is_ready(status) ? 200 : 503;
    buf_printf(&response->body, "datastore: %s\nPolicy Sync API: %s\n",
               !status->in_sync  ? "not read completely yet"
               : status->is_held ? "not ready, says ClusterInformation"
                                 : "in sync",
               !status->is_serving && !status->in_sync ? "not served yet"
               : !status->is_serving                   ? "cannot be served, see the log"
               : status->server == NULL                ? "off"
                                                       : "served");
}

static void handle_health(void *ctx, struct str method, struct str path,
                          struct http_response *response)
{
    const struct felix_status *status = ctx;
    (void)method;
    if (str_eq(path, STR("/liveness"))) {
        buf_append_str(&response->body, STR("ok\n"));
    } else if (str_eq(path, STR("/readiness"))) {
        tell_readiness(status, response);
    } else {
        response->status = 404;
        buf_append_str(&response->body, STR("there are /liveness and /readiness\n"));
    }
}

/* ---- metrics ---- */

static void write_calc(struct buf *out, const struct felix_status *status)
{
    struct calc_stats stats = calc_stats(status->calc);
    metrics_gauge(out, "felix_active_local_endpoints", "Endpoints of this node.",
                  (double)stats.endpoints);
    metrics_gauge(out, "felix_active_local_policies", "Policies that select one of them.",
                  (double)stats.policies.active);
    metrics_gauge(out, "felix_active_local_selectors", "Selectors of rules in use.",
                  (double)stats.ipsets.labels.selectors);
    metrics_gauge(out, "felix_cluster_num_policies", "Policies in the datastore.",
                  (double)stats.policies.policies);
    metrics_gauge(out, "felix_cluster_num_tiers", "Tiers that a policy or a resource names.",
                  (double)stats.policies.tiers);
    metrics_gauge(out, "felix_cluster_num_profiles",
                  "Profiles: of namespaces, service accounts, and their own.",
                  (double)stats.profiles.profiles);
    metrics_gauge(out, "felix_cluster_num_peers",
                  "Endpoints and network sets of the whole cluster.", (double)stats.ipsets.peers);
    metrics_gauge(out, "felix_label_groups",
                  "Groups of peers with the same labels; a selector is evaluated once a group.",
                  (double)stats.ipsets.labels.groups);
    metrics_gauge(out, "felix_ip_sets", "IP sets in use.", (double)stats.ipsets.sets);
    metrics_gauge(out, "felix_ip_set_members", "Members of all of them.",
                  (double)stats.ipsets.members);
    metrics_counter(out, "felix_calc_graph_updates_processed", "Changes from the datastore.",
                    (double)stats.updates);
    metrics_counter(out, "felix_calc_graph_output_events", "Messages that came of them.",
                    (double)stats.messages);
    metrics_counter(out, "felix_calc_flushes_total", "Batches of changes worked off.",
                    (double)stats.flushes);
    metrics_counter(out, "felix_calc_flush_seconds_total", "Time that took.",
                    (double)status->flush_nanoseconds / 1e9);
}

static void write_sync(struct buf *out, const struct felix_status *status)
{
    struct psync_server_stats stats = {0};
    if (status->server != NULL)
        stats = psync_server_stats(status->server);
    metrics_gauge(out, "felix_policy_sync_sockets", "Sockets that are served, one a volume.",
                  (double)stats.sockets);
    metrics_gauge(out, "felix_policy_sync_sockets_waiting", "Sockets that cannot be made for now.",
                  (double)stats.waiting);
    metrics_gauge(out, "felix_policy_sync_connections", "Connections of sidecars.",
                  (double)stats.connections);
    metrics_gauge(out, "felix_policy_sync_streams", "Sidecars that are being told.",
                  (double)stats.streams);
    metrics_counter(out, "felix_policy_sync_joins_total", "Streams so far.", (double)stats.joins);
}

static void write_kubernetes(struct buf *out, const struct felix_status *status)
{
    struct kubernetes_stats stats = kubernetes_stats(status->kubernetes);
    metrics_gauge(out, "felix_kubernetes_kinds",
                  "Kinds that are read from the API server, of those that are installed.",
                  (double)stats.kinds);
    metrics_gauge(out, "felix_kubernetes_watches", "Of them those that are being watched now.",
                  (double)stats.live);
    metrics_gauge(out, "felix_kubernetes_objects", "Objects that are there.",
                  (double)stats.objects);
    metrics_counter(out, "felix_kubernetes_requests_total", "Requests to the API server.",
                    (double)stats.requests);
    metrics_counter(out, "felix_kubernetes_received_bytes_total",
                    "Bytes of its answers, as they came over the wire.", (double)stats.bytes);
}

static void write_metrics(struct buf *out, const struct felix_status *status)
{
    metrics_gauge(out, "felix_resync_state", "3 once the datastore was read completely, 1 before.",
                  status->in_sync ? 3 : 1);
    metrics_gauge(out, "felix_ready", "What /readiness answers.", is_ready(status));
    metrics_counter(out, "felix_datastore_problems_total",
                    "Resources and files that were found wrong.", (double)status->problems);
    metrics_counter(out, "felix_datastore_warnings_total",
                    "Resources that were found questionable.", (double)status->warnings);
    write_calc(out, status);
    write_sync(out, status);
    if (status->kubernetes != NULL)
        write_kubernetes(out, status);
    metrics_process(out, status->statm_fd);
    buf_printf(out,
               "# HELP felix_build_info Which program this is.\n# TYPE felix_build_info gauge\n"
               "felix_build_info{version=\"%s\"} 1\n",
               DIKAST_VERSION);
}

static void handle_metrics(void *ctx, struct str method, struct str path,
                           struct http_response *response)
{
    (void)method;
    if (str_eq(path, STR("/metrics"))) {
        response->content_type = METRICS_CONTENT_TYPE;
        write_metrics(&response->body, ctx);
    } else {
        response->status = 404;
        buf_append_str(&response->body, STR("there is /metrics\n"));
    }
}

/* ---- the ports ---- */

static void on_retry(void *ctx)
{
    felix_ports_apply(ctx);
}

void felix_ports_init(struct felix_ports *ports, struct loop *loop,
                      const struct felix_config *config, struct felix_status *status)
{
    *ports = (struct felix_ports){.loop = loop,
                                  .config = config,
                                  .status = status,
                                  .retry = {.callback = on_retry, .ctx = ports}};
}

static void close_port(struct felix_port *port)
{
    http_server_free(port->server);
    free(port->address);
    free(port->port);
    port->server = NULL;
    port->address = port->port = NULL;
}

/* Upstream's programs listen on a name, too. */
static struct str address_of(struct str host)
{
    return str_eq_nocase(host, STR("localhost")) ? STR("127.0.0.1") : host;
}

static void open_port(struct felix_ports *ports, struct felix_port *port, const char *what,
                      http_handler *handler)
{
    struct error err;
    port->server =
        http_server_new(ports->loop, port->address, port->port, handler, ports->status, &err);
    if (port->server != NULL) {
        port->told.text[0] = '\0';
        log_event(LOG_INFO, "HTTP port is open", LOG_C("for", what), LOG_C("port", port->port));
        return;
    }
    log_event(error_is_news(&port->told, err.text) ? LOG_ERROR : LOG_DEBUG,
              "Cannot open an HTTP port; trying again every two seconds", LOG_C("for", what),
              LOG_C("problem", err.text));
    loop_arm(ports->loop, &ports->retry, RETRY_PAUSE);
}

/* The parameters that say whether there is a port, and where. */
struct place {
    enum felix_parameter enabled, host, port;
};

static void set_port(struct felix_ports *ports, struct felix_port *port, const char *what,
                     struct place place, http_handler *handler)
{
    struct str address = address_of(felix_config_get(ports->config, place.host));
    struct str number = felix_config_get(ports->config, place.port);
    bool enabled = felix_config_get_bool(ports->config, place.enabled);
    if (enabled && port->server != NULL && str_eq(str_from_c(port->address), address) &&
        str_eq(str_from_c(port->port), number))
        return;
    close_port(port);
    if (!enabled)
        return;
    port->address = mem_strndup(address);
    port->port = mem_strndup(number);
    open_port(ports, port, what, handler);
}

void felix_ports_apply(struct felix_ports *ports)
{
    const struct place health = {FELIX_HEALTH_ENABLED, FELIX_HEALTH_HOST, FELIX_HEALTH_PORT};
    const struct place metrics = {FELIX_METRICS_ENABLED, FELIX_METRICS_HOST, FELIX_METRICS_PORT};
    set_port(ports, &ports->health, "health", health, handle_health);
    set_port(ports, &ports->metrics, "metrics", metrics, handle_metrics);
}

void felix_ports_close(struct felix_ports *ports)
{
    if (ports->loop != NULL)
        loop_disarm(ports->loop, &ports->retry);
    close_port(&ports->health);
    close_port(&ports->metrics);
}
