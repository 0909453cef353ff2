#include "datastore/kubernetes.h"

#include <stdlib.h>

#include "base/log.h"
#include "datastore/kubernetes_group.h"
#include "datastore/kubernetes_kinds.h"
#include "datastore/kubernetes_objects.h"
#include "datastore/kubernetes_reread.h"
#include "kube/client.h"
#include "kube/curl.h"
#include "kube/watch.h"

/* One kind that is read. */
struct reader {
    struct kubernetes *kubernetes;
    const struct kubernetes_kind *kind;
    struct kubernetes_objects objects;
    struct kube_watch *watch; /* NULL: it does not start before the group of Calico is known */
    struct kubernetes_reread *reread; /* so is it */
    char *path, *query;
    bool is_whole;
};

struct kubernetes {
    struct loop *loop;
    struct datastore_sink sink;
    struct datastore_sink inner; /* of the readers */
    char *namespace;             /* a sidecar's, or NULL */
    struct kube_client *client;
    struct reader *readers;
    size_t reader_count;
    struct str calico_api; /* "crd.projectcalico.org/v1"; empty: not known */
    bool has_looked;       /* whether it is there is known */
    bool in_sync;
    bool has_news; /* since the last batch_end */
    struct kubernetes_group *group;
};

/* ---- objects ---- */

static void on_update(void *ctx, struct model_resource *resource)
{
    struct kubernetes *k = ctx;
    k->has_news = true;
    k->sink.update(k->sink.ctx, resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct kubernetes *k = ctx;
    k->has_news = true;
    k->sink.remove(k->sink.ctx, key);
}

static void on_problem(void *ctx, const struct datastore_problem *problem)
{
    datastore_report(&((struct kubernetes *)ctx)->sink, problem);
}

/* ---- in sync ---- */

static void look_whether_in_sync(struct kubernetes *k)
{
    if (k->in_sync || !k->has_looked)
        return;
    for (size_t i = 0; i < k->reader_count; i++) {
        const struct reader *reader = &k->readers[i];
        if (reader->watch != NULL && !reader->is_whole)
            return;
    }
    k->in_sync = k->has_news = true;
    k->sink.in_sync(k->sink.ctx);
}

static void end_batch(struct kubernetes *k)
{
    look_whether_in_sync(k);
    if (k->has_news)
        k->sink.batch_end(k->sink.ctx);
    k->has_news = false;
}

/* ---- a kind ---- */

static void on_begin(void *ctx)
{
    kubernetes_objects_begin(&((struct reader *)ctx)->objects);
}

static void on_whole(void *ctx)
{
    struct reader *reader = ctx;
    kubernetes_objects_end(&reader->objects);
    reader->is_whole = true;
}

static void on_object(void *ctx, const struct doc_node *object, bool is_deleted)
{
    kubernetes_objects_take(&((struct reader *)ctx)->objects, object, is_deleted);
}

static void on_batch_end(void *ctx)
{
    struct reader *reader = ctx;
    end_batch(reader->kubernetes);
    kubernetes_reread_look(reader->reread);
}

/* What is in the way of one kind is often in the way of all, and so is its end. */
static void try_others(const struct kubernetes *k, const struct reader *reader)
{
    kubernetes_group_try_soon(k->group);
    for (size_t i = 0; i < k->reader_count; i++) {
        if (k->readers[i].watch != NULL && &k->readers[i] != reader)
            kube_watch_try_soon(k->readers[i].watch);
    }
}

static void on_watch_problem(void *ctx, const char *problem)
{
    static const char *const words[] = {
        [KUBE_WATCH_NOTHING] = "Cannot read from the API server; trying again",
        [KUBE_WATCH_MISSING] = "Not installed in the cluster: it counts as empty, until it is",
        [KUBE_WATCH_LIST] = "Cannot read from the API server; what was read stays in force",
    };
    const struct reader *reader = ctx;
    if (problem != NULL) {
        log_event(LOG_WARNING, words[kube_watch_known(reader->watch)],
                  LOG_C("resource", reader->path), LOG_C("problem", problem));
        return;
    }
    log_event(LOG_INFO, "Reading from the API server again", LOG_C("resource", reader->path));
    try_others(reader->kubernetes, reader);
}

static char *format_path(const struct kubernetes *k, const struct kubernetes_kind *kind)
{
    CLEANUP_BUF struct buf path = {0};
    if (kind->group != NULL)
        buf_printf(&path, "/%s/", kind->group);
    else
        buf_printf(&path, "/apis/%.*s/", STR_ARG(k->calico_api));
    if (kind->is_policy && k->namespace != NULL)
        buf_printf(&path, "namespaces/%s/", k->namespace);
    buf_printf(&path, "%s", kind->resource);
    return mem_strndup(buf_str(&path));
}

static struct kubernetes_reread *make_reread(struct reader *reader)
{
    const struct kubernetes *k = reader->kubernetes;
    const struct kubernetes_reread_options options = {.loop = k->loop,
                                                      .client = k->client,
                                                      .objects = &reader->objects,
                                                      .path = reader->path,
                                                      .is_of_namespace = reader->kind->is_policy &&
                                                                         k->namespace != NULL,
                                                      .drop = reader->kind->drop,
                                                      .batch_end = on_batch_end,
                                                      .ctx = reader};
    return kubernetes_reread_new(&options);
}

static void start_reader(struct reader *reader)
{
    struct kubernetes *k = reader->kubernetes;
    const struct kube_watch_events events = {on_begin,     on_whole,         on_object,
                                             on_batch_end, on_watch_problem, reader};
    reader->path = format_path(k, reader->kind);
    reader->objects.api = reader->kind->group != NULL ? reader->kind->api : k->calico_api;
    const struct kube_watch_options options = {.path = reader->path,
                                               .query = reader->query,
                                               .drop = reader->kind->drop,
                                               .is_built_in = reader->kind->group != NULL};
    reader->watch = kube_watch_new(k->loop, k->client, &options, &events);
    reader->reread = make_reread(reader);
}

static char *format_query(const struct kubernetes_kind *kind, const char *node)
{
    CLEANUP_BUF struct buf query = {0};
    if (!kind->is_of_node)
        return kind->query != NULL ? mem_strndup(str_from_c(kind->query)) : NULL;
    buf_printf(&query, "fieldSelector=metadata.name%%3D%s", node);
    return mem_strndup(buf_str(&query));
}

static void make_readers(struct kubernetes *k, const char *node)
{
    k->readers = mem_zalloc(kubernetes_kind_count * sizeof(*k->readers));
    for (size_t i = 0; i < kubernetes_kind_count; i++) {
        const struct kubernetes_kind *kind = &kubernetes_kinds[i];
        if (kind->is_for_agents && node == NULL)
            continue;
        struct reader *reader = &k->readers[k->reader_count++];
        reader->kubernetes = k;
        reader->kind = kind;
        reader->objects.sink = &k->inner;
        reader->objects.kind = kind->kind;
        reader->query = format_query(kind, node);
        if (kind->group != NULL)
            start_reader(reader);
    }
}

/* ---- Calico's resources ---- */

static void on_group_found(void *ctx, struct str api)
{
    struct kubernetes *k = ctx;
    k->calico_api = api;
    k->has_looked = true;
    log_event(LOG_INFO, "Reading Calico's resources", LOG_STR("group", api));
    for (size_t i = 0; i < k->reader_count; i++) {
        if (k->readers[i].watch == NULL)
            start_reader(&k->readers[i]);
    }
    try_others(k, NULL); /* the server has answered */
}

static void on_group_missing(void *ctx)
{
    struct kubernetes *k = ctx;
    log_message(LOG_WARNING, "Calico's resources are not installed in the cluster; Kubernetes' own "
                             "policies are in force, and Calico's will be when they are");
    k->has_looked = true;
    end_batch(k);
    try_others(k, NULL);
}

/* ---- the datastore ---- */

bool kubernetes_find(struct kube_config *config, const char *path, struct error *err)
{
    return kube_config_load(config, path, err) && kube_curl_load(err) != NULL;
}

struct kubernetes *kubernetes_open(struct loop *loop, const struct kubernetes_options *options,
                                   const struct datastore_sink *sink, struct error *err)
{
    struct kubernetes *k = mem_zalloc(sizeof(*k));
    k->loop = loop;
    k->sink = *sink;
    k->inner = (struct datastore_sink){
        .update = on_update, .remove = on_remove, .problem = on_problem, .ctx = k};
    k->namespace = options->namespace != NULL ? mem_strndup(str_from_c(options->namespace)) : NULL;
    k->client = kube_client_new(loop, options->config, err);
    if (k->client == NULL) {
        kubernetes_close(k);
        return NULL;
    }
    const struct kubernetes_group_events events = {on_group_found, on_group_missing, k};
    k->group = kubernetes_group_new(loop, k->client, options->config->server, &events, err);
    if (k->group == NULL) {
        kubernetes_close(k);
        return NULL;
    }
    make_readers(k, options->node);
    log_event(LOG_INFO, "Reading from the API server", LOG_C("server", options->config->server),
              LOG_C("by", options->config->source));
    return k;
}

void kubernetes_close(struct kubernetes *k)
{
    if (k == NULL)
        return;
    kubernetes_group_free(k->group);
    for (size_t i = 0; i < k->reader_count; i++) {
        kube_watch_free(k->readers[i].watch);
        kubernetes_reread_free(k->readers[i].reread);
        kubernetes_objects_free(&k->readers[i].objects);
        free(k->readers[i].path);
        free(k->readers[i].query);
    }
    free(k->readers);
    kube_client_free(k->client);
    free(k->namespace);
    free(k);
}

struct kubernetes_stats kubernetes_stats(const struct kubernetes *k)
{
    struct kube_client_stats client = kube_client_stats(k->client);
    struct kubernetes_stats stats = {.requests = client.requests, .bytes = client.bytes};
    for (size_t i = 0; i < k->reader_count; i++) {
        const struct reader *reader = &k->readers[i];
        if (reader->watch != NULL) {
            stats.kinds += kube_watch_known(reader->watch) != KUBE_WATCH_MISSING;
            stats.live += kube_watch_is_live(reader->watch);
        }
        stats.objects += reader->objects.known.count;
    }
    return stats;
}
