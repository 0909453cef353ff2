/* How a program is asked to stop: SIGTERM and SIGINT, as events of its loop.
 *
 * Threads: the loop's; it must be started before there are others, so that all of them leave these signals to it.
 */
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include "base/loop.h"

struct signals {
    struct loop_watch watch; /* fd -1: not started */
    /* Once a signal; `name`: "SIGTERM" or "SIGINT". It may stop the loop, but not call signals_stop. */
    void (*callback)(void *ctx, const char *name);
    void *ctx;
};

/* From now on the two signals end nothing by themselves, and SIGPIPE does not either. `signals` must stay where it is. */
bool signals_start(struct signals *signals, struct loop *loop,
                   void (*callback)(void *ctx, const char *name), void *ctx, struct error *err);
/* Closes what signals_start has opened; the loop must have come to its end, or never run. */
void signals_stop(struct signals *signals);

#endif
