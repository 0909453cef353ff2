/* IP set names as small numbers.
 *
 * Rules name IP sets; a snapshot holds the sets in an array. A slot is the place in that array that belongs to a name, so that
 * a rule, compiled once, finds the current version of its set without looking up a name, and a changed set changes one
 * pointer and no rule.
 *
 * A slot lives as long as somebody refers to it: a rule that names it, or the set itself. Its index is then used again.
 * Threads: the store's only.
 */
#ifndef AUTHZ_SLOTS_H
#define AUTHZ_SLOTS_H

#include "authz/ipset.h"
#include "base/map.h"

struct slot {
    char *name;
    size_t name_len;
    uint32_t index;
    uint32_t references;
    struct authz_ipset *set; /* the current version, or NULL: missing */
};

/* Counted: the store holds it, and so does every policy with slots in it, for a snapshot may keep a policy longer than the
 * store lives. */
struct slot_table {
    unsigned references;
    struct map by_name;
    struct slot **by_index; /* NULL where free */
    size_t count;           /* of by_index in use, free ones too */
    size_t capacity;
};

struct slot_table *slot_table_new(void);
struct slot_table *slot_table_ref(struct slot_table *table);
void slot_table_unref(struct slot_table *table);

/* The slot of a name, made if there is none; counted. */
struct slot *slot_acquire(struct slot_table *table, struct str name);
/* The slot of a name, or NULL; not counted. */
struct slot *slot_find(const struct slot_table *table, struct str name);
void slot_release(struct slot_table *table, struct slot *slot);

#endif
