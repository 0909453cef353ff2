/* map.h: the map against a plain array, over thousands of random changes. */
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

enum { KEYS = 4096, STEPS = 200000 };

/* What the map must hold: the value of key i, or NULL. */
struct model {
    char keys[KEYS][16];
    size_t lengths[KEYS];
    void *values[KEYS];
    size_t count;
};

static struct str model_key(const struct model *model, size_t i)
{
    return str_make(model->keys[i], model->lengths[i]);
}

static struct model *model_new(void)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    for (size_t i = 0; i < KEYS; i++)
        model->lengths[i] = (size_t)snprintf(model->keys[i], sizeof(model->keys[i]), "key-%zu", i);
    return model;
}

/* Values are addresses within the model: distinct, and never NULL. */
static void step_set(struct map *map, struct model *model, struct random *random, size_t i)
{
    void *value = model->keys[random_below(random, KEYS)];
    assert_ptr_equal(map_set(map, model_key(model, i), value), model->values[i]);
    model->count += model->values[i] == NULL;
    model->values[i] = value;
}

static void step_remove(struct map *map, struct model *model, size_t i)
{
    assert_ptr_equal(map_remove(map, model_key(model, i)), model->values[i]);
    model->count -= model->values[i] != NULL;
    model->values[i] = NULL;
}

static void check_all(const struct map *map, const struct model *model)
{
    assert_int_equal(map->count, model->count);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(map, model_key(model, i)), model->values[i]);
    size_t position = 0, walked = 0;
    struct map_entry *entry;
    while ((entry = map_next(map, &position)) != NULL) {
        assert_ptr_equal(map_get(map, entry->key), entry->value);
        walked++;
    }
    assert_int_equal(walked, model->count);
}

/* Phases that mostly fill are followed by ones that mostly empty, so that long chains are taken
 * apart again. */
static void test_against_array(void **state)
{
    (void)state;
    struct random random = random_start();
    struct model *model = model_new();
    struct map map = {0};
    for (size_t step = 0; step < STEPS; step++) {
        bool filling = step / 10000 % 2 == 0;
        size_t key = random_below(&random, KEYS);
        if (random_below(&random, 10) < (filling ? 7u : 3u))
            step_set(&map, model, &random, key);
        else
            step_remove(&map, model, key);
        if (step % 5000 == 0)
            check_all(&map, model);
    }
    check_all(&map, model);
    for (size_t i = 0; i < KEYS; i++)
        step_remove(&map, model, i);
    check_all(&map, model);
    map_free(&map);
    free(model);
}

/* As full as the map lets itself become: removing each key in turn must lose no other. */
static void test_remove_from_full(void **state)
{
    (void)state;
    enum { FULL = KEYS * 3 / 4 };
    struct random random = random_start();
    struct model *model = model_new();
    struct map map = {0};
    for (size_t i = 0; i < FULL; i++)
        step_set(&map, model, &random, i);
    assert_int_equal(map.capacity, KEYS);
    for (size_t i = 0; i < FULL; i++) {
        step_remove(&map, model, i);
        if (i % 64 == 0)
            check_all(&map, model);
    }
    map_free(&map);
    free(model);
}

static void test_empty(void **state)
{
    (void)state;
    struct map map = {0};
    size_t position = 0;
    assert_null(map_get(&map, STR("a")));
    assert_null(map_remove(&map, STR("a")));
    assert_null(map_next(&map, &position));
    map_free(&map);
    assert_null(map_set(&map, STR("a"), "value"));
    map_free(&map);
    assert_null(map_get(&map, STR("a")));
    assert_int_equal(map.count, 0);
}

/* Keys are bytes: none of these is another. */
static void test_odd_keys(void **state)
{
    (void)state;
    static const struct str keys[] = {
        {NULL, 0},
        STR_INIT("\0"),
        STR_INIT("\0\0"),
        STR_INIT("a"),
        STR_INIT("a\0"),
        STR_INIT("A"),
        STR_INIT("1234567"),
        STR_INIT("12345678"),
        STR_INIT("123456789"),
        STR_INIT("12345678\0"),
        STR_INIT("1234567812345678"),
        STR_INIT("\xff"),
    };
    struct map map = {0};
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_null(map_set(&map, keys[i], (void *)&keys[i]));
    for (size_t i = 0; i < COUNT(keys); i++)
        CHECK(quote(keys[i]).text, map_get(&map, keys[i]) == &keys[i]);
    map_free(&map);
}

/* The old value may be freed with its key, since the entry takes over the new one. */
static void test_replaced_key(void **state)
{
    (void)state;
    struct map map = {0};
    char *first = strdup("name"), *second = strdup("name");
    assert_null(map_set(&map, str_from_c(first), first));
    assert_ptr_equal(map_set(&map, str_from_c(second), second), first);
    free(first);
    assert_ptr_equal(map_get(&map, STR("name")), second);
    size_t position = 0;
    assert_ptr_equal(map_next(&map, &position)->key.ptr, second);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, STR("name")), second);
    free(second);
    map_free(&map);
}

static void test_hash(void **state)
{
    (void)state;
    char here[] = "the same key", there[] = "the same key";
    assert_true(map_hash(str_from_c(here)) == map_hash(str_from_c(there)));
    assert_true(map_hash(STR("a")) != map_hash(STR("b")));
    assert_true(map_hash(STR("a")) != map_hash(STR("a\0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array), cmocka_unit_test(test_remove_from_full),
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_odd_keys),
        cmocka_unit_test(test_replaced_key),  cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
