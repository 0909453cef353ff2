#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { EVENTS_A_TURN = 64 };

struct loop {
    int epoll_fd;
    bool stopping;
    uint64_t now;
    struct loop_timer *timers; /* by due time, soonest first; there are only a few */
    /* What is left of this turn, so that loop_remove can take a watch out of it. */
    struct epoll_event ready[EVENTS_A_TURN];
    int ready_count;
    uint8_t *scratch; /* NULL until somebody asks */
};

static uint64_t monotonic_ms(void)
{
    return clock_nanoseconds() / 1000000;
}

struct loop *loop_new(struct error *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        error_set(err, "cannot make an event loop: %s", strerror(errno));
        return NULL;
    }
    struct loop *loop = mem_zalloc(sizeof(*loop));
    loop->epoll_fd = fd;
    loop->now = monotonic_ms();
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    close(loop->epoll_fd);
    free(loop->scratch);
    free(loop);
}

uint8_t *loop_scratch(struct loop *loop)
{
    if (loop->scratch == NULL)
        loop->scratch = mem_alloc(LOOP_SCRATCH);
    return loop->scratch;
}

bool loop_add(struct loop *loop, struct loop_watch *watch, uint32_t events, struct error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
        return error_set(err, "cannot watch a file descriptor: %s", strerror(errno));
    return true;
}

void loop_modify(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = 0; i < loop->ready_count; i++) {
        if (loop->ready[i].data.ptr == watch)
            loop->ready[i].data.ptr = NULL;
    }
}

void loop_disarm(struct loop *loop, struct loop_timer *timer)
{
    if (timer->due == 0)
        return;
    if (timer->prev != NULL)
        timer->prev->next = timer->next;
    else
        loop->timers = timer->next;
    if (timer->next != NULL)
        timer->next->prev = timer->prev;
    timer->due = 0;
    timer->next = timer->prev = NULL;
}

void loop_arm(struct loop *loop, struct loop_timer *timer, uint64_t delay)
{
    loop_disarm(loop, timer);
    /* Never in this very turn: a timer that re-arms itself must not stop the loop from turning. */
    timer->due = monotonic_ms() + (delay > 0 ? delay : 1);
    struct loop_timer *before = NULL, *after = loop->timers;
    while (after != NULL && after->due <= timer->due) {
        before = after;
        after = after->next;
    }
    timer->prev = before;
    timer->next = after;
    if (before != NULL)
        before->next = timer;
    else
        loop->timers = timer;
    if (after != NULL)
        after->prev = timer;
}

uint64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

static int wait_time(const struct loop *loop)
{
    if (loop->timers == NULL)
        return -1;
    uint64_t now = monotonic_ms(); /* callbacks of this turn may have taken their time */
    if (loop->timers->due <= now)
        return 0;
    uint64_t left = loop->timers->due - now;
    return left < 60000 ? (int)left : 60000;
}

static void run_timers(struct loop *loop)
{
    while (loop->timers != NULL && loop->timers->due <= loop->now) {
        struct loop_timer *timer = loop->timers;
        loop_disarm(loop, timer);
        timer->callback(timer->ctx);
    }
}

void loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping) {
        int count = epoll_wait(loop->epoll_fd, loop->ready, EVENTS_A_TURN, wait_time(loop));
        loop->now = monotonic_ms();
        loop->ready_count = count > 0 ? count : 0;
        for (int i = 0; i < loop->ready_count; i++) {
            struct loop_watch *watch = loop->ready[i].data.ptr;
            if (watch != NULL)
                watch->callback(watch->ctx, loop->ready[i].events);
        }
        loop->ready_count = 0;
        run_timers(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}
