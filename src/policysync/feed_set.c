/* IP sets of the feed: told whole to those who need them anew, then by their changes. */
#include "policysync/feed_private.h"

#include "policysync/encode.h"

/* Bytes of all snapshots. Beyond it readers that are still being told outdated ones are given up: each holds a whole set. */
enum { SNAPSHOT_LIMIT = 64 * 1024 * 1024 };

struct feed_set *feed_set_use(struct feed *feed, struct str id)
{
    struct feed_set *set = map_get(&feed->sets, id);
    if (set != NULL)
        return set;
    set = mem_zalloc(sizeof(*set) + id.len);
    memcpy(set->text, id.ptr, id.len);
    set->id = str_make(set->text, id.len);
    chain_init(&set->changes);
    map_set(&feed->sets, set->id, set);
    return set;
}

void feed_set_release(struct feed *feed, struct feed_set *set)
{
    if (set->exists || set->readers.count > 0)
        return;
    map_remove(&feed->sets, set->id);
    feed_set_free(feed, set);
}

void feed_set_free(struct feed *feed, struct feed_set *set)
{
    feed_set_drop_snapshot(feed, set);
    chain_free(&set->changes);
    list_free(&set->readers);
    free(set);
}

static void tell_readers(struct feed_set *set)
{
    for (uint32_t i = 0; i < set->readers.count; i++)
        feed_reader_set_changed(set->readers.items[i]);
}

/* ---- the whole ---- */

void feed_snapshot_unref(struct feed_snapshot *snapshot)
{
    if (snapshot == NULL || --snapshot->refs > 0)
        return;
    for (uint32_t i = 0; i < snapshot->messages.count; i++)
        blob_unref(snapshot->messages.items[i]);
    snapshot->feed->snapshot_bytes -= snapshot->bytes;
    list_free(&snapshot->messages);
    free(snapshot);
}

void feed_set_drop_snapshot(struct feed *feed, struct feed_set *set)
{
    if (set->snapshot == NULL)
        return;
    list_remove_item(&feed->cached, set);
    feed_snapshot_unref(set->snapshot);
    set->snapshot = NULL;
}

static void add_message(struct feed_snapshot *snapshot, const struct psync_message *message)
{
    CLEANUP_BUF struct buf bytes = {0};
    psync_encode(&bytes, message);
    list_add(&snapshot->messages, blob_new(buf_str(&bytes)));
    snapshot->bytes += bytes.len;
}

static struct psync_strings part(const struct psync_strings *list, size_t start)
{
    size_t left = list->count - start;
    return (struct psync_strings){list->items + start, left < FEED_MEMBERS ? left : FEED_MEMBERS};
}

static void encode_whole(struct feed_snapshot *snapshot, struct str id, int type,
                         const struct psync_strings *members)
{
    struct psync_message update = {
        .kind = PSYNC_IPSET_UPDATE,
        .ipset_update = {.id = id, .type = type, .members = part(members, 0)}};
    add_message(snapshot, &update);
    for (size_t start = FEED_MEMBERS; start < members->count; start += FEED_MEMBERS) {
        struct psync_message delta = {.kind = PSYNC_IPSET_DELTA,
                                      .ipset_delta = {.id = id, .added = part(members, start)}};
        add_message(snapshot, &delta);
    }
}

/* Gives up the readers of snapshots that are not the newest of their set. */
static void give_up_outdated(struct feed *feed)
{
    for (uint32_t i = 0; i < feed->readers.count; i++) {
        struct feed_reader *reader = feed->readers.items[i];
        size_t position = 0;
        struct map_entry *item;
        while ((item = map_next(&reader->entries, &position)) != NULL) {
            const struct feed_set_entry *entry = item->value;
            if (entry->entry.kind == FEED_SET_ENTRY && entry->snapshot != NULL &&
                entry->snapshot != entry->set->snapshot) {
                feed_reader_give_up(reader);
                break;
            }
        }
    }
}

struct feed_snapshot *feed_set_snapshot(struct feed *feed, struct feed_set *set)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = {0};
    int type = PSYNC_SET_UNREADABLE;
    if (set->snapshot == NULL) {
        feed->source.set_members(feed->source.ctx, set->id, &arena, &type, &members);
        set->snapshot = mem_zalloc(sizeof(*set->snapshot));
        set->snapshot->feed = feed;
        set->snapshot->refs = 1;
        encode_whole(set->snapshot, set->id, type, &members);
        feed->snapshot_bytes += set->snapshot->bytes;
        list_add(&feed->cached, set);
        if (feed->snapshot_bytes > SNAPSHOT_LIMIT)
            give_up_outdated(feed);
    }
    set->snapshot->refs++;
    return set->snapshot;
}

/* ---- changes ---- */

void feed_set_update(struct feed *feed, const struct psync_ipset_update *update)
{
    struct feed_set *set = feed_set_use(feed, update->id);
    set->exists = true;
    set->version++;
    feed_set_drop_snapshot(feed, set);
    tell_readers(set);
}

/* Members of one list into messages of at most FEED_MEMBERS. */
static void append_part(struct feed_set *set, const struct psync_strings *list, bool removed)
{
    for (size_t start = 0; start < list->count; start += FEED_MEMBERS) {
        CLEANUP_BUF struct buf bytes = {0};
        struct psync_message message = {.kind = PSYNC_IPSET_DELTA, .ipset_delta = {.id = set->id}};
        if (removed)
            message.ipset_delta.removed = part(list, start);
        else
            message.ipset_delta.added = part(list, start);
        psync_encode(&bytes, &message);
        chain_append(&set->changes, buf_str(&bytes), 0);
    }
}

static void append_change(struct feed_set *set, const struct psync_ipset_delta *delta)
{
    CLEANUP_BUF struct buf bytes = {0};
    if (delta->added.count + delta->removed.count > FEED_MEMBERS) {
        append_part(set, &delta->added, false);
        append_part(set, &delta->removed, true);
        return;
    }
    struct psync_message message = {
        .kind = PSYNC_IPSET_DELTA,
        .ipset_delta = {.id = set->id, .added = delta->added, .removed = delta->removed}};
    psync_encode(&bytes, &message);
    chain_append(&set->changes, buf_str(&bytes), 0);
}

void feed_set_let_go(struct feed_set_entry *entry)
{
    chain_release(&entry->position);
    feed_snapshot_unref(entry->snapshot);
    entry->snapshot = NULL;
}

/* What waits has outgrown its bound: those that lag are to be told the whole. */
static void cut_off_lagging(struct feed_set *set)
{
    for (uint32_t i = 0; i < set->readers.count; i++) {
        struct feed_set_entry *entry = set->readers.items[i];
        if (entry->position != NULL && !chain_is_at_end(entry->position))
            feed_set_let_go(entry);
    }
}

void feed_set_delta(struct feed *feed, const struct psync_ipset_delta *delta)
{
    struct feed_set *set = feed_set_use(feed, delta->id);
    feed_set_drop_snapshot(feed, set);
    if (set->readers.count == 0)
        return;
    /* Before the new change, which may be large, and which nobody had the time to read. */
    if (set->changes.bytes > FEED_LAG)
        cut_off_lagging(set);
    append_change(set, delta);
    tell_readers(set);
}

void feed_set_remove(struct feed *feed, struct str id)
{
    struct feed_set *set = feed_set_use(feed, id);
    set->exists = false;
    feed_set_drop_snapshot(feed, set);
    feed_set_release(feed, set);
}
