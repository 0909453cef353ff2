/* Private to decode*.c: what the decoding of rules and that of whole messages have in common.
 */
#ifndef POLICYSYNC_DECODE_PRIVATE_H
#define POLICYSYNC_DECODE_PRIVATE_H

#include "base/mem.h"
#include "pb/reader.h"
#include "policysync/message.h"

/* Appends to an array in the arena. Arrays double; the old copy stays behind in the arena, which is short-lived. Capacity is
 * derived: it is the smallest power of two that holds the count. */
void *psync_decode_append(struct arena *arena, void *items, size_t *count, size_t size);

/* The place of a new element at the end of a list. */
#define APPEND(arena, list)                                                                        \
    ((list)->items =                                                                               \
         psync_decode_append((arena), (list)->items, &(list)->count, sizeof(*(list)->items)),      \
     &(list)->items[(list)->count - 1])

static inline int32_t psync_decode_int32(struct pb_reader *r, const struct pb_field *f)
{
    return (int32_t)(uint32_t)pb_varint(r, f);
}

/* False: the bytes are no Rule. (decode_rule.c) */
bool psync_decode_rule(struct arena *arena, struct str bytes, struct psync_rule *rule);

#endif
