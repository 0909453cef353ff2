/* A persistent set of keys of one fixed width: sorted, compact, with cheap versions.
 *
 * A set is a sorted row of chunks, each a sorted block of keys; a version of a set shares the chunks that
 * did not change with the version that it came from:
 *
 *     version 1:  [ A ][ B ][ C ]
 *                   |         |
 *     version 2:  [ A ][ B'][ C ]     (a key was added to B)
 *
 * So a change costs the chunks that it touches plus the row of pointers, and a million IPv4 addresses take
 * some 5 MB. Look-up is two binary searches.
 *
 * Invariants: chunks are never empty; keys rise strictly within and across chunks.
 *
 * Ownership: versions and chunks are counted; keyset_release gives a version back. Counting is not atomic: versions are
 * made and released on the main thread. Reading is free for all threads.
 */
#ifndef AUTHZ_KEYSET_H
#define AUTHZ_KEYSET_H

#include "base/str.h"

struct keyset;

/* A set of `count` keys of `width` bytes each, which are sorted in place; doubles count once. */
struct keyset *keyset_build(size_t width, uint8_t *keys, size_t count);

/* The next version: `added` in, then `removed` out. Both are sorted in place. `old` stays as it is. */
struct keyset *keyset_apply(const struct keyset *old, uint8_t *added, size_t added_count,
                            uint8_t *removed, size_t removed_count);

bool keyset_contains(const struct keyset *set, const uint8_t *key);
size_t keyset_count(const struct keyset *set);
void keyset_release(struct keyset *set);

#endif
