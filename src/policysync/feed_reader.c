/* A reader of the feed: which version of each thing its sidecar has, and what it is told next. */
#include "policysync/encode.h"
#include "policysync/feed_private.h"

/* ---- queues ---- */

static void unqueue(struct feed_entry *entry)
{
    struct feed_queue *queue = entry->queue;
    if (queue == NULL)
        return;
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        queue->first = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    else
        queue->last = entry->prev;
    entry->queue = NULL;
    entry->next = entry->prev = NULL;
}

/* At the end; where it stands already, it stays. */
static void enqueue(struct feed_entry *entry, struct feed_queue *queue)
{
    if (entry->queue == queue)
        return;
    unqueue(entry);
    entry->queue = queue;
    entry->prev = queue->last;
    if (queue->last != NULL)
        queue->last->next = entry;
    else
        queue->first = entry;
    queue->last = entry;
}

/* ---- entries ---- */

static struct str entry_key(const struct feed_entry *entry)
{
    return str_make((const char *)&entry->thing, sizeof(entry->thing));
}

static struct feed_entry *find_entry(const struct feed_reader *reader, const void *thing)
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
    struct feed_entry *known = find_entry(reader, set);
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
    struct feed_entry *known = find_entry(reader, item);
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
    feed_item_release(entry->entry.reader->feed, entry->item);
    free(entry);
}

static void free_entry(struct feed_entry *entry)
{
    if (entry->kind == FEED_SET_ENTRY)
        free_set_entry((struct feed_set_entry *)entry);
    else
        free_item_entry((struct feed_item_entry *)entry);
}

/* ---- what is needed ---- */

static bool is_told_whole(const struct feed_set_entry *entry)
{
    return entry->position != NULL && entry->version == entry->set->version;
}

static bool is_up_to_date(const struct feed_set_entry *entry)
{
    return is_told_whole(entry) && entry->snapshot == NULL && chain_is_at_end(entry->position);
}

static void drop_entry(struct feed_entry *entry);

/* Puts an entry into the queue where it belongs now, or into none; frees it if the sidecar neither needs nor has the
 * thing. */
static void place_set(struct feed_set_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    if (entry->entry.needs > 0) {
        if (is_up_to_date(entry))
            unqueue(&entry->entry);
        else
            enqueue(&entry->entry, &reader->sets);
    } else if (entry->version != 0) {
        enqueue(&entry->entry, &reader->gone_sets);
    } else {
        drop_entry(&entry->entry);
    }
}

static void need_set(struct feed_reader *reader, struct feed_set *set)
{
    struct feed_set_entry *entry = use_set_entry(reader, set);
    entry->entry.needs++;
    place_set(entry);
}

static void unneed_set(struct feed_reader *reader, struct feed_set *set)
{
    struct feed_set_entry *entry = use_set_entry(reader, set);
    if (--entry->entry.needs == 0)
        place_set(entry);
}

static void place_item(struct feed_item_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    if (entry->entry.needs > 0) {
        if (entry->version == entry->item->version)
            unqueue(&entry->entry);
        else
            enqueue(&entry->entry,
                    entry->item->kind == FEED_POLICY ? &reader->policies : &reader->profiles);
    } else if (entry->version != 0) {
        enqueue(&entry->entry, &reader->gone_items);
    } else {
        drop_entry(&entry->entry);
    }
}

/* Sets that the present version of an item names are needed, those of the version that was counted before no more. */
static void count_sets(struct feed_item_entry *entry, const struct list *sets)
{
    struct feed_reader *reader = entry->entry.reader;
    struct list before = entry->counted;
    entry->counted = (struct list){0};
    for (uint32_t i = 0; i < sets->count; i++) {
        need_set(reader, sets->items[i]);
        list_add(&entry->counted, sets->items[i]);
    }
    for (uint32_t i = 0; i < before.count; i++)
        unneed_set(reader, before.items[i]);
    list_free(&before);
}

static void drop_entry(struct feed_entry *entry)
{
    const struct list none = {0};
    if (entry->kind == FEED_ITEM_ENTRY)
        count_sets((struct feed_item_entry *)entry, &none);
    unqueue(entry);
    map_remove(&entry->reader->entries, entry_key(entry));
    free_entry(entry);
}

static void need_item(struct feed_reader *reader, struct feed_item *item)
{
    struct feed_item_entry *entry = use_item_entry(reader, item);
    if (entry->entry.needs++ == 0)
        count_sets(entry, &item->sets);
    place_item(entry);
}

static void unneed_item(struct feed_reader *reader, struct feed_item *item)
{
    struct feed_item_entry *entry = use_item_entry(reader, item);
    if (--entry->entry.needs == 0)
        place_item(entry);
}

/* ---- changes ---- */

void feed_reader_wake(struct feed_reader *reader)
{
    if (reader->is_woken || reader->is_ready)
        return;
    reader->is_woken = true;
    list_add(&reader->feed->woken, reader);
}

void feed_reader_set_changed(struct feed_set_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    place_set(entry);
    feed_reader_wake(reader);
}

void feed_reader_item_changed(struct feed_item_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    if (entry->entry.needs > 0)
        count_sets(entry, &entry->item->sets);
    place_item(entry);
    feed_reader_wake(reader);
}

void feed_reader_endpoint_changed(struct feed_reader *reader)
{
    const struct list *items = &reader->endpoint->items;
    struct list before = reader->counted;
    reader->counted = (struct list){0};
    for (uint32_t i = 0; i < items->count; i++) {
        need_item(reader, items->items[i]);
        list_add(&reader->counted, items->items[i]);
    }
    for (uint32_t i = 0; i < before.count; i++)
        unneed_item(reader, before.items[i]);
    list_free(&before);
    feed_reader_wake(reader);
}

/* One whose sidecar reads nothing must hear of it, too: what it has not read would be kept for it, and grow. */
void feed_reader_give_up(struct feed_reader *reader)
{
    if (reader->is_behind)
        return;
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(&reader->entries, &position)) != NULL) {
        struct feed_entry *entry = item->value;
        if (entry->kind == FEED_SET_ENTRY)
            feed_set_let_go((struct feed_set_entry *)entry);
    }
    chain_release(&reader->position);
    reader->is_behind = true;
    reader->is_ready = false;
    feed_reader_wake(reader);
}

bool feed_is_behind(const struct feed_reader *reader)
{
    return reader->is_behind;
}

/* ---- reading ---- */

static void hand_out(struct feed_reader *reader, struct blob *blob, struct str *message)
{
    reader->held = blob_ref(blob);
    *message = blob_str(blob);
}

static void hand_out_made(struct feed_reader *reader, const struct psync_message *made,
                          struct str *message)
{
    reader->bytes.len = 0;
    psync_encode(&reader->bytes, made);
    *message = buf_str(&reader->bytes);
}

/* Begins to tell a set whole. Of one that the sidecar has and judges by, only in one message. */
static bool start_whole(struct feed_set_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    struct feed_snapshot *snapshot = feed_set_snapshot(reader->feed, entry->set);
    if (entry->version != 0 && reader->told_in_sync && snapshot->messages.count > 1)
        feed_reader_give_up(reader);
    if (reader->is_behind) { /* by this, or because all the snapshots had become too much */
        feed_snapshot_unref(snapshot);
        return false;
    }
    feed_set_let_go(entry);
    entry->position = chain_hold(&entry->set->changes);
    entry->snapshot = snapshot;
    entry->told = 0;
    entry->version = entry->set->version;
    return true;
}

static bool read_set(struct feed_set_entry *entry, struct str *message)
{
    struct feed_reader *reader = entry->entry.reader;
    if (!is_told_whole(entry) && !start_whole(entry))
        return false;
    if (entry->snapshot != NULL) {
        hand_out(reader, entry->snapshot->messages.items[entry->told++], message);
        if (entry->told == entry->snapshot->messages.count) {
            feed_snapshot_unref(entry->snapshot);
            entry->snapshot = NULL;
        }
    } else if (chain_advance(&entry->position)) {
        *message = chain_message(entry->position);
    }
    place_set(entry);
    return true;
}

static void read_item(struct feed_item_entry *entry, struct str *message)
{
    hand_out(entry->entry.reader, entry->item->update, message);
    entry->version = entry->item->version;
    place_item(entry);
}

static bool read_endpoint(struct feed_reader *reader, struct str *message)
{
    const struct feed_endpoint *endpoint = reader->endpoint;
    if (endpoint->update != NULL && reader->endpoint_version != endpoint->version) {
        reader->endpoint_version = endpoint->version;
        hand_out(reader, endpoint->update, message);
        return true;
    }
    if (endpoint->update == NULL && reader->endpoint_version != 0) {
        reader->told_gone = true;
        *message = endpoint->key;
        return true;
    }
    return false;
}

static bool read_in_sync(struct feed_reader *reader, struct str *message)
{
    if (reader->told_in_sync || !reader->feed->in_sync)
        return false;
    reader->told_in_sync = true;
    hand_out_made(reader, &(struct psync_message){.kind = PSYNC_IN_SYNC}, message);
    return true;
}

static bool read_removal(struct feed_reader *reader, struct str *message)
{
    if (reader->gone_items.first != NULL) {
        struct feed_item_entry *entry = (struct feed_item_entry *)reader->gone_items.first;
        reader->bytes.len = 0;
        buf_append_str(&reader->bytes, entry->item->key);
        *message = buf_str(&reader->bytes);
        drop_entry(&entry->entry);
        return true;
    }
    if (reader->gone_sets.first != NULL) {
        struct feed_set_entry *entry = (struct feed_set_entry *)reader->gone_sets.first;
        hand_out_made(
            reader,
            &(struct psync_message){.kind = PSYNC_IPSET_REMOVE, .ipset_remove = entry->set->id},
            message);
        drop_entry(&entry->entry);
        return true;
    }
    return false;
}

enum feed_result feed_read(struct feed_reader *reader, struct str *message)
{
    blob_unref(reader->held);
    reader->held = NULL;
    reader->is_ready = true;
    if (reader->told_gone)
        return FEED_ENDED;
    if (reader->sets.first != NULL && !reader->is_behind &&
        read_set((struct feed_set_entry *)reader->sets.first, message))
        return FEED_MESSAGE;
    if (reader->is_behind)
        return FEED_BEHIND;
    struct feed_entry *item =
        reader->policies.first != NULL ? reader->policies.first : reader->profiles.first;
    if (item != NULL) {
        read_item((struct feed_item_entry *)item, message);
        return FEED_MESSAGE;
    }
    if (read_endpoint(reader, message) || feed_labels_read(reader, message) ||
        read_in_sync(reader, message) || read_removal(reader, message))
        return FEED_MESSAGE;
    reader->is_ready = false;
    return FEED_NOTHING;
}

/* ---- coming and going ---- */

struct feed_reader *feed_join(struct feed *feed, const struct psync_endpoint_id *id,
                              const struct feed_events *events)
{
    struct feed_reader *reader = mem_zalloc(sizeof(*reader));
    reader->feed = feed;
    reader->events = *events;
    reader->is_ready = true;
    reader->position = chain_hold(&feed->label_changes);
    reader->endpoint = feed_endpoint_use(feed, id);
    list_add(&reader->endpoint->readers, reader);
    list_add(&feed->readers, reader);
    feed_reader_endpoint_changed(reader);
    return reader;
}

void feed_leave(struct feed_reader *reader)
{
    struct feed *feed = reader->feed;
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(&reader->entries, &position)) != NULL)
        free_entry(item->value);
    map_free(&reader->entries);
    list_free(&reader->counted);
    chain_release(&reader->position);
    list_remove_item(&reader->endpoint->readers, reader);
    feed_endpoint_release(feed, reader->endpoint);
    list_remove_item(&feed->readers, reader);
    if (reader->is_woken)
        list_remove_item(&feed->woken, reader);
    blob_unref(reader->held);
    buf_free(&reader->bytes);
    free(reader);
}
