/* doc.h: YAML and JSON as trees that know their lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/doc.h"

#include <stdio.h>

/* A tree as one line of text: `{a@1=i1, b@2=[s"x", b:true, f1.5, null]}`. */
static void show(struct buf *out, const struct doc_node *node)
{
    switch (node->type) {
    case DOC_NULL:
        buf_printf(out, "null");
        break;
    case DOC_BOOL:
        buf_printf(out, "b:%s", node->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_printf(out, "i%lld", (long long)node->integer);
        break;
    case DOC_FLOAT:
        buf_printf(out, "f%g", node->number);
        break;
    case DOC_STRING:
        buf_printf(out, "s%s", quote(node->text).text);
        break;
    case DOC_LIST:
    case DOC_MAP:
        buf_printf(out, node->type == DOC_LIST ? "[" : "{");
        for (size_t i = 0; i < node->count; i++) {
            buf_printf(out, "%s", i > 0 ? ", " : "");
            if (node->type == DOC_MAP)
                buf_printf(out, "%.*s@%u=", STR_ARG(node->keys[i]), node->key_lines[i]);
            show(out, node->items[i]);
        }
        buf_printf(out, node->type == DOC_LIST ? "]" : "}");
        break;
    }
}

/* All documents, each as `LINE: tree` or `LINE! error`, joined by " | ". */
static void assert_documents(struct str text, bool json, const char *expected)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf out = {0};
    /* A copy of the exact size, so that the sanitizer sees a byte read behind it. */
    CLEANUP_FREE char *copy = mem_alloc(text.len);
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    struct doc_file file = doc_load(&arena, str_make(copy, text.len), json);
    for (size_t i = 0; i < file.count; i++) {
        const struct doc_entry *entry = &file.entries[i];
        buf_printf(&out, "%s%u", i > 0 ? " | " : "", entry->line);
        assert_int_equal(entry->failed, entry->root == NULL);
        if (entry->failed) {
            buf_printf(&out, "! %s", entry->error.text);
        } else {
            buf_printf(&out, ": ");
            show(&out, entry->root);
        }
    }
    buf_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
}

struct example {
    const char *text, *expected;
};

static void assert_examples(const struct example *examples, size_t count, bool json)
{
    for (size_t i = 0; i < count; i++)
        assert_documents(str_from_c(examples[i].text), json, examples[i].expected);
}

static void test_yaml_scalars(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"[true, True, TRUE, yes, on, y, Y]",
         "1: [b:true, b:true, b:true, b:true, b:true, b:true, b:true]"},
        {"[false, no, Off, n, tRue, \"yes\", 'no']",
         "1: [b:false, b:false, b:false, b:false, s\"tRue\", s\"yes\", s\"no\"]"},
        {"[~, null, NULL, , '~']", "1! line 1: did not find expected node content, while parsing a "
                                   "flow node that begins on line 1"},
        {"a: ~\nb:\nc: nUll\n", "1: {a@1=null, b@2=null, c@3=s\"nUll\"}"},
        {"[12, -7, +3, 0, 0x1f, 0o17, 017, 0b101, 1_000]",
         "1: [i12, i-7, i3, i0, i31, i15, i15, i5, i1000]"},
        {"[9223372036854775807, -9223372036854775808, 9223372036854775808]",
         "1: [i9223372036854775807, i-9223372036854775808, f9.22337e+18]"},
        {"[1.5, 1e3, .5, 1., -2.5E-1, 08, .inf]", "1: [f1.5, f1000, f0.5, f1, f-0.25, f8, finf]"},
        {"[0x, 0xg, 1e, 1.2.3, 80:90, 2020-01-01, 10.0.0.1, '-', +, ., -x, 1e999]",
         "1: [s\"0x\", s\"0xg\", s\"1e\", s\"1.2.3\", s\"80:90\", s\"2020-01-01\", s\"10.0.0.1\", "
         "s\"-\", s\"+\", s\".\", s\"-x\", s\"1e999\"]"},
        {"[!!str 12, ! 12, !!int 12, !!float 12, !!bool on, !!null ~]",
         "1: [s\"12\", s\"12\", i12, f12, b:true, null]"},
        {"a: |\n  x\n  y\nb: >-\n  x\n  y\nc: \"\\u00e9\"\n",
         "1: {a@1=s\"x\\x0ay\\x0a\", b@4=s\"x y\", c@7=s\"\\xc3\\xa9\"}"},
    };
    assert_examples(examples, sizeof(examples) / sizeof(examples[0]), false);
}

static void test_yaml_documents(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"", ""},
        {"\n# nothing\n---\n---\n...\n--- # here\n", ""},
        {"a: 1", "1: {a@1=i1}"},
        {"\xef\xbb\xbf"
         "a: 1",
         "1: {a@1=i1}"},
        {"a: 1\n---\nb: 2\n--- # c\nc: 3\n...\nd: 4\n",
         "1: {a@1=i1} | 3: {b@3=i2} | 5: {c@5=i3} | 7: {d@7=i4}"},
        {"# head\n%YAML 1.1\n---\r\na: 1\r\n---\r\nb: 2\r\n", "4: {a@4=i1} | 6: {b@6=i2}"},
        {"--- {a: 1}\n---   \n---x: 2\n", "1: {a@1=i1} | 3: {---x@3=i2}"},
        {"a: |\n  text\n  --- no marker\n  ---\n---\nb: 1\n",
         "1: {a@1=s\"text\\x0a--- no marker\\x0a---\\x0a\"} | 6: {b@6=i1}"},
        /* A syntax error takes only its own document along. */
        {"a: 1\n---\nb: [1, 2\n---\nc: 3\n",
         "1: {a@1=i1} | 2! line 4: did not find expected ',' or ']', while parsing a flow sequence "
         "that begins on line 3 | 5: {c@5=i3}"},
        {"a: 1\r---\rb: 2\r", "1! line 3: a second document without \"---\" on a line of its own"},
    };
    assert_examples(examples, sizeof(examples) / sizeof(examples[0]), false);
}

static void test_yaml_aliases(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"a: &x [1, 2]\nb: *x\n", "1: {a@1=[i1, i2], b@2=[i1, i2]}"},
        {"a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n  r: 4\n",
         "1: {a@1={p@1=i1, q@1=i2}, b@2={q@4=i3, r@5=i4, p@1=i1}}"},
        {"a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}\n",
         "1: {a@1={p@1=i1}, b@2={p@2=i2, q@2=i2}, c@3={p@1=i1, q@2=i2}}"},
        {"\"<<\": 1\n", "1: {<<@1=i1}"},
        {"a: *x\n", "1! line 1: no anchor \"x\" stands before this alias"},
        {"a: &x\n  b: *x\n", "1! line 2: the alias \"x\" stands within its own anchor"},
        {"a: &x 1\nb: {<<: *x}\n",
         "1! line 2: the value of << is neither a map nor a list of maps"},
        {"a: {<<: [1]}\n", "1! line 1: the value of << is neither a map nor a list of maps"},
        {"a: &x {p: 1}\nb:\n  <<: *x\n  <<: *x\n",
         "1! line 4: the key \"<<\" stands twice in one map"},
        /* Aliases do not outlive their document. */
        {"a: &x 1\n---\nb: *x\n",
         "1: {a@1=i1} | 2! line 3: no anchor \"x\" stands before this alias"},
    };
    assert_examples(examples, sizeof(examples) / sizeof(examples[0]), false);
}

static void test_yaml_errors(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"a: 1\nb: 2\na: 3\n", "1! line 3: the key \"a\" stands twice in one map"},
        {"a:\n  - 1: x\n",
         "1! line 2: a key must be a string, this one is the number `1` (quote it)"},
        {"on: x\n", "1! line 1: a key must be a string, this one is the boolean `on` (quote it)"},
        {"? [a]\n: b\n", "1! line 1: a key must be a string, this one is a list"},
        {"? {a: 1}\n: b\n", "1! line 1: a key must be a string, this one is a map"},
        {"a: b\n c: d\n", "1! line 2: mapping values are not allowed in this context"},
        {"\n\na: \"x\\0y\"\n", "1! line 3: a string with a NUL byte"},
        {"a: 1\nb: \x01\n", "1! line 2: control characters are not allowed (byte 0x01)"},
        {"a: 1\nb: \xff\n", "1! line 2: invalid leading UTF-8 octet (byte 0xff)"},
        {"a: !foo 1\n", "1! line 1: the tag \"!foo\" is not known or does not fit the value \"1\""},
        {"a: !!int x\n", "1! line 1: the tag \"tag:yaml.org,2002:int\" is not known or does not "
                         "fit the value \"x\""},
    };
    assert_examples(examples, sizeof(examples) / sizeof(examples[0]), false);
    assert_documents(str_make("a: b\0c\n", 7), false,
                     "1! line 1: control characters are not allowed (byte 0x00)");
}

static void test_json(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"", ""},
        {" \n", ""},
        {"null", ""},
        {"{}", "1: {}"},
        {"\n[ ]\n", "2: []"},
        {"{\n \"a\": [1, -2.5, true,\n false, null, \"x\\n\\\"\"],\n\n \"b\" : { } , "
         "\"c\":{\"d\":\n[ ]}}\n",
         "1: {a@2=[i1, f-2.5, b:true, b:false, null, s\"x\\x0a\\\"\"], b@5={}, c@5={d@5=[]}}"},
        {"{\"b\\\\\": \"}\", \"a\": \"]\"}", "1: {b\\@1=s\"}\", a@1=s\"]\"}"},
        {"{\"<<\": \"on\"}", "1: {<<@1=s\"on\"}"},
        {"7", "1: i7"},
        {"{\n\"a\": 1,\n\"a\": 2}", "1! line 3: duplicate object key near '\"a\"'"},
        {"{\"a\": 1", "1! line 1: '}' expected near end of file"},
        {"{\"a\": 1}\n{\"b\": 2}", "1! line 2: end of file expected near '{'"},
        {"{\"a\": \"\\u0000\"}",
         "1! line 1: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'"},
        {"{\"a\\u0000\": 1}",
         "1! line 1: NUL byte in object key not supported near '\"a\\u0000\"'"},
        {"{a: 1}", "1! line 1: string or '}' expected near 'a'"},
        {"[9223372036854775807, -9223372036854775808, -0, 1e2]",
         "1: [i9223372036854775807, i-9223372036854775808, i0, f100]"},
        {"[9223372036854775808, -100000000000000000000]", "1: [f9.22337e+18, f-1e+20]"},
        {"\xef\xbb\xbf{}", "1: {}"},
    };
    assert_examples(examples, sizeof(examples) / sizeof(examples[0]), true);
}

/* N brackets that open and N that close. */
static void assert_nesting(unsigned depth, bool json, const char *expected)
{
    CLEANUP_BUF struct buf text = {0};
    for (unsigned i = 0; i < depth; i++)
        buf_append_byte(&text, '[');
    for (unsigned i = 0; i < depth; i++)
        buf_append_byte(&text, ']');
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, buf_str(&text), json);
    assert_int_equal(file.count, 1);
    assert_string_equal(file.entries[0].error.text, expected);
}

static void test_limits(void **state)
{
    (void)state;
    for (int json = 0; json < 2; json++) {
        assert_nesting(DOC_DEPTH, json, "");
        assert_nesting(DOC_DEPTH + 1, json, "line 1: nested deeper than 100 levels");
        assert_nesting(900, json, "line 1: nested deeper than 100 levels");
    }

    /* Nine lists of ten aliases each, one in another: 10^9 nodes from 400 bytes. */
    CLEANUP_BUF struct buf bomb = {0};
    buf_printf(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 9; i++) {
        buf_printf(&bomb, "a%d: &a%d [*a%d", i, i, i - 1);
        for (int j = 0; j < 9; j++)
            buf_printf(&bomb, ", *a%d", i - 1);
        buf_printf(&bomb, "]\n");
    }
    assert_documents(buf_str(&bomb), false,
                     "1! line 6: more than 1000000 values in one document, aliases expanded");

    /* One long text, many times: five bytes for each megabyte. */
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, "- &x ");
    for (int i = 0; i < 1024 * 1024; i++)
        buf_append_byte(&text, 'x');
    for (int i = 0; i < 64; i++)
        buf_printf(&text, "\n- *x");
    assert_documents(
        buf_str(&text), false,
        "1! line 65: more than 67108864 bytes of text in one document, aliases expanded");

    /* Depth through aliases counts as well. */
    CLEANUP_BUF struct buf deep = {0};
    buf_printf(&deep, "a0: &a0 [x]\n");
    for (int i = 1; i < 120; i++)
        buf_printf(&deep, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    assert_documents(buf_str(&deep), false, "1! line 99: nested deeper than 100 levels");
}

/* A map of `count` members, each a map with one member, then "kN: again". */
static void write_large_map(struct buf *out, int count, int again)
{
    for (int i = 0; i < count; i++)
        buf_printf(out, "k%d: {k0: [%d, {}]}\n", i, i);
    buf_printf(out, "k%d: again\n", again);
}

/* The keys of large maps are found in another way than those of small ones. */
static void test_large_maps(void **state)
{
    (void)state;
    for (int count = 1; count < 40; count++) {
        for (int again = 0; again <= count; again++) {
            CLEANUP_BUF struct buf text = {0};
            CLEANUP_ARENA struct arena arena = {0};
            char expected[80];
            write_large_map(&text, count, again);
            struct doc_file file = doc_load(&arena, buf_str(&text), false);
            const struct doc_entry *entry = &file.entries[0];
            snprintf(expected, sizeof(expected), "line %d: the key \"k%d\" stands twice in one map",
                     count + 1, again);
            assert_int_equal(entry->failed, again < count);
            if (entry->failed) {
                assert_string_equal(entry->error.text, expected);
                continue;
            }
            assert_int_equal(entry->root->count, count + 1);
            for (int i = 0; i < count; i++) {
                const struct doc_node *list = doc_get(entry->root->items[i], STR("k0"));
                assert_int_equal(list->items[0]->integer, i);
                assert_int_equal(entry->root->key_lines[i], i + 1);
            }
        }
    }
}

static void test_large_merges(void **state)
{
    (void)state;
    for (int own = 0; own < 20; own++) {
        CLEANUP_BUF struct buf text = {0};
        CLEANUP_ARENA struct arena arena = {0};
        buf_printf(&text, "base: &b\n");
        for (int i = 0; i < 20; i++)
            buf_printf(&text, "  k%d: base\n", i);
        buf_printf(&text, "map:\n  <<: *b\n");
        for (int i = 0; i < own; i++)
            buf_printf(&text, "  k%d: own\n", i);
        struct doc_file file = doc_load(&arena, buf_str(&text), false);
        assert_false(file.entries[0].failed);
        const struct doc_node *map = doc_get(file.entries[0].root, STR("map"));
        assert_int_equal(map->count, 20);
        for (int i = 0; i < 20; i++) {
            struct str value = doc_get(map, arena_printf(&arena, "k%d", i))->text;
            assert_true(str_eq(value, i < own ? STR("own") : STR("base")));
        }
    }
}

static uint64_t digest_of(const char *text)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, str_from_c(text), false);
    assert_int_equal(file.count, 1);
    assert_false(file.entries[0].failed);
    return doc_digest(file.entries[0].root);
}

static void test_digest(void **state)
{
    (void)state;
    /* No two of these say the same. */
    static const char *const different[] = {
        "{a: b}",         "{a: {}}",      "{a: []}",      "{a: ''}",           "{a: ~}",
        "{ab: ''}",       "{a: b, c: d}", "{c: d, a: b}", "{a: {b: c, d: e}}", "{a: {b: c}, d: e}",
        "[a, b]",         "[ab]",         "[a, [b]]",     "[[a], b]",          "[[a, b]]",
        "{a: 1}",         "{a: '1'}",     "{a: 01}",      "{a: true}",         "{a: 'true'}",
        "{a: 'b\\x01c'}", "[b, '']",      "[b]",          "['', b]",
    };
    enum { COUNT = sizeof(different) / sizeof(different[0]) };
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(digest_of(different[i]), digest_of(different[j]));
    }
    assert_int_equal(digest_of("{a: b, c: [d]}"), digest_of("# x\na: 'b'\n\nc:\n- \"d\"\n"));
    /* Lengths of one byte, two, three. */
    static const int lengths[] = {127, 128, 129, 16383, 16384};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        CLEANUP_BUF struct buf text = {0}, longer = {0};
        buf_printf(&text, "['%0*d', x]%c", lengths[i], 0, 0);
        buf_printf(&longer, "['%0*d', x]%c", lengths[i] + 1, 0, 0);
        assert_int_equal(digest_of(text.data), digest_of(text.data));
        assert_int_not_equal(digest_of(text.data), digest_of(longer.data));
    }
}

static void test_get_and_describe(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file =
        doc_load(&arena, STR("a: on\nb: 0x10\nc: [x]\nd: {}\ne: 'te\\xt'\nf:\n"), false);
    const struct doc_node *root = file.entries[0].root;
    static const struct {
        struct str key;
        const char *description;
    } examples[] = {
        {STR_INIT("a"), "the boolean `on`"}, {STR_INIT("b"), "the number `0x10`"},
        {STR_INIT("c"), "a list"},           {STR_INIT("d"), "a map"},
        {STR_INIT("f"), "nothing"},          {STR_INIT("e"), "the string \"te\\\\xt\""},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const struct doc_node *node = doc_get(root, examples[i].key);
        assert_non_null(node);
        struct str text = doc_describe(&arena, node);
        assert_true(str_eq(text, str_from_c(examples[i].description)));
    }
    assert_null(doc_get(root, STR("g")));
    assert_null(doc_get(doc_get(root, STR("c")), STR("x")));
    assert_null(doc_get(NULL, STR("x")));
    assert_true(str_eq(doc_get_text(root, STR("e")), STR("te\\xt")));
    assert_int_equal(doc_get_text(root, STR("b")).len + doc_get_text(root, STR("g")).len, 0);
    assert_int_equal(doc_get_text(NULL, STR("x")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_scalars), cmocka_unit_test(test_yaml_documents),
        cmocka_unit_test(test_yaml_aliases), cmocka_unit_test(test_yaml_errors),
        cmocka_unit_test(test_json),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_large_maps),   cmocka_unit_test(test_large_merges),
        cmocka_unit_test(test_digest),       cmocka_unit_test(test_get_and_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
