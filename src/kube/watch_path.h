/* Private to kube/watch.c: the paths and queries of its requests.
 *
 * Source: Kubernetes' documentation, "Kubernetes API Concepts".
 */
#ifndef KUBE_WATCH_PATH_H
#define KUBE_WATCH_PATH_H

#include "base/mem.h"
#include "kube/watch.h"

/* A page of a list: the first, if `page` (metadata.continue) is empty. `is_consistent`: not what the server remembers, but what
 * is so now. */
void watch_path_list(struct buf *path, const struct kube_watch_options *options, struct str page,
                     bool is_consistent);

/* Seconds that it lasts at least, and as many more at random: long enough for any list. */
enum { WATCH_STREAM_LASTS = 60 };

/* A watch that begins with all that is there. */
void watch_path_streaming(struct buf *path, const struct kube_watch_options *options);

/* A watch that begins behind a resourceVersion. */
void watch_path_watch(struct buf *path, const struct kube_watch_options *options,
                      struct str version);

#endif
