/* keyset.h: sets and their versions against a plain table of what must be in them. */
#include "authz/keyset.h"

#include <stdlib.h>

#include "base/mem.h"
#include "random.h"

enum { WIDEST = 19 };
static const size_t widths[] = {5, 7, 17, 19};

/* Keys are numbers below the universe's size, spelt over the whole width so that every byte counts
 * in some of them. */
static void write_key(uint8_t *key, size_t width, size_t number)
{
    memset(key, number % 3 == 0 ? 0xff : 0, width);
    key[0] = (uint8_t)(number >> 8);
    key[width / 2] = (uint8_t)number;
    key[width - 1] = (uint8_t)(number * 7);
}

/* A version, and what it must hold. */
struct version {
    struct keyset *set;
    bool *has;
};

struct universe {
    size_t width, size;
    struct random *random;
};

/* A random batch of keys out of a stretch of the universe, with doubles; notes them in `touched`. */
static uint8_t *random_batch(const struct universe *u, size_t limit, bool *touched, size_t *count)
{
    size_t first = random_below(u->random, u->size),
           span = 1 + random_below(u->random, u->size - first);
    *count = random_below(u->random, limit + 1);
    uint8_t *keys = *count > 0 ? mem_alloc(*count * u->width) : NULL;
    for (size_t i = 0; i < *count; i++) {
        size_t number = first + random_below(u->random, span);
        write_key(keys + i * u->width, u->width, number);
        touched[number] = true;
    }
    return keys;
}

static void check_version(const struct universe *u, const struct version *version)
{
    size_t count = 0;
    for (size_t i = 0; i < u->size; i++) {
        uint8_t key[WIDEST];
        write_key(key, u->width, i);
        assert_int_equal(keyset_contains(version->set, key), version->has[i]);
        count += version->has[i];
    }
    assert_int_equal(keyset_count(version->set), count);
}

static struct version build_version(const struct universe *u, size_t limit)
{
    size_t count;
    struct version version = {.has = mem_zalloc(u->size * sizeof(bool))};
    uint8_t *keys = random_batch(u, limit, version.has, &count);
    version.set = keyset_build(u->width, keys, count);
    free(keys);
    return version;
}

/* Additions come before removals: what is in both is out. */
static struct version next_version(const struct universe *u, const struct version *old,
                                   size_t limit)
{
    CLEANUP_FREE bool *removed = mem_zalloc(u->size * sizeof(bool));
    struct version version = {.has = mem_alloc(u->size * sizeof(bool))};
    memcpy(version.has, old->has, u->size * sizeof(bool));
    size_t added_count, removed_count;
    uint8_t *add = random_batch(u, limit, version.has, &added_count);
    uint8_t *remove = random_batch(u, limit, removed, &removed_count);
    for (size_t i = 0; i < u->size; i++)
        version.has[i] &= !removed[i];
    version.set = keyset_apply(old->set, add, added_count, remove, removed_count);
    free(add);
    free(remove);
    return version;
}

static void free_version(struct version *version)
{
    keyset_release(version->set);
    free(version->has);
}

/* A chain of versions. All stay alive until the end and are looked at again then, the oldest
 * released in the middle. */
static void check_history(const struct universe *u, size_t built, size_t changed)
{
    enum { VERSIONS = 12 };
    struct version versions[VERSIONS];
    versions[0] = build_version(u, built);
    for (size_t i = 1; i < VERSIONS; i++) {
        versions[i] = next_version(u, &versions[i - 1], changed);
        check_version(u, &versions[i]);
    }
    for (size_t i = 0; i < VERSIONS; i++)
        check_version(u, &versions[i]);
    for (size_t i = 0; i < VERSIONS; i += 2)
        free_version(&versions[i]);
    for (size_t i = 1; i < VERSIONS; i += 2) {
        check_version(u, &versions[i]);
        free_version(&versions[i]);
    }
}

static void test_histories(void **state)
{
    (void)state;
    static const struct {
        size_t universe, built, changed;
    } cases[] = {
        {1, 2, 2},      {10, 0, 4},       {10, 20, 10},    {300, 128, 3},
        {300, 129, 64}, {2000, 1500, 10}, {2000, 0, 1000}, {4000, 6000, 4000},
    };
    struct random random = random_start();
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t j = 0; j < COUNT(widths); j++) {
            struct universe u = {widths[j], cases[i].universe, &random};
            for (int round = 0; round < 8; round++)
                check_history(&u, cases[i].built, cases[i].changed);
        }
    }
}

static struct keyset *build_range(size_t width, size_t first, size_t end)
{
    CLEANUP_FREE uint8_t *keys = mem_alloc((end - first) * width);
    for (size_t i = first; i < end; i++)
        write_key(keys + (i - first) * width, width, i);
    return keyset_build(width, keys, end - first);
}

static void test_empty(void **state)
{
    (void)state;
    uint8_t key[WIDEST] = {0};
    struct keyset *empty = keyset_build(5, NULL, 0);
    struct keyset *still = keyset_apply(empty, NULL, 0, NULL, 0);
    struct keyset *removed = keyset_apply(empty, NULL, 0, key, 1);
    struct keyset *added = keyset_apply(empty, key, 1, NULL, 0);
    assert_false(keyset_contains(empty, key));
    assert_false(keyset_contains(still, key));
    assert_false(keyset_contains(removed, key));
    assert_true(keyset_contains(added, key));
    assert_int_equal(keyset_count(empty) + keyset_count(still) + keyset_count(removed), 0);
    assert_int_equal(keyset_count(added), 1);
    keyset_release(empty);
    keyset_release(still);
    keyset_release(removed);
    keyset_release(added);
    keyset_release(NULL);
}

/* Emptied and filled again; the version in the middle has no chunk at all. */
static void test_emptied(void **state)
{
    (void)state;
    enum { SIZE = 1000, WIDTH = 17 };
    CLEANUP_FREE uint8_t *keys = mem_alloc(SIZE * WIDTH);
    for (size_t i = 0; i < SIZE; i++)
        write_key(keys + i * WIDTH, WIDTH, i);
    struct keyset *full = build_range(WIDTH, 0, SIZE);
    struct keyset *empty = keyset_apply(full, NULL, 0, keys, SIZE);
    struct keyset *again = keyset_apply(empty, keys, SIZE, NULL, 0);
    assert_int_equal(keyset_count(full), SIZE);
    assert_int_equal(keyset_count(empty), 0);
    assert_int_equal(keyset_count(again), SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        assert_true(keyset_contains(full, keys + i * WIDTH));
        assert_false(keyset_contains(empty, keys + i * WIDTH));
        assert_true(keyset_contains(again, keys + i * WIDTH));
    }
    keyset_release(full);
    keyset_release(empty);
    keyset_release(again);
}

/* Additions below the first and above the last key of all. */
static void test_outside(void **state)
{
    (void)state;
    enum { WIDTH = 5 };
    uint8_t lowest[WIDTH], highest[WIDTH], both[2 * WIDTH];
    memset(lowest, 0, WIDTH);
    memset(highest, 0xff, WIDTH);
    memcpy(both, highest, WIDTH);
    memcpy(both + WIDTH, lowest, WIDTH);
    struct keyset *old = build_range(WIDTH, 500, 1000);
    assert_false(keyset_contains(old, lowest));
    assert_false(keyset_contains(old, highest));
    struct keyset *new = keyset_apply(old, both, 2, NULL, 0);
    assert_true(keyset_contains(new, lowest));
    assert_true(keyset_contains(new, highest));
    assert_int_equal(keyset_count(new), 502);
    keyset_release(old);
    keyset_release(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_emptied),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
