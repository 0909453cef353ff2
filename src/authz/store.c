#include "authz/store.h"

#include <stdlib.h>

#include "base/log.h"

/* A policy or profile under its key. */
struct entry {
    struct authz_policy *policy;
    size_t key_len;
    char key[];
};

struct authz_store {
    const struct authz_store *previous; /* or NULL */
    bool in_sync;
    struct slot_table *slots;
    struct map policies;               /* policy key -> struct entry */
    struct map profiles;               /* name -> struct entry */
    struct authz_directory *directory; /* shared with snapshots: copied before it changes */
    /* The endpoint, copied whole whenever it comes. */
    struct arena endpoint_arena;
    bool has_endpoint;
    struct psync_endpoint endpoint;
};

struct authz_store *authz_store_new(const struct authz_store *previous)
{
    struct authz_store *store = mem_zalloc(sizeof(*store));
    store->previous = previous;
    store->slots = slot_table_new();
    store->directory = mem_zalloc(sizeof(*store->directory));
    store->directory->references = 1;
    return store;
}

void authz_store_forget_previous(struct authz_store *store)
{
    store->previous = NULL;
}

/* ---- policies and profiles ---- */

/* Policies with a kind are told apart by kind, namespace and name; older ones by tier and name. Lengths keep the pieces
 * apart whatever bytes they hold. */
static struct str policy_key(struct buf *out, const struct psync_policy_id *id)
{
    if (id->kind.len > 0)
        buf_printf(out, "k%zu,%zu:", id->kind.len, id->namespace.len);
    else
        buf_printf(out, "t%zu:", id->tier.len);
    buf_append_str(out, id->kind.len > 0 ? id->kind : id->tier);
    if (id->kind.len > 0)
        buf_append_str(out, id->namespace);
    buf_append_str(out, id->name);
    return buf_str(out);
}

static void remove_entry(struct map *map, struct str key)
{
    struct entry *entry = map_remove(map, key);
    if (entry == NULL)
        return;
    authz_policy_unref(entry->policy);
    free(entry);
}

static void set_entry(struct map *map, struct str key, struct authz_policy *policy)
{
    struct entry *entry = mem_alloc(sizeof(*entry) + key.len);
    entry->policy = policy;
    entry->key_len = key.len;
    if (key.len > 0)
        memcpy(entry->key, key.ptr, key.len);
    remove_entry(map, key);
    map_set(map, str_make(entry->key, entry->key_len), entry);
}

static void report_malformed(const struct authz_policy *policy)
{
    if (policy->malformed.len == 0)
        return;
    CLEANUP_BUF struct buf name = {0};
    psync_policy_id_format(&name, &policy->id);
    log_event(LOG_WARNING, "Policy cannot be understood; requests that reach it are refused",
              LOG_STR("policy", buf_str(&name)), LOG_STR("reason", policy->malformed));
}

static void update_policy(struct authz_store *store, const struct psync_policy *source)
{
    CLEANUP_BUF struct buf text = {0};
    struct str key = policy_key(&text, &source->id);
    const struct entry *before = map_get(&store->policies, key);
    if (before == NULL && store->previous != NULL)
        before = map_get(&store->previous->policies, key);
    struct authz_policy *policy =
        authz_policy_compile(source, store->slots, before != NULL ? before->policy : NULL);
    report_malformed(policy);
    set_entry(&store->policies, key, policy);
}

static void remove_policy(struct authz_store *store, const struct psync_policy_id *id)
{
    CLEANUP_BUF struct buf key = {0};
    remove_entry(&store->policies, policy_key(&key, id));
}

static void update_profile(struct authz_store *store, const struct psync_profile *source)
{
    struct authz_policy *policy = authz_profile_compile(source, store->slots);
    report_malformed(policy);
    set_entry(&store->profiles, source->name, policy);
}

/* ---- IP sets ---- */

/* Once, when a set becomes of no use. */
static void report_unusable(struct str id, const struct authz_ipset *before,
                            const struct authz_ipset *set, struct str bad_member)
{
    bool usable = authz_ipset_has_addresses(set) || authz_ipset_has_ports(set);
    if (!usable && (before == NULL || !before->unusable))
        log_event(LOG_WARNING,
                  "IP set cannot be used; rules that need it refuse until its next whole update",
                  LOG_STR("set", id), LOG_INT("type", set->type),
                  LOG_STR("bad_member", bad_member));
}

/* A set holds its own slot as long as it exists. */
static void replace_set(struct authz_store *store, struct str id, struct authz_ipset *set)
{
    struct slot *slot = slot_find(store->slots, id);
    if (slot == NULL || slot->set == NULL)
        slot = slot_acquire(store->slots, id);
    authz_ipset_unref(slot->set);
    slot->set = set;
}

static void update_set(struct authz_store *store, const struct psync_ipset_update *update)
{
    struct str bad_member;
    struct authz_ipset *set = authz_ipset_new(update, &bad_member);
    report_unusable(update->id, NULL, set, bad_member);
    replace_set(store, update->id, set);
}

static void change_set(struct authz_store *store, const struct psync_ipset_delta *delta)
{
    struct str bad_member;
    struct slot *slot = slot_find(store->slots, delta->id);
    const struct authz_ipset *before = slot != NULL ? slot->set : NULL;
    struct authz_ipset *set = authz_ipset_apply(before, delta, &bad_member);
    report_unusable(delta->id, before, set, bad_member);
    replace_set(store, delta->id, set);
}

static void remove_set(struct authz_store *store, struct str id)
{
    struct slot *slot = slot_find(store->slots, id);
    if (slot == NULL || slot->set == NULL)
        return;
    authz_ipset_unref(slot->set);
    slot->set = NULL;
    slot_release(store->slots, slot);
}

/* ---- service accounts and namespaces ---- */

static void copy_labels(struct map *to, const struct map *from)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(from, &position)) != NULL) {
        struct authz_labels *labels = entry->value;
        labels->references++;
        map_set(to, labels->key, labels);
    }
}

/* The directory, not shared with any snapshot. */
static struct authz_directory *own_directory(struct authz_store *store)
{
    struct authz_directory *old = store->directory;
    if (old->references > 1) {
        struct authz_directory *copy = mem_zalloc(sizeof(*copy));
        copy->references = 1;
        copy_labels(&copy->accounts, &old->accounts);
        copy_labels(&copy->namespaces, &old->namespaces);
        store->directory = copy;
        old->references--;
    }
    return store->directory;
}

static void set_labels(struct map *map, struct str key, struct labels labels)
{
    struct authz_labels *set = authz_labels_new(key, labels);
    authz_labels_unref(map_set(map, set->key, set));
}

static struct str account_key(struct buf *out, const struct psync_labelled *account)
{
    buf_append_str(out, account->namespace);
    buf_append_byte(out, '/');
    buf_append_str(out, account->name);
    return buf_str(out);
}

static void apply_account(struct authz_store *store, const struct psync_labelled *account,
                          bool removed)
{
    CLEANUP_BUF struct buf key = {0};
    struct map *accounts = &own_directory(store)->accounts;
    if (removed)
        authz_labels_unref(map_remove(accounts, account_key(&key, account)));
    else
        set_labels(accounts, account_key(&key, account), account->labels);
}

static void apply_namespace(struct authz_store *store, const struct psync_labelled *ns,
                            bool removed)
{
    struct map *namespaces = &own_directory(store)->namespaces;
    if (removed)
        authz_labels_unref(map_remove(namespaces, ns->name));
    else
        set_labels(namespaces, ns->name, ns->labels);
}

/* ---- the endpoint ---- */

static struct psync_policy_id copy_id(struct arena *arena, const struct psync_policy_id *id)
{
    return (struct psync_policy_id){
        .tier = arena_copy(arena, id->tier),
        .namespace = arena_copy(arena, id->namespace),
        .name = arena_copy(arena, id->name),
        .kind = arena_copy(arena, id->kind),
    };
}

static struct psync_tier copy_tier(struct arena *arena, const struct psync_tier *tier)
{
    struct psync_tier copy = {
        .name = arena_copy(arena, tier->name),
        .default_action = arena_copy(arena, tier->default_action),
        .ingress = {arena_array(arena, tier->ingress.count, sizeof(struct psync_policy_id)),
                    tier->ingress.count},
    };
    for (size_t i = 0; i < tier->ingress.count; i++)
        copy.ingress.items[i] = copy_id(arena, &tier->ingress.items[i]);
    return copy;
}

/* When an endpoint is replaced by another, the removal of the old one may come after the new one. A removal that does not say
 * whom it means means ours. */
static bool is_removed(const struct psync_endpoint_id *ours,
                       const struct psync_endpoint_id *removed)
{
    return removed->workload.len == 0 ||
           (str_eq(ours->orchestrator, removed->orchestrator) &&
            str_eq(ours->workload, removed->workload) && str_eq(ours->endpoint, removed->endpoint));
}

static void remove_endpoint(struct authz_store *store)
{
    arena_free(&store->endpoint_arena);
    store->endpoint = (struct psync_endpoint){0};
    store->has_endpoint = false;
}

/* Only what evaluation needs is kept: profiles, and tiers with their ingress policies. */
static void update_endpoint(struct authz_store *store, const struct psync_endpoint *source)
{
    remove_endpoint(store);
    if (source->malformed) {
        log_event(LOG_WARNING, "The endpoint cannot be understood; all requests are refused",
                  LOG_STR("endpoint", source->id.workload));
        return;
    }
    struct arena *arena = &store->endpoint_arena;
    struct psync_endpoint *copy = &store->endpoint;
    copy->id = (struct psync_endpoint_id){arena_copy(arena, source->id.orchestrator),
                                          arena_copy(arena, source->id.workload),
                                          arena_copy(arena, source->id.endpoint)};
    copy->profile_ids.count = source->profile_ids.count;
    copy->profile_ids.items = arena_array(arena, source->profile_ids.count, sizeof(struct str));
    for (size_t i = 0; i < source->profile_ids.count; i++)
        copy->profile_ids.items[i] = arena_copy(arena, source->profile_ids.items[i]);
    copy->tier_count = source->tier_count;
    copy->tiers = arena_array(arena, source->tier_count, sizeof(*copy->tiers));
    for (size_t i = 0; i < source->tier_count; i++)
        copy->tiers[i] = copy_tier(arena, &source->tiers[i]);
    store->has_endpoint = true;
}

void authz_store_apply(struct authz_store *store, const struct psync_message *m)
{
    switch (m->kind) {
    case PSYNC_IGNORED:
        return;
    case PSYNC_IN_SYNC:
        store->in_sync = true;
        return;
    case PSYNC_IPSET_UPDATE:
        update_set(store, &m->ipset_update);
        return;
    case PSYNC_IPSET_DELTA:
        change_set(store, &m->ipset_delta);
        return;
    case PSYNC_IPSET_REMOVE:
        remove_set(store, m->ipset_remove);
        return;
    case PSYNC_PROFILE_UPDATE:
        update_profile(store, &m->profile);
        return;
    case PSYNC_PROFILE_REMOVE:
        remove_entry(&store->profiles, m->profile_remove);
        return;
    case PSYNC_POLICY_UPDATE:
        update_policy(store, &m->policy);
        return;
    case PSYNC_POLICY_REMOVE:
        remove_policy(store, &m->policy_remove);
        return;
    case PSYNC_ENDPOINT_UPDATE:
        update_endpoint(store, &m->endpoint);
        return;
    case PSYNC_ENDPOINT_REMOVE:
        if (is_removed(&store->endpoint.id, &m->endpoint_remove))
            remove_endpoint(store);
        return;
    case PSYNC_ACCOUNT_UPDATE:
    case PSYNC_ACCOUNT_REMOVE:
        apply_account(store, &m->account, m->kind == PSYNC_ACCOUNT_REMOVE);
        return;
    case PSYNC_NAMESPACE_UPDATE:
    case PSYNC_NAMESPACE_REMOVE:
        apply_namespace(store, &m->namespace, m->kind == PSYNC_NAMESPACE_REMOVE);
        return;
    }
}

/* ---- snapshots ---- */

static struct authz_policy *find_entry(const struct map *map, struct str key)
{
    struct entry *entry = map_get(map, key);
    if (entry == NULL)
        return NULL;
    entry->policy->references++;
    return entry->policy;
}

static void commit_tier(const struct authz_store *store, struct arena *arena,
                        const struct psync_tier *from, struct authz_tier *tier)
{
    *tier = (struct authz_tier){
        .name = arena_copy(arena, from->name),
        .default_pass = str_eq(from->default_action, STR("Pass")),
        .policies = arena_array(arena, from->ingress.count, sizeof(*tier->policies)),
        .policy_count = from->ingress.count,
    };
    for (size_t i = 0; i < from->ingress.count; i++) {
        CLEANUP_BUF struct buf key = {0};
        const struct psync_policy_id *id = &from->ingress.items[i];
        tier->policies[i] = (struct authz_place){
            .id = copy_id(arena, id),
            .policy = find_entry(&store->policies, policy_key(&key, id)),
            .is_staged = authz_policy_id_is_staged(id),
        };
        tier->is_enforced |= !tier->policies[i].is_staged;
        tier->has_staged |= tier->policies[i].is_staged;
    }
}

static void commit_endpoint(const struct authz_store *store, struct authz_snapshot *snapshot)
{
    const struct psync_endpoint *endpoint = &store->endpoint;
    struct arena *arena = &snapshot->arena;
    snapshot->tier_count = endpoint->tier_count;
    snapshot->tiers = arena_array(arena, endpoint->tier_count, sizeof(*snapshot->tiers));
    for (size_t i = 0; i < endpoint->tier_count; i++) {
        commit_tier(store, arena, &endpoint->tiers[i], &snapshot->tiers[i]);
        snapshot->has_staged |= snapshot->tiers[i].has_staged;
    }
    snapshot->profile_count = endpoint->profile_ids.count;
    snapshot->profiles = arena_array(arena, snapshot->profile_count, sizeof(*snapshot->profiles));
    for (size_t i = 0; i < snapshot->profile_count; i++) {
        struct str name = arena_copy(arena, endpoint->profile_ids.items[i]);
        snapshot->profiles[i] = (struct authz_place){
            .id = {.name = name, .kind = STR("Profile")},
            .policy = find_entry(&store->profiles, name),
        };
    }
}

struct authz_snapshot *authz_store_commit(struct authz_store *store)
{
    struct authz_snapshot *snapshot = mem_zalloc(sizeof(*snapshot));
    snapshot->references = 1;
    snapshot->in_sync = store->in_sync;
    snapshot->has_endpoint = store->has_endpoint;
    commit_endpoint(store, snapshot);
    snapshot->set_count = store->slots->count;
    snapshot->sets = mem_zalloc(store->slots->count * sizeof(struct authz_ipset *));
    for (size_t i = 0; i < store->slots->count; i++) {
        snapshot->sets[i] =
            store->slots->by_index[i] != NULL ? store->slots->by_index[i]->set : NULL;
        authz_ipset_ref(snapshot->sets[i]);
    }
    snapshot->directory = store->directory;
    store->directory->references++;
    return snapshot;
}

static void free_entries(struct map *map)
{
    size_t position = 0;
    struct map_entry *item;
    while ((item = map_next(map, &position)) != NULL) {
        struct entry *entry = item->value;
        authz_policy_unref(entry->policy);
        free(entry);
    }
    map_free(map);
}

void authz_store_free(struct authz_store *store)
{
    if (store == NULL)
        return;
    free_entries(&store->policies);
    free_entries(&store->profiles);
    for (size_t i = 0; i < store->slots->count; i++) {
        struct slot *slot = store->slots->by_index[i];
        if (slot != NULL && slot->set != NULL) {
            authz_ipset_unref(slot->set);
            slot->set = NULL;
            slot_release(store->slots, slot);
        }
    }
    slot_table_unref(store->slots);
    authz_directory_unref(store->directory);
    arena_free(&store->endpoint_arena);
    free(store);
}
