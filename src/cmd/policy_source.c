#include "cmd/policy_source.h"

#include <stdlib.h>

#include "calc/calc.h"
#include "datastore/directory.h"
#include "grpc/target.h"
#include "policysync/client.h"

static const struct str directory_prefix = STR_INIT("directory:");

struct policy_source {
    struct authz_keeper *keeper;
    struct psync_sink sink; /* the keeper's */
    struct policy_source_events events;
    /* A directory: */
    struct calc *calc;
    struct directory *directory;
    /* A node agent: */
    struct psync_client *client;
};

static bool is_directory(const char *target)
{
    return str_starts_with(str_from_c(target), directory_prefix);
}

bool policy_source_check(const char *target, const char *workload, struct error *err)
{
    struct str namespace, name;
    if (!is_directory(target) && !grpc_target_check(str_from_c(target), err))
        return error_prefix(err, "--dial");
    if (!is_directory(target))
        return workload == NULL ||
               error_set(err,
                         "--workload goes with directory:PATH only; a node agent knows who asks");
    if (strlen(target) == directory_prefix.len)
        return error_set(err, "--dial: directory: without a path");
    if (workload == NULL)
        return error_set(err, "a directory needs --workload NAMESPACE/POD");
    if (!str_cut(str_from_c(workload), '/', &namespace, &name) || namespace.len == 0 ||
        name.len == 0 || str_find(name, '/') < name.len)
        return error_set(err, "--workload: %s is not NAMESPACE/POD",
                         quote(str_from_c(workload)).text);
    return true;
}

/* ---- a directory ---- */

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

static bool open_directory(struct policy_source *source, struct loop *loop, const char *path,
                           const char *workload, struct error *err)
{
    const struct datastore_sink sink = {.update = on_resource,
                                        .remove = on_resource_gone,
                                        .batch_end = on_resources_end,
                                        .in_sync = on_datastore_in_sync,
                                        .ctx = source};
    authz_keeper_begin(source->keeper);
    const struct endpoints_scope scope = {.workload = str_from_c(workload)};
    source->calc = calc_new(&scope);
    source->directory = directory_open(loop, path, &sink, err);
    if (source->directory == NULL)
        return false;
    source->events.up(source->events.ctx, true);
    return true;
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

struct policy_source *policy_source_open(struct loop *loop, const char *target,
                                         const char *workload, struct authz_keeper *keeper,
                                         const struct policy_source_events *events,
                                         struct error *err)
{
    struct policy_source *source = mem_zalloc(sizeof(*source));
    source->keeper = keeper;
    source->sink = authz_keeper_sink(keeper);
    source->events = *events;
    if (!is_directory(target)) {
        const struct psync_client_events stream_events = {on_begin, on_lost, source};
        source->client = psync_client_new(loop, target, &stream_events, &source->sink);
    } else if (!open_directory(source, loop, target + directory_prefix.len, workload, err)) {
        policy_source_close(source);
        return NULL;
    }
    return source;
}

uint64_t policy_source_streams(const struct policy_source *source)
{
    return source->client != NULL ? psync_client_streams(source->client) : 0;
}

void policy_source_close(struct policy_source *source)
{
    if (source == NULL)
        return;
    psync_client_free(source->client);
    directory_close(source->directory);
    calc_free(source->calc);
    free(source);
}
