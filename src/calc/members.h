/* The members of one IP set, counted: a member stays as long as any source of it does.
 *
 * A member is a net, or an address with protocol and port. Two tables, one of each family, hold them as numbers:
 *
 *     IPv4   [ 1 | has_port 1 | 0 | address 32 | prefix or protocol 8 | port 16 ]                   [ count, marks ]   16 bytes
 *     IPv6   [ 1 | has_port 1 | 0 |            | prefix or protocol 8 | port 16 ] [ address 128 ]   [ count, marks ]   32 bytes
 *
 * What the receiver was told is a mark of each member; those that changed since are listed, so that telling costs what
 * changed. A member that comes and goes in between is not told of at all.
 */
#ifndef CALC_MEMBERS_H
#define CALC_MEMBERS_H

#include "base/ip.h"
#include "base/mem.h"
#include "policysync/message.h"

struct member {
    struct ip_addr addr;
    bool has_port;    /* address, protocol and port; else a net */
    uint8_t prefix;   /* of a net */
    uint8_t protocol; /* 6, 17, 132: what has ports */
    uint16_t port;
};

struct member_table {
    uint64_t *words;
    size_t capacity; /* entries: a power of two, or 0 */
    size_t
        count; /* entries in use, with those that nobody counts any more and the receiver still has */
};

/* {0} is empty and valid. */
struct members {
    struct member_table v4, v6;
    size_t count;       /* members with a source */
    bool is_told;       /* false: changes are not listed, since the receiver will be told all */
    struct buf changed; /* keys of the members that may differ from what the receiver has */
};

void members_free(struct members *members);

void members_add(struct members *members, const struct member *member);
/* One source less of a member that is there. */
void members_remove(struct members *members, const struct member *member);

/* Texts in the arena, in no order. Of all there are now, and of those that the receiver was told. */
struct psync_strings members_all(const struct members *members, struct arena *arena);
struct psync_strings members_told(const struct members *members, struct arena *arena);

/* All are told from now on; later changes are listed. */
void members_set_told(struct members *members);
/* The receiver has none of them any more. */
void members_set_untold(struct members *members);
/* What changed since, which counts as told from now on. */
void members_take_changes(struct members *members, struct arena *arena, struct psync_strings *added,
                          struct psync_strings *removed);

#endif
