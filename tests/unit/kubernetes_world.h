/* For tests of datastore/kubernetes.h: a datastore, and a server that says of all kinds but a few that they are empty. Time skips. */
#ifndef TESTS_KUBERNETES_WORLD_H
#define TESTS_KUBERNETES_WORLD_H

#include "datastore/kubernetes.h"

#include <stdio.h>
#include <stdlib.h>

#include "api_server.h"
#include "base/log.h"
#include "folder.h"
#include "skipping_clock.h"

/* What the server answers where it does not answer that a kind is empty. */
struct route {
    const char *path; /* without the query, or a whole target */
    struct api_reply reply;
};

struct world {
    struct loop *loop;
    struct api_server server;
    struct kube_config config;
    const struct route *routes; /* the last has no path */
    const char *namespace;      /* of a sidecar, or NULL */
    bool is_down;               /* all is answered with 503 */
    struct kubernetes *kubernetes;
    struct buf asked; /* each target, a line each */
    struct buf trace; /* +RESOURCE, -RESOURCE, "." the end of a batch, "=" in sync */
};

/* ---- the server ---- */

#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define POLICY(name, version)                                                                      \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"resourceVersion\":\"" version      \
    "\"},\"spec\":{}}"
#define END                                                                                        \
    EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"7\",\"annotations\":{"                 \
                      "\"k8s.io/initial-events-end\":\"true\"}}}")
/* How it is asked whether a group is there, and what says that it is, or is not. */
#define ASK_CRD    "/apis/crd.projectcalico.org/v1/globalnetworkpolicies?limit=1"
#define ASK_V3     "/apis/projectcalico.org/v3/globalnetworkpolicies?limit=1"
#define IS_MISSING .status = 404, .body = STR_INIT("404 page not found\n")
#define IS_THERE   .body = STR_INIT("{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}")

static inline struct api_reply world_answer(void *ctx, const struct api_request *request)
{
    struct world *world = ctx;
    struct str path, query;
    str_cut(request->target, '?', &path, &query);
    buf_append_str(&world->asked, request->target);
    buf_append_byte(&world->asked, '\n');
    if (world->is_down)
        return (struct api_reply){.status = 503};
    for (size_t i = 0; world->routes[i].path != NULL; i++) {
        struct str own = str_from_c(world->routes[i].path);
        if (str_eq(path, own) || str_eq(request->target, own))
            return world->routes[i].reply;
    }
    if (str_eq(query, STR("limit=1")))
        return (struct api_reply){IS_MISSING};
    return (struct api_reply){.ending = API_OPEN, .body = STR(END)};
}

/* ---- the sink ---- */

static inline void world_on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct str key = model_key_format(&arena, &resource->key);
    buf_printf(&world->trace, "+%.*s ", STR_ARG(key));
    model_resource_free(resource);
}

static inline void world_on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct str text = model_key_format(&arena, key);
    buf_printf(&world->trace, "-%.*s ", STR_ARG(text));
}

static inline void world_on_batch_end(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR(". "));
}

static inline void world_on_in_sync(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR("= "));
}

static inline void world_start(struct world *world, const char *node)
{
    const struct datastore_sink sink = {.update = world_on_update,
                                        .remove = world_on_remove,
                                        .batch_end = world_on_batch_end,
                                        .in_sync = world_on_in_sync,
                                        .ctx = world};
    const struct kubernetes_options options = {
        .config = &world->config, .node = node, .namespace = world->namespace};
    struct error err;
    CLEANUP_BUF struct buf config = {0};
    world->loop = loop_new(&err);
    api_server_start(&world->server, world->loop, world_answer, world);
    buf_printf(&config,
               "{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: "
               "[{name: k, cluster: {server: 'http://127.0.0.1:%u'}}]}",
               world->server.port);
    folder_write("config", buf_str(&config), 0600);
    if (kubernetes_find(&world->config, "config", &err))
        world->kubernetes = kubernetes_open(world->loop, &options, &sink, &err);
    if (world->kubernetes == NULL)
        fail_msg("%s", err.text);
    check_text("trace", buf_str(&world->trace), STR(""));
}

static inline void world_end(struct world *world)
{
    kubernetes_close(world->kubernetes);
    kube_config_free(&world->config);
    api_server_stop(&world->server);
    loop_free(world->loop);
    buf_free(&world->asked);
    buf_free(&world->trace);
}

static inline void check_world_trace(const char *name, const struct world *world,
                                     const char *expected)
{
    check_text(name, buf_str(&world->trace), str_from_c(expected));
}

static inline bool has_asked(const struct world *world, const char *part)
{
    return str_contains(buf_str(&world->asked), str_from_c(part));
}

static inline size_t count_asked(const struct world *world, const char *part)
{
    size_t count = 0;
    struct str rest = buf_str(&world->asked), target;
    while (str_cut(rest, '\n', &target, &rest))
        count += str_contains(target, str_from_c(part));
    return count;
}

/* That every sidecar reads: of Kubernetes itself, and with Calico's. */
enum { CORE_KINDS = 5, SIDECAR_KINDS = 14 };

#endif
