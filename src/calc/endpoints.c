#include "calc/endpoints.h"

#include <stdlib.h>

#include "base/log.h"
#include "policysync/encode.h"

/* An endpoint as the sidecars know it: by its id. */
struct slot {
    struct psync_endpoint_id id; /* as it was sent */
    struct arena arena;          /* of the id */
    struct list claims;          /* struct endpoint: resources that say that they are it */
    struct endpoint *chosen;     /* NULL: there is none */
    bool is_changed, is_sent;
    uint64_t digest; /* of the message that was sent */
    struct str key;  /* its place in the map of all slots */
    char text[];
};

/* A resource that is served from here. */
struct endpoint {
    struct label_member labels; /* in the index while it is chosen */
    struct model_resource *resource;
    struct slot *slot;
    size_t key_len;
    char key[]; /* its place in the map of all endpoints */
};

struct endpoints {
    struct arena arena; /* of the scope */
    struct endpoints_scope scope;
    struct label_index *index;
    struct profiles *profiles;
    struct policies *policies;
    struct map all;      /* -> struct endpoint */
    struct map slots;    /* -> struct slot */
    struct list changed; /* struct slot */
    size_t chosen_count;
    char *interface_prefix;
};

struct endpoints *endpoints_new(const struct endpoints_scope *scope, struct label_index *index,
                                struct profiles *profiles)
{
    struct endpoints *endpoints = mem_zalloc(sizeof(*endpoints));
    endpoints->scope.node = arena_copy(&endpoints->arena, scope->node);
    endpoints->scope.workload = arena_copy(&endpoints->arena, scope->workload);
    endpoints->index = index;
    endpoints->profiles = profiles;
    endpoints->interface_prefix = mem_strndup(STR("cali"));
    return endpoints;
}

void endpoints_set_policies(struct endpoints *endpoints, struct policies *policies)
{
    endpoints->policies = policies;
}

size_t endpoints_count(const struct endpoints *endpoints)
{
    return endpoints->chosen_count;
}

/* ---- slots ---- */

/* Of a single workload nobody asks which of its endpoints is meant, so all of them are one. */
static struct str format_slot_key(const struct endpoints *endpoints, struct buf *out,
                                  const struct model_endpoint *endpoint)
{
    if (endpoints->scope.workload.len == 0) {
        buf_append_str(out, endpoint->orchestrator);
        buf_append_byte(out, '\0');
        buf_append_str(out, endpoint->endpoint);
        buf_append_byte(out, '\0');
    }
    buf_append_str(out, endpoint->workload);
    return buf_str(out);
}

static struct slot *use_slot(struct endpoints *endpoints, const struct model_endpoint *endpoint)
{
    CLEANUP_BUF struct buf text = {0};
    struct str key = format_slot_key(endpoints, &text, endpoint);
    struct slot *slot = map_get(&endpoints->slots, key);
    if (slot != NULL)
        return slot;
    slot = mem_zalloc(sizeof(*slot) + key.len);
    if (key.len > 0)
        memcpy(slot->text, key.ptr, key.len);
    slot->key = str_make(slot->text, key.len);
    map_set(&endpoints->slots, slot->key, slot);
    return slot;
}

static void note_change(struct endpoints *endpoints, struct slot *slot)
{
    if (slot->is_changed)
        return;
    slot->is_changed = true;
    list_add(&endpoints->changed, slot);
}

void endpoints_set_interface_prefix(struct endpoints *endpoints, struct str prefix)
{
    size_t position = 0;
    struct map_entry *entry;
    if (str_eq(str_from_c(endpoints->interface_prefix), prefix))
        return;
    free(endpoints->interface_prefix);
    endpoints->interface_prefix = mem_strndup(prefix);
    while ((entry = map_next(&endpoints->slots, &position)) != NULL)
        note_change(endpoints, entry->value);
}

static struct endpoint *choose(const struct slot *slot)
{
    for (uint32_t i = 0; i < slot->claims.count; i++) {
        struct endpoint *endpoint = slot->claims.items[i];
        if (endpoint->resource->key.kind == MODEL_POD)
            return endpoint;
    }
    return slot->claims.count == 1 ? slot->claims.items[0] : NULL;
}

/* ---- joining the index ---- */

static void count_in_policies(struct endpoints *endpoints, const struct label_group *group,
                              bool comes)
{
    for (uint32_t i = 0; i < group->matches.count; i++)
        policies_count(endpoints->policies, (struct policy *)label_group_match(group, i), 1, comes);
}

static void join(struct endpoints *endpoints, struct endpoint *endpoint)
{
    const struct model_endpoint *from = &endpoint->resource->endpoint;
    label_index_join(endpoints->index, &endpoint->labels, &from->labels, &from->profiles);
    count_in_policies(endpoints, endpoint->labels.group, true);
    for (size_t i = 0; i < from->profiles.count; i++)
        profiles_use(endpoints->profiles, from->profiles.items[i]);
    endpoints->chosen_count++;
}

static void leave(struct endpoints *endpoints, struct endpoint *endpoint)
{
    const struct model_endpoint *from = &endpoint->resource->endpoint;
    count_in_policies(endpoints, endpoint->labels.group, false);
    label_index_leave(endpoints->index, &endpoint->labels);
    for (size_t i = 0; i < from->profiles.count; i++)
        profiles_release(endpoints->profiles, from->profiles.items[i]);
    endpoints->chosen_count--;
}

/* The claims of a slot have changed; the one that was chosen has left the index if it is not a claim any more. */
static void choose_anew(struct endpoints *endpoints, struct slot *slot)
{
    struct endpoint *chosen = choose(slot);
    note_change(endpoints, slot);
    if (chosen == slot->chosen)
        return;
    /* In before out: policies and profiles that both have stay in use. */
    if (chosen != NULL)
        join(endpoints, chosen);
    if (slot->chosen != NULL)
        leave(endpoints, slot->chosen);
    slot->chosen = chosen;
    if (chosen == NULL && slot->claims.count > 1)
        log_event(
            LOG_WARNING,
            "Several WorkloadEndpoints are the same endpoint; nobody knows which is meant, so "
            "there is none",
            LOG_STR("workload",
                    ((struct endpoint *)slot->claims.items[0])->resource->endpoint.workload));
}

/* ---- changes come in ---- */

static bool is_served(const struct endpoints *endpoints, const struct model_resource *resource)
{
    const struct model_endpoint *endpoint = &resource->endpoint;
    if (endpoint->presence != MODEL_LIVE)
        return false;
    if (endpoints->scope.workload.len > 0)
        return str_eq(endpoint->workload, endpoints->scope.workload);
    return endpoints->scope.node.len == 0 || str_eq(endpoint->node, endpoints->scope.node);
}

static struct endpoint *make(const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    model_key_text(&text, key);
    struct endpoint *endpoint = mem_zalloc(sizeof(*endpoint) + text.len);
    endpoint->key_len = text.len;
    memcpy(endpoint->key, text.data, text.len);
    return endpoint;
}

static void claim(struct endpoints *endpoints, struct endpoint *endpoint)
{
    endpoint->slot = use_slot(endpoints, &endpoint->resource->endpoint);
    list_add(&endpoint->slot->claims, endpoint);
    choose_anew(endpoints, endpoint->slot);
}

static void withdraw(struct endpoints *endpoints, struct endpoint *endpoint)
{
    list_remove_item(&endpoint->slot->claims, endpoint);
    choose_anew(endpoints, endpoint->slot);
}

static void free_endpoint(struct endpoint *endpoint)
{
    model_resource_free(endpoint->resource);
    free(endpoint);
}

void endpoints_remove(struct endpoints *endpoints, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    struct endpoint *endpoint = map_remove(&endpoints->all, model_key_text(&text, key));
    if (endpoint == NULL)
        return;
    withdraw(endpoints, endpoint);
    free_endpoint(endpoint);
}

void endpoints_put(struct endpoints *endpoints, struct model_resource *resource)
{
    if (!is_served(endpoints, resource)) {
        endpoints_remove(endpoints, &resource->key);
        model_resource_free(resource);
        return;
    }
    struct endpoint *endpoint = make(&resource->key);
    endpoint->resource = resource;
    struct endpoint *old =
        map_set(&endpoints->all, str_make(endpoint->key, endpoint->key_len), endpoint);
    if (old != NULL)
        list_remove_item(&old->slot->claims, old);
    claim(endpoints, endpoint);
    if (old == NULL)
        return;
    /* Its id may be another now. */
    if (old->slot != endpoint->slot)
        choose_anew(endpoints, old->slot);
    free_endpoint(old);
}

void endpoints_group_changed(void *ctx, struct label_group *group)
{
    struct endpoints *endpoints = ctx;
    for (uint32_t i = 0; i < group->members.count; i++)
        note_change(endpoints, ((struct endpoint *)group->members.items[i])->slot);
}

/* ---- messages ---- */

static void split_nets(struct arena *arena, const struct model_endpoint *from,
                       struct psync_endpoint *to)
{
    to->ipv4_nets.items = arena_array(arena, from->net_count, sizeof(struct str));
    to->ipv6_nets.items = arena_array(arena, from->net_count, sizeof(struct str));
    for (size_t i = 0; i < from->net_count; i++) {
        struct psync_strings *list =
            from->nets[i].addr.family == 4 ? &to->ipv4_nets : &to->ipv6_nets;
        list->items[list->count++] =
            arena_copy(arena, str_from_c(ip_format_net(&from->nets[i]).text));
    }
}

static int compare_policies(const void *a, const void *b)
{
    const struct policy *x = *(struct policy *const *)a, *y = *(struct policy *const *)b;
    int order = order_compare_tiers(x->tier, y->tier);
    return order != 0 ? order : order_compare_policies(x->resource, y->resource);
}

/* A tier whose policies will stand at these places. */
static struct psync_tier start_tier(const struct tier *tier, struct psync_policy_id *ingress,
                                    struct psync_policy_id *egress)
{
    return (struct psync_tier){
        .name = tier->name,
        .default_action = tier->default_pass ? STR("Pass") : STR("Deny"),
        .ingress = {ingress, 0},
        .egress = {egress, 0},
    };
}

/* The policies that select it, in order, tier by tier. The ids of all tiers are in two arrays, of which each tier has a stretch. */
static void list_policies(struct arena *arena, const struct label_group *group,
                          struct psync_endpoint *to)
{
    uint32_t count = group->matches.count;
    struct policy **policies = arena_array(arena, count, sizeof(*policies));
    for (uint32_t i = 0; i < count; i++)
        policies[i] = (struct policy *)label_group_match(group, i);
    if (count > 1)
        qsort(policies, count, sizeof(*policies), compare_policies);
    struct psync_policy_id *ingress = arena_array(arena, count, sizeof(*ingress));
    struct psync_policy_id *egress = arena_array(arena, count, sizeof(*egress));
    to->tiers = arena_array(arena, count, sizeof(*to->tiers));
    for (size_t i = 0; i < count; i++) {
        const struct policy *policy = policies[i];
        if (i == 0 || policy->tier != policies[i - 1]->tier) {
            to->tiers[to->tier_count++] = start_tier(policy->tier, ingress, egress);
            tiers_tell_missing(policy->tier);
        }
        struct psync_tier *tier = &to->tiers[to->tier_count - 1];
        if (policy->resource->policy.applies_ingress) {
            *ingress++ = policy_id(&policy->resource->key);
            tier->ingress.count++;
        }
        if (policy->resource->policy.applies_egress) {
            *egress++ = policy_id(&policy->resource->key);
            tier->egress.count++;
        }
    }
}

static struct str interface_name(struct arena *arena, const struct endpoints *endpoints,
                                 const struct model_resource *resource)
{
    CLEANUP_BUF struct buf name = {0};
    if (resource->key.kind != MODEL_POD)
        return resource->endpoint.interface;
    buf_append_str(&name, str_from_c(endpoints->interface_prefix));
    buf_append_str(&name, resource->endpoint.interface);
    return arena_copy(arena, buf_str(&name));
}

static void make_message(struct arena *arena, const struct endpoints *endpoints,
                         const struct endpoint *endpoint, struct psync_message *message)
{
    const struct model_endpoint *from = &endpoint->resource->endpoint;
    message->kind = PSYNC_ENDPOINT_UPDATE;
    message->endpoint = (struct psync_endpoint){
        .id = {from->orchestrator, from->workload, from->endpoint},
        .state = STR("active"),
        .name = interface_name(arena, endpoints, endpoint->resource),
        .profile_ids = {from->profiles.items, from->profiles.count},
    };
    split_nets(arena, from, &message->endpoint);
    list_policies(arena, endpoint->labels.group, &message->endpoint);
}

/* One that no stream could carry is sent without policies and profiles, so that everything is refused. */
static void encode(struct psync_message *message, struct buf *bytes)
{
    psync_encode(bytes, message);
    if (bytes->len <= PSYNC_MESSAGE_LIMIT)
        return;
    struct psync_endpoint *endpoint = &message->endpoint;
    log_event(LOG_ERROR,
              "Endpoint takes more than 4 MiB on the wire; it is sent without policies and "
              "profiles, which refuses everything",
              LOG_STR("workload", endpoint->id.workload), LOG_INT("bytes", bytes->len));
    *endpoint = (struct psync_endpoint){
        .id = endpoint->id, .state = endpoint->state, .name = endpoint->name};
    bytes->len = 0;
    psync_encode(bytes, message);
}

static void send_removal(struct slot *slot, const struct psync_sink *sink)
{
    slot->is_sent = false;
    sink->message(sink->ctx, &(struct psync_message){.kind = PSYNC_ENDPOINT_REMOVE,
                                                     .endpoint_remove = slot->id});
}

static bool id_eq(const struct psync_endpoint_id *a, const struct psync_endpoint_id *b)
{
    return str_eq(a->orchestrator, b->orchestrator) && str_eq(a->workload, b->workload) &&
           str_eq(a->endpoint, b->endpoint);
}

static void send_update(const struct endpoints *endpoints, struct slot *slot,
                        const struct psync_sink *sink)
{
    /* Of each endpoint its own: with those of all, a flush would hold endpoints x policies. */
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf bytes = {0};
    struct psync_message message = {0};
    make_message(&arena, endpoints, slot->chosen, &message);
    encode(&message, &bytes);
    uint64_t digest = map_hash(buf_str(&bytes));
    if (slot->is_sent && digest == slot->digest)
        return;
    const struct psync_endpoint_id *id = &message.endpoint.id;
    if (!id_eq(&slot->id, id)) {
        /* Of a single workload another endpoint may be meant now. */
        if (slot->is_sent)
            send_removal(slot, sink);
        arena_free(&slot->arena);
        slot->id = (struct psync_endpoint_id){arena_copy(&slot->arena, id->orchestrator),
                                              arena_copy(&slot->arena, id->workload),
                                              arena_copy(&slot->arena, id->endpoint)};
    }
    slot->digest = digest;
    slot->is_sent = true;
    sink->message(sink->ctx, &message);
}

static int compare_slots(const void *a, const void *b)
{
    return str_cmp((*(struct slot *const *)a)->key, (*(struct slot *const *)b)->key);
}

void endpoints_send_updates(struct endpoints *endpoints, const struct psync_sink *sink)
{
    struct list *changed = &endpoints->changed;
    if (changed->count > 1)
        qsort(changed->items, changed->count, sizeof(*changed->items), compare_slots);
    for (uint32_t i = 0; i < changed->count; i++) {
        struct slot *slot = changed->items[i];
        if (slot->chosen != NULL)
            send_update(endpoints, slot, sink);
    }
}

static void free_slot(struct slot *slot)
{
    list_free(&slot->claims);
    arena_free(&slot->arena);
    free(slot);
}

void endpoints_send_removals(struct endpoints *endpoints, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < endpoints->changed.count; i++) {
        struct slot *slot = endpoints->changed.items[i];
        slot->is_changed = false;
        if (slot->chosen == NULL && slot->is_sent)
            send_removal(slot, sink);
        if (slot->claims.count == 0) {
            map_remove(&endpoints->slots, slot->key);
            free_slot(slot);
        }
    }
    endpoints->changed.count = 0;
}

/* ---- the whole ---- */

void endpoints_free(struct endpoints *endpoints)
{
    size_t position = 0;
    struct map_entry *entry;
    if (endpoints == NULL)
        return;
    while ((entry = map_next(&endpoints->all, &position)) != NULL)
        free_endpoint(entry->value);
    position = 0;
    while ((entry = map_next(&endpoints->slots, &position)) != NULL)
        free_slot(entry->value);
    map_free(&endpoints->all);
    map_free(&endpoints->slots);
    list_free(&endpoints->changed);
    arena_free(&endpoints->arena);
    free(endpoints->interface_prefix);
    free(endpoints);
}
