#include "cmd/policy_source.h"

#include <stdlib.h>

#include "calc/calc.h"
#include "datastore/directory.h"
#include "grpc/target.h"
#include "model/name.h"
#include "policysync/client.h"

static const struct str directory_prefix = STR_INIT("directory:");
static const struct str cluster_prefix = STR_INIT("kubernetes:");

struct policy_source {
    const char *target, *workload;
    struct authz_keeper *keeper;
    struct psync_sink sink; /* the keeper's */
    struct policy_source_events events;
    /* A directory or a cluster: */
    struct calc *calc;
    struct directory *directory;
    struct kube_config cluster;
    struct kubernetes *kubernetes;
    /* A node agent: */
    struct psync_client *client;
};

static bool is_directory(const char *target)
{
    return str_starts_with(str_from_c(target), directory_prefix);
}

static bool is_cluster(const char *target)
{
    return str_starts_with(str_from_c(target), cluster_prefix);
}

static bool check_workload(const char *workload, struct error *err)
{
    struct str namespace, name;
    if (workload == NULL)
        return error_set(err, "directory: and kubernetes: need --workload NAMESPACE/POD");
    return (str_cut(str_from_c(workload), '/', &namespace, &name) && name_is_label(namespace) &&
            name_is_subdomain(name)) ||
           error_set(err, "--workload: %s is not NAMESPACE/POD", quote(str_from_c(workload)).text);
}

bool policy_source_check(const char *target, const char *workload, struct error *err)
{
    struct error problem;
    if (is_directory(target) && strlen(target) == directory_prefix.len)
        return error_set(err, "--dial: directory: without a path");
    if (is_directory(target) || is_cluster(target))
        return check_workload(workload, err);
    if (!grpc_target_check(str_from_c(target), &problem))
        return error_set(err, "--dial: %s; or directory:PATH, or kubernetes:", problem.text);
    return workload == NULL || error_set(err, "--workload goes with directory: and kubernetes: "
                                              "only; a node agent knows who asks");
}

/* ---- a directory, a cluster ---- */

static void on_resource(void *ctx, struct model_resource *resource)
{
    calc_update(((struct policy_source *)ctx)->calc, resource);
}

static void on_resource_gone(void *ctx, const struct model_key *key)
{
    calc_remove(((struct policy_source *)ctx)->calc, key);
}

static void on_datastore_in_sync(void *ctx)
{
    calc_set_in_sync(((struct policy_source *)ctx)->calc);
}

static void on_resources_end(void *ctx)
{
    struct policy_source *source = ctx;
    calc_flush(source->calc, &source->sink);
}

/* Opens the datastore, whose resources are counted up to what the workload needs. */
static bool start_calculation(struct policy_source *source, struct loop *loop, struct error *err)
{
    const struct datastore_sink sink = {.update = on_resource,
                                        .remove = on_resource_gone,
                                        .batch_end = on_resources_end,
                                        .in_sync = on_datastore_in_sync,
                                        .ctx = source};
    const struct endpoints_scope scope = {.workload = str_from_c(source->workload)};
    authz_keeper_begin(source->keeper);
    source->calc = calc_new(&scope);
    if (is_cluster(source->target)) {
        struct str namespace, name;
        str_cut(scope.workload, '/', &namespace, &name);
        CLEANUP_FREE char *own = mem_strndup(namespace);
        const struct kubernetes_options options = {.config = &source->cluster, .namespace = own};
        source->kubernetes = kubernetes_open(loop, &options, &sink, err);
    } else {
        source->directory = directory_open(loop, source->target + directory_prefix.len, &sink, err);
    }
    if (source->directory == NULL && source->kubernetes == NULL)
        return false;
    source->events.up(source->events.ctx, true);
    return true;
}

static bool find_cluster(struct policy_source *source, struct error *err)
{
    const char *path = source->target + cluster_prefix.len;
    return kubernetes_find(&source->cluster, path[0] != '\0' ? path : NULL, err) &&
           (source->cluster.exec.command == NULL ||
            error_set(err,
                      "%s: a program (%s) is to give the credentials, but dikastes runs none; "
                      "give it a token file or a client certificate",
                      source->cluster.source, source->cluster.exec.command));
}

/* ---- a node agent ---- */

static void on_begin(void *ctx)
{
    struct policy_source *source = ctx;
    authz_keeper_begin(source->keeper);
    source->events.up(source->events.ctx, true);
}

static void on_lost(void *ctx)
{
    struct policy_source *source = ctx;
    source->events.up(source->events.ctx, false);
}

/* ---- any source ---- */

struct policy_source *policy_source_new(const char *target, const char *workload, struct error *err)
{
    struct policy_source *source = mem_zalloc(sizeof(*source));
    source->target = target;
    source->workload = workload;
    if (is_cluster(target) && !find_cluster(source, err)) {
        policy_source_free(source);
        return NULL;
    }
    return source;
}

const struct kube_config *policy_source_cluster(const struct policy_source *source)
{
    return is_cluster(source->target) ? &source->cluster : NULL;
}

bool policy_source_start(struct policy_source *source, struct loop *loop,
                         struct authz_keeper *keeper, const struct policy_source_events *events,
                         struct error *err)
{
    source->keeper = keeper;
    source->sink = authz_keeper_sink(keeper);
    source->events = *events;
    if (is_directory(source->target) || is_cluster(source->target))
        return start_calculation(source, loop, err);
    const struct psync_client_events stream_events = {on_begin, on_lost, source};
    source->client = psync_client_new(loop, source->target, &stream_events, &source->sink);
    return true;
}

const struct kubernetes *policy_source_kubernetes(const struct policy_source *source)
{
    return source->kubernetes;
}

uint64_t policy_source_streams(const struct policy_source *source)
{
    return source->client != NULL ? psync_client_streams(source->client) : 0;
}

void policy_source_free(struct policy_source *source)
{
    if (source == NULL)
        return;
    psync_client_free(source->client);
    directory_close(source->directory);
    kubernetes_close(source->kubernetes);
    kube_config_free(&source->cluster);
    calc_free(source->calc);
    free(source);
}
