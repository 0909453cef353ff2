#include "kube/watch.h"

#include <stdlib.h>

#include "base/log.h"
#include "kube/object.h"
#include "kube/pause.h"
#include "kube/problem.h"
#include "kube/split.h"
#include "kube/watch_path.h"

enum {
    /* Objects of one list. Kubernetes is built for 150,000 pods; a list that goes on for longer never ends. */
    LIST_MOST = 1000 * 1000,
    /* Milliseconds after which a watch that was taken counts as one that works. */
    SETTLING = 2000,
    /* Milliseconds without a byte after which another watch is tried. Servers send a bookmark a minute, but need not. */
    WATCH_SILENCE = 150 * 1000,
    /* Milliseconds without a byte before the end of a list, or before a watch is taken. */
    LIST_SILENCE = 30 * 1000,
    /* A server that takes the request but never says that the list is complete (its etcd is too old for that): milliseconds without a
     * byte; where changes keep coming, it is WATCH_STREAM_LASTS that shows it. */
    STREAM_SILENCE = 15 * 1000,
    /* Milliseconds without an object of a list, whatever else comes: some proxies send blanks to keep a connection. */
    OBJECT_SILENCE = 60 * 1000,
};

enum state { PAUSING, LISTING, STREAMING, WATCHING };

struct kube_watch {
    struct loop *loop;
    struct kube_client *client;
    struct kube_watch_options options;
    struct kube_watch_events events;
    enum state state;
    struct kube_request *request;
    struct kube_split *split;
    struct kube_pause pause;
    enum kube_watch_known known;
    bool is_whole;                  /* `whole` was called at least once */
    bool needs_list;                /* there is no version to watch from */
    bool is_expired;                /* the version was too old: the next list must be consistent */
    bool has_begun;                 /* `begin` was called, and `whole` not yet */
    bool has_told;                  /* since the last batch_end */
    unsigned listed, listed_before; /* objects of the list so far; before this page of it */
    bool is_settled;                /* the watch that runs works */
    struct loop_timer settling;     /* looks whether it does */
    uint64_t started, advanced;     /* the request; the list: as loop_now */
    struct buf version, next_page;  /* resourceVersion; metadata.continue */
    struct error why;               /* what ends the request from within */
    struct error told;              /* the problem that was told last; empty: none */
};

static void go_on(void *ctx);

/* ---- telling ---- */

static void tell_problem(struct kube_watch *watch, const char *problem)
{
    if (problem == NULL ? watch->told.text[0] == '\0'
                        : !kube_problem_is_another(problem, watch->told.text))
        return;
    error_set(&watch->told, "%s", problem != NULL ? problem : "");
    watch->events.problem(watch->events.ctx, problem);
}

/* Looks whether the watch works: it was taken, and has lasted. One that ends sooner is a failure, whatever it has brought: a server
 * that has forgotten at once what it has just listed would be asked for lists without a pause. */
static void on_settling(void *ctx)
{
    struct kube_watch *watch = ctx;
    if (!kube_watch_is_live(watch)) {
        loop_arm(watch->loop, &watch->settling, SETTLING);
        return;
    }
    watch->is_settled = true;
    watch->pause.failures = 0;
    kube_request_set_silence(watch->request, WATCH_SILENCE);
    tell_problem(watch, NULL);
}

static void start_watching(struct kube_watch *watch)
{
    watch->state = WATCHING;
    loop_arm(watch->loop, &watch->settling, SETTLING);
}

static void begin(struct kube_watch *watch)
{
    watch->has_begun = true;
    watch->listed = 0;
    watch->events.begin(watch->events.ctx);
}

static void tell_whole(struct kube_watch *watch)
{
    watch->has_begun = false;
    watch->is_whole = watch->has_told = true;
    watch->events.whole(watch->events.ctx);
}

/* The list has come to its end. */
static void end_list(struct kube_watch *watch)
{
    watch->known = KUBE_WATCH_LIST;
    watch->is_expired = watch->needs_list = false;
    watch->pause.looks = 0;
    tell_whole(watch);
}

static void end_batch(struct kube_watch *watch)
{
    if (watch->has_told)
        watch->events.batch_end(watch->events.ctx);
    watch->has_told = false;
}

/* ---- objects ---- */

static void set_version(struct kube_watch *watch, const struct doc_node *object)
{
    struct str version = doc_get_text(doc_get(object, STR("metadata")), STR("resourceVersion"));
    if (version.len == 0)
        return;
    watch->version.len = 0;
    buf_append_str(&watch->version, version);
}

static bool tell_object(struct kube_watch *watch, const struct doc_node *object, bool is_deleted)
{
    if (doc_get_text(doc_get(object, STR("metadata")), STR("name")).len == 0)
        return error_set(&watch->why, "the API server sent an object without a name");
    if (watch->has_begun && ++watch->listed > watch->options.most)
        return error_set(&watch->why, "the API server lists more than %u objects",
                         watch->options.most);
    watch->has_told = true;
    watch->events.object(watch->events.ctx, object, is_deleted);
    return true;
}

/* ---- lists ---- */

static bool on_item(void *ctx, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    const struct doc_node *object = kube_object_load(&arena, json, &watch->why);
    return object != NULL && tell_object(watch, object, false);
}

static bool on_field(void *ctx, struct str name, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    if (!str_eq(name, STR("metadata")))
        return true;
    const struct doc_node *metadata = kube_object_load(&arena, json, &watch->why);
    if (metadata == NULL)
        return false;
    struct str version = doc_get_text(metadata, STR("resourceVersion"));
    struct str next_page = doc_get_text(metadata, STR("continue"));
    if (next_page.len > 0 && str_eq(next_page, buf_str(&watch->next_page)))
        return error_set(&watch->why, "the API server sends the same page of a list for ever");
    watch->version.len = watch->next_page.len = 0;
    buf_append_str(&watch->version, version);
    buf_append_str(&watch->next_page, next_page);
    return true;
}

/* ---- events ---- */

/* "k8s.io/initial-events-end": the list is complete. */
static bool ends_list(const struct doc_node *object)
{
    const struct doc_node *annotations =
        doc_get(doc_get(object, STR("metadata")), STR("annotations"));
    return str_eq(doc_get_text(annotations, STR("k8s.io/initial-events-end")), STR("true"));
}

/* An ERROR holds a Status. */
static bool take_error(struct kube_watch *watch, const struct doc_node *status)
{
    const struct doc_node *code = doc_get(status, STR("code"));
    bool is_gone = code != NULL && code->type == DOC_INT && code->integer == 410;
    watch->is_expired |= is_gone;
    return error_set(&watch->why, "the watch ended: %s",
                     quote(doc_get_text(status, STR("message"))).text);
}

/* A server that streams lists sends no bookmark before the one that ends the list: an old one, which knows nothing of that and
 * would never say that it is complete. */
static bool take_plain_watch(struct kube_watch *watch)
{
    watch->options.no_streaming = true;
    return false;
}

static bool on_event(void *ctx, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    const struct doc_node *event = kube_object_load(&arena, json, &watch->why);
    if (event == NULL)
        return false;
    struct str type = doc_get_text(event, STR("type"));
    const struct doc_node *object = doc_get(event, STR("object"));
    if (object == NULL || object->type != DOC_MAP)
        return error_set(&watch->why, "the API server sent an event without an object");
    if (str_eq(type, STR("ERROR")))
        return take_error(watch, object);
    bool is_deleted = str_eq(type, STR("DELETED"));
    bool is_bookmark = str_eq(type, STR("BOOKMARK"));
    if (!is_bookmark && !is_deleted && !str_eq(type, STR("ADDED")) &&
        !str_eq(type, STR("MODIFIED")))
        return error_set(&watch->why, "the API server sent an event of type %s", quote(type).text);
    if (!is_bookmark && !tell_object(watch, object, is_deleted))
        return false;
    set_version(watch, object);
    if (watch->state == STREAMING && is_bookmark) {
        if (!ends_list(object))
            return take_plain_watch(watch);
        if (watch->version.len == 0)
            return error_set(&watch->why, "the API server sent a list without a resourceVersion");
        end_list(watch);
        start_watching(watch);
    }
    return true;
}

/* ---- requests ---- */

static bool on_data(void *ctx, struct str bytes)
{
    struct kube_watch *watch = ctx;
    unsigned before = watch->listed;
    if (!kube_split_feed(watch->split, bytes, &watch->why))
        return false;
    if (watch->listed != before || watch->state == WATCHING)
        watch->advanced = loop_now(watch->loop);
    return loop_now(watch->loop) - watch->advanced < OBJECT_SILENCE ||
           error_set(&watch->why, "no object of the list has come for a minute");
}

static void on_turn_end(void *ctx)
{
    end_batch(ctx);
}

static void forget_request(struct kube_watch *watch)
{
    watch->request = NULL;
    watch->is_settled = false;
    loop_disarm(watch->loop, &watch->settling);
}

static void fail(struct kube_watch *watch, const char *problem, unsigned retry_after)
{
    if (watch->known == KUBE_WATCH_MISSING)
        watch->known = KUBE_WATCH_NOTHING; /* now nobody knows */
    watch->state = PAUSING;
    kube_pause_after_failure(&watch->pause, retry_after);
    tell_problem(watch, problem);
}

/* The watch broke off, or its version is too old: so it may be with those of all nodes, at this moment. */
static void lose_watch(struct kube_watch *watch, const char *problem)
{
    watch->state = PAUSING;
    watch->pause.failures++;
    kube_pause_spread(&watch->pause, KUBE_PAUSE_SPREAD);
    if (!watch->is_expired)
        tell_problem(watch, problem);
}

/* There is no such kind: from the beginning, then it is empty; later, that changes nothing. */
static void take_missing(struct kube_watch *watch)
{
    if (watch->known == KUBE_WATCH_NOTHING)
        watch->known = KUBE_WATCH_MISSING;
    watch->needs_list = true;
    if (!watch->is_whole) {
        tell_whole(watch);
        end_batch(watch);
    }
    tell_problem(watch, "there is no such kind in the cluster");
    watch->state = PAUSING;
    kube_pause_missing(&watch->pause);
}

/* NULL, or why the body that has come to its end is no page of a list: what is no list must not pass for an empty one. */
static const char *what_is_no_page(const struct kube_watch *watch)
{
    if (!kube_split_is_complete(watch->split))
        return "the answer broke off, or is no list";
    if (watch->version.len == 0)
        return "the answer is no list: it has no resourceVersion";
    if (watch->next_page.len > 0 && watch->listed == watch->listed_before)
        return "a page of the list is empty, and says that more comes";
    return NULL;
}

static const char *what_ended_watch(const struct kube_watch *watch)
{
    if (watch->state == STREAMING || !kube_split_is_complete(watch->split))
        return "the answer broke off";
    return watch->is_settled ? NULL : "the watch ended too soon";
}

/* What went wrong with the request that has ended; empty: nothing. */
static void find_problem(const struct kube_watch *watch, enum kube_outcome outcome,
                         struct str message, struct error *problem)
{
    const char *why = outcome != KUBE_OK        ? NULL
                      : watch->state == LISTING ? what_is_no_page(watch)
                                                : what_ended_watch(watch);
    if (watch->why.text[0] != '\0')
        *problem = watch->why;
    else if (outcome != KUBE_OK)
        error_set(problem, "%.*s", STR_ARG(message));
    else
        error_set(problem, "%s", why != NULL ? why : "");
}

/* A page, or all of the list, has come. */
static void take_page(struct kube_watch *watch)
{
    if (watch->next_page.len == 0)
        end_list(watch);
    end_batch(watch);
    go_on(watch);
}

/* Whether the server does not know how to stream lists: it refuses, it has shown so, or its time was over before the list was. */
static bool lacks_streaming(const struct kube_watch *watch, enum kube_outcome outcome)
{
    uint64_t lasted = loop_now(watch->loop) - watch->started;
    return watch->state == STREAMING &&
           (watch->options.no_streaming || outcome == KUBE_INVALID ||
            (outcome == KUBE_OK && lasted >= (uint64_t)WATCH_STREAM_LASTS * 1000));
}

/* Whether the watch was refused for its version, which may mean nothing to a server that has taken another's place. kube-apiserver
 * says that with status 500. */
static bool is_strange(enum kube_outcome outcome, struct str message)
{
    return outcome == KUBE_INVALID || str_contains(message, STR("resourceVersion: Invalid value"));
}

static void on_end(void *ctx, enum kube_outcome outcome, struct str message, unsigned retry_after)
{
    struct kube_watch *watch = ctx;
    struct error problem;
    enum state state = watch->state;
    bool was_settled = watch->is_settled;
    find_problem(watch, outcome, message, &problem);
    /* It may be dead without a word, or its server may have no word to say: the next watch will show. */
    bool is_idle = outcome == KUBE_SILENT && watch->is_settled;
    bool must_list = lacks_streaming(watch, outcome);
    forget_request(watch);
    if (outcome == KUBE_GONE)
        watch->is_expired = true;
    watch->needs_list |= watch->is_expired || (state == WATCHING && is_strange(outcome, message));
    /* Who does not come to the end of the list will not do better later. */
    if (must_list || (state == STREAMING && outcome == KUBE_SILENT))
        watch->options.no_streaming = true;
    if (outcome == KUBE_NOT_FOUND && !watch->options.is_built_in) {
        take_missing(watch);
    } else if (problem.text[0] == '\0' && state == LISTING) {
        take_page(watch);
    } else if (problem.text[0] == '\0' || is_idle || must_list) {
        go_on(watch);
    } else if (state == WATCHING && watch->pause.failures == 0 && retry_after == 0 &&
               (watch->is_expired || was_settled)) {
        lose_watch(watch, problem.text);
    } else {
        fail(watch, problem.text, retry_after);
    }
}

static void start_request(struct kube_watch *watch, enum state state, struct buf *path,
                          uint64_t silence)
{
    const struct kube_split_events pieces = {state == LISTING ? on_item : on_event, on_field,
                                             watch};
    const struct kube_callbacks callbacks = {on_data, on_turn_end, on_end, watch};
    watch->state = state;
    watch->started = watch->advanced = loop_now(watch->loop);
    watch->why.text[0] = '\0';
    kube_split_free(watch->split);
    watch->split = kube_split_new(state == LISTING ? SPLIT_LIST : SPLIT_VALUES, watch->options.drop,
                                  state == LISTING ? NULL : "object", &pieces);
    buf_append_byte(path, '\0');
    watch->request = kube_request_start(watch->client, path->data, silence, &callbacks);
}

static void start_list(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    struct str page = buf_str(&watch->next_page);
    if (page.len == 0)
        begin(watch);
    watch_path_list(&path, &watch->options, page, watch->is_expired);
    watch->version.len = 0;
    watch->listed_before = watch->listed;
    start_request(watch, LISTING, &path, LIST_SILENCE);
}

static void start_streaming(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    watch_path_streaming(&path, &watch->options);
    watch->version.len = 0;
    begin(watch);
    start_request(watch, STREAMING, &path, STREAM_SILENCE);
}

static void start_watch(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    watch_path_watch(&path, &watch->options, buf_str(&watch->version));
    start_request(watch, WATCHING, &path, LIST_SILENCE);
    start_watching(watch);
}

/* The next request: the rest of a list, a list, or the watch. */
static void go_on(void *ctx)
{
    struct kube_watch *watch = ctx;
    if (watch->has_begun && watch->next_page.len > 0 && watch->state == LISTING) {
        start_list(watch);
        return;
    }
    watch->next_page.len = 0; /* a list that broke off begins anew */
    if (!watch->needs_list)
        start_watch(watch);
    else if (watch->options.no_streaming)
        start_list(watch);
    else
        start_streaming(watch);
}

/* ---- the whole ---- */

struct kube_watch *kube_watch_new(struct loop *loop, struct kube_client *client,
                                  const struct kube_watch_options *options,
                                  const struct kube_watch_events *events)
{
    struct kube_watch *watch = mem_zalloc(sizeof(*watch));
    watch->loop = loop;
    watch->client = client;
    watch->options = *options;
    if (watch->options.most == 0)
        watch->options.most = LIST_MOST;
    watch->events = *events;
    watch->needs_list = true;
    watch->pause = (struct kube_pause){.loop = loop, .timer = {.callback = go_on, .ctx = watch}};
    watch->settling = (struct loop_timer){.callback = on_settling, .ctx = watch};
    kube_pause_spread(&watch->pause, KUBE_PAUSE_START);
    return watch;
}

void kube_watch_free(struct kube_watch *watch)
{
    if (watch == NULL)
        return;
    loop_disarm(watch->loop, &watch->pause.timer);
    loop_disarm(watch->loop, &watch->settling);
    kube_request_cancel(watch->request);
    kube_split_free(watch->split);
    buf_free(&watch->version);
    buf_free(&watch->next_page);
    free(watch);
}

void kube_watch_try_soon(struct kube_watch *watch)
{
    kube_pause_hurry(&watch->pause);
}

enum kube_watch_known kube_watch_known(const struct kube_watch *watch)
{
    return watch->known;
}

bool kube_watch_is_live(const struct kube_watch *watch)
{
    return watch->state == WATCHING && watch->request != NULL &&
           kube_request_is_answered(watch->request);
}
