#include "calc/sent.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "policysync/decode.h"
#include "policysync/encode.h"

/* One thing that the receiver has: its last update message, encoded. */
struct item {
    struct buf key;
    struct buf message;
    bool offered; /* in this round */
};

struct sent {
    struct map items; /* key -> struct item */
    const struct psync_sink *sink;
};

struct sent *sent_new(void)
{
    return mem_zalloc(sizeof(struct sent));
}

static void free_item(struct item *item)
{
    if (item == NULL)
        return;
    buf_free(&item->key);
    buf_free(&item->message);
    free(item);
}

void sent_free(struct sent *sent)
{
    size_t position = 0;
    struct map_entry *entry;
    if (sent == NULL)
        return;
    while ((entry = map_next(&sent->items, &position)) != NULL)
        free_item(entry->value);
    map_free(&sent->items);
    free(sent);
}

/* The message that takes back what `update` says; it is also the thing's key, since it holds just the id. */
static struct psync_message removal_of(const struct psync_message *update)
{
    switch (update->kind) {
    case PSYNC_IPSET_UPDATE:
        return (struct psync_message){.kind = PSYNC_IPSET_REMOVE,
                                      .ipset_remove = update->ipset_update.id};
    case PSYNC_PROFILE_UPDATE:
        return (struct psync_message){.kind = PSYNC_PROFILE_REMOVE,
                                      .profile_remove = update->profile.name};
    case PSYNC_POLICY_UPDATE:
        return (struct psync_message){.kind = PSYNC_POLICY_REMOVE,
                                      .policy_remove = update->policy.id};
    case PSYNC_ENDPOINT_UPDATE:
        return (struct psync_message){.kind = PSYNC_ENDPOINT_REMOVE,
                                      .endpoint_remove = update->endpoint.id};
    case PSYNC_ACCOUNT_UPDATE:
        return (struct psync_message){
            .kind = PSYNC_ACCOUNT_REMOVE,
            .account = {.namespace = update->account.namespace, .name = update->account.name}};
    case PSYNC_NAMESPACE_UPDATE:
        return (struct psync_message){.kind = PSYNC_NAMESPACE_REMOVE,
                                      .namespace = {.name = update->namespace.name}};
    default:
        return (struct psync_message){.kind = PSYNC_IGNORED};
    }
}

static void send(struct sent *sent, const struct psync_message *message)
{
    sent->sink->message(sent->sink->ctx, message);
}

void sent_begin(struct sent *sent, const struct psync_sink *sink)
{
    size_t position = 0;
    struct map_entry *entry;
    sent->sink = sink;
    while ((entry = map_next(&sent->items, &position)) != NULL)
        ((struct item *)entry->value)->offered = false;
}

/* Those of `a` that are not in `b`; both are sorted. */
static struct psync_strings difference(struct arena *arena, struct psync_strings a,
                                       struct psync_strings b)
{
    struct psync_strings only = {arena_array(arena, a.count, sizeof(*only.items)), 0};
    size_t j = 0;
    for (size_t i = 0; i < a.count; i++) {
        while (j < b.count && str_cmp(b.items[j], a.items[i]) < 0)
            j++;
        if (j == b.count || !str_eq(a.items[i], b.items[j]))
            only.items[only.count++] = a.items[i];
    }
    return only;
}

static void send_set_change(struct sent *sent, const struct item *item,
                            const struct psync_message *update)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct error err;
    struct psync_message old;
    /* These bytes are our own encoding, so they decode. */
    if (!psync_decode(&arena, buf_str(&item->message), &old, &err) ||
        old.ipset_update.type != update->ipset_update.type) {
        send(sent, update);
        return;
    }
    struct psync_strings before = old.ipset_update.members, after = update->ipset_update.members;
    struct psync_message delta = {
        .kind = PSYNC_IPSET_DELTA,
        .ipset_delta = {.id = update->ipset_update.id,
                        .added = difference(&arena, after, before),
                        .removed = difference(&arena, before, after)},
    };
    send(sent, &delta);
}

void sent_offer(struct sent *sent, const struct psync_message *update)
{
    struct psync_message removal = removal_of(update);
    struct buf key = {0}, message = {0};
    psync_encode(&key, &removal);
    psync_encode(&message, update);
    struct item *item = map_get(&sent->items, buf_str(&key));
    bool is_new = item == NULL;
    if (is_new) {
        item = mem_zalloc(sizeof(*item));
        item->key = key;
        map_set(&sent->items, buf_str(&item->key), item);
    } else {
        buf_free(&key);
    }
    item->offered = true;
    if (!is_new && str_eq(buf_str(&item->message), buf_str(&message))) {
        buf_free(&message);
        return;
    }
    if (!is_new && update->kind == PSYNC_IPSET_UPDATE)
        send_set_change(sent, item, update);
    else
        send(sent, update);
    buf_free(&item->message);
    item->message = message;
}

struct removals {
    struct item **items;
    size_t count, capacity;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;
    return str_cmp(buf_str(&x->key), buf_str(&y->key));
}

static void remove_kind(struct sent *sent, const struct removals *removals, enum psync_kind kind)
{
    for (size_t i = 0; i < removals->count; i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct error err;
        struct psync_message removal;
        if (psync_decode(&arena, buf_str(&removals->items[i]->key), &removal, &err) &&
            removal.kind == kind)
            send(sent, &removal);
    }
}

void sent_end(struct sent *sent)
{
    static const enum psync_kind order[] = {
        PSYNC_ENDPOINT_REMOVE, PSYNC_PROFILE_REMOVE, PSYNC_POLICY_REMOVE,
        PSYNC_IPSET_REMOVE,    PSYNC_ACCOUNT_REMOVE, PSYNC_NAMESPACE_REMOVE,
    };
    struct removals removals = {0};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&sent->items, &position)) != NULL) {
        struct item *item = entry->value;
        if (item->offered)
            continue;
        MEM_GROW(removals.items, removals.count, removals.capacity);
        removals.items[removals.count++] = item;
    }
    if (removals.count > 1)
        qsort(removals.items, removals.count, sizeof(*removals.items), compare_items);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        remove_kind(sent, &removals, order[i]);
    for (size_t i = 0; i < removals.count; i++) {
        map_remove(&sent->items, buf_str(&removals.items[i]->key));
        free_item(removals.items[i]);
    }
    free(removals.items);
}
