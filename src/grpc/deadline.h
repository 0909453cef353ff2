/* Deadlines of calls: a binary heap over one timer of the loop.
 *
 * The loop's own timers are a sorted list, made for a few; a peer may open thousands of calls,
 * each with another deadline. Adding and removing costs O(log n) here, whatever a peer chooses.
 *
 * Ownership: a deadline is a struct that its owner embeds; the heap keeps a pointer while it is
 * set.
 */
#ifndef GRPC_DEADLINE_H
#define GRPC_DEADLINE_H

#include "base/loop.h"

/* {0} is one that is not set. */
struct grpc_deadline {
    void *owner;
    uint64_t due;    /* milliseconds of loop_now */
    size_t position; /* in the heap, from 1; 0: not set */
};

struct grpc_deadlines {
    struct loop *loop;
    struct loop_timer timer; /* due no later than the soonest deadline */
    void (*expired)(void *owner);
    struct grpc_deadline **heap; /* heap[0] is the soonest; the children of i are 2i+1 and 2i+2 */
    size_t count, capacity;
};

/* `expired` is called with the owner of each deadline that passes; the deadline is not set any
 * more then. */
void grpc_deadlines_init(struct grpc_deadlines *all, struct loop *loop,
                         void (*expired)(void *owner));
void grpc_deadlines_free(struct grpc_deadlines *all);

void grpc_deadlines_set(struct grpc_deadlines *all, struct grpc_deadline *deadline, void *owner,
                        uint64_t due);
/* Does nothing if it is not set. */
void grpc_deadlines_clear(struct grpc_deadlines *all, struct grpc_deadline *deadline);

#endif
