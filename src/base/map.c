#include "base/map.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"

/* SipHash-1-3 after Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). */

static uint64_t hash_key[2];

/* Before main: no thread exists yet, so the key needs no lock afterwards. */
__attribute__((constructor)) static void draw_hash_key(void)
{
    if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) != (ssize_t)sizeof(hash_key)) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        hash_key[0] ^= (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u;
        hash_key[1] ^= (uint64_t)(uintptr_t)&now;
    }
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

uint64_t map_hash(struct str key)
{
    uint64_t v[4] = {
        hash_key[0] ^ 0x736f6d6570736575u,
        hash_key[1] ^ 0x646f72616e646f6du,
        hash_key[0] ^ 0x6c7967656e657261u,
        hash_key[1] ^ 0x7465646279746573u,
    };
    size_t whole = key.len / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t i = whole; i < key.len; i++)
        last |= (uint64_t)(unsigned char)key.ptr[i] << (8 * (i - whole));
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The place of `key`, or the empty place where it belongs. Capacity must not be 0. */
static size_t find_place(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->capacity - 1;
    size_t i = (size_t)hash & mask;
    while (m->entries[i].value != NULL &&
           !(m->entries[i].hash == hash && str_eq(m->entries[i].key, key)))
        i = (i + 1) & mask;
    return i;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity > 0 ? old.capacity * 2 : 16;
    m->entries = mem_zalloc(m->capacity * sizeof(*m->entries));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].value != NULL)
            m->entries[find_place(m, old.entries[i].key, old.entries[i].hash)] = old.entries[i];
    }
    free(old.entries);
}

void *map_get(const struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    return m->entries[find_place(m, key, map_hash(key))].value;
}

void *map_set(struct map *m, struct str key, void *value)
{
    if ((m->count + 1) * 4 > m->capacity * 3)
        grow(m);
    uint64_t hash = map_hash(key);
    struct map_entry *entry = &m->entries[find_place(m, key, hash)];
    void *old = entry->value;
    *entry = (struct map_entry){key, value, hash};
    m->count += old == NULL;
    return old;
}

void *map_remove(struct map *m, struct str key)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->capacity - 1;
    size_t hole = find_place(m, key, map_hash(key));
    void *old = m->entries[hole].value;
    if (old == NULL)
        return NULL;
    /* Close the gap: entries behind it that probed over it move up, so that no mark is left behind. */
    for (size_t i = (hole + 1) & mask; m->entries[i].value != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)m->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->entries[hole] = m->entries[i];
            hole = i;
        }
    }
    m->entries[hole] = (struct map_entry){0};
    m->count--;
    return old;
}

void map_free(struct map *m)
{
    free(m->entries);
    *m = (struct map){0};
}

struct map_entry *map_next(const struct map *m, size_t *position)
{
    while (*position < m->capacity) {
        struct map_entry *entry = &m->entries[(*position)++];
        if (entry->value != NULL)
            return entry;
    }
    return NULL;
}
