#include "calc/policies.h"

#include <stdlib.h>

#include "calc/rules.h"
#include "calc/scope.h"

struct policies {
    struct policies_context context;
    struct map all; /* -> struct policy */
    struct tiers tiers;
    struct list changed; /* struct policy */
};

struct policies *policies_new(const struct policies_context *context)
{
    struct policies *policies = mem_zalloc(sizeof(*policies));
    policies->context = *context;
    return policies;
}

struct psync_policy_id policy_id(const struct model_key *key)
{
    return (struct psync_policy_id){
        .namespace = key->namespace, .name = key->name, .kind = model_kind_name(key->kind)};
}

/* ---- changes come in ---- */

static struct policy *find_or_make(struct policies *policies, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    struct policy *policy = map_get(&policies->all, model_key_text(&text, key));
    if (policy != NULL)
        return policy;
    policy = mem_zalloc(sizeof(*policy) + text.len);
    policy->key_len = text.len;
    memcpy(policy->key, text.data, text.len);
    map_set(&policies->all, str_make(policy->key, policy->key_len), policy);
    return policy;
}

static void note_change(struct policies *policies, struct policy *policy)
{
    if (policy->is_changed)
        return;
    policy->is_changed = true;
    list_add(&policies->changed, policy);
}

/* Whether pods' endpoints are ever told of it: not of what acts on host endpoints only, nor of staged deletions. */
static bool is_for_pods(const struct model_policy *policy)
{
    return !policy->do_not_track && !policy->pre_dnat &&
           policy->staged_action != MODEL_STAGED_DELETE;
}

/* Whether the selector in use says what the resource's does. */
static bool has_scope(const struct policy *policy, const struct model_resource *resource)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf is = {0}, ought = {0};
    if (!policy->is_indexed || !is_for_pods(&resource->policy))
        return !policy->is_indexed && !is_for_pods(&resource->policy);
    selector_format(&is, policy->match.selector);
    selector_format(&ought, scope_of_policy(&arena, resource));
    return str_eq(buf_str(&is), buf_str(&ought));
}

/* Whether endpoints list two versions of a policy in the same way. */
static bool is_listed_alike(const struct model_policy *a, const struct model_policy *b)
{
    return str_eq(a->tier, b->tier) && a->has_order == b->has_order &&
           (!a->has_order || a->order == b->order) && a->applies_ingress == b->applies_ingress &&
           a->applies_egress == b->applies_egress;
}

static void set_tier(struct policies *policies, struct policy *policy, struct tier *tier)
{
    struct tier *old = policy->tier;
    if (old == tier)
        return;
    policy->tier = tier;
    if (tier != NULL)
        list_add(&tier->policies, policy);
    if (old == NULL)
        return;
    list_remove_item(&old->policies, policy);
    tiers_release(&policies->tiers, old);
}

/* Has the endpoints that it applies to list it anew. */
static void relist(struct policies *policies, struct policy *policy)
{
    if (policy->is_indexed)
        label_selector_each_match(&policy->match, policies->context.group_changed,
                                  policies->context.ctx);
}

void policies_put(struct policies *policies, struct model_resource *resource)
{
    struct policy *policy = find_or_make(policies, &resource->key);
    struct model_resource *old = policy->resource;
    policy->is_rescoped = !has_scope(policy, resource);
    policy->resource = resource;
    set_tier(policies, policy, tiers_use(&policies->tiers, resource->policy.tier));
    if (old != NULL && !is_listed_alike(&old->policy, &resource->policy))
        relist(policies, policy);
    note_change(policies, policy);
    model_resource_free(old);
}

void policies_remove(struct policies *policies, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    struct policy *policy = map_get(&policies->all, model_key_text(&text, key));
    if (policy == NULL || policy->resource == NULL)
        return;
    /* The tier's name is in the resource. */
    set_tier(policies, policy, NULL);
    relist(policies, policy);
    model_resource_free(policy->resource);
    policy->resource = NULL;
    policy->is_rescoped = true;
    note_change(policies, policy);
}

void policies_set_tier(struct policies *policies, struct str name,
                       const struct model_resource *resource)
{
    struct tier *tier = tiers_set(&policies->tiers, name, resource);
    for (uint32_t i = 0; tier != NULL && i < tier->policies.count; i++) {
        relist(policies, tier->policies.items[i]);
        note_change(policies, tier->policies.items[i]); /* it may refuse now, or no more */
    }
}

void policies_count(struct policies *policies, struct policy *policy, uint32_t endpoints,
                    bool comes)
{
    bool was_active = policy->endpoints > 0;
    policy->endpoints += comes ? endpoints : -endpoints;
    if (was_active != (policy->endpoints > 0))
        note_change(policies, policy);
}

/* ---- settle ---- */

static void rescope(struct policies *policies, struct policy *policy)
{
    if (policy->is_indexed)
        label_index_remove(policies->context.endpoints, &policy->match);
    arena_free(&policy->arena);
    policy->is_rescoped = false;
    policy->is_indexed = policy->resource != NULL && is_for_pods(&policy->resource->policy);
    if (!policy->is_indexed)
        return;
    /* A copy: parts of the scope are the resource's, which may be replaced by one with the same scope. */
    CLEANUP_ARENA struct arena scratch = {0};
    const struct selector *scope = scope_of_policy(&scratch, policy->resource);
    policy->match.selector = selector_copy(&policy->arena, scope);
    label_index_add(policies->context.endpoints, &policy->match);
}

void policies_settle(struct policies *policies)
{
    for (uint32_t i = 0; i < policies->changed.count; i++) {
        struct policy *policy = policies->changed.items[i];
        if (policy->is_rescoped)
            rescope(policies, policy);
    }
}

/* ---- prepare ---- */

static void convert_rules(const struct rules_context *context, const struct policy *policy,
                          struct psync_policy *to)
{
    const struct model_resource *resource = policy->resource;
    if (policy->tier->is_broken || resource->broken.len > 0) {
        to->inbound = rules_malformed(context->arena);
        to->outbound = rules_malformed(context->arena);
    } else {
        to->inbound = rules_convert(context, &resource->policy.ingress);
        to->outbound = rules_convert(context, &resource->policy.egress);
    }
}

/* Sets policy->prepared if the receiver has another version, or none. */
static void prepare(struct policies *policies, struct arena *arena, struct policy *policy)
{
    CLEANUP_BUF struct buf selector = {0}, bytes = {0};
    struct list old_sets = policy->sets;
    struct psync_message *message = arena_alloc(arena, sizeof(*message));
    const struct rules_context context = {arena, policies->context.ipsets, &policy->sets,
                                          policy->resource->key.namespace};
    selector_format(&selector, policy->match.selector);
    message->kind = PSYNC_POLICY_UPDATE;
    message->policy.id = policy_id(&policy->resource->key);
    message->policy.namespace = policy->resource->key.namespace;
    message->policy.tier = policy->tier->name;
    message->policy.original_selector = arena_copy(arena, buf_str(&selector));
    policy->sets = (struct list){0};
    convert_rules(&context, policy, &message->policy);
    rules_encode(&context, message, &policy->resource->key, &bytes);
    ipsets_release_all(policies->context.ipsets, &old_sets);
    uint64_t digest = map_hash(buf_str(&bytes));
    if (policy->is_sent && digest == policy->digest)
        return;
    policy->digest = digest;
    policy->prepared = message;
}

static int compare_keys(const void *a, const void *b)
{
    const struct policy *x = *(struct policy *const *)a, *y = *(struct policy *const *)b;
    return str_cmp(str_make(x->key, x->key_len), str_make(y->key, y->key_len));
}

void policies_prepare(struct policies *policies, struct arena *arena)
{
    struct list *changed = &policies->changed;
    if (changed->count > 1)
        qsort(changed->items, changed->count, sizeof(*changed->items), compare_keys);
    for (uint32_t i = 0; i < changed->count; i++) {
        struct policy *policy = changed->items[i];
        if (policy->endpoints > 0)
            prepare(policies, arena, policy);
        else
            ipsets_release_all(policies->context.ipsets, &policy->sets);
    }
}

/* ---- send ---- */

void policies_send_updates(struct policies *policies, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < policies->changed.count; i++) {
        struct policy *policy = policies->changed.items[i];
        if (policy->prepared == NULL)
            continue;
        sink->message(sink->ctx, policy->prepared);
        policy->prepared = NULL;
        policy->is_sent = true;
    }
}

/* The resource may be gone, but not its key. */
static void send_removal(const struct policy *policy, const struct psync_sink *sink)
{
    struct model_key key = model_key_of_text(str_make(policy->key, policy->key_len));
    sink->message(sink->ctx, &(struct psync_message){.kind = PSYNC_POLICY_REMOVE,
                                                     .policy_remove = policy_id(&key)});
}

static void free_policy(struct policy *policy)
{
    model_resource_free(policy->resource);
    list_free(&policy->sets);
    arena_free(&policy->arena);
    free(policy);
}

void policies_send_removals(struct policies *policies, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < policies->changed.count; i++) {
        struct policy *policy = policies->changed.items[i];
        policy->is_changed = false;
        if (policy->is_sent && policy->endpoints == 0) {
            send_removal(policy, sink);
            policy->is_sent = false;
        }
        if (policy->resource == NULL) {
            map_remove(&policies->all, str_make(policy->key, policy->key_len));
            free_policy(policy);
        }
    }
    policies->changed.count = 0;
}

/* ---- the whole ---- */

struct policies_stats policies_stats(const struct policies *policies)
{
    struct policies_stats stats = {.tiers = policies->tiers.by_name.count,
                                   .policies = policies->all.count};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&policies->all, &position)) != NULL)
        stats.active += ((const struct policy *)entry->value)->endpoints > 0;
    return stats;
}

void policies_free(struct policies *policies)
{
    size_t position = 0;
    struct map_entry *entry;
    if (policies == NULL)
        return;
    while ((entry = map_next(&policies->all, &position)) != NULL)
        free_policy(entry->value);
    map_free(&policies->all);
    tiers_free(&policies->tiers);
    list_free(&policies->changed);
    free(policies);
}
