/* A chain of messages that readers follow at their own pace: written once, shared by all, and forgotten as soon as the last reader
 * has passed.
 *
 *     held by reader A          held by reader B     held by the chain
 *           │                         │                    │
 *           ▼                         ▼                    ▼
 *        [link] ──► [link] ──► [link] ──► … ──► [link] ──► [tail]     each link is also held by the one before it
 *
 * A position is the link that was read last. What lies before the earliest position is held by nobody, and gone.
 *
 * Threads: one.
 */
#ifndef POLICYSYNC_CHAIN_H
#define POLICYSYNC_CHAIN_H

#include "base/blob.h"

struct chain;

struct chain_link {
    struct chain *chain;
    struct chain_link *next; /* NULL: the tail */
    uint32_t refs;
    uint64_t tag;         /* the writer's */
    uint64_t end;         /* bytes that were appended to the chain up to here */
    struct blob *message; /* NULL: of the first one, which there is none of */
};

struct chain {
    struct chain_link *tail;
    uint64_t appended; /* bytes, ever */
    size_t *total; /* bytes that some position has ahead of it, in several chains; the owner's */
};

void chain_init(struct chain *chain, size_t *total);
/* No position may be held any more. */
void chain_free(struct chain *chain);

void chain_append(struct chain *chain, struct str message, uint64_t tag);

/* A position at the end: what is appended from now on is ahead of it. */
struct chain_link *chain_hold(struct chain *chain);
/* Moves a position to the next link; false: there is none yet. */
bool chain_advance(struct chain_link **position);
/* Gives a position up; NULL is fine. */
void chain_release(struct chain_link **position);

/* Bytes that were appended behind a position. */
static inline uint64_t chain_lag(const struct chain_link *position)
{
    return position->chain->appended - position->end;
}

static inline bool chain_is_at_end(const struct chain_link *position)
{
    return position->next == NULL;
}

#endif
