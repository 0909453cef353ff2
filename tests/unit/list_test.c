/* list.h, blob.h: a list against a plain array; bytes that live as long as anybody holds them. */
#include "base/list.h"

#include "base/blob.h"

#include "random.h"

enum { MOST = 300, STEPS = 20000 };

static char things[MOST];

/* The list holds these, in any order; places as list_remove tells. */
static void check(const struct list *list, const bool *is_in, const uint32_t *places)
{
    size_t count = 0;
    for (size_t i = 0; i < MOST; i++) {
        count += is_in[i];
        assert_int_equal(list_find(list, &things[i]), is_in[i] ? places[i] : list->count);
    }
    assert_int_equal(list->count, count);
    assert_in_range(list->capacity, list->count, UINT32_MAX);
}

static void test_against_array(void **state)
{
    (void)state;
    struct random random = random_start();
    struct list list = {0};
    bool is_in[MOST] = {false};
    uint32_t places[MOST] = {0};
    for (int step = 0; step < STEPS; step++) {
        size_t i = random_below(&random, MOST);
        if (!is_in[i]) {
            places[i] = list.count;
            list_add(&list, &things[i]);
        } else {
            const char *moved = list_remove(&list, places[i]);
            if (moved != NULL)
                places[moved - things] = places[i];
        }
        is_in[i] = !is_in[i];
        if (step % 200 == 0)
            check(&list, is_in, places);
    }
    check(&list, is_in, places);
    list_free(&list);
    assert_int_equal(list.count, 0);
    assert_null(list.items);
}

/* Who only adds keeps the order. */
static void test_order(void **state)
{
    (void)state;
    struct list list = {0};
    assert_int_equal(list_find(&list, things), 0);
    for (size_t i = 0; i < MOST; i++)
        list_add(&list, &things[i]);
    for (size_t i = 0; i < MOST; i++)
        assert_ptr_equal(list.items[i], &things[i]);
    assert_in_range(list.capacity, MOST, MOST * 3 / 2 + 1);
    list_remove_item(&list, &things[MOST - 1]); /* the last: nobody moves */
    assert_ptr_equal(list.items[MOST - 2], &things[MOST - 2]);
    list_remove_item(&list, &things[0]);
    assert_ptr_equal(list.items[0], &things[MOST - 2]);
    assert_ptr_equal(list.items[1], &things[1]);
    list_free(&list);
}

/* Lists of one take the room of one. */
static void test_short(void **state)
{
    (void)state;
    struct list list = {0};
    list_add(&list, things);
    assert_int_equal(list.capacity, 1);
    assert_null(list_remove(&list, 0));
    assert_int_equal(list.count, 0);
    list_add(&list, things);
    assert_int_equal(list.capacity, 1);
    list_free(&list);
}

static void test_blob(void **state)
{
    (void)state;
    char text[] = "bytes\0more";
    struct blob *blob = blob_new(str_make(text, sizeof(text) - 1));
    memset(text, 'x', sizeof(text));
    check_text("a copy", blob_str(blob), STR("bytes\0more"));
    assert_ptr_equal(blob_ref(blob), blob);
    blob_unref(blob);
    check_text("still held", blob_str(blob), STR("bytes\0more"));
    blob_unref(blob);
    blob = blob_new(str_make(NULL, 0));
    assert_int_equal(blob_str(blob).len, 0);
    blob_unref(blob);
    blob_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
