/* A reader of the feed: which version of each thing its sidecar has, and what it is told next. */
#include "policysync/encode.h"
#include "policysync/feed_private.h"

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
    feed_place_set(entry);
    feed_reader_wake(reader);
}

void feed_reader_item_changed(struct feed_item_entry *entry)
{
    struct feed_reader *reader = entry->entry.reader;
    if (entry->entry.needs > 0)
        feed_count_sets(entry);
    feed_place_item(entry);
    feed_reader_wake(reader);
}

void feed_reader_endpoint_changed(struct feed_reader *reader)
{
    feed_count_items(reader);
    feed_reader_wake(reader);
}

void feed_reader_in_sync(struct feed_reader *reader)
{
    if (reader->told_in_sync)
        return;
    reader->in_sync_serial = reader->feed->last_serial;
    feed_enqueue(&reader->in_sync_entry);
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

/* ---- messages ---- */

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

static void hand_out_copy(struct feed_reader *reader, struct str bytes, struct str *message)
{
    reader->bytes.len = 0;
    buf_append_str(&reader->bytes, bytes);
    *message = buf_str(&reader->bytes);
}

/* ---- turns; false: there was nothing to say ---- */

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

/* The whole, or the changes up to now; what comes meanwhile has to wait for the next turn. */
static bool read_set(struct feed_set_entry *entry, struct str *message)
{
    struct feed_reader *reader = entry->entry.reader;
    if (!feed_set_is_told_whole(entry) && !start_whole(entry))
        return false;
    if (entry->until == 0)
        entry->until = entry->set->changes.appended;
    if (entry->snapshot != NULL) {
        hand_out(reader, entry->snapshot->messages.items[entry->told++], message);
        if (entry->told == entry->snapshot->messages.count) {
            feed_snapshot_unref(entry->snapshot);
            entry->snapshot = NULL;
        }
    } else if (chain_advance(&entry->position)) {
        hand_out(reader, entry->position->message, message);
    }
    if (entry->snapshot == NULL && entry->position->end >= entry->until) {
        entry->until = 0;
        feed_unqueue(&entry->entry);
    }
    feed_place_set(entry);
    return true;
}

/* Whether the sidecar has all of it, be it as it was some time ago; not, if it was given up amid its messages. */
static bool is_told(const struct feed_set_entry *entry)
{
    return entry->position != NULL && entry->snapshot == NULL;
}

/* Behind the sets that it names and that are new to the sidecar: it may have been in the queue before them. */
static bool read_item(struct feed_item_entry *entry, struct str *message)
{
    struct feed_reader *reader = entry->entry.reader;
    for (uint32_t i = 0; i < entry->counted.count; i++) {
        struct feed_entry *set = feed_find_entry(reader, entry->counted.items[i]);
        if (!is_told((struct feed_set_entry *)set))
            return read_set((struct feed_set_entry *)set, message);
    }
    hand_out(reader, entry->item->update, message);
    entry->version = entry->item->version;
    feed_forget_former(entry);
    feed_place_item(entry);
    return true;
}

/* Behind the policies and profiles that it names and that are new to the sidecar. */
static bool read_endpoint(struct feed_reader *reader, struct str *message)
{
    const struct feed_endpoint *endpoint = reader->endpoint;
    if (endpoint->update == NULL && reader->endpoint_version != 0) {
        reader->told_gone = true;
        hand_out_copy(reader, endpoint->key, message);
        return true;
    }
    for (uint32_t i = 0; i < reader->counted.count; i++) {
        struct feed_entry *entry = feed_find_entry(reader, reader->counted.items[i]);
        struct feed_item_entry *item = (struct feed_item_entry *)entry;
        if (item->version == 0 && item->item->version != 0)
            return read_item(item, message);
    }
    feed_unqueue(&reader->endpoint_entry);
    if (endpoint->update == NULL || reader->endpoint_version == endpoint->version)
        return false;
    reader->endpoint_version = endpoint->version;
    hand_out(reader, endpoint->update, message);
    return true;
}

/* As with a set, a turn is for what there was at its beginning. */
static bool read_labels(struct feed_reader *reader, struct str *message)
{
    const struct feed *feed = reader->feed;
    if (reader->labels_until == 0) {
        reader->labels_until = feed->label_changes.appended;
        reader->labels_last = feed->last_serial;
    }
    bool is_read = feed_labels_read(reader, message);
    if (is_read &&
        (reader->position->end < reader->labels_until || reader->cursor < reader->labels_last))
        return true;
    reader->labels_until = 0;
    feed_unqueue(&reader->labels_entry);
    if (is_read) /* maybe not all */
        feed_enqueue(&reader->labels_entry);
    return is_read;
}

static bool read_in_sync(struct feed_reader *reader, struct str *message)
{
    if (reader->cursor < reader->in_sync_serial && feed_labels_read(reader, message))
        return true;
    feed_unqueue(&reader->in_sync_entry);
    reader->told_in_sync = true;
    hand_out_made(reader, &(struct psync_message){.kind = PSYNC_IN_SYNC}, message);
    return true;
}

static bool read_removal(struct feed_entry *entry, struct str *message)
{
    struct feed_reader *reader = entry->reader;
    if (entry->kind == FEED_ITEM_ENTRY) {
        hand_out_copy(reader, ((struct feed_item_entry *)entry)->item->key, message);
    } else {
        struct str id = ((struct feed_set_entry *)entry)->set->id;
        hand_out_made(reader,
                      &(struct psync_message){.kind = PSYNC_IPSET_REMOVE, .ipset_remove = id},
                      message);
    }
    feed_drop_entry(entry);
    return true;
}

static bool read_entry(struct feed_entry *entry, struct str *message)
{
    switch (entry->kind) {
    case FEED_ENDPOINT_ENTRY:
        return read_endpoint(entry->reader, message);
    case FEED_LABELS_ENTRY:
        return read_labels(entry->reader, message);
    case FEED_IN_SYNC_ENTRY:
        return read_in_sync(entry->reader, message);
    case FEED_SET_ENTRY:
        return entry->needs > 0 ? read_set((struct feed_set_entry *)entry, message)
                                : read_removal(entry, message);
    case FEED_ITEM_ENTRY:
        return entry->needs > 0 ? read_item((struct feed_item_entry *)entry, message)
                                : read_removal(entry, message);
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
    while (reader->first != NULL && !reader->is_behind) {
        if (read_entry(reader->first, message))
            return FEED_MESSAGE;
    }
    if (reader->is_behind)
        return FEED_BEHIND;
    reader->is_ready = false;
    return FEED_NOTHING;
}

struct blob *feed_shared(const struct feed_reader *reader)
{
    return reader->held;
}

/* ---- coming and going ---- */

struct feed_reader *feed_join(struct feed *feed, const struct psync_endpoint_id *id,
                              const struct feed_events *events)
{
    struct feed_reader *reader = mem_zalloc(sizeof(*reader));
    reader->feed = feed;
    reader->events = *events;
    reader->is_ready = true;
    reader->endpoint_entry = (struct feed_entry){.kind = FEED_ENDPOINT_ENTRY, .reader = reader};
    reader->labels_entry = (struct feed_entry){.kind = FEED_LABELS_ENTRY, .reader = reader};
    reader->in_sync_entry = (struct feed_entry){.kind = FEED_IN_SYNC_ENTRY, .reader = reader};
    reader->position = chain_hold(&feed->label_changes);
    reader->endpoint = feed_endpoint_use(feed, id);
    list_add(&reader->endpoint->readers, reader);
    list_add(&feed->readers, reader);
    feed_reader_endpoint_changed(reader);
    feed_enqueue(&reader->labels_entry);
    if (feed->in_sync)
        feed_reader_in_sync(reader);
    return reader;
}

void feed_leave(struct feed_reader *reader)
{
    struct feed *feed = reader->feed;
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(&reader->entries, &position)) != NULL)
        feed_free_entry(item->value);
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
