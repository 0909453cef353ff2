/* When to ask the API server again.
 *
 * Thousands of nodes ask one server, and what is in its way is in the way of all of them at once. So pauses grow, no two nodes make
 * the same, and none comes before the time that the server has asked for.
 *
 * Threads: the loop's. All times are milliseconds.
 */
#ifndef KUBE_PAUSE_H
#define KUBE_PAUSE_H

#include "base/loop.h"

enum {
    /* Before the first request of all, at most. */
    KUBE_PAUSE_START = 500,
    /* Before a request for which all nodes may have a reason at the same moment, at most. */
    KUBE_PAUSE_SPREAD = 5000,
};

struct kube_pause {
    struct loop *loop;
    struct loop_timer timer; /* its callback is what comes after the pause */
    unsigned failures;       /* in a row; whoever has success sets it to 0 */
    unsigned looks;          /* the same of kube_pause_missing */
    uint64_t not_before;     /* the server's wish, as loop_now */
};

/* A number below `bound`. Where the system has none at random it is 0: then nodes may come at once; that is all. */
uint32_t kube_pause_random(uint32_t bound);

/* Up to `most`, at random. */
void kube_pause_spread(struct kube_pause *pause, uint32_t most);

/* After a failure: about half a second, then twice as long each time, up to 15 to 45 seconds. `retry_after`: seconds that the server asks
 * for, 0: none; then it is no less, and a little more. */
void kube_pause_after_failure(struct kube_pause *pause, unsigned retry_after);

/* Between two looks for what is not installed: 10 to 30 seconds, then twice as long each time, up to 100 to 300. */
void kube_pause_missing(struct kube_pause *pause);

/* What was in the way is in nobody's way any more: a pause after a failure need not last longer than KUBE_PAUSE_SPREAD, but for the
 * server's wish. For all others it means nothing. */
void kube_pause_hurry(struct kube_pause *pause);

#endif
