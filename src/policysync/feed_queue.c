/* What a reader's sidecar needs, and what there is to tell of it: one queue, in the order in which it came up.
 *
 * Whoever is in the queue stays at its place when more changes, and is told of as it is when its turn comes. So no thing waits
 * for another that changes all the time, and what came first is told first. What an update needs stands before it,
 * what is not needed any more behind the update that does without.
 */
#include "policysync/feed_private.h"

/* ---- the queue ---- */

void feed_enqueue(struct feed_entry *entry)
{
    struct feed_reader *reader = entry->reader;
    if (entry->is_queued)
        return;
    entry->is_queued = true;
    entry->prev = reader->last;
    if (reader->last != NULL)
        reader->last->next = entry;
    else
        reader->first = entry;
    reader->last = entry;
}

void feed_unqueue(struct feed_entry *entry)
{
    struct feed_reader *reader = entry->reader;
    if (!entry->is_queued)
        return;
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        reader->first = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    else
        reader->last = entry->prev;
    entry->is_queued = false;
    entry->next = entry->prev = NULL;
}

/* ---- entries ---- */

static struct str entry_key(const struct feed_entry *entry)
{
    return str_make((const char *)&entry->thing, sizeof(entry->thing));
}

struct feed_entry *feed_find_entry(const struct feed_reader *reader, const void *thing)
{
    return map_get(&reader->entries, str_make((const char *)&thing, sizeof(thing)));
}

static void start_entry(struct feed_reader *reader, struct feed_entry *entry,
                        enum feed_entry_kind kind, const void *thing)
{
    entry->kind = kind;
    entry->reader = reader;
    entry->thing = thing;
    map_set(&reader->entries, entry_key(entry), entry);
}

static struct feed_set_entry *use_set_entry(struct feed_reader *reader, struct feed_set *set)
{
    struct feed_entry *known = feed_find_entry(reader, set);
    if (known != NULL)
        return (struct feed_set_entry *)known;
    struct feed_set_entry *entry = mem_zalloc(sizeof(*entry));
    start_entry(reader, &entry->entry, FEED_SET_ENTRY, set);
    entry->set = set;
    list_add(&set->readers, entry);
    return entry;
}

static void free_set_entry(struct feed_set_entry *entry)
{
    list_remove_item(&entry->set->readers, entry);
    feed_set_let_go(entry);
    feed_set_release(entry->entry.reader->feed, entry->set);
    free(entry);
}

static struct feed_item_entry *use_item_entry(struct feed_reader *reader, struct feed_item *item)
{
    struct feed_entry *known = feed_find_entry(reader, item);
    if (known != NULL)
        return (struct feed_item_entry *)known;
    struct feed_item_entry *entry = mem_zalloc(sizeof(*entry));
    start_entry(reader, &entry->entry, FEED_ITEM_ENTRY, item);
    entry->item = item;
    list_add(&item->readers, entry);
    return entry;
}

static void free_item_entry(struct feed_item_entry *entry)
{
    list_remove_item(&entry->item->readers, entry);
    list_free(&entry->counted);
    list_free(&entry->former);
    feed_item_release(entry->entry.reader->feed, entry->item);
    free(entry);
}

void feed_free_entry(struct feed_entry *entry)
{
    if (entry->kind == FEED_SET_ENTRY)
        free_set_entry((struct feed_set_entry *)entry);
    else
        free_item_entry((struct feed_item_entry *)entry);
}

/* ---- what is needed ---- */

bool feed_set_is_told_whole(const struct feed_set_entry *entry)
{
    return entry->position != NULL && entry->version == entry->set->version;
}

/* Puts the entry where it belongs; see the header. */
static void place(struct feed_entry *entry, bool was_told, bool is_up_to_date)
{
    if (entry->needs == 0 && !was_told)
        feed_drop_entry(entry);
    else if (entry->needs > 0 && is_up_to_date)
        feed_unqueue(entry);
    else
        feed_enqueue(entry);
}

void feed_place_set(struct feed_set_entry *entry)
{
    bool is_whole = feed_set_is_told_whole(entry), is_needed = entry->entry.needs > 0;
    bool is_up_to_date = is_whole && entry->snapshot == NULL && chain_is_at_end(entry->position);
    struct feed_entry *in_sync = &entry->entry.reader->in_sync_entry;
    place(&entry->entry, entry->version != 0, is_up_to_date);
    if (is_needed && !is_whole && in_sync->is_queued) {
        /* From InSync on the sidecar judges: nothing that it has may be told in several messages then. */
        feed_unqueue(in_sync);
        feed_enqueue(in_sync);
    }
}

void feed_place_item(struct feed_item_entry *entry)
{
    place(&entry->entry, entry->version != 0, entry->version == entry->item->version);
}

static void need_set(struct feed_reader *reader, struct feed_set *set)
{
    struct feed_set_entry *entry = use_set_entry(reader, set);
    entry->entry.needs++;
    feed_place_set(entry);
}

static void unneed_set(struct feed_reader *reader, struct feed_set *set)
{
    struct feed_set_entry *entry = use_set_entry(reader, set);
    if (--entry->entry.needs > 0)
        return;
    feed_unqueue(&entry->entry);
    feed_place_set(entry);
}

static void unneed_sets(struct feed_reader *reader, struct list *sets)
{
    for (uint32_t i = 0; i < sets->count; i++)
        unneed_set(reader, sets->items[i]);
    list_free(sets);
}

void feed_count_sets(struct feed_item_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    const struct list *sets = &entry->item->sets;
    struct list before = entry->counted;
    if (entry->counted_version == entry->item->version)
        return;
    entry->counted = (struct list){0};
    for (uint32_t i = 0; i < sets->count; i++) {
        need_set(reader, sets->items[i]);
        list_add(&entry->counted, sets->items[i]);
    }
    /* What the sidecar has may name them: they go when it has the new one. A version that it was never told needs nothing. */
    if (entry->counted_version == entry->version)
        entry->former = before;
    else
        unneed_sets(reader, &before);
    entry->counted_version = entry->item->version;
}

void feed_forget_former(struct feed_item_entry *entry)
{
    unneed_sets(entry->entry.reader, &entry->former);
}

void feed_drop_entry(struct feed_entry *entry)
{
    feed_unqueue(entry);
    if (entry->kind == FEED_ITEM_ENTRY) {
        unneed_sets(entry->reader, &((struct feed_item_entry *)entry)->counted);
        unneed_sets(entry->reader, &((struct feed_item_entry *)entry)->former);
    }
    map_remove(&entry->reader->entries, entry_key(entry));
    feed_free_entry(entry);
}

static void unneed_item(struct feed_reader *reader, struct feed_item *item)
{
    struct feed_item_entry *entry = use_item_entry(reader, item);
    if (--entry->entry.needs > 0)
        return;
    if (entry->counted_version != entry->version) { /* it will not be told this one any more */
        unneed_sets(reader, &entry->counted);
        entry->counted = entry->former;
        entry->former = (struct list){0};
        entry->counted_version = entry->version;
    }
    feed_unqueue(&entry->entry);
    feed_place_item(entry);
}

void feed_count_items(struct feed_reader *reader)
{
    const struct list *items = &reader->endpoint->items;
    struct list before = reader->counted;
    reader->counted = (struct list){0};
    /* All sets, then all items, then the endpoint. */
    for (uint32_t i = 0; i < items->count; i++) {
        struct feed_item_entry *entry = use_item_entry(reader, items->items[i]);
        if (entry->entry.needs++ == 0)
            feed_count_sets(entry);
        list_add(&reader->counted, items->items[i]);
    }
    for (uint32_t i = 0; i < items->count; i++)
        feed_place_item(use_item_entry(reader, items->items[i]));
    feed_enqueue(&reader->endpoint_entry);
    for (uint32_t i = 0; i < before.count; i++)
        unneed_item(reader, before.items[i]);
    list_free(&before);
}
