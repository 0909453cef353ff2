/* selector.h: the grammar, evaluation, errors, normal form and the functions that build. */
#include "selector/selector.h"

#include <stdio.h>
#include <stdlib.h>

#include "random.h"

struct label {
    struct str name, value;
};

static bool get_label(const void *ctx, struct str label, struct str *value)
{
    for (const struct label *l = ctx; l->name.len > 0; l++) {
        if (str_eq(l->name, label)) {
            *value = l->value;
            return true;
        }
    }
    return false;
}

/* What most tests select from. */
static const struct label some_labels[] = {
    {STR_INIT("a"), STR_INIT("1")},       {STR_INIT("b"), STR_INIT("")},
    {STR_INIT("app"), STR_INIT("web-1")}, {STR_INIT("k8s.io/x-y_z"), STR_INIT("v")},
    {STR_INIT("has"), STR_INIT("1")},     {STR_INIT("all"), STR_INIT("1")},
    {STR_INIT("in"), STR_INIT("1")},      {STR_INIT("not"), STR_INIT("1")},
    {STR_INIT("global"), STR_INIT("1")},  {STR_INIT("bytes"), STR_INIT("x\0y\xff")},
    {STR_INIT(""), STR_INIT("")},
};

static bool matches(const struct selector *s)
{
    struct selector_labels labels = {get_label, some_labels};
    return selector_matches(s, &labels);
}

static const struct selector *parse(struct arena *arena, struct str text)
{
    struct error err;
    const struct selector *s = selector_parse(arena, text, NULL, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

static void check_format(const char *name, const struct selector *s, const char *expected)
{
    CLEANUP_BUF struct buf out = {0};
    selector_format(&out, s);
    check_text(name, buf_str(&out), str_from_c(expected));
}

static void test_tests(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        bool matches;
    } cases[] = {
        {STR_INIT(""), true},
        {STR_INIT(" \t "), true},
        {STR_INIT("all()"), true},
        {STR_INIT("global()"), true},
        {STR_INIT(" all ( ) "), true},
        {STR_INIT("a == '1'"), true},
        {STR_INIT("a==\"1\""), true},
        {STR_INIT("\ta\t==\t'1'\t"), true},
        {STR_INIT("a == '2'"), false},
        {STR_INIT("a == ''"), false},
        {STR_INIT("b == ''"), true},
        {STR_INIT("none == ''"), false},
        {STR_INIT("none == '1'"), false},
        {STR_INIT("A == '1'"), false},
        {STR_INIT("a != '1'"), false},
        {STR_INIT("a != '2'"), true},
        {STR_INIT("none != '1'"), true},
        {STR_INIT("a in {'1'}"), true},
        {STR_INIT("a in{'3','1','2'}"), true},
        {STR_INIT("a in {'2', \"3\"}"), false},
        {STR_INIT("a in {}"), false},
        {STR_INIT("none in {''}"), false},
        {STR_INIT("a not in {'1'}"), false},
        {STR_INIT("a notin {'2'}"), true},
        {STR_INIT("a not \t in {'1', '2'}"), false},
        {STR_INIT("a not in {}"), true},
        {STR_INIT("none not in {'1'}"), true},
        {STR_INIT("app contains 'b-'"), true},
        {STR_INIT("app contains ''"), true},
        {STR_INIT("app contains 'B'"), false},
        {STR_INIT("none contains ''"), false},
        {STR_INIT("app starts with 'web'"), true},
        {STR_INIT("app startswith 'web-1'"), true},
        {STR_INIT("app starts  with 'eb'"), false},
        {STR_INIT("app starts with 'web-12'"), false},
        {STR_INIT("none starts with ''"), false},
        {STR_INIT("app ends with '-1'"), true},
        {STR_INIT("app endswith 'web'"), false},
        {STR_INIT("none ends with ''"), false},
        {STR_INIT("has(a)"), true},
        {STR_INIT("has(b)"), true},
        {STR_INIT("has( none )"), false},
        {STR_INIT("has(k8s.io/x-y_z)"), true},
        {STR_INIT("has(has)"), true},
        {STR_INIT("has == '1'"), true},
        {STR_INIT("all == '1' && global == '1'"), true},
        {STR_INIT("in in {'1'}"), true},
        {STR_INIT("not not in {'1'}"), false},
        {STR_INIT("bytes == 'x\0y\xff'"), true},
        {STR_INIT("bytes == 'x'"), false},
        {STR_INIT("app != \"it's\""), true},
        {STR_INIT("app != 'say \"x\"'"), true},
        {STR_INIT("app == 'web\\-1'"), false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        check_number(quote(cases[i].text).text, matches(parse(&arena, cases[i].text)),
                     cases[i].matches);
    }
}

static void test_is_empty(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool empty;
    } cases[] = {{"", true}, {" ", true}, {"\t ", true}, {"all()", false}, {"a == ''", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        check_number(quote(str_from_c(cases[i].text)).text,
                     parse(&arena, str_from_c(cases[i].text))->is_empty, cases[i].empty);
    }
}

/* Each text beside its normal form; two of the same normal form are the same selector. */
static void test_normal_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "all()"},
        {"all( )", "all()"},
        {"global()", "global()"},
        {"a=='1'", "a == \"1\""},
        {"((a == \"1\"))", "a == \"1\""},
        {"a != 'x\"y'", "a != 'x\"y'"},
        {"a != \"x'y\"", "a != \"x'y\""},
        {"a in {'c','a','b','a'}", "a in {\"a\", \"b\", \"c\"}"},
        {"a in {}", "a in {}"},
        {"a notin {'b',\"a\"}", "a not in {\"a\", \"b\"}"},
        {"a contains 'x'", "a contains \"x\""},
        {"a startswith 'x'", "a starts with \"x\""},
        {"a ends  with 'x'", "a ends with \"x\""},
        {"has( a )", "has(a)"},
        {"! has(a)", "!has(a)"},
        {"!!has(a)", "!!has(a)"},
        {"!(has(a))", "!has(a)"},
        {"!has(a) && has(b)", "(!has(a) && has(b))"},
        {"!(has(a) && has(b))", "!(has(a) && has(b))"},
        {"has(a)&&has(b)&&has(c)", "(has(a) && has(b) && has(c))"},
        {"has(a) && (has(b) && has(c))", "(has(a) && has(b) && has(c))"},
        {"(has(a) || has(b)) || has(c)", "(has(a) || has(b) || has(c))"},
        /* && binds tighter */
        {"has(a) || has(b) && has(c)", "(has(a) || (has(b) && has(c)))"},
        {"has(a) && has(b) || has(c)", "((has(a) && has(b)) || has(c))"},
        {"(has(a) || has(b)) && has(c)", "((has(a) || has(b)) && has(c))"},
        {"has(a) || has(b) && has(c) || has(d)", "(has(a) || (has(b) && has(c)) || has(d))"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        check_format(cases[i][0], parse(&arena, str_from_c(cases[i][0])), cases[i][1]);
        check_format(cases[i][1], parse(&arena, str_from_c(cases[i][1])), cases[i][1]);
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        size_t position;
        const char *expected;
    } cases[] = {
        {STR_INIT("a"), 1, "an operator"},
        {STR_INIT("a "), 2, "an operator"},
        {STR_INIT("a = '1'"), 2, "an operator"},
        {STR_INIT("a like '1'"), 2, "an operator"},
        {STR_INIT("a inx {'1'}"), 2, "an operator"},
        {STR_INIT("a not '1'"), 2, "an operator"},
        {STR_INIT("a starts 'x'"), 2, "an operator"},
        {STR_INIT("a == 1"), 5, "a string in quotes"},
        {STR_INIT("a =="), 4, "a string in quotes"},
        {STR_INIT("a === '1'"), 4, "a string in quotes"},
        {STR_INIT("a == '1"), 7, "the closing quote"},
        {STR_INIT("a == \"1'"), 8, "the closing quote"},
        {STR_INIT("a == '1\\'1'"), 9, "\"&&\", \"||\" or the end"},
        {STR_INIT("a in '1'"), 5, "\"{\""},
        {STR_INIT("a in"), 4, "\"{\""},
        {STR_INIT("a in {'1'"), 9, "\",\" or \"}\""},
        {STR_INIT("a in {'1' '2'}"), 10, "\",\" or \"}\""},
        {STR_INIT("a in {'1',}"), 10, "a string in quotes"},
        {STR_INIT("a in {,'1'}"), 6, "a string in quotes"},
        {STR_INIT("a in {x}"), 6, "a string in quotes"},
        {STR_INIT("== '1'"), 0, "a label name"},
        {STR_INIT("'a' == '1'"), 0, "a label name"},
        {STR_INIT("\xc3\xa4 == '1'"), 0, "a label name"},
        {STR_INIT("a\n== '1'"), 1, "an operator"},
        {STR_INIT("a\0 == '1'"), 1, "an operator"},
        {STR_INIT("has()"), 4, "a label name"},
        {STR_INIT("has(a"), 5, "\")\""},
        {STR_INIT("has(a b)"), 6, "\")\""},
        {STR_INIT("has a"), 4, "an operator"},
        {STR_INIT("all"), 3, "an operator"},
        {STR_INIT("all("), 4, "\")\""},
        {STR_INIT("all(a)"), 4, "\")\""},
        {STR_INIT("All()"), 3, "an operator"},
        {STR_INIT("()"), 1, "a label name"},
        {STR_INIT("(has(a)"), 7, "\")\""},
        {STR_INIT("has(a))"), 6, "\"&&\", \"||\" or the end"},
        {STR_INIT("has(a) has(b)"), 7, "\"&&\", \"||\" or the end"},
        {STR_INIT("has(a) & has(b)"), 7, "\"&&\", \"||\" or the end"},
        {STR_INIT("has(a) && "), 10, "a label name"},
        {STR_INIT("has(a) || && has(b)"), 10, "a label name"},
        {STR_INIT("|| has(a)"), 0, "a label name"},
        {STR_INIT("!"), 1, "a label name"},
        {STR_INIT("has(a) !"), 7, "\"&&\", \"||\" or the end"},
        {STR_INIT("has(a)\0"), 6, "\"&&\", \"||\" or the end"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct quoted name = quote(cases[i].text);
        struct error err;
        size_t position = SIZE_MAX;
        char where[64];
        CHECK(name.text, selector_parse(&arena, cases[i].text, &position, &err) == NULL);
        snprintf(where, sizeof(where), "at position %zu", cases[i].position);
        check_number(name.text, (long long)position, (long long)cases[i].position);
        if (strstr(err.text, cases[i].expected) == NULL || strstr(err.text, where) == NULL ||
            strstr(err.text, name.text) == NULL)
            fail_msg("%s (expected %s)", err.text, cases[i].expected);
    }
}

/* Appends `count` times. */
static void repeat(struct buf *out, struct str piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_str(out, piece);
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str open, close;
        size_t levels; /* each time */
    } cases[] = {
        {"parentheses", STR_INIT("("), STR_INIT(")"), 1},
        {"not", STR_INIT("!"), STR_INIT(""), 1},
        {"both", STR_INIT("!("), STR_INIT(")"), 2},
        {"with operators", STR_INIT("a == '1' && ("), STR_INIT(")"), 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t extra = 0; extra <= 1; extra++) {
            CLEANUP_ARENA struct arena arena = {0};
            CLEANUP_BUF struct buf text = {0};
            struct error err;
            size_t position = 0, times = SELECTOR_DEPTH / cases[i].levels + extra;
            repeat(&text, cases[i].open, times);
            buf_append_str(&text, STR("a == '1'"));
            repeat(&text, cases[i].close, times);
            const struct selector *s = selector_parse(&arena, buf_str(&text), &position, &err);
            check_number(cases[i].name, s != NULL, extra == 0);
            CHECK(cases[i].name, s == NULL || matches(s));
            CHECK(cases[i].name, s != NULL || strstr(err.text, "at most 100") != NULL);
        }
    }
}

static void test_depth_is_not_length(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf text = {0};
    repeat(&text, STR("(!has(none)) && "), 1000);
    buf_append_str(&text, STR("has(a)"));
    assert_true(matches(parse(&arena, buf_str(&text))));
}

static void test_label_length(void **state)
{
    (void)state;
    for (size_t len = SELECTOR_LABEL_LIMIT; len <= SELECTOR_LABEL_LIMIT + 1; len++) {
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf text = {0};
        struct error err;
        size_t position = 0;
        buf_append_str(&text, STR("has("));
        repeat(&text, STR("x"), len);
        buf_append_str(&text, STR(")"));
        const struct selector *s = selector_parse(&arena, buf_str(&text), &position, &err);
        assert_int_equal(s != NULL, len == SELECTOR_LABEL_LIMIT);
        assert_int_equal(position, s != NULL ? 0 : 4);
    }
}

/* Texts are copied: the source may go. */
static void test_copies(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    char *text = strdup("a in {'1', 'x'} && app starts with 'web'");
    const struct selector *s = parse(&arena, str_from_c(text));
    free(text);
    assert_true(matches(s));
}

static void test_build(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct str values[] = {STR("b"), STR("a"), STR("b")};
    const struct selector *empty = parse(&arena, STR(" "));
    const struct selector *a = selector_has(&arena, STR("a"));
    const struct selector *b = selector_eq(&arena, STR("b"), STR(""));
    const struct selector *both = selector_and(&arena, a, b);
    check_format("all", selector_all(&arena), "all()");
    assert_false(selector_all(&arena)->is_empty);
    check_format("has", a, "has(a)");
    check_format("eq", b, "b == \"\"");
    check_format("in", selector_in(&arena, STR("c"), values, COUNT(values)), "c in {\"a\", \"b\"}");
    check_format("in nothing", selector_in(&arena, STR("c"), NULL, 0), "c in {}");
    check_text("values stay", values[0], STR("b"));
    check_format("and", both, "(has(a) && b == \"\")");
    check_format("and, merged", selector_and(&arena, both, a), "(has(a) && b == \"\" && has(a))");
    check_format("and, empty left", selector_and(&arena, empty, a), "has(a)");
    check_format("and, empty right", selector_and(&arena, a, empty), "has(a)");
    const struct selector *nothing = selector_and(&arena, empty, empty);
    check_format("and of nothing", nothing, "all()");
    assert_false(nothing->is_empty);
    check_format("not", selector_not(&arena, both), "!(has(a) && b == \"\")");
    check_format("not of not", selector_not(&arena, selector_not(&arena, a)), "!!has(a)");
    assert_true(matches(both));
    assert_false(matches(selector_not(&arena, both)));
}

static void test_relabel(void **state)
{
    (void)state;
    static const struct {
        const char *text, *all_label, *expected;
    } cases[] = {
        {"a == 'x'", "all", "p.a == \"x\""},
        {"has(a) && !(b in {'a', 'b'})", "", "(has(p.a) && !p.b in {\"a\", \"b\"})"},
        {"a contains 'a' || b != 'b'", "", "(p.a contains \"a\" || p.b != \"b\")"},
        {"all()", "p.n", "has(p.n)"},
        {"global()", "p.n", "!has(p.n)"},
        {"all() && has(a)", "p.n", "(has(p.n) && has(p.a))"},
        {"all()", "", "all()"},
        {"global() || has(a)", "", "(global() || has(p.a))"},
        {"", "p.n", "all()"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        const struct selector *s = parse(&arena, str_from_c(cases[i].text));
        CLEANUP_BUF struct buf before = {0}, after = {0};
        selector_format(&before, s);
        const struct selector *r =
            selector_relabel(&arena, s, STR("p."), str_from_c(cases[i].all_label));
        check_format(cases[i].text, r, cases[i].expected);
        check_number(cases[i].text, r->is_empty, s->is_empty);
        selector_format(&after, s);
        check_text(cases[i].text, buf_str(&after), buf_str(&before));
    }
}

/* A random selector as text; returns what it must evaluate to over some_labels. */
static bool write_random(struct buf *out, struct random *random, int depth)
{
    static const struct {
        const char *text;
        bool matches;
    } leaves[] = {{"a == '1'", true}, {"has(none)", false},      {"none != ''", true},
                  {"all()", true},    {"a in {'2','3'}", false}, {"app starts with 'web'", true},
                  {"b != ''", false}};
    size_t kind = random_below(random, depth > 0 ? 5 : 1);
    if (kind <= 1) {
        size_t i = random_below(random, COUNT(leaves));
        buf_append_str(out, str_from_c(leaves[i].text));
        return leaves[i].matches;
    }
    buf_append_str(out, kind == 2 ? STR("!(") : STR("("));
    bool left = write_random(out, random, depth - 1);
    buf_append_str(out, kind == 2 ? STR(")") : kind == 3 ? STR(") && (") : STR(")||("));
    if (kind == 2)
        return !left;
    bool right = write_random(out, random, depth - 1);
    buf_append_byte(out, ')');
    return kind == 3 ? left && right : left || right;
}

/* Evaluation agrees with the logic it was written by, and so does that of the normal form, which is
 * its own. */
static void test_random_selectors(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 5000; round++) {
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf text = {0}, normal = {0}, again = {0};
        bool expected = write_random(&text, &random, 6);
        const struct selector *s = parse(&arena, buf_str(&text));
        selector_format(&normal, s);
        const struct selector *same = parse(&arena, buf_str(&normal));
        selector_format(&again, same);
        struct quoted name = quote(buf_str(&text));
        check_number(name.text, matches(s), expected);
        check_number(name.text, matches(same), expected);
        check_text(name.text, buf_str(&again), buf_str(&normal));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tests),
        cmocka_unit_test(test_is_empty),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_is_not_length),
        cmocka_unit_test(test_label_length),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_relabel),
        cmocka_unit_test(test_random_selectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
