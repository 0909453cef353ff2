/* Cuts JSON into pieces as it comes, without waiting for its end: the items of a list, or the events of a watch. What is held is one
 * piece.
 *
 *     SPLIT_LIST    {"kind": …, "metadata": {…}, "items": [ITEM, ITEM, …]}   ─► each item; the other fields, each whole
 *     SPLIT_VALUES  VALUE VALUE …                                           ─► each value
 *
 * Items and values are objects. Of the other fields of a list, those that are a number, a boolean or null are left out.
 *
 * It looks at no more than what keeps the pieces apart: brackets, and strings with their escapes. Whether a piece is JSON is found out by
 * whoever decodes it. What is no item is an error all the same, and a list without `items` is never complete: whatever is not told of
 * counts as gone. Names are compared as they are written: one with escapes in it is another.
 *
 * A NUL in a text (as an escape; an API server takes it in any annotation) becomes U+FFFD. Who decodes the piece would refuse it, and
 * one object that cannot be read holds up all of its kind.
 *
 * Fields that nobody needs, and that make up the most of what an API server sends, are left out on the way: `drop` are the
 * paths of such, from the top of an item, arrays passed over: "metadata.managedFields" is that field of each item,
 * "spec.containers.env" that of each container of each.
 */
#ifndef KUBE_SPLIT_H
#define KUBE_SPLIT_H

#include "base/error.h"
#include "base/mem.h"

enum kube_split_mode { SPLIT_LIST, SPLIT_VALUES };

enum {
    /* Bytes of one piece. etcd takes 1.5 MiB; what is larger comes from nowhere good. */
    SPLIT_PIECE_LIMIT = 16 * 1024 * 1024,
    SPLIT_DEPTH = 128,
    SPLIT_PATH_DEPTH = 5, /* names in a path of `drop`, `drop_below` counted */
};

struct kube_split_events {
    /* An item of a list, or a value. False: stop. */
    bool (*on_piece)(void *ctx, struct str json);
    /* A field of a list beside `items`. */
    bool (*on_field)(void *ctx, struct str name, struct str json);
    void *ctx;
};

struct kube_split;

/* `drop` (borrowed, must outlive it) ends with NULL; NULL: nothing. `drop_below`: of a value (an event of a watch) the item is this field;
 * NULL: it is the item itself. */
struct kube_split *kube_split_new(enum kube_split_mode mode, const char *const *drop,
                                  const char *drop_below, const struct kube_split_events *events);
void kube_split_free(struct kube_split *split);

/* False: it is no JSON of the kind that was expected, or a callback said stop (then err is left alone). Nothing may be fed after that. */
bool kube_split_feed(struct kube_split *split, struct str bytes, struct error *err);

/* Whether it may end here: nothing is half-read, and of a list the end was seen, and that it had items, or none. */
bool kube_split_is_complete(const struct kube_split *split);

#endif
