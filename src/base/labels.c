#include "base/labels.h"

#include <stdlib.h>

bool labels_get(const struct labels *labels, struct str key, struct str *value)
{
    size_t low = 0, high = labels->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(labels->items[middle].key, key);
        if (order == 0) {
            *value = labels->items[middle].value;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

void labels_put(struct labels *labels, struct str key, struct str value)
{
    size_t i = 0;
    while (i < labels->count && !str_eq(labels->items[i].key, key))
        i++;
    labels->items[i] = (struct label){key, value};
    if (i == labels->count)
        labels->count++;
}

static int compare_keys(const void *a, const void *b)
{
    const struct label *left = a, *right = b;
    return str_cmp(left->key, right->key);
}

void labels_sort(struct labels *labels)
{
    if (labels->count > 0)
        qsort(labels->items, labels->count, sizeof(*labels->items), compare_keys);
}
