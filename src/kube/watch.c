#include "kube/watch.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/log.h"
#include "kube/split.h"

enum {
    PAGE = 500,
    /* Milliseconds: before the first request; between tries, doubled each time, up to the most; where there is no such kind. */
    START_SPREAD = 500,
    PAUSE_LEAST = 500,
    PAUSE_MOST = 30 * 1000,
    PAUSE_MISSING = 20 * 1000,
    /* Seconds that a watch lasts, and as many more at random; milliseconds of grace after which it has gone silent. */
    WATCH_LASTS = 300,
    WATCH_GRACE = 30 * 1000,
    /* Milliseconds without a byte before the end of a list. */
    LIST_SILENCE = 30 * 1000,
    /* A server that takes the request but never says that the list is complete (its etcd is too old for that): milliseconds without a
     * byte; where changes keep coming, seconds that the stream lasts, and as many more at random. */
    STREAM_SILENCE = 15 * 1000,
    STREAM_LASTS = 60,
    /* Milliseconds that a watch lasts at least: a server that ends each at once is not asked without a pause. */
    WATCH_LEAST = 1000,
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
    struct loop_timer pause;
    unsigned failures;             /* in a row */
    bool is_whole;                 /* the list was told at least once */
    bool needs_list;               /* there is no version to watch from */
    bool is_expired;               /* the version was too old: the next list must be consistent */
    bool has_begun;                /* `begin` was called, and `whole` not yet */
    bool has_told;                 /* since the last batch_end */
    uint64_t silence;              /* of the watch: when it has lasted too long */
    uint64_t started;              /* the request, as loop_now */
    struct buf version, next_page; /* resourceVersion; metadata.continue */
    struct error why;              /* what ends the request from within */
    struct error told;             /* the problem that was told last; empty: none */
};

static void go_on(void *ctx);

static uint32_t random_below(uint32_t bound)
{
    uint32_t random = 0;
    ssize_t ignored = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)ignored; /* without it nodes may come all at once; that is all */
    return random % bound;
}

/* ---- telling ---- */

static void tell_problem(struct kube_watch *watch, const char *problem)
{
    if (problem == NULL ? watch->told.text[0] == '\0' : strcmp(problem, watch->told.text) == 0)
        return;
    error_set(&watch->told, "%s", problem != NULL ? problem : "");
    watch->events.problem(watch->events.ctx, problem);
}

static void begin(struct kube_watch *watch)
{
    watch->has_begun = true;
    watch->events.begin(watch->events.ctx);
}

static void tell_whole(struct kube_watch *watch)
{
    /* After a 410 only the watch shows that it was of use. */
    if (!watch->is_expired)
        watch->failures = 0;
    watch->has_begun = watch->is_expired = watch->needs_list = false;
    watch->is_whole = watch->has_told = true;
    watch->events.whole(watch->events.ctx);
    tell_problem(watch, NULL);
}

static void end_batch(struct kube_watch *watch)
{
    if (watch->has_told)
        watch->events.batch_end(watch->events.ctx);
    watch->has_told = false;
}

/* ---- objects ---- */

static struct str text_of(const struct doc_node *map, struct str key)
{
    const struct doc_node *node = doc_get(map, key);
    return node != NULL && node->type == DOC_STRING ? node->text : str_make(NULL, 0);
}

static void set_version(struct kube_watch *watch, const struct doc_node *object)
{
    struct str version = text_of(doc_get(object, STR("metadata")), STR("resourceVersion"));
    if (version.len == 0)
        return;
    watch->version.len = 0;
    buf_append_str(&watch->version, version);
}

/* NULL, with watch->why: it is no JSON object. */
static const struct doc_node *load(struct kube_watch *watch, struct arena *arena, struct str json)
{
    struct doc_file file = doc_load(arena, json, true);
    if (file.count == 1 && !file.entries[0].failed && file.entries[0].root->type == DOC_MAP)
        return file.entries[0].root;
    error_set(&watch->why, "the API server sent no JSON object: %s",
              file.count == 1 && file.entries[0].failed ? file.entries[0].error.text
                                                        : "it is another value");
    return NULL;
}

static void tell_object(struct kube_watch *watch, const struct doc_node *object, bool is_deleted)
{
    watch->has_told = true;
    watch->events.object(watch->events.ctx, object, is_deleted);
}

/* ---- lists ---- */

static bool on_item(void *ctx, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    const struct doc_node *object = load(watch, &arena, json);
    if (object != NULL)
        tell_object(watch, object, false);
    return object != NULL;
}

static bool on_field(void *ctx, struct str name, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    if (!str_eq(name, STR("metadata")))
        return true;
    const struct doc_node *metadata = load(watch, &arena, json);
    if (metadata == NULL)
        return false;
    struct str version = text_of(metadata, STR("resourceVersion"));
    watch->version.len = watch->next_page.len = 0;
    buf_append_str(&watch->version, version);
    buf_append_str(&watch->next_page, text_of(metadata, STR("continue")));
    return true;
}

/* ---- events ---- */

/* "k8s.io/initial-events-end": the list is complete. */
static bool ends_list(const struct doc_node *object)
{
    const struct doc_node *annotations =
        doc_get(doc_get(object, STR("metadata")), STR("annotations"));
    return str_eq(text_of(annotations, STR("k8s.io/initial-events-end")), STR("true"));
}

/* An ERROR holds a Status. */
static bool take_error(struct kube_watch *watch, const struct doc_node *status)
{
    const struct doc_node *code = doc_get(status, STR("code"));
    bool is_gone = code != NULL && code->type == DOC_INT && code->integer == 410;
    watch->is_expired |= is_gone;
    return error_set(&watch->why, "the watch ended: %s",
                     quote(text_of(status, STR("message"))).text);
}

/* The watch works. */
static void take_success(struct kube_watch *watch)
{
    watch->failures = 0;
    tell_problem(watch, NULL);
}

static bool on_event(void *ctx, struct str json)
{
    struct kube_watch *watch = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    const struct doc_node *event = load(watch, &arena, json);
    if (event == NULL)
        return false;
    struct str type = text_of(event, STR("type"));
    const struct doc_node *object = doc_get(event, STR("object"));
    if (object == NULL || object->type != DOC_MAP)
        return error_set(&watch->why, "the API server sent an event without an object");
    if (str_eq(type, STR("ERROR")))
        return take_error(watch, object);
    bool is_deleted = str_eq(type, STR("DELETED"));
    if (str_eq(type, STR("ADDED")) || str_eq(type, STR("MODIFIED")) || is_deleted)
        tell_object(watch, object, is_deleted);
    else if (!str_eq(type, STR("BOOKMARK")))
        return error_set(&watch->why, "the API server sent an event of type %s", quote(type).text);
    set_version(watch, object);
    if (watch->state == STREAMING && str_eq(type, STR("BOOKMARK")) && ends_list(object)) {
        tell_whole(watch);
        watch->state = WATCHING;
        kube_request_set_silence(watch->request, watch->silence);
    } else if (watch->state == WATCHING) {
        take_success(watch);
    }
    return true;
}

/* ---- requests ---- */

static bool on_data(void *ctx, struct str bytes)
{
    struct kube_watch *watch = ctx;
    return kube_split_feed(watch->split, bytes, &watch->why);
}

static void on_turn_end(void *ctx)
{
    end_batch(ctx);
}

static uint64_t pause_length(const struct kube_watch *watch)
{
    unsigned shift = watch->failures < 7 ? watch->failures : 7;
    uint64_t longest = (uint64_t)PAUSE_LEAST << shift;
    if (longest > PAUSE_MOST)
        longest = PAUSE_MOST;
    return longest / 2 + random_below((uint32_t)longest);
}

static void pause_for(struct kube_watch *watch, uint64_t milliseconds)
{
    watch->state = PAUSING;
    loop_arm(watch->loop, &watch->pause, milliseconds);
}

static void fail(struct kube_watch *watch, const char *problem, unsigned retry_after)
{
    uint64_t pause = pause_length(watch);
    if (retry_after * 1000 > pause)
        pause = retry_after * 1000 + random_below(1000);
    watch->failures++;
    tell_problem(watch, problem);
    pause_for(watch, pause);
}

/* There is no such kind: from the beginning, then it is empty; later, that changes nothing. */
static void take_missing(struct kube_watch *watch)
{
    if (!watch->is_whole) {
        tell_whole(watch);
        end_batch(watch);
    }
    watch->needs_list = true;
    tell_problem(watch, "there is no such kind in the cluster");
    pause_for(watch, PAUSE_MISSING / 2 + random_below(PAUSE_MISSING));
}

/* A page, or all of the list, has come. */
static void take_page(struct kube_watch *watch)
{
    if (watch->next_page.len == 0 && watch->version.len == 0) {
        fail(watch, "the list has no resourceVersion", 0);
        return;
    }
    if (watch->next_page.len == 0)
        tell_whole(watch);
    go_on(watch);
    end_batch(watch); /* last: it may ask for the list anew */
}

/* The server has ended the watch. */
static void take_end(struct kube_watch *watch)
{
    if (loop_now(watch->loop) - watch->started < WATCH_LEAST) {
        fail(watch, "the API server ends each watch at once", 0);
        return;
    }
    take_success(watch);
    go_on(watch); /* its time was over */
}

/* Whether the server cannot stream lists: it does not understand it, or does not come to the end of the list. It will not do better
 * later. */
static bool lacks_streaming(const struct kube_watch *watch, enum kube_outcome outcome)
{
    uint64_t lasted = loop_now(watch->loop) - watch->started;
    return outcome == KUBE_INVALID || outcome == KUBE_SILENT ||
           (outcome == KUBE_OK && lasted >= (uint64_t)STREAM_LASTS * 1000 / 2);
}

static void on_end(void *ctx, enum kube_outcome outcome, struct str message, unsigned retry_after)
{
    struct kube_watch *watch = ctx;
    struct error problem;
    enum state state = watch->state;
    bool is_complete = kube_split_is_complete(watch->split);
    watch->request = NULL;
    error_set(&problem, "%s%.*s", watch->why.text,
              watch->why.text[0] == '\0' ? (int)message.len : 0, message.ptr);
    if (outcome == KUBE_GONE)
        watch->is_expired = true;
    watch->needs_list |= watch->is_expired;
    if (outcome == KUBE_NOT_FOUND) {
        take_missing(watch);
    } else if (state == STREAMING && lacks_streaming(watch, outcome)) {
        watch->options.no_streaming = true;
        go_on(watch);
    } else if (outcome == KUBE_OK && state == LISTING && is_complete) {
        take_page(watch);
    } else if (outcome == KUBE_OK && state == WATCHING && is_complete) {
        take_end(watch);
    } else if (watch->is_expired && state == WATCHING && watch->failures == 0) {
        watch->failures++;
        pause_for(watch,
                  random_below(START_SPREAD) + 1); /* all nodes may have been told so at once */
    } else {
        fail(watch, problem.text[0] != '\0' ? problem.text : "the answer broke off", retry_after);
    }
}

static void start_request(struct kube_watch *watch, enum state state, struct buf *path,
                          uint64_t silence)
{
    const struct kube_split_events pieces = {state == LISTING ? on_item : on_event, on_field,
                                             watch};
    const struct kube_callbacks callbacks = {on_data, on_turn_end, on_end, watch};
    watch->state = state;
    watch->started = loop_now(watch->loop);
    watch->why.text[0] = '\0';
    kube_split_free(watch->split);
    watch->split = kube_split_new(state == LISTING ? SPLIT_LIST : SPLIT_VALUES, watch->options.drop,
                                  state == LISTING ? NULL : "object", &pieces);
    buf_append_byte(path, '\0');
    watch->request = kube_request_start(watch->client, path->data, silence, &callbacks);
}

static void append_url_encoded(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (is_plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

static void start_path(const struct kube_watch *watch, struct buf *path)
{
    const char *query = watch->options.query;
    buf_printf(path, "%s?%s%s", watch->options.path, query != NULL ? query : "",
               query != NULL ? "&" : "");
}

static void start_list(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    start_path(watch, &path);
    buf_printf(&path, "limit=%d", PAGE);
    if (watch->next_page.len > 0) {
        buf_append_str(&path, STR("&continue="));
        append_url_encoded(&path, buf_str(&watch->next_page));
        watch->next_page.len = 0; /* the next has to say whether there are more */
    } else {
        begin(watch);
        watch->version.len = 0;
        if (!watch->is_expired)
            buf_append_str(&path, STR("&resourceVersion=0"));
    }
    start_request(watch, LISTING, &path, LIST_SILENCE);
}

static void append_watch(struct kube_watch *watch, struct buf *path, uint32_t lasts)
{
    uint32_t seconds = lasts + random_below(lasts);
    buf_printf(path, "watch=1&allowWatchBookmarks=true&timeoutSeconds=%u", seconds);
    watch->silence = (uint64_t)seconds * 1000 + WATCH_GRACE;
}

static void start_streaming(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    start_path(watch, &path);
    append_watch(watch, &path, STREAM_LASTS);
    buf_append_str(&path, STR("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
    begin(watch);
    start_request(watch, STREAMING, &path, STREAM_SILENCE);
}

static void start_watch(struct kube_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    start_path(watch, &path);
    append_watch(watch, &path, WATCH_LASTS);
    buf_append_str(&path, STR("&resourceVersion="));
    append_url_encoded(&path, buf_str(&watch->version));
    start_request(watch, WATCHING, &path, watch->silence);
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
    watch->events = *events;
    watch->needs_list = true;
    watch->pause = (struct loop_timer){.callback = go_on, .ctx = watch};
    pause_for(watch, random_below(START_SPREAD));
    return watch;
}

void kube_watch_free(struct kube_watch *watch)
{
    if (watch == NULL)
        return;
    loop_disarm(watch->loop, &watch->pause);
    kube_request_cancel(watch->request);
    kube_split_free(watch->split);
    buf_free(&watch->version);
    buf_free(&watch->next_page);
    free(watch);
}

void kube_watch_relist(struct kube_watch *watch)
{
    kube_request_cancel(watch->request);
    watch->request = NULL;
    watch->needs_list = watch->is_expired = true;
    pause_for(watch, random_below(START_SPREAD));
}

bool kube_watch_is_live(const struct kube_watch *watch)
{
    return watch->state == WATCHING && watch->request != NULL;
}
