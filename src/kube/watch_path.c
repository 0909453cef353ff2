#include "kube/watch_path.h"

#include <sys/random.h>

enum {
    PAGE = 500,
    /* Seconds that a watch lasts, and as many more at random. */
    WATCH_LASTS = 300,
};

uint32_t watch_random(uint32_t bound)
{
    uint32_t random = 0;
    ssize_t ignored = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)ignored; /* without it nodes may come all at once; that is all */
    return random % bound;
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
               lasts + watch_random(lasts));
}

void watch_path_list(struct buf *path, const struct kube_watch_options *options, struct str page,
                     bool is_consistent)
{
    append_path(path, options);
    buf_printf(path, "limit=%d", PAGE);
    if (page.len > 0) {
        buf_append_str(path, STR("&continue="));
        append_url_encoded(path, page);
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
    append_url_encoded(path, version);
}
