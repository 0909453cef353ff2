#include "calc/ipsets.h"

#include <stdlib.h>

#include "calc/peer.h"
#include "calc/services.h"

struct ipsets {
    struct labels (*parent_labels)(void *ctx, struct str parent, struct str *prefix);
    void *ctx;
    struct label_index *index; /* peers and sets by selector */
    struct map peers;          /* -> struct peer */
    struct services services;
    struct map sets;       /* id -> struct ipset */
    struct list changed;   /* sets that the receiver has to be told of */
    struct list unused;    /* sets that had no users at some time since the last removals */
    struct ipset *leaving; /* being taken out of the index: its members do not matter any more */
};

static void on_match(void *ctx, struct label_selector *selector, struct label_group *group,
                     bool matches)
{
    struct ipsets *ipsets = ctx;
    struct ipset *set = (struct ipset *)selector;
    if (set == ipsets->leaving)
        return;
    for (uint32_t i = 0; i < group->members.count; i++)
        peer_count(group->members.items[i], set, matches);
}

static struct labels on_parent_labels(void *ctx, struct str parent, struct str *prefix)
{
    const struct ipsets *ipsets = ctx;
    return ipsets->parent_labels(ipsets->ctx, parent, prefix);
}

struct ipsets *ipsets_new(struct labels (*parent_labels)(void *ctx, struct str parent,
                                                         struct str *prefix),
                          void *ctx)
{
    struct ipsets *ipsets = mem_zalloc(sizeof(*ipsets));
    const struct label_index_events events = {on_match, on_parent_labels, ipsets};
    ipsets->parent_labels = parent_labels;
    ipsets->ctx = ctx;
    ipsets->index = label_index_new(&events);
    return ipsets;
}

/* ---- peers ---- */

/* The labels of a network set: its own, but for those that would forge inherited ones, and its namespace's name. */
static struct labels network_set_labels(struct arena *arena, const struct model_resource *resource)
{
    const struct label namespace = {STR("projectcalico.org/namespace"), resource->key.namespace};
    bool is_namespaced = resource->key.kind == MODEL_NETWORK_SET, is_placed = !is_namespaced;
    struct labels labels = {arena_array(arena, resource->labels.count + 1, sizeof(*labels.items)),
                            0};
    for (size_t i = 0; i < resource->labels.count; i++) {
        const struct label *label = &resource->labels.items[i];
        int order = is_placed ? -1 : str_cmp(label->key, namespace.key);
        if (order >= 0) {
            labels.items[labels.count++] = namespace;
            is_placed = true;
        }
        if (order != 0 && !str_starts_with(label->key, STR("pcns.")) &&
            !str_starts_with(label->key, STR("pcsa.")))
            labels.items[labels.count++] = *label;
    }
    if (!is_placed)
        labels.items[labels.count++] = namespace;
    return labels;
}

static void join(struct ipsets *ipsets, struct peer *peer, const struct model_resource *resource)
{
    if (!model_kind_is_network_set(resource->key.kind)) {
        label_index_join(ipsets->index, &peer->labels, &resource->endpoint.labels,
                         &resource->endpoint.profiles);
        return;
    }
    CLEANUP_ARENA struct arena arena = {0};
    struct labels labels = network_set_labels(&arena, resource);
    struct str parent = arena_printf(&arena, "kns.%.*s", STR_ARG(resource->key.namespace));
    struct model_strings parents = {&parent, resource->key.kind == MODEL_NETWORK_SET};
    label_index_join(ipsets->index, &peer->labels, &labels, &parents);
}

/* Counts a peer in or out of all sets that it matches. */
static void count_in_sets(const struct peer *peer, bool comes)
{
    const struct label_group *group = peer->labels.group;
    for (uint32_t i = 0; i < group->matches.count; i++)
        peer_count(peer, (struct ipset *)label_group_match(group, i), comes);
}

static void drop_peer(struct ipsets *ipsets, struct peer *peer)
{
    if (peer == NULL)
        return;
    count_in_sets(peer, false);
    label_index_leave(ipsets->index, &peer->labels);
    free(peer);
}

void ipsets_put_peer(struct ipsets *ipsets, const struct model_resource *resource)
{
    struct peer *peer = peer_new(resource);
    if (peer == NULL) {
        ipsets_remove_peer(ipsets, &resource->key);
        return;
    }
    join(ipsets, peer, resource);
    /* In before out: what stays as it was is no change. */
    count_in_sets(peer, true);
    drop_peer(ipsets, map_set(&ipsets->peers, peer_key(peer), peer));
}

void ipsets_remove_peer(struct ipsets *ipsets, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    drop_peer(ipsets, map_remove(&ipsets->peers, model_key_text(&text, key)));
}

void ipsets_parent_changed(struct ipsets *ipsets, struct str name)
{
    label_index_parent_changed(ipsets->index, name);
}

void ipsets_put_slice(struct ipsets *ipsets, const struct model_resource *resource)
{
    services_put(&ipsets->services, resource);
}

void ipsets_remove_slice(struct ipsets *ipsets, const struct model_key *key)
{
    services_remove(&ipsets->services, key);
}

/* ---- users ---- */

/* The set of an id, with one user more; *is_new: the caller fills in what it holds. */
static struct ipset *use(struct ipsets *ipsets, struct str id, bool *is_new)
{
    struct ipset *set = map_get(&ipsets->sets, id);
    *is_new = set == NULL;
    if (*is_new) {
        set = mem_zalloc(sizeof(*set));
        set->id = arena_copy(&set->arena, id);
        set->changed = &ipsets->changed;
        map_set(&ipsets->sets, set->id, set);
        ipset_note_change(set);
    }
    set->users++;
    return set;
}

static void fill_by_selector(struct ipsets *ipsets, struct ipset *set,
                             const struct selector *selector)
{
    set->match.selector =
        selector != NULL ? selector_copy(&set->arena, selector) : selector_all(&set->arena);
    label_index_add(ipsets->index, &set->match);
}

struct ipset *ipsets_use_selector(struct ipsets *ipsets, const struct selector *selector)
{
    CLEANUP_BUF struct buf id = {0};
    bool is_new;
    buf_append_str(&id, STR("s:"));
    selector_format(&id, selector);
    struct ipset *set = use(ipsets, buf_str(&id), &is_new);
    if (is_new) {
        set->type = PSYNC_SET_NET;
        fill_by_selector(ipsets, set, selector);
    }
    return set;
}

struct ipset *ipsets_use_named_port(struct ipsets *ipsets, const struct selector *selector,
                                    int protocol, struct str port)
{
    CLEANUP_BUF struct buf id = {0};
    bool is_new;
    buf_printf(&id, "n:%d:%.*s:", protocol, STR_ARG(port));
    if (selector != NULL)
        selector_format(&id, selector);
    else
        buf_append_str(&id, STR("all()"));
    struct ipset *set = use(ipsets, buf_str(&id), &is_new);
    if (is_new) {
        set->type = PSYNC_SET_IP_AND_PORT;
        set->port = arena_copy(&set->arena, port);
        set->protocol = protocol;
        fill_by_selector(ipsets, set, selector);
    }
    return set;
}

struct ipset *ipsets_use_service(struct ipsets *ipsets, struct str namespace, struct str name,
                                 bool with_ports)
{
    CLEANUP_BUF struct buf id = {0};
    bool is_new;
    buf_printf(&id, "%s:%.*s/%.*s", with_ports ? "svc" : "svcnoport", STR_ARG(namespace),
               STR_ARG(name));
    struct ipset *set = use(ipsets, buf_str(&id), &is_new);
    if (is_new) {
        set->type = with_ports ? PSYNC_SET_IP_AND_PORT : PSYNC_SET_NET;
        set->service_namespace = arena_copy(&set->arena, namespace);
        set->service = arena_copy(&set->arena, name);
        services_attach(&ipsets->services, namespace, name, set);
    }
    return set;
}

void ipsets_release_all(struct ipsets *ipsets, struct list *uses)
{
    for (uint32_t i = 0; i < uses->count; i++) {
        struct ipset *set = uses->items[i];
        if (--set->users == 0)
            list_add(&ipsets->unused, set);
    }
    list_free(uses);
}

/* ---- telling ---- */

static int compare_sets(const void *a, const void *b)
{
    return str_cmp((*(struct ipset *const *)a)->id, (*(struct ipset *const *)b)->id);
}

/* Messages go out in the order of ids, so that the same changes always give the same stream. */
static void sort(struct list *sets)
{
    if (sets->count > 1)
        qsort(sets->items, sets->count, sizeof(*sets->items), compare_sets);
}

void ipsets_send_updates(struct ipsets *ipsets, const struct psync_sink *sink)
{
    sort(&ipsets->changed);
    for (uint32_t i = 0; i < ipsets->changed.count; i++) {
        struct ipset *set = ipsets->changed.items[i];
        set->is_changed = false;
        if (set->users > 0)
            ipset_send(set, sink);
    }
    ipsets->changed.count = 0;
}

static void free_set(struct ipset *set)
{
    members_free(&set->members);
    arena_free(&set->arena);
    free(set);
}

static void drop_set(struct ipsets *ipsets, struct ipset *set)
{
    if (set->match.selector != NULL) {
        ipsets->leaving = set;
        label_index_remove(ipsets->index, &set->match);
        ipsets->leaving = NULL;
    } else {
        services_detach(&ipsets->services, set->service_namespace, set->service, set);
    }
    if (set->is_changed)
        list_remove_item(&ipsets->changed, set);
    map_remove(&ipsets->sets, set->id);
    free_set(set);
}

void ipsets_send_removals(struct ipsets *ipsets, const struct psync_sink *sink)
{
    sort(&ipsets->unused);
    for (uint32_t i = 0; i < ipsets->unused.count; i++) {
        struct ipset *set = ipsets->unused.items[i];
        /* It may have found users again; then it may be listed twice. */
        bool is_listed_again = i + 1 < ipsets->unused.count && ipsets->unused.items[i + 1] == set;
        if (set->users > 0 || is_listed_again)
            continue;
        if (set->is_sent)
            sink->message(sink->ctx, &(struct psync_message){.kind = PSYNC_IPSET_REMOVE,
                                                             .ipset_remove = set->id});
        drop_set(ipsets, set);
    }
    ipsets->unused.count = 0;
}

const struct ipset *ipsets_find(const struct ipsets *ipsets, struct str id)
{
    return map_get(&ipsets->sets, id);
}

/* ---- the whole ---- */

struct ipsets_stats ipsets_stats(const struct ipsets *ipsets)
{
    struct ipsets_stats stats = {.sets = ipsets->sets.count,
                                 .peers = ipsets->peers.count,
                                 .labels = label_index_stats(ipsets->index)};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&ipsets->sets, &position)) != NULL)
        stats.members += ((const struct ipset *)entry->value)->members.count;
    return stats;
}

void ipsets_free(struct ipsets *ipsets)
{
    size_t position = 0;
    struct map_entry *entry;
    if (ipsets == NULL)
        return;
    label_index_free(ipsets->index);
    services_free(&ipsets->services);
    while ((entry = map_next(&ipsets->sets, &position)) != NULL)
        free_set(entry->value);
    position = 0;
    while ((entry = map_next(&ipsets->peers, &position)) != NULL)
        free(entry->value);
    map_free(&ipsets->sets);
    map_free(&ipsets->peers);
    list_free(&ipsets->changed);
    list_free(&ipsets->unused);
    free(ipsets);
}
