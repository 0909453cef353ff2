/* For the tests of feed.h: a feed that is told things in few words, the sets behind it, and sidecars that read. */
#ifndef TESTS_FEED_WORLD_H
#define TESTS_FEED_WORLD_H

#include <stdlib.h>

#include "policysync/decode.h"
#include "policysync/feed.h"

#include "check.h"
#include "message_show.h"

/* What the calculation would say of a set. */
struct feed_source_set {
    const char *id;
    int type;
    struct psync_strings members;
    struct arena arena;
};

struct feed_world {
    struct feed *feed;
    struct psync_sink sink;
    struct feed_source_set sets[24];
    size_t set_count;
    unsigned asked; /* how often sets were asked for */
};

struct sidecar {
    struct feed_reader *reader;
    unsigned ready; /* how often it was told that there is something to read */
};

/* ---- the source ---- */

static inline bool on_set_members(void *ctx, struct str id, struct arena *arena, int *type,
                                  struct psync_strings *members)
{
    struct feed_world *world = ctx;
    (void)arena; /* the sets live as long */
    world->asked++;
    for (size_t i = 0; i < world->set_count; i++) {
        if (!str_eq(str_from_c(world->sets[i].id), id))
            continue;
        *type = world->sets[i].type;
        *members = world->sets[i].members;
        return true;
    }
    return false;
}

static inline struct feed_source_set *source_set(struct feed_world *world, const char *id)
{
    for (size_t i = 0; i < world->set_count; i++) {
        if (strcmp(world->sets[i].id, id) == 0)
            return &world->sets[i];
    }
    assert_in_range(world->set_count, 0, COUNT(world->sets) - 1);
    struct feed_source_set *set = &world->sets[world->set_count++];
    set->id = id;
    return set;
}

static inline void set_source(struct feed_world *world, const char *id, int type,
                              const struct psync_strings *members)
{
    struct feed_source_set *set = source_set(world, id);
    struct arena arena = {0};
    struct psync_strings copy = {arena_array(&arena, members->count, sizeof(struct str)),
                                 members->count};
    for (size_t i = 0; i < members->count; i++)
        copy.items[i] = arena_copy(&arena, members->items[i]);
    arena_free(&set->arena);
    set->arena = arena;
    set->type = type;
    set->members = copy;
}

/* Words between blanks. */
static inline struct psync_strings words(struct arena *arena, const char *text)
{
    struct psync_strings list = {arena_array(arena, strlen(text), sizeof(struct str)), 0};
    struct str rest = arena_copy(arena, str_from_c(text));
    while (rest.len > 0)
        str_cut(rest, ' ', &list.items[list.count++], &rest);
    return list;
}

/* "0", "1", …: members of a large set. The feed does not look at what they are. */
static inline struct psync_strings numbers(struct arena *arena, size_t from, size_t to)
{
    struct psync_strings list = {arena_array(arena, to - from, sizeof(struct str)), 0};
    for (size_t i = from; i < to; i++)
        list.items[list.count++] = arena_printf(arena, "%zu", i);
    return list;
}

/* ---- telling the feed ---- */

static inline void open_feed(struct feed_world *world)
{
    const struct feed_source source = {on_set_members, world};
    *world = (struct feed_world){.feed = feed_new(&source)};
    world->sink = feed_sink(world->feed);
}

static inline void close_feed(struct feed_world *world)
{
    feed_free(world->feed);
    for (size_t i = 0; i < world->set_count; i++)
        arena_free(&world->sets[i].arena);
}

static inline void tell(struct feed_world *world, struct psync_message message)
{
    world->sink.message(world->sink.ctx, &message);
}

static inline void end_batch(struct feed_world *world)
{
    world->sink.batch_end(world->sink.ctx);
}

static inline void tell_in_sync(struct feed_world *world)
{
    tell(world, (struct psync_message){.kind = PSYNC_IN_SYNC});
    end_batch(world);
}

static inline void tell_set(struct feed_world *world, const char *id, int type,
                            const struct psync_strings *members)
{
    set_source(world, id, type, members);
    tell(world, (struct psync_message){.kind = PSYNC_IPSET_UPDATE,
                                       .ipset_update = {str_from_c(id), type, *members}});
}

static inline void tell_members(struct feed_world *world, const char *id, const char *members)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings list = words(&arena, members);
    tell_set(world, id, PSYNC_SET_NET, &list);
}

static inline void tell_delta(struct feed_world *world, const char *id,
                              const struct psync_strings *added,
                              const struct psync_strings *removed,
                              const struct psync_strings *after)
{
    set_source(world, id, PSYNC_SET_NET, after);
    tell(world, (struct psync_message){.kind = PSYNC_IPSET_DELTA,
                                       .ipset_delta = {str_from_c(id), *added, *removed}});
}

/* `after`: all members then. */
static inline void tell_change(struct feed_world *world, const char *id, const char *added,
                               const char *removed, const char *after)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings plus = words(&arena, added), minus = words(&arena, removed);
    struct psync_strings all = words(&arena, after);
    tell_delta(world, id, &plus, &minus, &all);
}

static inline void tell_no_set(struct feed_world *world, const char *id)
{
    tell(world, (struct psync_message){.kind = PSYNC_IPSET_REMOVE, .ipset_remove = str_from_c(id)});
}

static inline struct psync_policy_id feed_policy_id(struct str name)
{
    return (struct psync_policy_id){.name = name, .kind = STR("P")};
}

/* With one rule that names these sets. */
static inline void tell_policy(struct feed_world *world, const char *name, const char *action,
                               const char *sets)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_rule rule = {.action = str_from_c(action),
                              .source = {.set_ids = words(&arena, sets)}};
    tell(world, (struct psync_message){
                    .kind = PSYNC_POLICY_UPDATE,
                    .policy = {.id = feed_policy_id(str_from_c(name)), .inbound = {&rule, 1}}});
}

static inline void tell_no_policy(struct feed_world *world, const char *name)
{
    tell(world, (struct psync_message){.kind = PSYNC_POLICY_REMOVE,
                                       .policy_remove = feed_policy_id(str_from_c(name))});
}

static inline void tell_profile(struct feed_world *world, const char *name)
{
    tell(world, (struct psync_message){.kind = PSYNC_PROFILE_UPDATE,
                                       .profile = {.name = str_from_c(name)}});
}

static inline void tell_no_profile(struct feed_world *world, const char *name)
{
    tell(world,
         (struct psync_message){.kind = PSYNC_PROFILE_REMOVE, .profile_remove = str_from_c(name)});
}

static inline struct psync_endpoint_id feed_endpoint_id(const char *pod)
{
    return (struct psync_endpoint_id){STR("k8s"), str_from_c(pod), STR("eth0")};
}

static inline void tell_endpoint(struct feed_world *world, const char *pod, const char *policies,
                                 const char *profiles)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings names = words(&arena, policies);
    struct psync_tier tier = {.ingress.items =
                                  arena_array(&arena, names.count, sizeof(struct psync_policy_id))};
    for (size_t i = 0; i < names.count; i++)
        tier.ingress.items[tier.ingress.count++] = feed_policy_id(names.items[i]);
    tell(world, (struct psync_message){.kind = PSYNC_ENDPOINT_UPDATE,
                                       .endpoint = {.id = feed_endpoint_id(pod),
                                                    .profile_ids = words(&arena, profiles),
                                                    .tiers = &tier,
                                                    .tier_count = 1}});
}

static inline void tell_no_endpoint(struct feed_world *world, const char *pod)
{
    tell(world, (struct psync_message){.kind = PSYNC_ENDPOINT_REMOVE,
                                       .endpoint_remove = feed_endpoint_id(pod)});
}

static inline void tell_namespace(struct feed_world *world, const char *name, const char *value)
{
    struct label label = {STR("v"), str_from_c(value)};
    tell(world,
         (struct psync_message){.kind = PSYNC_NAMESPACE_UPDATE,
                                .namespace = {.name = str_from_c(name), .labels = {&label, 1}}});
}

static inline void tell_no_namespace(struct feed_world *world, const char *name)
{
    tell(world, (struct psync_message){.kind = PSYNC_NAMESPACE_REMOVE,
                                       .namespace = {.name = str_from_c(name)}});
}

static inline void tell_account(struct feed_world *world, const char *namespace, const char *name)
{
    tell(world, (struct psync_message){
                    .kind = PSYNC_ACCOUNT_UPDATE,
                    .account = {.namespace = str_from_c(namespace), .name = str_from_c(name)}});
}

/* ---- reading ---- */

static inline void on_ready(void *ctx)
{
    ((struct sidecar *)ctx)->ready++;
}

static inline void join(struct feed_world *world, struct sidecar *sidecar, const char *pod)
{
    const struct psync_endpoint_id id = feed_endpoint_id(pod);
    const struct feed_events events = {on_ready, sidecar};
    sidecar->ready = 0;
    sidecar->reader = feed_join(world->feed, &id, &events);
}

/* Large sets are told by their numbers of members. */
static inline void show_read(struct buf *out, const struct psync_message *m)
{
    enum { SHOWN = 10 };
    show_subject(out, m);
    if (m->kind == PSYNC_IPSET_UPDATE && m->ipset_update.members.count > SHOWN)
        buf_printf(out, " %zu", m->ipset_update.members.count);
    else if (m->kind == PSYNC_IPSET_UPDATE)
        show_names(out, "", &m->ipset_update.members);
    if (m->kind == PSYNC_IPSET_DELTA &&
        m->ipset_delta.added.count + m->ipset_delta.removed.count > SHOWN) {
        buf_printf(out, " +%zu -%zu", m->ipset_delta.added.count, m->ipset_delta.removed.count);
    } else if (m->kind == PSYNC_IPSET_DELTA) {
        show_names(out, "+", &m->ipset_delta.added);
        show_names(out, "-", &m->ipset_delta.removed);
    }
    if (m->kind == PSYNC_POLICY_UPDATE)
        buf_printf(out, " %.*s", STR_ARG(m->policy.inbound.items[0].action));
    if (m->kind == PSYNC_NAMESPACE_UPDATE && m->namespace.labels.items[0].value.len <= SHOWN)
        buf_printf(out, " %.*s", STR_ARG(m->namespace.labels.items[0].value));
}

static inline void append_line(struct buf *out, const struct psync_message *message,
                               const char *other)
{
    if (out->len > 0)
        buf_append_byte(out, '\n');
    if (message != NULL)
        show_read(out, message);
    else
        buf_append_str(out, str_from_c(other));
}

/* Reads at most so many messages; each on a line; "ended" or "behind" at the end, if it is. */
static inline void read_into(struct buf *out, struct sidecar *sidecar, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct psync_message message;
        struct error err;
        struct str bytes;
        enum feed_result result = feed_read(sidecar->reader, &bytes);
        if (result == FEED_NOTHING)
            return;
        if (result == FEED_ENDED || result == FEED_BEHIND) {
            append_line(out, NULL, result == FEED_ENDED ? "ended" : "behind");
            return;
        }
        if (!psync_decode(&arena, bytes, &message, &err))
            fail_msg("%s", err.text);
        append_line(out, &message, NULL);
    }
}

static inline void check_reads_at_most(const char *name, struct sidecar *sidecar, size_t most,
                                       const char *expected)
{
    CLEANUP_BUF struct buf out = {0};
    read_into(&out, sidecar, most);
    if (!str_eq(buf_str(&out), str_from_c(expected)))
        fail_msg("%s: got:\n%.*s\nexpected:\n%s", name, STR_ARG(buf_str(&out)), expected);
}

/* All that there is to read. */
static inline void check_reads(const char *name, struct sidecar *sidecar, const char *expected)
{
    check_reads_at_most(name, sidecar, 1000, expected);
}

#endif
