/* Service accounts and namespaces of the feed: all of them go to all readers.
 *
 * They stand in the order in which they came, by serial. A reader walks along it from the beginning; what changes behind it,
 * where it has been, it is told from a chain of changes before it walks on; what changes ahead of it, it will meet.
 */
#include "policysync/feed_private.h"

#include "policysync/encode.h"

static struct psync_message removal_of(const struct psync_message *update)
{
    if (update->kind == PSYNC_NAMESPACE_UPDATE)
        return (struct psync_message){.kind = PSYNC_NAMESPACE_REMOVE,
                                      .namespace = {.name = update->namespace.name}};
    return (struct psync_message){
        .kind = PSYNC_ACCOUNT_REMOVE,
        .account = {.namespace = update->account.namespace, .name = update->account.name}};
}

/* The first place with at least this serial; a hole has the serial of what was there. */
static size_t place_of(const struct feed *feed, uint64_t serial)
{
    size_t low = 0, high = feed->label_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (feed->label_order[middle].serial < serial)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Gives up the readers that lagged too far before this batch, which nobody had the time to read yet. */
void feed_labels_end_batch(struct feed *feed)
{
    for (uint32_t i = 0; i < feed->readers.count; i++) {
        struct feed_reader *reader = feed->readers.items[i];
        if (reader->position != NULL && feed->label_batch > reader->position->end + FEED_LAG)
            feed_reader_give_up(reader);
    }
    feed->label_batch = feed->label_changes.appended;
}

static void tell_readers(struct feed *feed, struct str message, uint64_t serial)
{
    if (feed->readers.count == 0)
        return;
    chain_append(&feed->label_changes, message, serial);
    for (uint32_t i = 0; i < feed->readers.count; i++) {
        struct feed_reader *reader = feed->readers.items[i];
        feed_enqueue(&reader->labels_entry);
        feed_reader_wake(reader);
    }
}

void feed_labels_set(struct feed *feed, const struct psync_message *update)
{
    CLEANUP_BUF struct buf key = {0}, bytes = {0};
    struct psync_message removal = removal_of(update);
    psync_encode(&key, &removal);
    psync_encode(&bytes, update);
    struct feed_label *label = map_get(&feed->labels, buf_str(&key));
    if (label == NULL) {
        label = mem_zalloc(sizeof(*label) + key.len);
        memcpy(label->text, key.data, key.len);
        label->key = str_make(label->text, key.len);
        label->serial = ++feed->last_serial;
        MEM_GROW(feed->label_order, feed->label_count, feed->label_capacity);
        feed->label_order[feed->label_count++] = (struct feed_label_place){label->serial, label};
        map_set(&feed->labels, label->key, label);
    }
    blob_unref(label->update);
    label->update = blob_new(buf_str(&bytes));
    tell_readers(feed, buf_str(&bytes), label->serial);
}

/* Serials stay, so nobody's cursor moves. */
static void close_holes(struct feed *feed)
{
    size_t kept = 0;
    for (size_t i = 0; i < feed->label_count; i++) {
        if (feed->label_order[i].label != NULL)
            feed->label_order[kept++] = feed->label_order[i];
    }
    feed->label_count = kept;
    feed->label_holes = 0;
}

static void free_label(struct feed_label *label)
{
    blob_unref(label->update);
    free(label);
}

void feed_labels_remove(struct feed *feed, const struct psync_message *removal)
{
    CLEANUP_BUF struct buf key = {0};
    psync_encode(&key, removal);
    struct feed_label *label = map_remove(&feed->labels, buf_str(&key));
    if (label == NULL)
        return;
    tell_readers(feed, buf_str(&key), label->serial);
    feed->label_order[place_of(feed, label->serial)].label = NULL;
    free_label(label);
    if (++feed->label_holes * 2 > feed->label_count)
        close_holes(feed);
}

bool feed_labels_read(struct feed_reader *reader, struct str *message)
{
    struct feed *feed = reader->feed;
    while (chain_advance(&reader->position)) {
        if (reader->position->tag <= reader->cursor) {
            reader->held = blob_ref(reader->position->message);
            *message = blob_str(reader->held);
            return true;
        }
    }
    size_t place = place_of(feed, reader->cursor + 1);
    while (place < feed->label_count && feed->label_order[place].label == NULL)
        place++;
    if (place == feed->label_count) {
        reader->cursor = feed->last_serial;
        return false;
    }
    reader->cursor = feed->label_order[place].serial;
    reader->held = blob_ref(feed->label_order[place].label->update);
    *message = blob_str(reader->held);
    return true;
}

void feed_labels_free(struct feed *feed)
{
    for (size_t i = 0; i < feed->label_count; i++) {
        if (feed->label_order[i].label != NULL)
            free_label(feed->label_order[i].label);
    }
    free(feed->label_order);
    map_free(&feed->labels);
    chain_free(&feed->label_changes);
}
