/* For tests of kube/split.h: takes the pieces down. */
#ifndef TESTS_SPLIT_LISTENER_H
#define TESTS_SPLIT_LISTENER_H

#include "kube/split.h"

/* What the callbacks were given, a line each: "NAME JSON", without the name for items and values. */
struct listener {
    struct buf trace;
    size_t pieces, fields, longest;
    size_t stop_at; /* the piece or field, from 1, at which to say stop; 0: never */
    bool is_quiet;  /* counts only */
};

static inline bool listener_take(struct listener *l, struct str json)
{
    if (!l->is_quiet) {
        buf_append_str(&l->trace, json);
        buf_append_byte(&l->trace, '\n');
    }
    l->longest = json.len > l->longest ? json.len : l->longest;
    return l->stop_at == 0 || l->pieces + l->fields != l->stop_at;
}

static inline bool listener_on_piece(void *ctx, struct str json)
{
    struct listener *l = ctx;
    l->pieces++;
    return listener_take(l, json);
}

static inline bool listener_on_field(void *ctx, struct str name, struct str json)
{
    struct listener *l = ctx;
    l->fields++;
    if (!l->is_quiet) {
        buf_append_str(&l->trace, name);
        buf_append_byte(&l->trace, ' ');
    }
    return listener_take(l, json);
}

static inline struct kube_split *listener_start(enum kube_split_mode mode, const char *const *drop,
                                                const char *drop_below, struct listener *l)
{
    const struct kube_split_events events = {listener_on_piece, listener_on_field, l};
    return kube_split_new(mode, drop, drop_below, &events);
}

#endif
