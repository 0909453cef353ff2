/* Which selectors match which labels, kept up to date while both change.
 *
 *     member ─► group ─► matches (selectors)
 *                 │
 *                 ├── own labels ───► pair app=web     ◄── selectors that can match only where this pair is
 *                 └── parents ──► parent kns.bank ──► pair pcns.team=a
 *
 * Members (endpoints, network sets) with the same labels and the same parents are one *group*, and a selector is evaluated once
 * a group, however many replicas it has. A parent (a profile: what a namespace or a service account passes on) lends its labels
 * to all groups under it; a group's own labels win, then those of earlier parents.
 *
 * A selector is filed under the labels without which it cannot match (`app == 'web' && …` under app=web; of several choices the
 * rarest), so a new group is tested only against selectors that could match it, and a new selector only against groups that it
 * could match. Selectors that cannot be filed, like all() and `!has(x)`, are tested always.
 *
 * A parent's change touches only the selectors that name a changed label, of these only the ones whose result it can change, and
 * each of these only at groups that it matches or that are under the labels where it is filed. One that is filed under what the
 * parent passes on, so that all groups of the parent are there, is filed anew first if another label of it is rarer by now.
 *
 * Ownership: members and selectors are embedded by their owners; what they point to must live while they are in the index.
 * Groups, pairs and parents are the index's own. Threads: one.
 */
#ifndef CALC_LABEL_INDEX_H
#define CALC_LABEL_INDEX_H

#include "base/list.h"
#include "base/map.h"
#include "model/resource.h"

struct label_index;
struct label_parent;

/* Somebody with labels: the first member of its owner's struct. {0}: in no group. */
struct label_member {
    struct label_group *group;
    uint32_t place; /* in group->members */
};

/* A selector: the first member of its owner's struct. The owner sets `selector`; the rest is the index's. */
struct label_selector {
    const struct selector *selector;
    struct label_entry *entries; /* where it is filed */
    uint32_t entry_count;
    bool is_unrestricted;  /* filed nowhere: tested always */
    struct list mentioned; /* struct label_key: the labels that it names */
    struct list matches;   /* struct label_match */
    uint64_t stamp;
};

/* That a selector matches a group. It is in the lists of both and knows its places there, so that the end of a match costs the same
 * however many there are. */
struct label_match {
    struct label_selector *selector;
    struct label_group *group;
    uint32_t in_selector, in_group;
};

struct label_group {
    struct list members; /* struct label_member */
    struct list matches; /* struct label_match */
    /* The index's own: */
    struct label_group *next, *prev;
    uint64_t stamp;
    uint32_t label_count, parent_count;
    bool has_rivals; /* two of its parents might pass on a label of the same name */
    void *parts
        []; /* pairs, sorted by label; then parents in order; then their places (uint32_t) in the lists of these */
};

struct label_index_events {
    /* A selector that is being added or removed, or under whose labels a parent changed, begins or ceases to match a group: all
     * its members. (When a member joins or leaves, its owner looks at group->matches itself.) The index must not be changed. */
    void (*match)(void *ctx, struct label_selector *selector, struct label_group *group,
                  bool matches);
    /* Asks for the labels that a parent passes on; the array is the callee's until the next call. No label twice. All
     * labels that begin with *prefix come from parents with this prefix alone, never from members themselves; empty: no
     * such promise. */
    struct labels (*parent_labels)(void *ctx, struct str parent, struct str *prefix);
    void *ctx;
};

struct label_index *label_index_new(const struct label_index_events *events);
/* Members and selectors need not have left, but must still be there. */
void label_index_free(struct label_index *index);

/* `labels` sorted, no label twice; a parent that is listed twice counts where it is first. All is copied. */
void label_index_join(struct label_index *index, struct label_member *member,
                      const struct labels *labels, const struct model_strings *parents);
void label_index_leave(struct label_index *index, struct label_member *member);

/* Calls `match` for every group that matches; at the removal again. */
void label_index_add(struct label_index *index, struct label_selector *selector);
void label_index_remove(struct label_index *index, struct label_selector *selector);

/* Calls `visit` for every group that matches a selector of an index; it must not change the index. */
void label_selector_each_match(const struct label_selector *selector,
                               void (*visit)(void *ctx, struct label_group *group), void *ctx);

/* What a parent passes on has changed. */
void label_index_parent_changed(struct label_index *index, struct str name);

/* One of the selectors that match a group; `i` < group->matches.count. */
static inline struct label_selector *label_group_match(const struct label_group *group, uint32_t i)
{
    return ((const struct label_match *)group->matches.items[i])->selector;
}

/* The value of a label that a group has of its own or inherits. */
bool label_group_get(const struct label_group *group, struct str label, struct str *value);

struct label_index_stats {
    size_t groups, selectors, unrestricted, parents;
};
struct label_index_stats label_index_stats(const struct label_index *index);

#endif
