#include "kube/pause.h"

#include <sys/random.h>

enum {
    FAILURE_LEAST = 500,
    FAILURE_MOST = 30 * 1000,
    MISSING_LEAST = 20 * 1000,
    MISSING_MOST = 200 * 1000,
};

uint32_t kube_pause_random(uint32_t bound)
{
    uint32_t random = 0;
    ssize_t ignored = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)ignored;
    return random % bound;
}

/* Half to one and a half times what has doubled so many times. */
static uint64_t grown(uint32_t least, uint32_t most, unsigned times)
{
    uint32_t length = least;
    for (unsigned i = 0; i < times && length < most; i++)
        length *= 2;
    length = length < most ? length : most;
    return length / 2 + kube_pause_random(length);
}

void kube_pause_spread(struct kube_pause *pause, uint32_t most)
{
    loop_arm(pause->loop, &pause->timer, kube_pause_random(most));
}

void kube_pause_after_failure(struct kube_pause *pause, unsigned retry_after)
{
    uint64_t length = grown(FAILURE_LEAST, FAILURE_MOST, pause->failures);
    uint64_t wish = (uint64_t)retry_after * 1000;
    pause->not_before = loop_now(pause->loop) + wish;
    pause->failures++;
    if (length < wish)
        length = wish + kube_pause_random(1000);
    loop_arm(pause->loop, &pause->timer, length);
}

void kube_pause_missing(struct kube_pause *pause)
{
    loop_arm(pause->loop, &pause->timer, grown(MISSING_LEAST, MISSING_MOST, pause->looks));
    pause->looks++;
    pause->failures = 0; /* it was answered */
}

void kube_pause_hurry(struct kube_pause *pause)
{
    uint64_t now = loop_now(pause->loop), due = now + kube_pause_random(KUBE_PAUSE_SPREAD);
    if (due < pause->not_before)
        due = pause->not_before + kube_pause_random(1000);
    if (pause->failures > 0 && due < pause->timer.due) /* it never makes one longer */
        loop_arm(pause->loop, &pause->timer, due - now);
}
