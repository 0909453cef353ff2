/* error.h: messages that are cut where there is no room for more, and what is news. */
#include "base/error.h"

#include "check.h"

static void test_messages(void **state)
{
    (void)state;
    struct error err;
    assert_false(error_set(&err, "line %d: %s", 7, "no value"));
    assert_string_equal(err.text, "line 7: no value");
    assert_false(error_prefix(&err, "file %s", "a.yaml"));
    assert_string_equal(err.text, "file a.yaml: line 7: no value");
}

static void test_cut(void **state)
{
    (void)state;
    struct error err;
    char expected[sizeof(err.text)] = "";
    memset(expected, 'x', sizeof(expected) - 1);
    error_set(&err, "%s%s", expected, expected);
    assert_string_equal(err.text, expected);
    memcpy(expected, "file: ", strlen("file: "));
    error_prefix(&err, "file");
    assert_string_equal(err.text, expected);
}

static void test_news(void **state)
{
    (void)state;
    struct error told = {""};
    char long_text[2 * sizeof(told.text)] = "";
    memset(long_text, 'x', sizeof(long_text) - 1);
    assert_true(error_is_news(&told, "no route"));
    assert_false(error_is_news(&told, "no route"));
    assert_true(error_is_news(&told, "refused"));
    assert_false(error_is_news(&told, "refused"));
    assert_true(error_is_news(&told, "no route"));
    told.text[0] = '\0';
    assert_true(error_is_news(&told, "no route"));
    assert_true(error_is_news(&told, long_text));
    assert_false(error_is_news(&told, long_text));
    /* What was told may be told again. */
    assert_false(error_is_news(&told, told.text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_news),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
