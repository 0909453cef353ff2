/* The resources that are in force, by kind and name: the input of the calculation.
 *
 * Ownership: resources given to it are its own from then on.
 */
#ifndef CALC_INVENTORY_H
#define CALC_INVENTORY_H

#include "base/map.h"
#include "model/resource.h"

/* {0} is empty and valid. */
struct inventory {
    struct map by_kind[MODEL_KIND_COUNT]; /* "NAMESPACE/NAME" -> struct inventory_item */
};

struct inventory_item {
    struct model_resource *resource;
    size_t key_len;
    char key[];
};

/* Takes the resource; it replaces one with the same key. */
void inventory_put(struct inventory *inventory, struct model_resource *resource);
void inventory_remove(struct inventory *inventory, const struct model_key *key);
void inventory_free(struct inventory *inventory);

/* NULL if there is none. Kinds without namespaces are asked with an empty one. */
const struct model_resource *inventory_get(const struct inventory *inventory, enum model_kind kind,
                                           struct str namespace, struct str name);

/* All resources of a kind in the order of their keys; the array lives in the arena. */
struct inventory_list {
    const struct model_resource **items;
    size_t count;
};
struct inventory_list inventory_list(const struct inventory *inventory, struct arena *arena,
                                     enum model_kind kind);

#endif
