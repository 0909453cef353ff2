#include "calc/order.h"

#include <math.h>
#include <stdlib.h>

static struct ordered_tier from_resource(const struct model_resource *resource)
{
    const struct model_tier *tier = &resource->tier;
    return (struct ordered_tier){.name = resource->key.name,
                                 .exists = true,
                                 .is_broken = resource->broken.len > 0,
                                 .has_order = tier->has_order,
                                 .order = tier->order,
                                 .default_pass = tier->default_pass};
}

static struct ordered_tier find_tier(const struct inventory *inventory, struct str name)
{
    const struct model_resource *resource =
        inventory_get(inventory, MODEL_TIER, str_make(NULL, 0), name);
    const struct model_builtin_tier *builtin = model_builtin_tier(name);
    if (resource != NULL)
        return from_resource(resource);
    if (str_eq(name, MODEL_TIER_UNREADABLE))
        return (struct ordered_tier){
            .name = name, .exists = true, .has_order = true, .order = -INFINITY};
    if (builtin != NULL)
        return (struct ordered_tier){.name = name,
                                     .exists = true,
                                     .has_order = true,
                                     .order = builtin->order,
                                     .default_pass = builtin->default_pass};
    return (struct ordered_tier){.name = name};
}

static int compare_orders(bool has_a, double a, bool has_b, double b)
{
    if (has_a != has_b)
        return has_a ? -1 : 1;
    return has_a ? (a > b) - (a < b) : 0;
}

static int compare_tiers(const void *x, const void *y)
{
    const struct ordered_tier *a = x, *b = y;
    if (a->exists != b->exists)
        return a->exists ? -1 : 1;
    int order = compare_orders(a->has_order, a->order, b->has_order, b->order);
    return order != 0 ? order : str_cmp(a->name, b->name);
}

/* A policy with the text that breaks ties. */
struct ranked {
    const struct model_resource *resource;
    struct str text;
};

static int compare_policies(const void *x, const void *y)
{
    const struct ranked *a = x, *b = y;
    const struct model_policy *p = &a->resource->policy, *q = &b->resource->policy;
    int order = str_cmp(p->tier, q->tier);
    if (order == 0)
        order = compare_orders(p->has_order, p->order, q->has_order, q->order);
    return order != 0 ? order : str_cmp(a->text, b->text);
}

struct ranked_list {
    struct ranked *items;
    size_t count;
};

/* All policies, those of one tier side by side and in order. */
static struct ranked_list rank_policies(const struct inventory *inventory, struct arena *arena)
{
    size_t total = 0;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++)
        total += model_kind_is_policy((enum model_kind)kind) ? inventory->by_kind[kind].count : 0;
    struct ranked_list list = {arena_array(arena, total, sizeof(*list.items)), 0};
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        size_t position = 0;
        struct map_entry *entry;
        if (!model_kind_is_policy((enum model_kind)kind))
            continue;
        while ((entry = map_next(&inventory->by_kind[kind], &position)) != NULL) {
            const struct model_resource *resource =
                ((struct inventory_item *)entry->value)->resource;
            const struct model_key *key = &resource->key;
            struct str text =
                arena_printf(arena, "%.*s/%.*s/%.*s", STR_ARG(key->name), STR_ARG(key->namespace),
                             STR_ARG(model_kind_name(key->kind)));
            list.items[list.count++] = (struct ranked){resource, text};
        }
    }
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), compare_policies);
    return list;
}

struct ordered_tiers order_policies(const struct inventory *inventory, struct arena *arena)
{
    struct ranked_list ranked = rank_policies(inventory, arena);
    struct ordered_tiers tiers = {arena_array(arena, ranked.count, sizeof(*tiers.items)), 0};
    const struct model_resource **policies = arena_array(arena, ranked.count, sizeof(*policies));
    for (size_t i = 0; i < ranked.count; i++) {
        const struct model_resource *resource = ranked.items[i].resource;
        policies[i] = resource;
        if (i == 0 || !str_eq(resource->policy.tier, policies[i - 1]->policy.tier)) {
            tiers.items[tiers.count] = find_tier(inventory, resource->policy.tier);
            tiers.items[tiers.count++].policies = &policies[i];
        }
        tiers.items[tiers.count - 1].policy_count++;
    }
    if (tiers.count > 1)
        qsort(tiers.items, tiers.count, sizeof(*tiers.items), compare_tiers);
    return tiers;
}
