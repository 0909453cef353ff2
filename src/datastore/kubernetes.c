#include "datastore/kubernetes.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "datastore/kubernetes_kinds.h"
#include "datastore/kubernetes_objects.h"
#include "kube/client.h"
#include "kube/curl.h"
#include "kube/problem.h"
#include "kube/split.h"
#include "kube/watch.h"

enum {
    /* Milliseconds between two looks at which groups there are: while Calico's is not there, and while nobody knows; as
     * long again at random. */
    MISSING_PAUSE = 10 * 1000,
    RETRY_PAUSE = 500,
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
    const struct kube_config *config;
    char *namespace; /* a sidecar's, or NULL */
    struct kube_client *client;
    struct reader *readers;
    size_t reader_count;
    struct str calico_api; /* "crd.projectcalico.org/v1"; empty: not known */
    bool has_looked;       /* whether it is there is known */
    bool in_sync;
    bool has_news; /* since the last batch_end */
    struct loop_timer discovery;
    struct kube_request *request; /* of the discovery */
    struct kube_split *answer;    /* to it */
    size_t asked;                 /* for which of the groups */
    bool is_forbidden;            /* to see one of them */
    size_t discovered;            /* bytes of its answer so far */
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

/* What is in the way of one kind is often in the way of all, and so is its end. */
static void try_others(const struct reader *reader)
{
    const struct kubernetes *k = reader->kubernetes;
    for (size_t i = 0; i < k->reader_count; i++) {
        if (k->readers[i].watch != NULL && &k->readers[i] != reader)
            kube_watch_try_soon(k->readers[i].watch);
    }
}

static void on_watch_problem(void *ctx, const char *problem)
{
    const struct reader *reader = ctx;
    if (problem != NULL) {
        log_event(LOG_WARNING,
                  reader->is_whole ? "Cannot read from the API server; what was read stays in force"
                                   : "Cannot read from the API server; trying again",
                  LOG_C("resource", reader->path), LOG_C("problem", problem));
        return;
    }
    log_event(LOG_INFO, "Reading from the API server again", LOG_C("resource", reader->path));
    try_others(reader);
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

/* ---- which group Calico's resources are in ---- */

/* Both hold the same kinds; of several that are there the first is the one to read. */
static const struct str calico_apis[] = {STR_INIT("crd.projectcalico.org/v1"),
                                         STR_INIT("projectcalico.org/v3")};
enum { CALICO_APIS = sizeof(calico_apis) / sizeof(calico_apis[0]) };

static void use_group(struct kubernetes *k, struct str api)
{
    k->calico_api = api;
    k->has_looked = true;
    k->told.text[0] = '\0';
    log_event(LOG_INFO, "Reading Calico's resources", LOG_STR("group", api));
    for (size_t i = 0; i < k->reader_count; i++) {
        if (k->readers[i].watch == NULL)
            start_reader(&k->readers[i]);
    }
}

static void look_again(struct kubernetes *k, uint64_t pause)
{
    uint64_t spread = clock_nanoseconds() % pause; /* nodes that started together part */
    k->asked = 0;
    k->is_forbidden = false;
    loop_arm(k->loop, &k->discovery, pause + spread);
}

static void use_none(struct kubernetes *k)
{
    if (!k->has_looked)
        log_message(LOG_WARNING, "Calico's resources are not installed in the cluster; Kubernetes' "
                                 "own policies are in force, and Calico's will be when they are");
    k->has_looked = true;
    k->told.text[0] = '\0';
    look_again(k, MISSING_PAUSE);
    end_batch(k);
}

static void tell_discovery_problem(struct kubernetes *k, struct str message)
{
    CLEANUP_FREE char *problem = mem_strndup(message);
    if (kube_problem_is_another(problem, k->told.text))
        log_event(LOG_WARNING, "Cannot ask the API server for Calico's resources; trying again",
                  LOG_C("server", k->config->server), LOG_C("problem", problem));
    error_set(&k->told, "%s", problem);
}

static bool on_discovery_data(void *ctx, struct str bytes)
{
    struct kubernetes *k = ctx;
    struct error unused;
    k->discovered += bytes.len;
    return k->discovered <= DISCOVERY_LIMIT && kube_split_feed(k->answer, bytes, &unused);
}

static bool pass_item(void *ctx, struct str json)
{
    (void)ctx;
    (void)json;
    return true;
}

static bool pass_field(void *ctx, struct str name, struct str json)
{
    (void)name;
    return pass_item(ctx, json);
}

/* It may be that the first is not there, and that we may not see the second: then nobody knows. */
static void on_discovery_end(void *ctx, enum kube_outcome outcome, struct str message,
                             unsigned retry_after)
{
    struct kubernetes *k = ctx;
    k->request = NULL;
    if (outcome == KUBE_OK && kube_split_is_complete(k->answer)) {
        use_group(k, calico_apis[k->asked]);
        return;
    }
    if (outcome == KUBE_OK)
        message = STR("the answer broke off, or is no list");
    bool goes_on = outcome == KUBE_NOT_FOUND || outcome == KUBE_FORBIDDEN;
    k->is_forbidden |= outcome == KUBE_FORBIDDEN;
    if (outcome != KUBE_NOT_FOUND)
        tell_discovery_problem(k, message);
    if (goes_on && ++k->asked < CALICO_APIS)
        loop_arm(k->loop, &k->discovery, 0);
    else if (goes_on && !k->is_forbidden)
        use_none(k);
    else
        look_again(k, retry_after > 0 ? retry_after * 1000 : RETRY_PAUSE);
}

/* Asks for one policy of a group, since that says for sure whether there are any: a server that has just started lists no groups of
 * CRDs for a second, but answers to this that it is not ready. */
static void discover(void *ctx)
{
    struct kubernetes *k = ctx;
    const struct kube_callbacks callbacks = {on_discovery_data, NULL, on_discovery_end, k};
    const struct kube_split_events pieces = {pass_item, pass_field, NULL};
    CLEANUP_BUF struct buf path = {0};
    buf_printf(&path, "/apis/%.*s/globalnetworkpolicies?limit=1", STR_ARG(calico_apis[k->asked]));
    buf_append_byte(&path, '\0');
    k->discovered = 0;
    kube_split_free(k->answer);
    k->answer = kube_split_new(SPLIT_LIST, NULL, NULL, &pieces);
    k->request = kube_request_start(k->client, path.data, DISCOVERY_SILENCE, &callbacks);
}

/* The environment decides, or else the server. */
static bool start_discovery(struct kubernetes *k, struct error *err)
{
    const char *given = getenv("CALICO_API_GROUP");
    if (given == NULL || given[0] == '\0') {
        loop_arm(k->loop, &k->discovery, 0);
        return true;
    }
    for (size_t i = 0; i < CALICO_APIS; i++) {
        if (str_eq_nocase(str_from_c(given), calico_apis[i])) {
            use_group(k, calico_apis[i]);
            return true;
        }
    }
    return error_set(err, "CALICO_API_GROUP: %s is neither %.*s nor %.*s",
                     quote(str_from_c(given)).text, STR_ARG(calico_apis[0]),
                     STR_ARG(calico_apis[1]));
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
    k->discovery = (struct loop_timer){.callback = discover, .ctx = k};
    k->config = options->config;
    k->namespace = options->namespace != NULL ? mem_strndup(str_from_c(options->namespace)) : NULL;
    k->client = kube_client_new(loop, k->config, err);
    if (k->client == NULL) {
        kubernetes_close(k);
        return NULL;
    }
    make_readers(k, options->node);
    if (!start_discovery(k, err)) {
        kubernetes_close(k);
        return NULL;
    }
    log_event(LOG_INFO, "Reading from the API server", LOG_C("server", k->config->server),
              LOG_C("by", k->config->source));
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
    kube_split_free(k->answer);
    free(k->namespace);
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
