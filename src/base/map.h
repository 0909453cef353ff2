/* A hash map from strings to pointers.
 *
 * Open addressing with linear probing; keys are hashed with SipHash-1-3 under a key drawn once a
 * process, since names and labels come from outside and must not be able to pile up in one bucket.
 *
 * Ownership: the map owns neither keys nor values. The bytes of a key must live as long as its entry
 * (usually the key is a field of the value). Iteration order is arbitrary; where order can be seen by
 * a user, sort.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_entry {
    struct str key;
    void *value; /* NULL: the place is empty */
    uint64_t hash;
};

/* {0} is empty and valid. */
struct map {
    struct map_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* The value of `key`, or NULL. */
void *map_get(const struct map *m, struct str key);

/* Sets the value (not NULL) of `key`; returns the value that it replaces, or NULL. On replacement the
 * entry's key becomes the new one, so that the old value may be freed with its key. */
void *map_set(struct map *m, struct str key, void *value);

/* Removes `key`; returns its value, or NULL if it was not there. */
void *map_remove(struct map *m, struct str key);

/* Frees the map itself. */
void map_free(struct map *m);

/* Walks over all entries: *position starts at 0. Returns NULL at the end. The map must not change
 * during the walk. */
struct map_entry *map_next(const struct map *m, size_t *position);

/* The keyed hash, for other tables of this program. */
uint64_t map_hash(struct str key);

#endif
