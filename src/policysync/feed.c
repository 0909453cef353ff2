#include "policysync/feed.h"

#include "policysync/encode.h"
#include "policysync/feed_private.h"

struct feed *feed_new(const struct feed_source *source)
{
    struct feed *feed = mem_zalloc(sizeof(*feed));
    feed->source = *source;
    chain_init(&feed->label_changes, &feed->change_bytes);
    return feed;
}

/* ---- policies and profiles ---- */

static struct feed_item *find_item(struct feed *feed, const struct psync_message *removal)
{
    CLEANUP_BUF struct buf key = {0};
    psync_encode(&key, removal);
    return map_get(&feed->items, buf_str(&key));
}

static struct feed_item *use_item(struct feed *feed, const struct psync_message *removal)
{
    CLEANUP_BUF struct buf key = {0};
    psync_encode(&key, removal);
    struct feed_item *item = map_get(&feed->items, buf_str(&key));
    if (item != NULL)
        return item;
    item = mem_zalloc(sizeof(*item) + key.len);
    item->kind = removal->kind == PSYNC_POLICY_REMOVE ? FEED_POLICY : FEED_PROFILE;
    memcpy(item->text, key.data, key.len);
    item->key = str_make(item->text, key.len);
    map_set(&feed->items, item->key, item);
    return item;
}

static void free_item(struct feed_item *item)
{
    blob_unref(item->update);
    list_free(&item->sets);
    list_free(&item->readers);
    free(item);
}

void feed_item_release(struct feed *feed, struct feed_item *item)
{
    if (item->exists || item->readers.count > 0)
        return;
    map_remove(&feed->items, item->key);
    free_item(item);
}

static void note_sets(struct feed *feed, struct feed_item *item, const struct psync_strings *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        struct feed_set *set = feed_set_use(feed, ids->items[i]);
        if (set->stamp != feed->round)
            list_add(&item->sets, set);
        set->stamp = feed->round;
    }
}

static void note_sets_of_side(struct feed *feed, struct feed_item *item,
                              const struct psync_rule_side *side)
{
    note_sets(feed, item, &side->set_ids);
    note_sets(feed, item, &side->not_set_ids);
    note_sets(feed, item, &side->named_port_set_ids);
    note_sets(feed, item, &side->not_named_port_set_ids);
    note_sets(feed, item, &side->ip_port_set_ids);
}

static void note_sets_of_rules(struct feed *feed, struct feed_item *item,
                               const struct psync_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        note_sets_of_side(feed, item, &rules->items[i].source);
        note_sets_of_side(feed, item, &rules->items[i].destination);
    }
}

static void set_item(struct feed *feed, const struct psync_message *removal,
                     const struct psync_message *update, const struct psync_rules *inbound,
                     const struct psync_rules *outbound)
{
    CLEANUP_BUF struct buf bytes = {0};
    struct feed_item *item = use_item(feed, removal);
    psync_encode(&bytes, update);
    blob_unref(item->update);
    item->update = blob_new(buf_str(&bytes));
    item->exists = true;
    item->version++;
    item->sets.count = 0;
    feed->round++;
    note_sets_of_rules(feed, item, inbound);
    note_sets_of_rules(feed, item, outbound);
    for (uint32_t i = 0; i < item->readers.count; i++)
        feed_reader_item_changed(item->readers.items[i]);
}

static void set_policy(struct feed *feed, const struct psync_message *update)
{
    const struct psync_message removal = {.kind = PSYNC_POLICY_REMOVE,
                                          .policy_remove = update->policy.id};
    set_item(feed, &removal, update, &update->policy.inbound, &update->policy.outbound);
}

static void set_profile(struct feed *feed, const struct psync_message *update)
{
    const struct psync_message removal = {.kind = PSYNC_PROFILE_REMOVE,
                                          .profile_remove = update->profile.name};
    set_item(feed, &removal, update, &update->profile.inbound, &update->profile.outbound);
}

/* No endpoint names it any more, so readers will be told in their own time. */
static void remove_item(struct feed *feed, const struct psync_message *removal)
{
    struct feed_item *item = use_item(feed, removal);
    item->exists = false;
    feed_item_release(feed, item);
}

/* ---- endpoints ---- */

struct feed_endpoint *feed_endpoint_use(struct feed *feed, const struct psync_endpoint_id *id)
{
    CLEANUP_BUF struct buf key = {0};
    const struct psync_message removal = {.kind = PSYNC_ENDPOINT_REMOVE, .endpoint_remove = *id};
    psync_encode(&key, &removal);
    struct feed_endpoint *endpoint = map_get(&feed->endpoints, buf_str(&key));
    if (endpoint != NULL)
        return endpoint;
    endpoint = mem_zalloc(sizeof(*endpoint) + key.len);
    memcpy(endpoint->text, key.data, key.len);
    endpoint->key = str_make(endpoint->text, key.len);
    map_set(&feed->endpoints, endpoint->key, endpoint);
    return endpoint;
}

static void free_endpoint(struct feed_endpoint *endpoint)
{
    blob_unref(endpoint->update);
    list_free(&endpoint->items);
    list_free(&endpoint->readers);
    free(endpoint);
}

void feed_endpoint_release(struct feed *feed, struct feed_endpoint *endpoint)
{
    if (endpoint->update != NULL || endpoint->readers.count > 0)
        return;
    map_remove(&feed->endpoints, endpoint->key);
    free_endpoint(endpoint);
}

static void note_item(struct feed *feed, struct feed_endpoint *endpoint,
                      const struct psync_message *removal)
{
    struct feed_item *item = find_item(feed, removal);
    if (item == NULL || item->stamp == feed->round)
        return;
    item->stamp = feed->round;
    list_add(&endpoint->items, item);
}

static void note_policies(struct feed *feed, struct feed_endpoint *endpoint,
                          const struct psync_policy_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        note_item(
            feed, endpoint,
            &(struct psync_message){.kind = PSYNC_POLICY_REMOVE, .policy_remove = ids->items[i]});
}

static void tell_readers(struct feed_endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->readers.count; i++)
        feed_reader_endpoint_changed(endpoint->readers.items[i]);
}

static void set_endpoint(struct feed *feed, const struct psync_message *update)
{
    CLEANUP_BUF struct buf bytes = {0};
    const struct psync_endpoint *from = &update->endpoint;
    struct feed_endpoint *endpoint = feed_endpoint_use(feed, &from->id);
    psync_encode(&bytes, update);
    blob_unref(endpoint->update);
    endpoint->update = blob_new(buf_str(&bytes));
    endpoint->version++;
    endpoint->items.count = 0;
    feed->round++;
    for (size_t i = 0; i < from->tier_count; i++) {
        note_policies(feed, endpoint, &from->tiers[i].ingress);
        note_policies(feed, endpoint, &from->tiers[i].egress);
    }
    for (size_t i = 0; i < from->profile_ids.count; i++)
        note_item(feed, endpoint,
                  &(struct psync_message){.kind = PSYNC_PROFILE_REMOVE,
                                          .profile_remove = from->profile_ids.items[i]});
    tell_readers(endpoint);
}

static void remove_endpoint(struct feed *feed, const struct psync_endpoint_id *id)
{
    struct feed_endpoint *endpoint = feed_endpoint_use(feed, id);
    blob_unref(endpoint->update);
    endpoint->update = NULL;
    endpoint->items.count = 0;
    tell_readers(endpoint);
    feed_endpoint_release(feed, endpoint);
}

/* ---- messages ---- */

static void on_message(void *ctx, const struct psync_message *message)
{
    struct feed *feed = ctx;
    switch (message->kind) {
    case PSYNC_IGNORED:
        return;
    case PSYNC_IN_SYNC:
        feed->in_sync = true;
        for (uint32_t i = 0; i < feed->readers.count; i++)
            feed_reader_in_sync(feed->readers.items[i]);
        return;
    case PSYNC_IPSET_UPDATE:
        feed_set_update(feed, &message->ipset_update);
        return;
    case PSYNC_IPSET_DELTA:
        feed_set_delta(feed, &message->ipset_delta);
        return;
    case PSYNC_IPSET_REMOVE:
        feed_set_remove(feed, message->ipset_remove);
        return;
    case PSYNC_POLICY_UPDATE:
        set_policy(feed, message);
        return;
    case PSYNC_PROFILE_UPDATE:
        set_profile(feed, message);
        return;
    case PSYNC_POLICY_REMOVE:
    case PSYNC_PROFILE_REMOVE:
        remove_item(feed, message);
        return;
    case PSYNC_ENDPOINT_UPDATE:
        set_endpoint(feed, message);
        return;
    case PSYNC_ENDPOINT_REMOVE:
        remove_endpoint(feed, &message->endpoint_remove);
        return;
    case PSYNC_ACCOUNT_UPDATE:
    case PSYNC_NAMESPACE_UPDATE:
        feed_labels_set(feed, message);
        return;
    case PSYNC_ACCOUNT_REMOVE:
    case PSYNC_NAMESPACE_REMOVE:
        feed_labels_remove(feed, message);
        return;
    }
}

static void on_batch_end(void *ctx)
{
    struct feed *feed = ctx;
    feed_labels_end_batch(feed);
    /* A reader may leave while others are told. */
    while (feed->woken.count > 0) {
        struct feed_reader *reader = feed->woken.items[feed->woken.count - 1];
        feed->woken.count--;
        reader->is_woken = false;
        if (reader->is_ready)
            continue;
        reader->is_ready = true;
        reader->events.ready(reader->events.ctx);
    }
}

struct psync_sink feed_sink(struct feed *feed)
{
    return (struct psync_sink){on_message, on_batch_end, feed};
}

/* ---- the whole ---- */

bool feed_keeps_sets(const struct feed *feed)
{
    return feed->cached.count > 0;
}

void feed_trim(struct feed *feed)
{
    while (feed->cached.count > 0)
        feed_set_drop_snapshot(feed, feed->cached.items[0]);
}

static size_t count_items(const struct feed *feed, enum feed_item_kind kind)
{
    size_t count = 0, position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&feed->items, &position)) != NULL)
        count += ((const struct feed_item *)entry->value)->kind == kind;
    return count;
}

struct feed_stats feed_stats(const struct feed *feed)
{
    return (struct feed_stats){.readers = feed->readers.count,
                               .sets = feed->sets.count,
                               .policies = count_items(feed, FEED_POLICY),
                               .profiles = count_items(feed, FEED_PROFILE),
                               .endpoints = feed->endpoints.count,
                               .accounts_and_namespaces = feed->labels.count,
                               .in_sync = feed->in_sync};
}

void feed_free(struct feed *feed)
{
    size_t position = 0;
    struct map_entry *entry;
    if (feed == NULL)
        return;
    while ((entry = map_next(&feed->endpoints, &position)) != NULL)
        free_endpoint(entry->value);
    for (position = 0; (entry = map_next(&feed->items, &position)) != NULL;)
        free_item(entry->value);
    for (position = 0; (entry = map_next(&feed->sets, &position)) != NULL;)
        feed_set_free(feed, entry->value);
    feed_labels_free(feed);
    map_free(&feed->endpoints);
    map_free(&feed->items);
    map_free(&feed->sets);
    list_free(&feed->readers);
    list_free(&feed->woken);
    list_free(&feed->cached);
    free(feed);
}
