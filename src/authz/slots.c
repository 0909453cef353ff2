#include "authz/slots.h"

#include <stdlib.h>

#include "base/mem.h"

struct slot_table *slot_table_new(void)
{
    struct slot_table *table = mem_zalloc(sizeof(*table));
    table->references = 1;
    return table;
}

struct slot_table *slot_table_ref(struct slot_table *table)
{
    table->references++;
    return table;
}

/* Whoever has a slot holds the table, so the last one leaves it empty. */
void slot_table_unref(struct slot_table *table)
{
    if (--table->references > 0)
        return;
    map_free(&table->by_name);
    free(table->by_index);
    free(table);
}

/* A free index: the first hole, else a new one. Slots come and go rarely and are few thousand at most. */
static size_t find_index(struct slot_table *table)
{
    if (table->by_name.count < table->count) {
        for (size_t i = 0; i < table->count; i++) {
            if (table->by_index[i] == NULL)
                return i;
        }
    }
    MEM_GROW(table->by_index, table->count, table->capacity);
    return table->count++;
}

struct slot *slot_acquire(struct slot_table *table, struct str name)
{
    struct slot *slot = map_get(&table->by_name, name);
    if (slot == NULL) {
        slot = mem_zalloc(sizeof(*slot));
        slot->name = mem_strndup(name);
        slot->name_len = name.len;
        slot->index = (uint32_t)find_index(table);
        table->by_index[slot->index] = slot;
        map_set(&table->by_name, str_make(slot->name, slot->name_len), slot);
    }
    slot->references++;
    return slot;
}

struct slot *slot_find(const struct slot_table *table, struct str name)
{
    return map_get(&table->by_name, name);
}

void slot_release(struct slot_table *table, struct slot *slot)
{
    if (--slot->references > 0)
        return;
    map_remove(&table->by_name, str_make(slot->name, slot->name_len));
    table->by_index[slot->index] = NULL;
    free(slot->name);
    free(slot);
}
