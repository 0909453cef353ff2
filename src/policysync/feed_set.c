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
    chain_init(&set->changes, &feed->change_bytes);
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

/* Field and length of a member in a message; its text is shorter than 128 bytes. */
enum { MEMBER_OVERHEAD = 2 };

/* The members from `start` on that one message of the set has room for, one at the least. An id is a selector's text, which can be long;
 * not so long that none would fit, since the rule that uses the set has it too. */
static struct psync_strings part(struct str id, const struct psync_strings *list, size_t start)
{
    size_t end = start, bytes = id.len;
    while (end < list->count && end - start < FEED_MEMBERS) {
        bytes += list->items[end].len + MEMBER_OVERHEAD;
        if (bytes > FEED_MEMBER_BYTES && end > start)
            break;
        end++;
    }
    return (struct psync_strings){list->items + start, end - start};
}

/* Whether two lists fit into one message. */
static bool fit_together(struct str id, const struct psync_strings *a,
                         const struct psync_strings *b)
{
    const struct psync_strings *lists[] = {a, b};
    size_t bytes = id.len;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < lists[i]->count; j++)
            bytes += lists[i]->items[j].len + MEMBER_OVERHEAD;
    }
    return a->count + b->count <= FEED_MEMBERS && bytes <= FEED_MEMBER_BYTES;
}

static void encode_whole(struct feed_snapshot *snapshot, struct str id, int type,
                         const struct psync_strings *members)
{
    struct psync_strings piece = part(id, members, 0);
    struct psync_message update = {.kind = PSYNC_IPSET_UPDATE,
                                   .ipset_update = {.id = id, .type = type, .members = piece}};
    add_message(snapshot, &update);
    for (size_t start = piece.count; start < members->count; start += piece.count) {
        piece = part(id, members, start);
        struct psync_message delta = {.kind = PSYNC_IPSET_DELTA,
                                      .ipset_delta = {.id = id, .added = piece}};
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

/* Members of one list, in as many messages as they need. */
static void append_parts(struct feed_set *set, const struct psync_strings *list, bool removed)
{
    struct psync_strings piece;
    for (size_t start = 0; start < list->count; start += piece.count) {
        CLEANUP_BUF struct buf bytes = {0};
        struct psync_message message = {.kind = PSYNC_IPSET_DELTA, .ipset_delta = {.id = set->id}};
        piece = part(set->id, list, start);
        if (removed)
            message.ipset_delta.removed = piece;
        else
            message.ipset_delta.added = piece;
        psync_encode(&bytes, &message);
        chain_append(&set->changes, buf_str(&bytes), 0);
    }
}

static void append_change(struct feed_set *set, const struct psync_ipset_delta *delta)
{
    CLEANUP_BUF struct buf bytes = {0};
    if (!fit_together(set->id, &delta->added, &delta->removed)) {
        append_parts(set, &delta->added, false);
        append_parts(set, &delta->removed, true);
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

/* Those that lag by more than some bytes are to be told the whole. */
static void cut_off_lagging(struct feed_set *set, uint64_t most)
{
    for (uint32_t i = 0; i < set->readers.count; i++) {
        struct feed_set_entry *entry = set->readers.items[i];
        if (entry->position == NULL || chain_lag(entry->position) <= most)
            continue;
        feed_set_let_go(entry);
        feed_place_set(entry);
    }
}

/* What waits has outgrown its bound: nobody who lags is waited for any more. */
static void cut_off_everybody(struct feed *feed)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&feed->sets, &position)) != NULL)
        cut_off_lagging(entry->value, 0);
}

void feed_set_delta(struct feed *feed, const struct psync_ipset_delta *delta)
{
    struct feed_set *set = feed_set_use(feed, delta->id);
    feed_set_drop_snapshot(feed, set);
    if (set->readers.count == 0)
        return;
    /* Before the new change, which may be large, and which nobody had the time to read. */
    cut_off_lagging(set, FEED_LAG);
    if (feed->change_bytes > FEED_LAG_OF_ALL)
        cut_off_everybody(feed);
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
