/* str.h: slices, comparison, numbers, and text fit to be shown. */
#include "base/str.h"

#include <limits.h>
#include <stdio.h>

#include "check.h"

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str a, b;
        int order;
        bool equal_nocase;
    } cases[] = {
        {"both empty", STR_INIT(""), {NULL, 0}, 0, true},
        {"empty first", {NULL, 0}, STR_INIT("a"), -1, false},
        {"equal", STR_INIT("abc"), STR_INIT("abc"), 0, true},
        {"prefix first", STR_INIT("ab"), STR_INIT("abc"), -1, false},
        {"bytes count, not length", STR_INIT("b"), STR_INIT("abc"), 1, false},
        {"bytes are unsigned", STR_INIT("\xff"), STR_INIT("a"), 1, false},
        {"behind a NUL", STR_INIT("a\0b"), STR_INIT("a\0c"), -1, false},
        {"a NUL is a byte", STR_INIT("a\0"), STR_INIT("a"), 1, false},
        {"case", STR_INIT("AZaz"), STR_INIT("azAZ"), -1, true},
        {"beside A", STR_INIT("@"), STR_INIT("`"), -1, false},
        {"beside Z", STR_INIT("["), STR_INIT("{"), -1, false},
        {"no case outside of ASCII", STR_INIT("\xc4"), STR_INIT("\xe4"), -1, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name;
        struct str a = cases[i].a, b = cases[i].b;
        check_number(name, sign(str_cmp(a, b)), cases[i].order);
        check_number(name, sign(str_cmp(b, a)), -cases[i].order);
        check_number(name, str_eq(a, b), cases[i].order == 0);
        check_number(name, str_eq_nocase(a, b), cases[i].equal_nocase);
    }
}

static void test_parts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str s, part;
        bool starts, ends, contains;
    } cases[] = {
        {"empty in empty", {NULL, 0}, {NULL, 0}, true, true, true},
        {"empty in some", STR_INIT("a"), {NULL, 0}, true, true, true},
        {"some in empty", {NULL, 0}, STR_INIT("a"), false, false, false},
        {"whole", STR_INIT("abc"), STR_INIT("abc"), true, true, true},
        {"start", STR_INIT("abc"), STR_INIT("ab"), true, false, true},
        {"end", STR_INIT("abc"), STR_INIT("bc"), false, true, true},
        {"middle", STR_INIT("abc"), STR_INIT("b"), false, false, true},
        {"longer", STR_INIT("abc"), STR_INIT("abcd"), false, false, false},
        {"longer at the end", STR_INIT("abc"), STR_INIT("xabc"), false, false, false},
        {"behind a NUL", STR_INIT("a\0bc"), STR_INIT("bc"), false, true, true},
        {"over a NUL", STR_INIT("a\0bc"), STR_INIT("a\0b"), true, false, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *name = cases[i].name;
        check_number(name, str_starts_with(cases[i].s, cases[i].part), cases[i].starts);
        check_number(name, str_ends_with(cases[i].s, cases[i].part), cases[i].ends);
        check_number(name, str_contains(cases[i].s, cases[i].part), cases[i].contains);
    }
}

static void test_slices(void **state)
{
    (void)state;
    struct str s = STR("abc");
    check_text("from 0", str_from(s, 0), s);
    check_text("from 2", str_from(s, 2), STR("c"));
    check_text("from the end", str_from(s, 3), STR(""));
    check_text("from behind the end", str_from(s, SIZE_MAX), STR(""));
    check_text("head 0", str_head(s, 0), STR(""));
    check_text("head 2", str_head(s, 2), STR("ab"));
    check_text("head of more than there is", str_head(s, 9), s);
    check_text("no C string", str_from_c(NULL), STR(""));
    check_text("C string", str_from_c("x"), STR("x"));
    check_number("find", (long long)str_find(s, 'c'), 2);
    check_number("find nothing", (long long)str_find(s, 'd'), 3);
    check_number("find in nothing", (long long)str_find(STR(""), 'd'), 0);
    check_number("find NUL", (long long)str_find(STR("ab\0c"), '\0'), 2);
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str s, head, rest;
        bool found;
    } cases[] = {
        {"first of two", STR_INIT("a/b/c"), STR_INIT("a"), STR_INIT("b/c"), true},
        {"none", STR_INIT("abc"), STR_INIT("abc"), STR_INIT(""), false},
        {"empty", {NULL, 0}, STR_INIT(""), STR_INIT(""), false},
        {"at the start", STR_INIT("/a"), STR_INIT(""), STR_INIT("a"), true},
        {"at the end", STR_INIT("a/"), STR_INIT("a"), STR_INIT(""), true},
        {"alone", STR_INIT("/"), STR_INIT(""), STR_INIT(""), true},
        {"behind a NUL", STR_INIT("a\0/b"), STR_INIT("a\0"), STR_INIT("b"), true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str head, rest;
        bool found = str_cut(cases[i].s, '/', &head, &rest);
        check_number(cases[i].name, found, cases[i].found);
        check_text(cases[i].name, head, cases[i].head);
        check_text(cases[i].name, rest, cases[i].rest);
    }
}

static void test_cut_in_place(void **state)
{
    (void)state;
    struct str rest = STR("a,b"), head;
    assert_true(str_cut(rest, ',', &head, &rest));
    check_text("head", head, STR("a"));
    check_text("rest", rest, STR("b"));
}

static void test_parse_uint(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        {STR_INIT("0"), 0, true, 0},
        {STR_INIT("1"), 0, false, 0},
        {STR_INIT("7"), 255, true, 7},
        {STR_INIT("255"), 255, true, 255},
        {STR_INIT("256"), 255, false, 0},
        {STR_INIT("2550"), 255, false, 0},
        {STR_INIT("9"), 5, false, 0},
        {STR_INIT("15"), 15, true, 15},
        {STR_INIT("16"), 15, false, 0},
        {STR_INIT("65535"), 65535, true, 65535},
        {STR_INIT("65536"), 65535, false, 0},
        {STR_INIT("18446744073709551615"), UINT64_MAX, true, UINT64_MAX},
        {STR_INIT("18446744073709551616"), UINT64_MAX, false, 0},
        {STR_INIT("18446744073709551620"), UINT64_MAX, false, 0},
        {STR_INIT("99999999999999999999999"), UINT64_MAX, false, 0},
        {STR_INIT("18446744073709551615"), UINT64_MAX - 1, false, 0},
        {STR_INIT(""), 255, false, 0},
        {{NULL, 0}, 255, false, 0},
        {STR_INIT("00"), 255, false, 0},
        {STR_INIT("01"), 255, false, 0},
        {STR_INIT("+1"), 255, false, 0},
        {STR_INIT("-1"), 255, false, 0},
        {STR_INIT(" 1"), 255, false, 0},
        {STR_INIT("1 "), 255, false, 0},
        {STR_INIT("1\0"), 255, false, 0},
        {STR_INIT("1\n"), 255, false, 0},
        {STR_INIT("0x1"), 255, false, 0},
        {STR_INIT("1e1"), 255, false, 0},
        {STR_INIT("1_0"), 255, false, 0},
        {STR_INIT("/"), 255, false, 0},
        {STR_INIT(":"), 255, false, 0},
        {STR_INIT("\xd9\xa1"), 255, false, 0}, /* a digit, but not of ASCII */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct quoted name = quote(cases[i].text);
        uint64_t value = 0;
        check_number(name.text, str_parse_uint(cases[i].text, cases[i].max, &value), cases[i].ok);
        CHECK(name.text, !cases[i].ok || value == cases[i].value);
    }
}

static void test_quote(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *shown;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {STR_INIT("plain ~ text"), "\"plain ~ text\""},
        {STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {STR_INIT("a\nb\r\t"), "\"a\\x0ab\\x0d\\x09\""},
        {STR_INIT("a\0b"), "\"a\\x00b\""},
        {STR_INIT("\x1b[31m"), "\"\\x1b[31m\""},
        {STR_INIT("\x7f\x80\xff"), "\"\\x7f\\x80\\xff\""},
        {STR_INIT("\xc3\xa4"), "\"\\xc3\\xa4\""},
        {STR_INIT("100%s"), "\"100%s\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(quote(cases[i].text).text, cases[i].shown);
}

/* Whatever is cut: it fits, it ends with ..." and no escape is cut in two. */
static void test_quote_cut(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char byte;
        const char *unit;
    } cases[] = {
        {"plain", 'x', "x"},
        {"two bytes each", '"', "\\\""},
        {"four bytes each", '\n', "\\x0a"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[400];
        memset(text, cases[i].byte, sizeof(text));
        struct quoted shown = quote(str_make(text, sizeof(text)));
        struct str s = str_from_c(shown.text), dots = STR("...\"");
        CHECK(cases[i].name, s.len < sizeof(shown.text) && s.len > sizeof(shown.text) - 10);
        CHECK(cases[i].name, s.ptr[0] == '"' && str_ends_with(s, dots));
        size_t unit = strlen(cases[i].unit), body = s.len - 1 - dots.len;
        check_number(cases[i].name, (long long)(body % unit), 0);
        for (size_t at = 0; at < body; at += unit)
            CHECK(cases[i].name, memcmp(s.ptr + 1 + at, cases[i].unit, unit) == 0);
    }
}

/* Every length around the cut, with the longest escape last, stays inside of the text. */
static void test_quote_lengths(void **state)
{
    (void)state;
    for (size_t len = 1; len < 200; len++) {
        char text[200], name[16];
        snprintf(name, sizeof(name), "%zu bytes", len);
        memset(text, 'x', len);
        text[len - 1] = '\x01';
        struct str shown = str_from_c(quote(str_make(text, len)).text);
        CHECK(name, shown.len < sizeof(struct quoted));
        CHECK(name, str_ends_with(shown, STR("\\x01\"")) || str_ends_with(shown, STR("x...\"")));
        CHECK(name, len > 140 || str_ends_with(shown, STR("\\x01\"")));
    }
}

static void test_hex_value(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdefABCDEF";
    for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
        const char *place = c != 0 ? strchr(digits, c) : NULL;
        int expected = place == NULL ? -1 : (int)(place - digits);
        check_number("digit", str_hex_value((char)c), expected < 16 ? expected : expected - 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),       cmocka_unit_test(test_parts),
        cmocka_unit_test(test_slices),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_in_place),  cmocka_unit_test(test_parse_uint),
        cmocka_unit_test(test_quote),         cmocka_unit_test(test_quote_cut),
        cmocka_unit_test(test_quote_lengths), cmocka_unit_test(test_hex_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
