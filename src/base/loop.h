/* The event loop: file descriptors and timers on one thread, over epoll.
 *
 * A watch is a struct that its owner embeds; the loop keeps a pointer to it while it is added. A callback
 * may add, change and remove any watch, its own too: a removed watch is not called any more, even if
 * it was ready in the same turn.
 *
 * Threads: a loop and all that is watched by it belong to one thread.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct loop;

/* `events` as epoll's: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. */
typedef void loop_callback(void *ctx, uint32_t events);

struct loop_watch {
    int fd; /* stays the owner's: it closes it after loop_remove */
    loop_callback *callback;
    void *ctx;
};

struct loop_timer {
    void (*callback)(void *ctx);
    void *ctx;
    /* The loop's own. */
    uint64_t due; /* milliseconds of loop_now; 0: not armed */
    struct loop_timer *next, *prev;
};

struct loop *loop_new(struct error *err);
void loop_free(struct loop *loop);

bool loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events, struct error *err);
void loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Calls back once, `delay` milliseconds from now. Arming an armed timer moves it. */
void loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t delay);
void loop_disarm(struct loop *loop, struct loop_timer *timer);

/* Milliseconds of the monotonic clock, as of the start of this turn. */
uint64_t loop_now(const struct loop *loop);

/* Bytes that all callbacks of this loop share for what does not outlive the callback, so that a thousand connections need no
 * thousand buffers. */
enum { LOOP_SCRATCH = 64 * 1024 };
uint8_t *loop_scratch(struct loop *loop);

/* Turns until loop_stop is called. */
void loop_run(struct loop *loop);
/* Makes loop_run return after this turn. From the loop's thread. */
void loop_stop(struct loop *loop);

#endif
