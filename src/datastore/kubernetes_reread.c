#include "datastore/kubernetes_reread.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kube/object.h"
#include "kube/pause.h"
#include "kube/split.h"
#include "kube/url.h"

/* Milliseconds without a byte. */
enum { ANSWER_SILENCE = 30 * 1000 };

struct kubernetes_reread {
    struct kubernetes_reread_options options;
    struct kube_pause pause;
    struct kube_request *request;
    struct kube_split *answer;
    struct buf key; /* "NAMESPACE/NAME" of what is asked for */
};

/* ---- the answer ---- */

static bool on_item(void *ctx, struct str json)
{
    struct kubernetes_reread *reread = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct error unused;
    const struct doc_node *object = kube_object_load(&arena, json, &unused);
    if (object == NULL)
        return false;
    kubernetes_objects_take_wanted(reread->options.objects, buf_str(&reread->key), object);
    return true;
}

static bool on_field(void *ctx, struct str name, struct str json)
{
    (void)ctx;
    (void)name;
    (void)json;
    return true;
}

static bool on_data(void *ctx, struct str bytes)
{
    struct error unused;
    return kube_split_feed(((struct kubernetes_reread *)ctx)->answer, bytes, &unused);
}

static void on_end(void *ctx, enum kube_outcome outcome, struct str message, unsigned retry_after)
{
    struct kubernetes_reread *reread = ctx;
    reread->request = NULL;
    if (outcome == KUBE_OK && kube_split_is_complete(reread->answer)) {
        reread->pause.failures = 0;
        /* Is it not in the list, its end will be told by the watch. */
        kubernetes_objects_give_up(reread->options.objects, buf_str(&reread->key));
        reread->options.batch_end(reread->options.ctx);
        if (reread->options.objects->wanted > 0)
            loop_arm(reread->pause.loop, &reread->pause.timer, 0);
        return;
    }
    if (reread->pause.failures == 0)
        log_event(LOG_WARNING, "Cannot read an object again; trying again",
                  LOG_STR("object", buf_str(&reread->key)),
                  LOG_STR("problem", outcome != KUBE_OK ? message : STR("the answer is no list")));
    kube_pause_after_failure(&reread->pause, retry_after);
}

/* ---- the question ---- */

/* A list, since to list is the right that there is. In its namespace, where the server need not look through all of them. */
static void append_path(struct buf *path, const struct kubernetes_reread_options *options,
                        struct str key)
{
    const char *resource = strrchr(options->path, '/');
    struct str namespace, name;
    str_cut(key, '/', &namespace, &name);
    buf_append(path, options->path, (size_t)(resource - options->path));
    if (namespace.len > 0 && !options->is_of_namespace) {
        buf_append_str(path, STR("/namespaces/"));
        kube_url_append(path, namespace);
    }
    buf_append_str(path, str_from_c(resource));
    buf_append_str(path, STR("?fieldSelector=metadata.name%3D"));
    kube_url_append(path, name);
    buf_append_byte(path, '\0');
}

static void ask(void *ctx)
{
    struct kubernetes_reread *reread = ctx;
    const struct kube_callbacks callbacks = {on_data, NULL, on_end, reread};
    const struct kube_split_events pieces = {on_item, on_field, reread};
    CLEANUP_BUF struct buf path = {0};
    struct str key = kubernetes_objects_wanted(reread->options.objects);
    if (key.len == 0)
        return; /* it was told meanwhile, or has gone */
    reread->key.len = 0;
    buf_append_str(&reread->key, key);
    append_path(&path, &reread->options, key);
    kube_split_free(reread->answer);
    reread->answer = kube_split_new(SPLIT_LIST, reread->options.drop, NULL, &pieces);
    reread->request =
        kube_request_start(reread->options.client, path.data, ANSWER_SILENCE, &callbacks);
}

void kubernetes_reread_look(struct kubernetes_reread *reread)
{
    bool is_at_it = reread->request != NULL || reread->pause.timer.due != 0;
    /* All nodes have heard at once that the other has gone. */
    if (!is_at_it && reread->options.objects->wanted > 0)
        kube_pause_spread(&reread->pause, KUBE_PAUSE_SPREAD);
}

struct kubernetes_reread *kubernetes_reread_new(const struct kubernetes_reread_options *options)
{
    struct kubernetes_reread *reread = mem_zalloc(sizeof(*reread));
    reread->options = *options;
    reread->pause =
        (struct kube_pause){.loop = options->loop, .timer = {.callback = ask, .ctx = reread}};
    return reread;
}

void kubernetes_reread_free(struct kubernetes_reread *reread)
{
    if (reread == NULL)
        return;
    loop_disarm(reread->pause.loop, &reread->pause.timer);
    kube_request_cancel(reread->request);
    kube_split_free(reread->answer);
    buf_free(&reread->key);
    free(reread);
}
