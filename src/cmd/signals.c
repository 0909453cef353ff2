#include "cmd/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_signal(void *ctx, uint32_t events)
{
    struct signals *signals = ctx;
    struct signalfd_siginfo info;
    (void)events;
    while (read(signals->watch.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signals->callback(signals->ctx, info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
}

bool signals_start(struct signals *signals, struct loop *loop,
                   void (*callback)(void *ctx, const char *name), void *ctx, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signals->callback = callback;
    signals->ctx = ctx;
    signals->watch =
        (struct loop_watch){signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), on_signal, signals};
    if (signals->watch.fd < 0)
        return error_set(err, "cannot watch signals: %s", strerror(errno));
    return loop_add(loop, &signals->watch, EPOLLIN, err);
}

void signals_stop(struct signals *signals)
{
    if (signals->watch.fd >= 0)
        close(signals->watch.fd);
    signals->watch.fd = -1;
}
