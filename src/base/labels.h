/* Pairs of a key and a value: labels, and annotations too.
 *
 * In a message they stand in any order, and of doubled keys the last counts (protobuf's rule for maps). Where they are looked up,
 * and in all resources, they are sorted by key, no key twice.
 *
 * Ownership: the array and the texts are those of whoever made them.
 */
#ifndef BASE_LABELS_H
#define BASE_LABELS_H

#include "base/str.h"

struct label {
    struct str key, value;
};
struct labels {
    struct label *items;
    size_t count;
};

/* The value of a key, or false. They must be sorted. */
bool labels_get(const struct labels *labels, struct str key, struct str *value);

/* Sets a label, in an array with room for it. The order is only right again after labels_sort. */
void labels_put(struct labels *labels, struct str key, struct str value);
/* By key; none may be there twice. */
void labels_sort(struct labels *labels);

#endif
