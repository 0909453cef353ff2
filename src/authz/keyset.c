#include "authz/keyset.h"

#include <stdlib.h>

#include "base/mem.h"

/* Small enough that a change copies little, large enough that pointers and headers are a few percent. */
enum { CHUNK_KEYS = 128 };

struct chunk {
    uint32_t references;
    uint32_t count;
    uint8_t keys[];
};

struct keyset {
    size_t width; /* bytes of a key */
    size_t count; /* keys in all chunks */
    size_t chunk_count;
    struct chunk **chunks;
};

/* A run of sorted keys. */
struct run {
    uint8_t *keys;
    size_t count;
};

static int compare_keys(const void *a, const void *b, void *width)
{
    return memcmp(a, b, *(const size_t *)width);
}

static struct run sorted_run(size_t width, uint8_t *keys, size_t count)
{
    if (count > 1)
        qsort_r(keys, count, width, compare_keys, &width);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        if (unique > 0 && memcmp(keys + (unique - 1) * width, keys + i * width, width) == 0)
            continue;
        memmove(keys + unique++ * width, keys + i * width, width);
    }
    return (struct run){keys, unique};
}

static void add_chunk(struct keyset *set, struct chunk *chunk, size_t *capacity)
{
    MEM_GROW(set->chunks, set->chunk_count, *capacity);
    set->chunks[set->chunk_count++] = chunk;
    set->count += chunk->count;
}

static void release_chunk(struct chunk *chunk)
{
    if (--chunk->references == 0)
        free(chunk);
}

/* Puts a short run into the last chunk, if there is room: or else many removals would leave a row of tiny chunks. */
static bool join_last(struct keyset *set, struct run run)
{
    struct chunk *last = set->chunk_count > 0 ? set->chunks[set->chunk_count - 1] : NULL;
    if (last == NULL || run.count >= CHUNK_KEYS / 4 || last->count + run.count > CHUNK_KEYS)
        return false;
    size_t count = last->count + run.count, width = set->width;
    struct chunk *joined = mem_alloc(sizeof(*joined) + count * width);
    joined->references = 1;
    joined->count = (uint32_t)count;
    memcpy(joined->keys, last->keys, last->count * width);
    memcpy(joined->keys + last->count * width, run.keys, run.count * width);
    set->chunks[set->chunk_count - 1] = joined;
    set->count += run.count;
    release_chunk(last);
    return true;
}

/* Appends a run as chunks of about equal size. */
static void add_run(struct keyset *set, struct run run, size_t *capacity)
{
    if (run.count == 0 || join_last(set, run))
        return;
    size_t pieces = (run.count + CHUNK_KEYS - 1) / CHUNK_KEYS;
    for (size_t i = 0; i < pieces; i++) {
        size_t first = run.count * i / pieces, end = run.count * (i + 1) / pieces;
        struct chunk *chunk = mem_alloc(sizeof(*chunk) + (end - first) * set->width);
        chunk->references = 1;
        chunk->count = (uint32_t)(end - first);
        memcpy(chunk->keys, run.keys + first * set->width, (end - first) * set->width);
        add_chunk(set, chunk, capacity);
    }
}

struct keyset *keyset_build(size_t width, uint8_t *keys, size_t count)
{
    struct keyset *set = mem_zalloc(sizeof(*set));
    size_t capacity = 0;
    set->width = width;
    add_run(set, sorted_run(width, keys, count), &capacity);
    return set;
}

/* How many keys at the head of the run are less than `key` (all, if key is NULL). */
static size_t count_less(struct run run, size_t width, const uint8_t *key)
{
    size_t low = 0, high = run.count;
    while (key != NULL && low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(run.keys + middle * width, key, width) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return key != NULL ? low : run.count;
}

static struct run take(struct run *from, size_t count, size_t width)
{
    struct run head = {from->keys, count};
    from->keys += count * width;
    from->count -= count;
    return head;
}

/* old + added - removed, all sorted, into `out`; returns the number of keys. */
static size_t merge(struct run old, struct run added, struct run removed, size_t width,
                    uint8_t *out)
{
    size_t n = 0;
    while (old.count > 0 || added.count > 0) {
        int order = old.count == 0     ? 1
                    : added.count == 0 ? -1
                                       : memcmp(old.keys, added.keys, width);
        const uint8_t *key = order <= 0 ? old.keys : added.keys;
        if (order <= 0)
            take(&old, 1, width);
        if (order >= 0)
            take(&added, 1, width);
        while (removed.count > 0 && memcmp(removed.keys, key, width) < 0)
            take(&removed, 1, width);
        if (removed.count > 0 && memcmp(removed.keys, key, width) == 0)
            continue;
        memcpy(out + n++ * width, key, width);
    }
    return n;
}

struct keyset *keyset_apply(const struct keyset *old, uint8_t *added, size_t added_count,
                            uint8_t *removed, size_t removed_count)
{
    size_t width = old->width;
    struct run in = sorted_run(width, added, added_count);
    struct run out = sorted_run(width, removed, removed_count);
    struct keyset *set = mem_zalloc(sizeof(*set));
    size_t capacity = 0;
    set->width = width;
    uint8_t *merged = mem_alloc((in.count + CHUNK_KEYS) * width);
    /* Each chunk takes the changes below the next chunk's first key; without chunks, one round takes all. */
    for (size_t i = 0; i < old->chunk_count || (i == 0 && in.count > 0); i++) {
        struct chunk *chunk = i < old->chunk_count ? old->chunks[i] : NULL;
        const uint8_t *limit = i + 1 < old->chunk_count ? old->chunks[i + 1]->keys : NULL;
        struct run adds = take(&in, count_less(in, width, limit), width);
        struct run removes = take(&out, count_less(out, width, limit), width);
        if (chunk != NULL && adds.count == 0 && removes.count == 0) {
            chunk->references++;
            add_chunk(set, chunk, &capacity);
            continue;
        }
        struct run kept =
            chunk != NULL ? (struct run){chunk->keys, chunk->count} : (struct run){NULL, 0};
        size_t count = merge(kept, adds, removes, width, merged);
        add_run(set, (struct run){merged, count}, &capacity);
    }
    free(merged);
    return set;
}

bool keyset_contains(const struct keyset *set, const uint8_t *key)
{
    size_t width = set->width;
    /* The last chunk that begins at or below the key. */
    size_t low = 0, high = set->chunk_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(set->chunks[middle]->keys, key, width) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    struct chunk *chunk = set->chunks[low - 1];
    size_t at = count_less((struct run){chunk->keys, chunk->count}, width, key);
    return at < chunk->count && memcmp(chunk->keys + at * width, key, width) == 0;
}

size_t keyset_count(const struct keyset *set)
{
    return set->count;
}

void keyset_release(struct keyset *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->chunk_count; i++)
        release_chunk(set->chunks[i]);
    free(set->chunks);
    free(set);
}
