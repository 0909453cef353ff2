/* Private to feed*.c: the things of the feed, and what a reader knows of each.
 */
#ifndef POLICYSYNC_FEED_PRIVATE_H
#define POLICYSYNC_FEED_PRIVATE_H

#include "base/blob.h"
#include "base/list.h"
#include "base/map.h"
#include "policysync/chain.h"
#include "policysync/feed.h"

/* ---- things ---- */

/* An IP set, whole, as messages; shared by the readers that are being told it. */
struct feed_snapshot {
    struct feed *feed;
    uint32_t refs;
    size_t bytes;
    struct list messages; /* struct blob: one IPSetUpdate, then IPSetDeltaUpdates */
};

/* Lives while the node has it or a reader knows of it. */
struct feed_set {
    struct str id;
    bool exists;
    uint64_t version; /* of the whole: 1 more each time it is told whole */
    uint64_t stamp;   /* see feed->round */
    struct chain changes;
    struct feed_snapshot *snapshot; /* as of the end of `changes`; NULL: nobody asked yet */
    struct list readers;            /* struct feed_set_entry */
    char text[];
};

enum feed_item_kind { FEED_POLICY, FEED_PROFILE };

/* A policy or a profile. Lives as a set does. */
struct feed_item {
    enum feed_item_kind kind;
    struct str key; /* the message that removes it */
    bool exists;
    uint64_t version;
    uint64_t stamp; /* see feed->round */
    struct blob *update;
    struct list sets;    /* struct feed_set: those that its rules name, each once */
    struct list readers; /* struct feed_item_entry */
    char text[];
};

/* An endpoint of the node, or one that a reader asks for. */
struct feed_endpoint {
    struct str key;      /* the message that removes it */
    struct blob *update; /* NULL: it is not there */
    uint64_t version;
    struct list items;   /* struct feed_item: policies, then profiles, each once */
    struct list readers; /* struct feed_reader */
    char text[];
};

/* A service account or a namespace. */
struct feed_label {
    struct str key;  /* the message that removes it */
    uint64_t serial; /* its place among all: the order in which they came */
    struct blob *update;
    char text[];
};

struct feed_label_place {
    uint64_t serial;
    struct feed_label *label; /* NULL: it was removed */
};

/* ---- what a reader knows of a thing ---- */

enum feed_entry_kind {
    FEED_SET_ENTRY,
    FEED_ITEM_ENTRY,
    FEED_ENDPOINT_ENTRY,
    FEED_LABELS_ENTRY,
    FEED_IN_SYNC_ENTRY,
};

/* Waits in the reader's queue while there is something to tell of it. */
struct feed_entry {
    enum feed_entry_kind kind;
    struct feed_reader *reader;
    const void *thing; /* of sets and items: its place in the map of the reader's entries */
    uint32_t needs;    /* of these too: how many need it; 0: to be removed, if it was told */
    bool is_queued;
    struct feed_entry *next, *prev;
};

struct feed_set_entry {
    struct feed_entry entry;
    struct feed_set *set;
    uint64_t version; /* of the set as it was, or is being, told whole; 0: not told at all */
    struct feed_snapshot *snapshot; /* being told */
    uint32_t told;                  /* messages of it that were */
    struct chain_link *position;    /* the last change that was told; NULL: none, nor the whole */
    uint64_t until; /* its turn ends with the changes up to here (chain_link.end); 0: it has none */
};

struct feed_item_entry {
    struct feed_entry entry;
    struct feed_item *item;
    uint64_t version;    /* that was told; 0: none */
    struct list counted; /* struct feed_set: those that are needed for it as it is */
    uint64_t counted_version;
    struct list
        former; /* struct feed_set: those for it as it was told, if that is another version */
};

struct feed_reader {
    struct feed *feed;
    struct feed_events events;
    struct feed_endpoint *endpoint;
    uint64_t endpoint_version; /* that was told; 0: none */
    bool is_ready;             /* the owner was told that there is something to read */
    bool is_woken;             /* it is in feed->woken */
    bool told_in_sync, told_gone, is_behind;
    struct list counted; /* struct feed_item: those that are needed for the endpoint */
    struct map entries;  /* the bytes of a thing's address -> struct feed_entry */
    struct feed_entry *first,
        *last; /* the queue: what there is to tell, in the order in which it came up */
    struct feed_entry endpoint_entry, labels_entry, in_sync_entry;
    uint64_t cursor; /* accounts and namespaces up to this serial were told */
    struct chain_link
        *position; /* the last change to one of those that was told; NULL: it was given up */
    uint64_t in_sync_serial; /* accounts and namespaces up to this one are told before InSync */
    uint64_t
        labels_until; /* their turn ends with the changes up to here (chain_link.end); 0: it has none */
    uint64_t labels_last; /* and with this serial */
    struct buf bytes;     /* of a message that is made on the way */
    struct blob *held;    /* the message that was handed out */
};

struct feed {
    struct feed_source source;
    bool in_sync;
    struct map sets;                      /* id -> struct feed_set */
    struct map items;                     /* -> struct feed_item */
    struct map endpoints;                 /* -> struct feed_endpoint */
    struct map labels;                    /* -> struct feed_label */
    struct feed_label_place *label_order; /* by serial */
    size_t label_count, label_capacity, label_holes;
    uint64_t last_serial;
    struct chain label_changes;
    uint64_t label_batch;  /* label_changes.appended at the end of the last batch */
    size_t change_bytes;   /* of all chains of changes */
    struct list readers;   /* struct feed_reader */
    struct list woken;     /* those that will be told at the end of the batch */
    struct list cached;    /* struct feed_set: those with a snapshot */
    uint64_t round;        /* what was stamped with it is in the list that is being made */
    size_t snapshot_bytes; /* of all snapshots, the readers' old ones too */
};

/* feed_set.c */

struct feed_set *feed_set_use(struct feed *feed, struct str id);
void feed_set_update(struct feed *feed, const struct psync_ipset_update *update);
void feed_set_delta(struct feed *feed, const struct psync_ipset_delta *delta);
void feed_set_remove(struct feed *feed, struct str id);
/* Frees it if nobody has it any more. */
void feed_set_release(struct feed *feed, struct feed_set *set);
void feed_set_free(struct feed *feed, struct feed_set *set);
/* The whole set, with a reference more; made if it is not there. */
struct feed_snapshot *feed_set_snapshot(struct feed *feed, struct feed_set *set);
void feed_snapshot_unref(struct feed_snapshot *snapshot);
void feed_set_drop_snapshot(struct feed *feed, struct feed_set *set);
/* Gives up what a reader holds of a set that it is being told; it must be told the whole again. */
void feed_set_let_go(struct feed_set_entry *entry);

/* feed_labels.c: accounts and namespaces */

void feed_labels_set(struct feed *feed, const struct psync_message *update);
void feed_labels_remove(struct feed *feed, const struct psync_message *removal);
void feed_labels_end_batch(struct feed *feed);
/* The next message for a reader; false: it knows all. */
bool feed_labels_read(struct feed_reader *reader, struct str *message);
void feed_labels_free(struct feed *feed);

/* feed_queue.c */

/* At the end; where it stands already, it stays. */
void feed_enqueue(struct feed_entry *entry);
void feed_unqueue(struct feed_entry *entry);
struct feed_entry *feed_find_entry(const struct feed_reader *reader, const void *thing);
/* Puts it into the queue or takes it out, as there is something to tell of it or not; frees it if the sidecar neither needs nor
 * has the thing. */
void feed_place_set(struct feed_set_entry *entry);
void feed_place_item(struct feed_item_entry *entry);
/* The removal of a thing was told. */
void feed_drop_entry(struct feed_entry *entry);
void feed_free_entry(struct feed_entry *entry);
/* What is needed for the present version of an item, and for the present version of the endpoint. */
void feed_count_sets(struct feed_item_entry *entry);
void feed_count_items(struct feed_reader *reader);
/* The present version of an item was told: what only the former one needed is not needed any more. */
void feed_forget_former(struct feed_item_entry *entry);
bool feed_set_is_told_whole(const struct feed_set_entry *entry);

/* feed_reader.c */

/* Something about a thing that a reader may have has changed. */
void feed_reader_set_changed(struct feed_set_entry *entry);
void feed_reader_item_changed(struct feed_item_entry *entry);
void feed_reader_endpoint_changed(struct feed_reader *reader);
/* All was told that there was at the start. */
void feed_reader_in_sync(struct feed_reader *reader);
/* Its owner is told at the end of the batch. */
void feed_reader_wake(struct feed_reader *reader);
/* Ends its stream, when it reads next: it may never do. So it holds nothing back any more from now on. */
void feed_reader_give_up(struct feed_reader *reader);

/* feed.c */

struct feed_endpoint *feed_endpoint_use(struct feed *feed, const struct psync_endpoint_id *id);
void feed_item_release(struct feed *feed, struct feed_item *item);
void feed_endpoint_release(struct feed *feed, struct feed_endpoint *endpoint);

#endif
