/* Time that is not waited for. The program that includes this has its own clock_nanoseconds, time and epoll_wait in the place of the
 * real ones: time stands still, but where a loop waits for its next timer and nothing comes for `clock_patience` real
 * milliseconds, it skips to there. What is done by others (processes, the kernel) must come within the patience.
 */
#ifndef TESTS_SKIPPING_CLOCK_H
#define TESTS_SKIPPING_CLOCK_H

#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"
#include "base/loop.h"

static int clock_patience = 20;
static uint64_t clock_milliseconds = 1; /* since the program has started */

uint64_t clock_nanoseconds(void)
{
    return clock_milliseconds * 1000000;
}

time_t time(time_t *seconds)
{
    static struct timespec start;
    if (start.tv_sec == 0)
        clock_gettime(CLOCK_REALTIME, &start);
    time_t result = start.tv_sec + (time_t)(clock_milliseconds / 1000);
    if (seconds != NULL)
        *seconds = result;
    return result;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    int wait = timeout > clock_patience ? clock_patience : timeout;
    int count = epoll_pwait(fd, events, most, wait, NULL);
    if (count == 0 && timeout > 0)
        clock_milliseconds += (uint64_t)timeout;
    return count;
}

static inline void clock_stop_loop(void *ctx)
{
    loop_stop(ctx);
}

/* Turns the loop for so many milliseconds. */
static inline void clock_pass(struct loop *loop, uint64_t milliseconds)
{
    struct loop_timer timer = {.callback = clock_stop_loop, .ctx = loop};
    loop_arm(loop, &timer, milliseconds);
    loop_run(loop);
    loop_disarm(loop, &timer);
}

#endif
