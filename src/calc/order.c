#include "calc/order.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"

/* ---- tiers ---- */

/* What a tier is when no resource says anything. */
static void set_default(struct tier *tier)
{
    const struct model_builtin_tier *builtin = model_builtin_tier(tier->name);
    tier->has_resource = tier->is_broken = tier->has_order = tier->default_pass = false;
    tier->exists = builtin != NULL;
    if (builtin != NULL) {
        tier->has_order = true;
        tier->order = builtin->order;
        tier->default_pass = builtin->default_pass;
    } else if (str_eq(tier->name, MODEL_TIER_UNREADABLE)) {
        tier->exists = tier->has_order = true;
        tier->order = -INFINITY;
    }
}

static void set_from_resource(struct tier *tier, const struct model_resource *resource)
{
    tier->has_resource = tier->exists = true;
    tier->was_missing_told = false;
    tier->is_broken = resource->broken.len > 0;
    tier->has_order = resource->tier.has_order;
    tier->order = resource->tier.order;
    tier->default_pass = resource->tier.default_pass;
}

struct tier *tiers_use(struct tiers *tiers, struct str name)
{
    struct tier *tier = map_get(&tiers->by_name, name);
    if (tier != NULL)
        return tier;
    tier = mem_zalloc(sizeof(*tier) + name.len);
    memcpy(tier->text, name.ptr, name.len);
    tier->name = str_make(tier->text, name.len);
    set_default(tier);
    map_set(&tiers->by_name, tier->name, tier);
    return tier;
}

void tiers_tell_missing(struct tier *tier)
{
    if (tier->exists || tier->was_missing_told)
        return;
    tier->was_missing_told = true;
    log_event(LOG_WARNING,
              "There is no such tier: its policies are asked after those of all others, and what "
              "they do not allow is denied",
              LOG_STR("tier", tier->name));
}

void tiers_release(struct tiers *tiers, struct tier *tier)
{
    if (tier->has_resource || tier->policies.count > 0)
        return;
    map_remove(&tiers->by_name, tier->name);
    list_free(&tier->policies);
    free(tier);
}

struct tier *tiers_set(struct tiers *tiers, struct str name, const struct model_resource *resource)
{
    struct tier *tier = tiers_use(tiers, name);
    if (resource != NULL)
        set_from_resource(tier, resource);
    else
        set_default(tier);
    bool has_policies = tier->policies.count > 0;
    tiers_release(tiers, tier);
    return has_policies ? tier : NULL;
}

void tiers_free(struct tiers *tiers)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&tiers->by_name, &position)) != NULL) {
        struct tier *tier = entry->value;
        list_free(&tier->policies);
        free(tier);
    }
    map_free(&tiers->by_name);
}

/* ---- order ---- */

static int compare_orders(bool has_a, double a, bool has_b, double b)
{
    if (has_a != has_b)
        return has_a ? -1 : 1;
    return has_a ? (a > b) - (a < b) : 0;
}

int order_compare_tiers(const struct tier *a, const struct tier *b)
{
    if (a->exists != b->exists)
        return a->exists ? -1 : 1;
    int order = compare_orders(a->has_order, a->order, b->has_order, b->order);
    return order != 0 ? order : str_cmp(a->name, b->name);
}

/* The text that breaks ties, without being put together: five pieces, one behind the other. */
struct pieces {
    struct str items[5];
    size_t next;
    struct str rest; /* of the piece that is being read */
};

static struct pieces pieces_of(const struct model_key *key)
{
    return (struct pieces){
        .items = {key->name, STR("/"), key->namespace, STR("/"), model_kind_name(key->kind)}};
}

/* Whether there is more to read; then `rest` has at least a byte. */
static bool has_more(struct pieces *p)
{
    while (p->rest.len == 0 && p->next < 5)
        p->rest = p->items[p->next++];
    return p->rest.len > 0;
}

static int compare_texts(const struct model_key *a, const struct model_key *b)
{
    struct pieces x = pieces_of(a), y = pieces_of(b);
    for (;;) {
        bool more_x = has_more(&x), more_y = has_more(&y);
        if (!more_x || !more_y)
            return (int)more_x - (int)more_y;
        size_t len = x.rest.len < y.rest.len ? x.rest.len : y.rest.len;
        int order = memcmp(x.rest.ptr, y.rest.ptr, len);
        if (order != 0)
            return order;
        x.rest = str_from(x.rest, len);
        y.rest = str_from(y.rest, len);
    }
}

int order_compare_policies(const struct model_resource *a, const struct model_resource *b)
{
    const struct model_policy *p = &a->policy, *q = &b->policy;
    int order = compare_orders(p->has_order, p->order, q->has_order, q->order);
    return order != 0 ? order : compare_texts(&a->key, &b->key);
}
