/* For the tests of feed.h with large sets: one that a pod needs, which grows and shrinks. */
#ifndef TESTS_FEED_LARGE_WORLD_H
#define TESTS_FEED_LARGE_WORLD_H

#include "feed_world.h"
#include "policysync/feed_private.h"

enum { LARGE = FEED_MEMBERS + 10 };

/* A policy of the pod k/web needs the set `s`, which has so many members. */
static inline void open_with_set(struct feed_world *world, size_t size)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, size);
    open_feed(world);
    tell_set(world, "s", PSYNC_SET_NET, &members);
    tell_policy(world, "p", "allow", "s");
    tell_endpoint(world, "k/web", "p", "");
    tell_in_sync(world);
}

/* From the first `from` members to the first `to`. */
static inline void resize(struct feed_world *world, size_t from, size_t to)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings none = {NULL, 0}, after = numbers(&arena, 0, to);
    struct psync_strings changed =
        from < to ? numbers(&arena, from, to) : numbers(&arena, to, from);
    tell_delta(world, "s", from < to ? &changed : &none, from < to ? &none : &changed, &after);
    end_batch(world);
}

#define HEAD "policy P p allow\nendpoint k8s/k/web/eth0"
#define REST HEAD "\nin sync"
/* Of a set of LARGE members. */
#define SECOND "delta s +{82200 82201 82202 82203 82204 82205 82206 82207 82208 82209}"

/* As many members of 100 bytes. */
static inline struct psync_strings long_members(struct arena *arena, size_t count)
{
    struct psync_strings list = {arena_array(arena, count, sizeof(struct str)), 0};
    for (size_t i = 0; i < count; i++)
        list.items[list.count++] = arena_printf(arena, "%0100zu", i);
    return list;
}

/* Resizes the set up and down until more than FEED_LAG bytes wait. */
static inline void outgrow(struct feed_world *world, size_t low, size_t high)
{
    size_t bytes = 0;
    for (int i = 0; bytes < 2 * FEED_LAG; i++) {
        resize(world, i % 2 == 0 ? low : high, i % 2 == 0 ? high : low);
        bytes += (high - low) * 5;
    }
}

/* A sidecar's policy waits in its queue when it is changed once more, and then needs a large set that is new. */
static inline void join_before_new_set(struct feed_world *world, struct sidecar *web)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_strings members = numbers(&arena, 0, LARGE);
    open_feed(world);
    tell_policy(world, "p", "allow", "");
    tell_endpoint(world, "k/web", "p", "");
    tell_in_sync(world);
    join(world, web, "k/web");
    check_reads("join", web, REST);
    tell_policy(world, "p", "log", "");
    end_batch(world);
    tell_set(world, "s", PSYNC_SET_NET, &members);
    tell_policy(world, "p", "deny", "s");
    end_batch(world);
}

#endif
