#include "calc/label_index.h"

#include <stdlib.h>

#include "calc/label_private.h"

struct label_index *label_index_new(const struct label_index_events *events)
{
    struct label_index *index = mem_zalloc(sizeof(*index));
    index->events = *events;
    return index;
}

/* ---- matching ---- */

/* Tests a new group against selectors that it was not tested against in this round. */
static void try_selectors(struct label_index *index, struct label_group *group,
                          const struct list *selectors)
{
    for (uint32_t i = 0; i < selectors->count; i++) {
        struct label_selector *selector = selectors->items[i];
        if (selector->stamp == index->round)
            continue;
        selector->stamp = index->round;
        if (label_matches(selector, group))
            label_match_add(selector, group);
    }
}

static void try_pair(struct label_index *index, struct label_group *group,
                     const struct label_pair *pair)
{
    try_selectors(index, group, &pair->selectors);
    try_selectors(index, group, &pair->key->selectors);
}

static void find_matches(struct label_index *index, struct label_group *group)
{
    index->round++;
    for (size_t i = 0; i < group->label_count; i++)
        try_pair(index, group, label_group_pair(group, i));
    for (size_t i = 0; i < group->parent_count; i++) {
        const struct list *pairs = &label_group_parent(group, i)->pairs;
        for (uint32_t j = 0; j < pairs->count; j++)
            try_pair(index, group, pairs->items[j]);
    }
    try_selectors(index, group, &index->unrestricted);
}

/* ---- members ---- */

void label_index_join(struct label_index *index, struct label_member *member,
                      const struct labels *labels, const struct model_strings *parents)
{
    bool is_new;
    member->group = label_group_use(index, labels, parents, &is_new);
    if (is_new)
        find_matches(index, member->group);
    member->place = member->group->members.count;
    list_add(&member->group->members, member);
}

void label_index_leave(struct label_index *index, struct label_member *member)
{
    struct label_group *group = member->group;
    struct label_member *moved = list_remove(&group->members, member->place);
    if (moved != NULL)
        moved->place = member->place;
    member->group = NULL;
    label_group_release(index, group);
}

/* ---- selectors ---- */

struct change;

/* A walk over the groups that a selector could match. */
struct walk {
    struct label_index *index;
    struct label_selector *selector;
    void (*visit)(struct walk *walk, struct label_group *group);
    struct change *change; /* of a parent, if the walk is about one */
};

static void visit_groups(struct walk *walk, const struct list *groups)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        struct label_group *group = groups->items[i];
        if (group->stamp == walk->index->round)
            continue;
        group->stamp = walk->index->round;
        walk->visit(walk, group);
    }
}

static void visit_pair(struct walk *walk, const struct label_pair *pair)
{
    visit_groups(walk, &pair->groups);
    for (uint32_t i = 0; i < pair->parents.count; i++)
        visit_groups(walk, &((const struct label_parent *)pair->parents.items[i])->groups);
}

static void visit_entry(struct walk *walk, const struct label_entry *entry)
{
    if (entry->pair != NULL) {
        visit_pair(walk, entry->pair);
        return;
    }
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(&entry->key->pairs, &position)) != NULL)
        visit_pair(walk, item->value);
}

static void walk_candidates(struct walk *walk)
{
    const struct label_selector *selector = walk->selector;
    walk->index->round++;
    for (uint32_t i = 0; i < selector->entry_count; i++)
        visit_entry(walk, &selector->entries[i]);
    if (!selector->is_unrestricted)
        return;
    for (struct label_group *group = walk->index->first; group != NULL; group = group->next)
        walk->visit(walk, group);
}

static void tell(struct label_index *index, struct label_selector *selector,
                 struct label_group *group, bool is_match)
{
    index->events.match(index->events.ctx, selector, group, is_match);
}

static void begin_match(struct walk *walk, struct label_group *group)
{
    label_match_add(walk->selector, group);
    tell(walk->index, walk->selector, group, true);
}

static void visit_to_add(struct walk *walk, struct label_group *group)
{
    if (label_matches(walk->selector, group))
        begin_match(walk, group);
}

void label_index_add(struct label_index *index, struct label_selector *selector)
{
    struct walk walk = {.index = index, .selector = selector, .visit = visit_to_add};
    label_file(index, selector);
    index->selector_count++;
    walk_candidates(&walk);
}

static void end_match(struct label_index *index, struct label_match *match)
{
    struct label_selector *selector = match->selector;
    struct label_group *group = match->group;
    label_match_drop(match);
    tell(index, selector, group, false);
}

void label_index_remove(struct label_index *index, struct label_selector *selector)
{
    for (uint32_t i = selector->matches.count; i > 0; i--)
        end_match(index, selector->matches.items[i - 1]);
    label_unfile(index, selector);
    index->selector_count--;
}

void label_selector_each_match(const struct label_selector *selector,
                               void (*visit)(void *ctx, struct label_group *group), void *ctx)
{
    for (uint32_t i = 0; i < selector->matches.count; i++)
        visit(ctx, ((const struct label_match *)selector->matches.items[i])->group);
}

/* ---- parents ---- */

/* A parent's change: its labels before and after. */
struct change {
    struct label_index *index;
    struct label_parent *parent;
    struct list before, after; /* struct label_pair */
    struct list affected;      /* struct label_selector: those that name a label that differs */
};

static void add_affected(struct change *change, const struct label_key *key)
{
    for (uint32_t i = 0; i < key->mentions.count; i++) {
        struct label_selector *selector = key->mentions.items[i];
        if (selector->stamp == change->index->round)
            continue;
        selector->stamp = change->index->round;
        list_add(&change->affected, selector);
    }
}

/* Selectors that name a label that was another before, or is there only before or after. */
static void find_affected(struct change *change)
{
    const struct list *before = &change->before, *after = &change->after;
    change->index->round++;
    for (uint32_t i = 0, j = 0; i < before->count || j < after->count;) {
        const struct label_pair *a = i < before->count ? before->items[i] : NULL;
        const struct label_pair *b = j < after->count ? after->items[j] : NULL;
        int order = a == NULL ? 1 : b == NULL ? -1 : str_cmp(a->key->name, b->key->name);
        if (a != b)
            add_affected(change, order <= 0 ? a->key : b->key);
        i += order <= 0;
        j += order >= 0;
    }
}

struct known {
    const struct list *pairs;
    struct str prefix;
};

static enum selector_label_state get_known(const void *ctx, struct str label, struct str *value)
{
    const struct known *known = ctx;
    if (!str_starts_with(label, known->prefix))
        return SELECTOR_LABEL_UNKNOWN;
    return label_pairs_get(known->pairs, label, value) ? SELECTOR_LABEL_PRESENT
                                                       : SELECTOR_LABEL_ABSENT;
}

/* Drops the selectors of which the parent's own labels show that the change is nothing to them. */
static void drop_unmoved(struct change *change)
{
    struct label_parent *parent = change->parent;
    uint32_t kept = 0;
    if (parent->prefix.len == 0 || parent->groups_rivals > 0)
        return;
    for (uint32_t i = 0; i < change->affected.count; i++) {
        struct label_selector *selector = change->affected.items[i];
        struct known known = {&change->before, parent->prefix};
        struct selector_known_labels labels = {get_known, &known};
        enum selector_answer before = selector_decide(selector->selector, &labels);
        known.pairs = &change->after;
        if (before == SELECTOR_DEPENDS || selector_decide(selector->selector, &labels) != before)
            change->affected.items[kept++] = selector;
        else
            selector->stamp = 0;
    }
    change->affected.count = kept;
}

/* Of the matches of the parent's groups those that end. From the last on: what moves into the place of one that goes was seen. */
static void end_matches(const struct change *change)
{
    struct label_index *index = change->index;
    const struct list *groups = &change->parent->groups;
    for (uint32_t i = 0; i < groups->count; i++) {
        const struct label_group *group = groups->items[i];
        for (uint32_t j = group->matches.count; j > 0; j--) {
            struct label_match *match = group->matches.items[j - 1];
            if (match->selector->stamp == index->round && !label_matches(match->selector, group))
                end_match(index, match);
        }
    }
}

static bool matched_before(const struct change *change, const struct label_selector *selector,
                           const struct label_group *group)
{
    struct list after = change->parent->pairs;
    change->parent->pairs = change->before;
    bool matched = label_matches(selector, group);
    change->parent->pairs = after;
    return matched;
}

static void visit_to_begin(struct walk *walk, struct label_group *group)
{
    if (label_group_has_parent(group, walk->change->parent) &&
        label_matches(walk->selector, group) &&
        !matched_before(walk->change, walk->selector, group))
        begin_match(walk, group);
}

/* Of the parent's groups those that the selector matches from now on. */
static void begin_matches(struct change *change, struct label_selector *selector)
{
    struct label_index *index = change->index;
    const struct list *groups = &change->parent->groups;
    struct walk walk = {
        .index = index, .selector = selector, .visit = visit_to_begin, .change = change};
    if (!label_filing_is_less(selector, groups->count))
        label_refile(index, selector);
    if (label_filing_is_less(selector, groups->count)) {
        walk_candidates(&walk);
    } else {
        index->round++;
        visit_groups(&walk, groups);
    }
}

void label_index_parent_changed(struct label_index *index, struct str name)
{
    struct label_parent *parent = map_get(&index->parents, name);
    if (parent == NULL)
        return;
    struct change change = {.index = index, .parent = parent};
    label_parent_read(index, parent, &change.after);
    label_parent_unlink(parent);
    change.before = parent->pairs;
    label_parent_link(parent, &change.after);

    find_affected(&change);
    drop_unmoved(&change);
    if (change.affected.count > 0)
        end_matches(&change);
    for (uint32_t i = 0; i < change.affected.count; i++)
        begin_matches(&change, change.affected.items[i]);
    list_free(&change.affected);
    label_pairs_release(index, &change.before);
}

/* ---- the whole ---- */

void label_index_free(struct label_index *index)
{
    if (index == NULL)
        return;
    while (index->first != NULL) {
        index->first->members.count = 0;
        label_group_release(index, index->first);
    }
    while (index->unrestricted.count > 0)
        label_unfile(index, index->unrestricted.items[0]);
    while (index->keys.count > 0) {
        /* What is left is held by selectors, each of which names a label. */
        size_t position = 0;
        const struct label_key *key = map_next(&index->keys, &position)->value;
        label_unfile(index, key->mentions.items[0]);
    }
    list_free(&index->unrestricted);
    map_free(&index->keys);
    map_free(&index->parents);
    map_free(&index->groups);
    free(index);
}

struct label_index_stats label_index_stats(const struct label_index *index)
{
    return (struct label_index_stats){.groups = index->groups.count,
                                      .selectors = index->selector_count,
                                      .unrestricted = index->unrestricted.count,
                                      .parents = index->parents.count};
}
