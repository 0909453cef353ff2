#include "calc/inventory.h"

#include <stdlib.h>

static struct str item_key(struct buf *out, struct str namespace, struct str name)
{
    buf_append_str(out, namespace);
    buf_append_byte(out, '/');
    buf_append_str(out, name);
    return buf_str(out);
}

static void free_item(struct inventory_item *item)
{
    if (item == NULL)
        return;
    model_resource_free(item->resource);
    free(item);
}

void inventory_put(struct inventory *inventory, struct model_resource *resource)
{
    CLEANUP_BUF struct buf key = {0};
    item_key(&key, resource->key.namespace, resource->key.name);
    struct inventory_item *item = mem_alloc(sizeof(*item) + key.len);
    item->resource = resource;
    item->key_len = key.len;
    memcpy(item->key, key.data, key.len);
    free_item(map_set(&inventory->by_kind[resource->key.kind], str_make(item->key, key.len), item));
}

void inventory_remove(struct inventory *inventory, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    free_item(
        map_remove(&inventory->by_kind[key->kind], item_key(&text, key->namespace, key->name)));
}

void inventory_free(struct inventory *inventory)
{
    for (size_t kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        size_t position = 0;
        struct map_entry *entry;
        while ((entry = map_next(&inventory->by_kind[kind], &position)) != NULL)
            free_item(entry->value);
        map_free(&inventory->by_kind[kind]);
    }
}

const struct model_resource *inventory_get(const struct inventory *inventory, enum model_kind kind,
                                           struct str namespace, struct str name)
{
    if (inventory->by_kind[kind].count == 0)
        return NULL;
    CLEANUP_BUF struct buf key = {0};
    struct inventory_item *item =
        map_get(&inventory->by_kind[kind], item_key(&key, namespace, name));
    return item != NULL ? item->resource : NULL;
}

static int compare_resources(const void *a, const void *b)
{
    const struct model_key *x = &(*(struct model_resource *const *)a)->key;
    const struct model_key *y = &(*(struct model_resource *const *)b)->key;
    int order = str_cmp(x->namespace, y->namespace);
    return order != 0 ? order : str_cmp(x->name, y->name);
}

struct inventory_list inventory_list(const struct inventory *inventory, struct arena *arena,
                                     enum model_kind kind)
{
    const struct map *map = &inventory->by_kind[kind];
    struct inventory_list list = {arena_array(arena, map->count, sizeof(*list.items)), 0};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(map, &position)) != NULL)
        list.items[list.count++] = ((struct inventory_item *)entry->value)->resource;
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), compare_resources);
    return list;
}
