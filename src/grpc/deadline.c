#include "grpc/deadline.h"

#include <stdlib.h>

#include "base/mem.h"

static void place(struct grpc_deadlines *all, struct grpc_deadline *deadline, size_t index)
{
    all->heap[index] = deadline;
    deadline->position = index + 1;
}

/* Puts `deadline` at `index`, or above it as far as it is sooner than its parents. */
static void sift_up(struct grpc_deadlines *all, struct grpc_deadline *deadline, size_t index)
{
    while (index > 0 && deadline->due < all->heap[(index - 1) / 2]->due) {
        place(all, all->heap[(index - 1) / 2], index);
        index = (index - 1) / 2;
    }
    place(all, deadline, index);
}

/* Puts `deadline` at `index`, or below it as far as its children are sooner. */
static void sift_down(struct grpc_deadlines *all, struct grpc_deadline *deadline, size_t index)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < all->count && all->heap[child + 1]->due < all->heap[child]->due)
            child++;
        if (child >= all->count || all->heap[child]->due >= deadline->due)
            break;
        place(all, all->heap[child], index);
        index = child;
    }
    place(all, deadline, index);
}

/* The timer is only ever moved to a sooner time here: when the soonest deadline is cleared, it
 * fires for nothing and is armed anew. So calls that are answered in time do not touch it. */
static void arm(struct grpc_deadlines *all)
{
    if (all->count == 0)
        return;
    uint64_t due = all->heap[0]->due, now = loop_now(all->loop);
    if (all->timer.due == 0 || due < all->timer.due)
        loop_arm(all->loop, &all->timer, due > now ? due - now : 0);
}

static void on_timer(void *ctx)
{
    struct grpc_deadlines *all = ctx;
    while (all->count > 0 && all->heap[0]->due <= loop_now(all->loop)) {
        struct grpc_deadline *deadline = all->heap[0];
        grpc_deadlines_clear(all, deadline);
        all->expired(deadline->owner);
    }
    arm(all);
}

void grpc_deadlines_init(struct grpc_deadlines *all, struct loop *loop,
                         void (*expired)(void *owner))
{
    *all = (struct grpc_deadlines){.loop = loop, .expired = expired};
    all->timer.callback = on_timer;
    all->timer.ctx = all;
}

void grpc_deadlines_free(struct grpc_deadlines *all)
{
    loop_disarm(all->loop, &all->timer);
    free(all->heap);
}

void grpc_deadlines_set(struct grpc_deadlines *all, struct grpc_deadline *deadline, void *owner,
                        uint64_t due)
{
    MEM_GROW(all->heap, all->count, all->capacity);
    deadline->owner = owner;
    deadline->due = due;
    sift_up(all, deadline, all->count++);
    arm(all);
}

void grpc_deadlines_clear(struct grpc_deadlines *all, struct grpc_deadline *deadline)
{
    if (deadline->position == 0)
        return;
    size_t index = deadline->position - 1;
    deadline->position = 0;
    struct grpc_deadline *last = all->heap[--all->count];
    if (last == deadline)
        return;
    if (index > 0 && last->due < all->heap[(index - 1) / 2]->due)
        sift_up(all, last, index);
    else
        sift_down(all, last, index);
}
