#include "datastore/kubernetes.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "datastore/kubernetes_kinds.h"
#include "datastore/kubernetes_objects.h"
#include "kube/client.h"
#include "kube/watch.h"

enum {
    /* Milliseconds between two looks at which groups there are, while Calico's are not: as long again at random. */
    DISCOVERY_PAUSE = 10 * 1000,
    DISCOVERY_SILENCE = 30 * 1000,
    DISCOVERY_LIMIT = 4 * 1024 * 1024,
};

/* One kind that is read. */
struct reader {
    struct kubernetes *kubernetes;
    const struct kubernetes_kind *kind;
    struct kubernetes_objects objects;
    struct kube_watch *watch; /* NULL: it does not start before the group of Calico is known */
    char *path, *query;
    bool is_whole;
};

struct kubernetes {
    struct loop *loop;
    struct datastore_sink sink;
    struct datastore_sink inner; /* of the readers */
    struct kube_config config;
    struct kube_client *client;
    struct reader *readers;
    size_t reader_count;
    struct str calico_api; /* "crd.projectcalico.org/v1"; empty: not known */
    bool has_looked;       /* what groups there are is known */
    bool in_sync;
    bool has_news; /* since the last batch_end */
    struct loop_timer discovery;
    struct kube_request *request; /* of the discovery */
    struct buf groups;            /* its answer */
    struct error told;            /* what was in its way; empty: nothing */
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
    if (reader->objects.needs_relist && reader->watch != NULL) {
        reader->objects.needs_relist = false;
        kube_watch_relist(reader->watch);
    }
}

static void on_watch_problem(void *ctx, const char *problem)
{
    const struct reader *reader = ctx;
    if (problem != NULL)
        log_event(LOG_WARNING,
                  reader->is_whole ? "Cannot read from the API server; what was read stays in force"
                                   : "Cannot read from the API server; trying again",
                  LOG_C("resource", reader->path), LOG_C("problem", problem));
    else
        log_event(LOG_INFO, "Reading from the API server again", LOG_C("resource", reader->path));
}

static char *format_path(const struct kubernetes *k, const struct kubernetes_kind *kind)
{
    CLEANUP_BUF struct buf path = {0};
    if (kind->group != NULL)
        buf_printf(&path, "/%s/%s", kind->group, kind->resource);
    else
        buf_printf(&path, "/apis/%.*s/%s", STR_ARG(k->calico_api), kind->resource);
    return mem_strndup(buf_str(&path));
}

static void start_reader(struct reader *reader)
{
    struct kubernetes *k = reader->kubernetes;
    const struct kube_watch_events events = {on_begin,     on_whole,         on_object,
                                             on_batch_end, on_watch_problem, reader};
    reader->path = format_path(k, reader->kind);
    reader->objects.api = reader->kind->group != NULL ? reader->kind->api : k->calico_api;
    const struct kube_watch_options options = {
        .path = reader->path, .query = reader->query, .drop = reader->kind->drop};
    reader->watch = kube_watch_new(k->loop, k->client, &options, &events);
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

/* ---- which groups there are ---- */

static void discover(void *ctx);

static void discover_later(struct kubernetes *k)
{
    uint64_t spread = clock_nanoseconds() % DISCOVERY_PAUSE; /* nodes that started together part */
    loop_arm(k->loop, &k->discovery, DISCOVERY_PAUSE + spread);
}

static void use_group(struct kubernetes *k, struct str api)
{
    k->calico_api = api;
    log_event(LOG_INFO, "Reading Calico's resources", LOG_STR("group", api));
    for (size_t i = 0; i < k->reader_count; i++) {
        if (k->readers[i].watch == NULL)
            start_reader(&k->readers[i]);
    }
}

static bool has_group(const struct doc_node *root, struct str name)
{
    const struct doc_node *groups = doc_get(root, STR("groups"));
    for (size_t i = 0; i < groups->count; i++) {
        const struct doc_node *own = doc_get(groups->items[i], STR("name"));
        if (own != NULL && own->type == DOC_STRING && str_eq(own->text, name))
            return true;
    }
    return false;
}

/* False: the answer is no list of groups; none in it would be no reason to believe that there are none. */
static bool take_groups(struct kubernetes *k)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, buf_str(&k->groups), true);
    if (file.count != 1 || file.entries[0].failed)
        return false;
    const struct doc_node *root = file.entries[0].root, *groups = doc_get(root, STR("groups"));
    if (groups == NULL || groups->type != DOC_LIST)
        return false;
    if (!k->has_looked && !has_group(root, STR("crd.projectcalico.org")) &&
        !has_group(root, STR("projectcalico.org")))
        log_message(LOG_WARNING, "Calico's resources are not installed in the cluster; Kubernetes' "
                                 "own policies are in force, and Calico's will be when they are");
    k->has_looked = true;
    if (has_group(root, STR("crd.projectcalico.org")))
        use_group(k, STR("crd.projectcalico.org/v1"));
    else if (has_group(root, STR("projectcalico.org")))
        use_group(k, STR("projectcalico.org/v3"));
    else
        discover_later(k);
    end_batch(k);
    return true;
}

static bool on_groups_data(void *ctx, struct str bytes)
{
    struct kubernetes *k = ctx;
    buf_append_str(&k->groups, bytes);
    return k->groups.len <= DISCOVERY_LIMIT;
}

static void on_groups_end(void *ctx, enum kube_outcome outcome, struct str message,
                          unsigned retry_after)
{
    struct kubernetes *k = ctx;
    (void)retry_after;
    k->request = NULL;
    if (outcome == KUBE_OK && take_groups(k)) {
        k->told.text[0] = '\0';
        return;
    }
    CLEANUP_FREE char *problem =
        mem_strndup(outcome == KUBE_OK ? STR("its answer is no list of groups") : message);
    if (strcmp(problem, k->told.text) != 0)
        log_event(LOG_WARNING, "Cannot ask the API server which resources there are; trying again",
                  LOG_C("server", k->config.server), LOG_C("problem", problem));
    error_set(&k->told, "%s", problem);
    loop_arm(k->loop, &k->discovery, 500 + clock_nanoseconds() % 1500);
}

static void discover(void *ctx)
{
    struct kubernetes *k = ctx;
    const struct kube_callbacks callbacks = {on_groups_data, NULL, on_groups_end, k};
    k->groups.len = 0;
    k->request = kube_request_start(k->client, "/apis", DISCOVERY_SILENCE, &callbacks);
}

/* The environment decides, or else the server. */
static void start_discovery(struct kubernetes *k)
{
    const char *given = getenv("CALICO_API_GROUP");
    if (given == NULL || given[0] == '\0') {
        loop_arm(k->loop, &k->discovery, 0);
        return;
    }
    bool is_v3 = str_eq_nocase(str_from_c(given), STR("projectcalico.org/v3"));
    k->has_looked = true;
    use_group(k, is_v3 ? STR("projectcalico.org/v3") : STR("crd.projectcalico.org/v1"));
}

/* ---- the datastore ---- */

struct kubernetes *kubernetes_open(struct loop *loop, const struct kubernetes_options *options,
                                   const struct datastore_sink *sink, struct error *err)
{
    struct kubernetes *k = mem_zalloc(sizeof(*k));
    k->loop = loop;
    k->sink = *sink;
    k->inner = (struct datastore_sink){
        .update = on_update, .remove = on_remove, .problem = on_problem, .ctx = k};
    k->discovery = (struct loop_timer){.callback = discover, .ctx = k};
    if (kube_config_load(&k->config, options->kubeconfig, err))
        k->client = kube_client_new(loop, &k->config, err);
    if (k->client == NULL) {
        kubernetes_close(k);
        return NULL;
    }
    log_event(LOG_INFO, "Reading from the API server", LOG_C("server", k->config.server),
              LOG_C("by", k->config.source));
    make_readers(k, options->node);
    start_discovery(k);
    return k;
}

void kubernetes_close(struct kubernetes *k)
{
    if (k == NULL)
        return;
    loop_disarm(k->loop, &k->discovery);
    kube_request_cancel(k->request);
    for (size_t i = 0; i < k->reader_count; i++) {
        kube_watch_free(k->readers[i].watch);
        kubernetes_objects_free(&k->readers[i].objects);
        free(k->readers[i].path);
        free(k->readers[i].query);
    }
    free(k->readers);
    kube_client_free(k->client);
    kube_config_free(&k->config);
    buf_free(&k->groups);
    free(k);
}

struct kubernetes_stats kubernetes_stats(const struct kubernetes *k)
{
    struct kube_client_stats client = kube_client_stats(k->client);
    struct kubernetes_stats stats = {.requests = client.requests, .bytes = client.bytes};
    for (size_t i = 0; i < k->reader_count; i++) {
        const struct reader *reader = &k->readers[i];
        stats.kinds += reader->watch != NULL;
        stats.live += reader->watch != NULL && kube_watch_is_live(reader->watch);
        stats.objects += reader->objects.known.count;
    }
    return stats;
}
