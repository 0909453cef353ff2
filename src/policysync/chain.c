#include "policysync/chain.h"

#include <stdlib.h>

#include "base/mem.h"

/* With what it takes to keep it: most messages are short. */
static size_t size_of(const struct chain_link *link)
{
    return sizeof(*link) + (link->message != NULL ? link->message->len : 0);
}

/* The message is the link's from now on. */
static struct chain_link *make_link(struct chain *chain, struct blob *message, uint64_t tag)
{
    struct chain_link *link = mem_zalloc(sizeof(*link));
    link->chain = chain;
    link->refs = 1;
    link->tag = tag;
    link->message = message;
    chain->appended += size_of(link);
    link->end = chain->appended;
    return link;
}

/* A link that goes lets go of the next one, which is the first then: nobody has it ahead any more. */
static void unref(struct chain_link *link)
{
    while (link != NULL && --link->refs == 0) {
        struct chain_link *next = link->next;
        if (next != NULL)
            *link->chain->total -= size_of(next);
        blob_unref(link->message);
        free(link);
        link = next;
    }
}

void chain_init(struct chain *chain, size_t *total)
{
    *chain = (struct chain){0};
    chain->total = total;
    chain->tail = make_link(chain, NULL, 0);
}

void chain_free(struct chain *chain)
{
    unref(chain->tail);
    *chain = (struct chain){0};
}

void chain_append(struct chain *chain, struct str message, uint64_t tag)
{
    struct chain_link *before = chain->tail, *link = make_link(chain, blob_new(message), tag);
    link->refs++; /* the chain's and that of the link before */
    before->next = link;
    chain->tail = link;
    *chain->total += size_of(link);
    unref(before);
}

struct chain_link *chain_hold(struct chain *chain)
{
    chain->tail->refs++;
    return chain->tail;
}

bool chain_advance(struct chain_link **position)
{
    struct chain_link *link = *position;
    if (link->next == NULL)
        return false;
    link->next->refs++;
    *position = link->next;
    unref(link);
    return true;
}

void chain_release(struct chain_link **position)
{
    unref(*position);
    *position = NULL;
}
