#include "authz/labels.h"

#include <stdlib.h>

/* By key; of equal keys the later one first. */
static int compare_labels(const void *a, const void *b, void *items)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    const struct label *labels = items;
    int order = str_cmp(labels[x].key, labels[y].key);
    return order != 0 ? order : (x < y) - (x > y);
}

struct authz_labels *authz_labels_new(struct str key, struct labels labels)
{
    struct authz_labels *set = mem_zalloc(sizeof(*set));
    set->references = 1;
    set->key = arena_copy(&set->arena, key);
    set->sorted.items = arena_array(&set->arena, labels.count, sizeof(*set->sorted.items));
    CLEANUP_FREE size_t *order = mem_alloc(labels.count * sizeof(*order));
    for (size_t i = 0; i < labels.count; i++)
        order[i] = i;
    if (labels.count > 1)
        qsort_r(order, labels.count, sizeof(*order), compare_labels, labels.items);
    for (size_t i = 0; i < labels.count; i++) {
        const struct label *label = &labels.items[order[i]];
        if (i > 0 && str_eq(label->key, labels.items[order[i - 1]].key))
            continue;
        set->sorted.items[set->sorted.count++] = (struct label){
            arena_copy(&set->arena, label->key), arena_copy(&set->arena, label->value)};
    }
    return set;
}

void authz_labels_unref(struct authz_labels *labels)
{
    if (labels == NULL || --labels->references > 0)
        return;
    arena_free(&labels->arena);
    free(labels);
}

bool authz_labels_get(const struct authz_labels *labels, struct str key, struct str *value)
{
    return labels != NULL && labels_get(&labels->sorted, key, value);
}
