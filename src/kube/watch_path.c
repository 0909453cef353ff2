#include "kube/watch_path.h"

#include "kube/pause.h"
#include "kube/url.h"

enum {
    PAGE = 500,
    /* Seconds that a watch lasts, and as many more at random. */
    WATCH_LASTS = 300,
};

static void append_path(struct buf *path, const struct kube_watch_options *options)
{
    const char *query = options->query;
    buf_printf(path, "%s?%s%s", options->path, query != NULL ? query : "",
               query != NULL ? "&" : "");
}

static void append_watch(struct buf *path, const struct kube_watch_options *options, uint32_t lasts)
{
    append_path(path, options);
    buf_printf(path, "watch=1&allowWatchBookmarks=true&timeoutSeconds=%u",
               lasts + kube_pause_random(lasts));
}

void watch_path_list(struct buf *path, const struct kube_watch_options *options, struct str page,
                     bool is_consistent)
{
    append_path(path, options);
    buf_printf(path, "limit=%d", PAGE);
    if (page.len > 0) {
        buf_append_str(path, STR("&continue="));
        kube_url_append(path, page);
    } else if (!is_consistent) {
        buf_append_str(path, STR("&resourceVersion=0"));
    }
}

void watch_path_streaming(struct buf *path, const struct kube_watch_options *options)
{
    append_watch(path, options, WATCH_STREAM_LASTS);
    buf_append_str(path, STR("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"));
}

void watch_path_watch(struct buf *path, const struct kube_watch_options *options,
                      struct str version)
{
    append_watch(path, options, WATCH_LASTS);
    buf_append_str(path, STR("&resourceVersion="));
    kube_url_append(path, version);
}
