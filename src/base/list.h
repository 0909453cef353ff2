/* A list of pointers that grows; the order of its items is kept only by those who never remove with list_remove.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

/* {0} is empty and valid. 16 bytes, since there are many that are empty or hold one. */
struct list {
    void **items;
    uint32_t count, capacity;
};

static inline void list_add(struct list *list, void *item)
{
    if (list->count == list->capacity) {
        /* By halves and from one on: most lists stay short. */
        list->capacity += list->capacity / 2 + 1;
        list->items = mem_realloc_array(list->items, list->capacity, sizeof(*list->items));
    }
    list->items[list->count++] = item;
}

/* The last item takes the place of the one that goes; it is returned, so that whoever remembers its place can be told
 * (NULL: the removed one was the last). */
static inline void *list_remove(struct list *list, uint32_t place)
{
    void *last = list->items[--list->count];
    if (place == list->count)
        return NULL;
    list->items[place] = last;
    return last;
}

/* The place of an item; list->count: it is not there. */
static inline uint32_t list_find(const struct list *list, const void *item)
{
    uint32_t place = 0;
    while (place < list->count && list->items[place] != item)
        place++;
    return place;
}

/* Removes an item that is there. */
static inline void list_remove_item(struct list *list, const void *item)
{
    list_remove(list, list_find(list, item));
}

static inline void list_free(struct list *list)
{
    free(list->items);
    *list = (struct list){0};
}

#endif
