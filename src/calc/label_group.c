/* Groups and parents: who has which labels. What they match is label_index.c's. */
#include <stdlib.h>

#include "calc/label_private.h"

size_t label_group_part_count(const struct label_group *group)
{
    return (size_t)group->label_count + group->parent_count;
}

struct label_pair *label_group_pair(const struct label_group *group, size_t i)
{
    return group->parts[i];
}

struct label_parent *label_group_parent(const struct label_group *group, size_t i)
{
    return group->parts[group->label_count + i];
}

/* The place of the group in the list of its part number `i`. */
static uint32_t *place_of(struct label_group *group, size_t i)
{
    return (uint32_t *)(group->parts + label_group_part_count(group)) + i;
}

static struct str label_of(void *const *pairs, size_t i)
{
    return ((const struct label_pair *)pairs[i])->key->name;
}

/* The place of a label in an array of pairs that is sorted by label; `count`: it is not there. */
static size_t find_label(void *const *pairs, size_t count, struct str label)
{
    enum { FEW = 8 }; /* it is faster to look at so many one by one: most differ in length */
    size_t first = 0, end = count;
    while (end - first > FEW) {
        size_t middle = first + (end - first) / 2;
        if (str_cmp(label_of(pairs, middle), label) <= 0)
            first = middle;
        else
            end = middle;
    }
    while (first < end && !str_eq(label_of(pairs, first), label))
        first++;
    return first < end ? first : count;
}

bool label_group_get(const struct label_group *group, struct str label, struct str *value)
{
    size_t place = find_label(group->parts, group->label_count, label);
    if (place < group->label_count) {
        *value = label_group_pair(group, place)->value;
        return true;
    }
    for (size_t i = 0; i < group->parent_count; i++) {
        if (label_pairs_get(&label_group_parent(group, i)->pairs, label, value))
            return true;
    }
    return false;
}

bool label_pairs_get(const struct list *pairs, struct str label, struct str *value)
{
    size_t place = find_label(pairs->items, pairs->count, label);
    if (place == pairs->count)
        return false;
    *value = ((const struct label_pair *)pairs->items[place])->value;
    return true;
}

bool label_group_has_parent(const struct label_group *group, const struct label_parent *parent)
{
    for (size_t i = 0; i < group->parent_count; i++) {
        if (label_group_parent(group, i) == parent)
            return true;
    }
    return false;
}

/* ---- parents ---- */

static int compare_pairs(const void *a, const void *b)
{
    const struct label_pair *x = *(struct label_pair *const *)a;
    const struct label_pair *y = *(struct label_pair *const *)b;
    return str_cmp(x->key->name, y->key->name);
}

/* A parent's labels as the owner of the index has them now; `pairs` is empty before. */
void label_parent_read(struct label_index *index, struct label_parent *parent, struct list *pairs)
{
    struct labels labels =
        index->events.parent_labels(index->events.ctx, parent->name, &parent->prefix);
    for (size_t i = 0; i < labels.count; i++)
        list_add(pairs, label_pair_use(index, labels.items[i].key, labels.items[i].value));
    if (pairs->count > 1)
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), compare_pairs);
}

void label_parent_link(struct label_parent *parent, const struct list *pairs)
{
    for (uint32_t i = 0; i < pairs->count; i++) {
        struct label_pair *pair = pairs->items[i];
        list_add(&pair->parents, parent);
        pair->key->parent_count++;
    }
    parent->pairs = *pairs;
}

void label_parent_unlink(struct label_parent *parent)
{
    for (uint32_t i = 0; i < parent->pairs.count; i++) {
        struct label_pair *pair = parent->pairs.items[i];
        list_remove_item(&pair->parents, parent);
        pair->key->parent_count--;
    }
}

void label_pairs_release(struct label_index *index, struct list *pairs)
{
    for (uint32_t i = 0; i < pairs->count; i++)
        label_pair_release(index, pairs->items[i]);
    list_free(pairs);
}

static struct label_parent *use_parent(struct label_index *index, struct str name)
{
    struct label_parent *parent = map_get(&index->parents, name);
    if (parent != NULL)
        return parent;
    struct list pairs = {0};
    parent = mem_zalloc(sizeof(*parent) + name.len);
    memcpy(parent->text, name.ptr, name.len);
    parent->name = str_make(parent->text, name.len);
    map_set(&index->parents, parent->name, parent);
    label_parent_read(index, parent, &pairs);
    label_parent_link(parent, &pairs);
    return parent;
}

static void release_parent(struct label_index *index, struct label_parent *parent)
{
    if (parent->groups.count > 0)
        return;
    map_remove(&index->parents, parent->name);
    label_parent_unlink(parent);
    label_pairs_release(index, &parent->pairs);
    list_free(&parent->groups);
    free(parent);
}

/* Whether a label that one parent passes on may be hidden by another's: then one parent's labels alone decide nothing. */
static bool find_rivals(const struct label_group *group)
{
    for (size_t i = 0; i < group->parent_count; i++) {
        const struct label_parent *parent = label_group_parent(group, i);
        if (parent->prefix.len == 0)
            return true;
        for (size_t j = 0; j < i; j++) {
            if (str_eq(parent->prefix, label_group_parent(group, j)->prefix))
                return true;
        }
    }
    return false;
}

/* ---- groups ---- */

static struct str group_key(const struct label_group *group)
{
    return str_make((const char *)group->parts, label_group_part_count(group) * sizeof(void *));
}

static void add_parent(struct label_group *group, struct label_parent *parent)
{
    if (!label_group_has_parent(group, parent))
        group->parts[group->label_count + group->parent_count++] = parent;
}

/* A group that is not linked yet; it holds a use of each of its labels. */
static struct label_group *make_group(struct label_index *index, const struct labels *labels,
                                      const struct model_strings *parents)
{
    size_t count = labels->count + parents->count;
    struct label_group *group =
        mem_zalloc(sizeof(*group) + count * (sizeof(void *) + sizeof(uint32_t)));
    group->label_count = (uint32_t)labels->count;
    for (size_t i = 0; i < labels->count; i++)
        group->parts[i] = label_pair_use(index, labels->items[i].key, labels->items[i].value);
    for (size_t i = 0; i < parents->count; i++)
        add_parent(group, use_parent(index, parents->items[i]));
    return group;
}

static void drop_group(struct label_index *index, struct label_group *group)
{
    for (size_t i = 0; i < group->label_count; i++)
        label_pair_release(index, label_group_pair(group, i));
    for (size_t i = 0; i < group->parent_count; i++)
        release_parent(index, label_group_parent(group, i));
    for (uint32_t i = group->matches.count; i > 0; i--)
        label_match_drop(group->matches.items[i - 1]);
    list_free(&group->members);
    list_free(&group->matches);
    free(group);
}

static void link_group(struct label_index *index, struct label_group *group)
{
    group->has_rivals = find_rivals(group);
    for (size_t i = 0; i < group->label_count; i++) {
        struct label_pair *pair = label_group_pair(group, i);
        *place_of(group, i) = pair->groups.count;
        list_add(&pair->groups, group);
        pair->key->group_count++;
    }
    for (size_t i = 0; i < group->parent_count; i++) {
        struct label_parent *parent = label_group_parent(group, i);
        *place_of(group, group->label_count + i) = parent->groups.count;
        list_add(&parent->groups, group);
        parent->groups_rivals += group->has_rivals;
    }
    group->next = index->first;
    if (group->next != NULL)
        group->next->prev = group;
    index->first = group;
    map_set(&index->groups, group_key(group), group);
}

/* Takes the group out of the list of one of its parts. The one that moves into its place is told. */
static void unlink_part(struct label_group *group, struct list *list, size_t i)
{
    uint32_t place = *place_of(group, i);
    struct label_group *moved = list_remove(list, place);
    if (moved == NULL)
        return;
    size_t part = moved->label_count;
    if (i < group->label_count)
        part = find_label(moved->parts, moved->label_count, label_group_pair(group, i)->key->name);
    while (moved->parts[part] != group->parts[i])
        part++;
    *place_of(moved, part) = place;
}

static void unlink_group(struct label_index *index, struct label_group *group)
{
    for (size_t i = 0; i < group->label_count; i++) {
        struct label_pair *pair = label_group_pair(group, i);
        unlink_part(group, &pair->groups, i);
        pair->key->group_count--;
    }
    for (size_t i = 0; i < group->parent_count; i++) {
        struct label_parent *parent = label_group_parent(group, i);
        unlink_part(group, &parent->groups, group->label_count + i);
        parent->groups_rivals -= group->has_rivals;
    }
    if (group->prev != NULL)
        group->prev->next = group->next;
    else
        index->first = group->next;
    if (group->next != NULL)
        group->next->prev = group->prev;
    map_remove(&index->groups, group_key(group));
}

struct label_group *label_group_use(struct label_index *index, const struct labels *labels,
                                    const struct model_strings *parents, bool *is_new)
{
    struct label_group *group = make_group(index, labels, parents);
    struct label_group *known = map_get(&index->groups, group_key(group));
    *is_new = known == NULL;
    if (known != NULL) {
        drop_group(index, group);
        return known;
    }
    link_group(index, group);
    return group;
}

void label_group_release(struct label_index *index, struct label_group *group)
{
    if (group->members.count > 0)
        return;
    unlink_group(index, group);
    drop_group(index, group);
}
