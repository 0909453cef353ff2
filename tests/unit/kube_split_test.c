/* kube/split.h: what is a piece, what is dropped, and what is wrong; each text cut at every place. */
#include "split_listener.h"

#include "check.h"

#define NAME64 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static const char *const drops[] = {
    "metadata.managedFields", "spec.containers.env", "secrets", "a.b.c.d.e", NAME64 "A", NULL,
};

struct split_case {
    const char *name;
    enum kube_split_mode mode;
    const char *below;
    const char *text;
    const char *trace;
    const char
        *error; /* part of the message; NULL: none, and it is complete; "": none, but it is not */
};

static const struct split_case lists[] = {
    {"a list", SPLIT_LIST, NULL,
     "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"a\":1},{\"b\":["
     "2,"
     "{}]}]}",
     "kind \"PodList\"\nmetadata {\"resourceVersion\":\"7\"}\n{\"a\":1}\n{\"b\":[2,{}]}\n", NULL},
    {"items first", SPLIT_LIST, NULL, "{\"items\":[{}],\"metadata\":{\"continue\":\"x\"}}",
     "{}\nmetadata {\"continue\":\"x\"}\n", NULL},
    {"no items in it", SPLIT_LIST, NULL, "{\"items\":[],\"kind\":\"L\"}", "kind \"L\"\n", NULL},
    {"items null", SPLIT_LIST, NULL, "{\"kind\":\"L\",\"items\":null}", "kind \"L\"\n", NULL},
    {"blanks", SPLIT_LIST, NULL, "\r\n{ \"items\" :\t[ { \"a b\" : [ 1 , 2 ] } , {} ] \n} \n",
     "{ \"a b\" : [ 1 , 2 ] }\n{}\n", NULL},
    {"fields of other kinds", SPLIT_LIST, NULL,
     "{\"n\":1.5e3,\"t\":true,\"z\":null,\"a\":[{\"x\":[]}],\"o\":{},\"items\":[]}",
     "a [{\"x\":[]}]\no {}\n", NULL},
    {"a field whose text is items", SPLIT_LIST, NULL, "{\"kind\":\"items\",\"items\":[{}]}",
     "kind \"items\"\n{}\n", NULL},
    {"items within an item", SPLIT_LIST, NULL, "{\"items\":[{\"items\":[{\"items\":null}]}]}",
     "{\"items\":[{\"items\":null}]}\n", NULL},
    {"items within another field", SPLIT_LIST, NULL,
     "{\"metadata\":{\"items\":[{}]},\"items\":[{}]}", "metadata {\"items\":[{}]}\n{}\n", NULL},
    {"brackets and quotes in texts", SPLIT_LIST, NULL,
     "{\"items\":[{\"}\":\"]\\\"}{[\\\\\"},{\"\\\\\":\"\\\\\\\"\"}]}",
     "{\"}\":\"]\\\"}{[\\\\\"}\n{\"\\\\\":\"\\\\\\\"\"}\n", NULL},
    {"bytes that are no UTF-8", SPLIT_LIST, NULL, "{\"items\":[{\"\xff\":\"\x80\xc3\"}]}",
     "{\"\xff\":\"\x80\xc3\"}\n", NULL},
    {"a name twice", SPLIT_LIST, NULL,
     "{\"metadata\":{\"a\":1},\"metadata\":{\"a\":2},\"items\":[{\"a\":1,\"a\":2}]}",
     "metadata {\"a\":1}\nmetadata {\"a\":2}\n{\"a\":1,\"a\":2}\n", NULL},
    {"an empty name", SPLIT_LIST, NULL, "{\"\":\"x\",\"items\":[]}", " \"x\"\n", NULL},
    {"a name of 64 bytes", SPLIT_LIST, NULL, "{\"" NAME64 "\":{},\"items\":[]}", NAME64 " {}\n",
     NULL},
    {"a name of 65 bytes has none", SPLIT_LIST, NULL, "{\"" NAME64 "n\":{},\"items\":[]}", " {}\n",
     NULL},
    {"an escaped name is another", SPLIT_LIST, NULL, "{\"it\\u0065ms\":[{\"a\":1}],\"items\":[{}]}",
     "it\\u0065ms [{\"a\":1}]\n{}\n", NULL},
    {"it is not looked into pieces", SPLIT_LIST, NULL, "{\"items\":[{x y:,,:1}]}", "{x y:,,:1}\n",
     NULL},

    {"nothing", SPLIT_LIST, NULL, "", "", ""},
    {"no end", SPLIT_LIST, NULL, "{\"items\":[{},{\"a\"", "{}\n", ""},
    {"no end behind the items", SPLIT_LIST, NULL, "{\"items\":[{}]", "{}\n", ""},
    {"no items", SPLIT_LIST, NULL, "{\"kind\":\"Status\",\"status\":\"Failure\"}",
     "kind \"Status\"\nstatus \"Failure\"\n", ""},
    {"no fields", SPLIT_LIST, NULL, "{}", "", ""},
    {"items under an escaped name", SPLIT_LIST, NULL, "{\"it\\u0065ms\":[]}", "it\\u0065ms []\n",
     ""},

    {"no object", SPLIT_LIST, NULL, "[{}]", "", "an object was expected"},
    {"a text", SPLIT_LIST, NULL, "\"items\"", "", "an object was expected"},
    {"a number", SPLIT_LIST, NULL, " 1", "", "an object was expected"},
    {"no JSON", SPLIT_LIST, NULL, "<html>", "", "an object was expected"},
    {"a second value", SPLIT_LIST, NULL, "{\"items\":[]}{}", "", "an object was expected"},
    {"a comma behind the end", SPLIT_LIST, NULL, "{\"items\":[]},", "", "an object was expected"},
    {"a bracket behind the end", SPLIT_LIST, NULL, "{\"items\":[]}}", "", "an object was expected"},
    {"brackets that do not pair", SPLIT_LIST, NULL, "{\"items\":[{\"a\":[}]}]}", "",
     "brackets do not pair up"},
    {"brackets that do not pair in what is dropped", SPLIT_LIST, NULL,
     "{\"items\":[{\"secrets\":[}]}", "", "brackets do not pair up"},
    {"items that are no array", SPLIT_LIST, NULL, "{\"items\":{}}", "", "its items are no array"},
    {"items that are a text", SPLIT_LIST, NULL, "{\"items\":\"[]\"}", "", "its items are no array"},
    {"items that are a number", SPLIT_LIST, NULL, "{\"items\":0}", "", "its items are no array"},
    {"items that are true", SPLIT_LIST, NULL, "{\"items\":true}", "", "its items are no array"},
    {"items twice", SPLIT_LIST, NULL, "{\"items\":[{}],\"items\":[]}", "{}\n",
     "its items stand twice"},
    {"items null and then not", SPLIT_LIST, NULL, "{\"items\":null,\"items\":[]}", "",
     "its items stand twice"},
    {"an item that is a text", SPLIT_LIST, NULL, "{\"items\":[{},\"x\"]}", "{}\n",
     "an item that is no object"},
    {"an item that is a number", SPLIT_LIST, NULL, "{\"items\":[0]}", "",
     "an item that is no object"},
    {"an item that is null", SPLIT_LIST, NULL, "{\"items\":[null]}", "",
     "an item that is no object"},
    {"an item that is an array", SPLIT_LIST, NULL, "{\"items\":[[{}]]}", "",
     "an item that is no object"},
    {"a value without a name", SPLIT_LIST, NULL, "{\"metadata\":{\"a\":1},{\"a\":2}}",
     "metadata {\"a\":1}\n", "a name was expected"},
    {"an array without a name", SPLIT_LIST, NULL, "{\"items\":[] [{}]}", "", "a name was expected"},
    {"a number without a name", SPLIT_LIST, NULL, "{5:[]}", "", "a name was expected"},
};

static const struct split_case values[] = {
    {"values", SPLIT_VALUES, NULL, "{\"a\":1}\n{\"b\":[{}]}{}\n", "{\"a\":1}\n{\"b\":[{}]}\n{}\n",
     NULL},
    {"none", SPLIT_VALUES, NULL, "", "", NULL},
    {"blanks", SPLIT_VALUES, NULL, " \r\n\t", "", NULL},
    {"items have no meaning", SPLIT_VALUES, NULL, "{\"items\":[{}]}", "{\"items\":[{}]}\n", NULL},
    {"half of one", SPLIT_VALUES, NULL, "{}{\"a\":", "{}\n", ""},
    {"half of a text", SPLIT_VALUES, NULL, "{}{\"a", "{}\n", ""},
    {"an array", SPLIT_VALUES, NULL, "{}[{}]", "{}\n", "an object was expected"},
    {"a text", SPLIT_VALUES, NULL, "{}\"x\"", "{}\n", "an object was expected"},
    {"null", SPLIT_VALUES, NULL, "{}\nnull", "{}\n", "an object was expected"},
    {"a comma between", SPLIT_VALUES, NULL, "{},{}", "{}\n", "an object was expected"},
    {"a colon between", SPLIT_VALUES, NULL, "{}:{}", "{}\n", "an object was expected"},
    {"a bracket too many", SPLIT_VALUES, NULL, "{}}", "{}\n", "an object was expected"},
    {"brackets that do not pair", SPLIT_VALUES, NULL, "{]", "", "brackets do not pair up"},
};

static const struct split_case dropping[] = {
    {"of an item", SPLIT_LIST, NULL,
     "{\"items\":[{\"metadata\":{\"managedFields\":[{\"x\":\"]\"}],\"name\":\"n\"}}]}",
     "{\"metadata\":{\"managedFields\":null,\"name\":\"n\"}}\n", NULL},
    {"the last field", SPLIT_LIST, NULL, "{\"items\":[{\"a\":1,\"secrets\":{\"b\":{}}},{}]}",
     "{\"a\":1,\"secrets\":null}\n{}\n", NULL},
    {"a text", SPLIT_LIST, NULL, "{\"items\":[{\"secrets\":\"},\\\"{\",\"a\":2}]}",
     "{\"secrets\":null,\"a\":2}\n", NULL},
    {"a number", SPLIT_LIST, NULL, "{\"items\":[{\"secrets\":-1.5e3,\"a\":2}]}",
     "{\"secrets\":null,\"a\":2}\n", NULL},
    {"each of two", SPLIT_LIST, NULL,
     "{\"items\":[{\"secrets\":[1],\"metadata\":{\"managedFields\":2},\"x\":3}]}",
     "{\"secrets\":null,\"metadata\":{\"managedFields\":null},\"x\":3}\n", NULL},
    {"behind an object that was dropped", SPLIT_LIST, NULL,
     "{\"items\":[{\"secrets\":{\"b\":{}},\"metadata\":{\"managedFields\":2},\"x\":3}]}",
     "{\"secrets\":null,\"metadata\":{\"managedFields\":null},\"x\":3}\n", NULL},
    {"in each element of an array", SPLIT_LIST, NULL,
     "{\"items\":[{\"spec\":{\"containers\":[{\"env\":[1],\"name\":\"a\"},{\"env\":{}}]}}]}",
     "{\"spec\":{\"containers\":[{\"env\":null,\"name\":\"a\"},{\"env\":null}]}}\n", NULL},
    {"in arrays of arrays", SPLIT_LIST, NULL,
     "{\"items\":[{\"spec\":[{\"containers\":[[{\"env\":1}]]}]}]}",
     "{\"spec\":[{\"containers\":[[{\"env\":null}]]}]}\n", NULL},
    {"five names deep", SPLIT_LIST, NULL,
     "{\"items\":[{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":1},\"x\":2}}}}}]}",
     "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":null,\"x\":2}}}}}\n", NULL},
    {"not elsewhere", SPLIT_LIST, NULL,
     "{\"items\":[{\"managedFields\":1,\"spec\":{\"managedFields\":2,\"secrets\":3},\"x\":{"
     "\"metadata\":{\"managedFields\":4}}}]}",
     "{\"managedFields\":1,\"spec\":{\"managedFields\":2,\"secrets\":3},\"x\":{\"metadata\":{"
     "\"managedFields\":4}}}\n",
     NULL},
    {"not beside a deeper one", SPLIT_LIST, NULL,
     "{\"items\":[{\"spec\":{\"x\":{\"y\":{}},\"containers\":{\"env\":1}},\"env\":2}]}",
     "{\"spec\":{\"x\":{\"y\":{}},\"containers\":{\"env\":null}},\"env\":2}\n", NULL},
    {"not a part of a name", SPLIT_LIST, NULL, "{\"items\":[{\"secret\":1,\"secretss\":2}]}",
     "{\"secret\":1,\"secretss\":2}\n", NULL},
    {"not a text", SPLIT_LIST, NULL, "{\"items\":[{\"a\":\"secrets\",\"b\":2}]}",
     "{\"a\":\"secrets\",\"b\":2}\n", NULL},
    {"not below an empty name", SPLIT_LIST, NULL, "{\"items\":[{\"\":{\"secrets\":1}}]}",
     "{\"\":{\"secrets\":1}}\n", NULL},
    {"not below a name that is too long", SPLIT_LIST, NULL,
     "{\"items\":[{\"" NAME64 "x\":{\"secrets\":1},\"secrets\":2}]}",
     "{\"" NAME64 "x\":{\"secrets\":1},\"secrets\":null}\n", NULL},
    {"not below one that is too long, of the one before it", SPLIT_LIST, NULL,
     "{\"items\":[{\"metadata\":{},\"" NAME64 "x\":{\"managedFields\":1}}]}",
     "{\"metadata\":{},\"" NAME64 "x\":{\"managedFields\":1}}\n", NULL},
    {"not a name of more than 64 bytes", SPLIT_LIST, NULL,
     "{\"items\":[{\"" NAME64 "A\":1,\"" NAME64 "n\":2}]}",
     "{\"" NAME64 "A\":1,\"" NAME64 "n\":2}\n", NULL},
    {"not below a path that is too long", SPLIT_LIST, NULL,
     "{\"items\":[{\"" NAME64 "\":{\"" NAME64 "\":{\"" NAME64 "\":{\"" NAME64
     "\":{\"secrets\":1}}}},\"secrets\":2}]}",
     "{\"" NAME64 "\":{\"" NAME64 "\":{\"" NAME64 "\":{\"" NAME64
     "\":{\"secrets\":1}}}},\"secrets\":null}\n",
     NULL},
    {"not deeper than five", SPLIT_LIST, NULL,
     "{\"items\":[{\"v\":{\"w\":{\"x\":{\"y\":{\"z\":{\"secrets\":1}}}}},\"secrets\":2}]}",
     "{\"v\":{\"w\":{\"x\":{\"y\":{\"z\":{\"secrets\":1}}}}},\"secrets\":null}\n", NULL},
    {"not of the list itself", SPLIT_LIST, NULL,
     "{\"secrets\":{\"a\":1},\"metadata\":{\"continue\":\"x\",\"managedFields\":[]},\"items\":[]}",
     "secrets {\"a\":1}\nmetadata {\"continue\":\"x\",\"managedFields\":[]}\n", NULL},
    {"of a value", SPLIT_VALUES, NULL, "{\"secrets\":[{}],\"a\":1}{\"secrets\":1}",
     "{\"secrets\":null,\"a\":1}\n{\"secrets\":null}\n", NULL},
    {"of an event", SPLIT_VALUES, "object",
     "{\"type\":\"ADDED\",\"secrets\":1,\"object\":{\"secrets\":[1],\"metadata\":{"
     "\"managedFields\":[{}]}}}",
     "{\"type\":\"ADDED\",\"secrets\":1,\"object\":{\"secrets\":null,\"metadata\":{"
     "\"managedFields\":null}}}\n",
     NULL},
    {"of no other field of an event", SPLIT_VALUES, "object",
     "{\"objects\":{\"secrets\":1},\"obj\":{\"secrets\":2},\"object\":5,\"object-secrets\":6}",
     "{\"objects\":{\"secrets\":1},\"obj\":{\"secrets\":2},\"object\":5,\"object-secrets\":6}\n",
     NULL},
    {"a half-read one", SPLIT_VALUES, NULL, "{\"secrets\":[{\"a\":\"", "", ""},
};

/* Feeds the text in two parts, or (`at` 0) byte by byte, and looks at what comes of it. */
static void check_case(const struct split_case *c, struct str text, const char *const *drop,
                       size_t at)
{
    struct listener l = {0};
    struct error err = {"untouched"};
    struct kube_split *split = listener_start(c->mode, drop, c->below, &l);
    bool ok = true;
    size_t step = at > 0 ? at : 1;
    for (size_t i = 0; ok && i<text.len; i += step, step = at> 0 ? text.len : 1)
        ok = kube_split_feed(split, str_head(str_from(text, i), step), &err);
    bool fails = c->error != NULL && c->error[0] != '\0';
    check_text(c->name, buf_str(&l.trace), str_from_c(c->trace));
    CHECK(c->name, ok == !fails);
    if (fails)
        CHECK(c->name, strstr(err.text, c->error) != NULL);
    else
        CHECK(c->name, kube_split_is_complete(split) == (c->error == NULL));
    CHECK(c->name, fails || strcmp(err.text, "untouched") == 0);
    kube_split_free(split);
    buf_free(&l.trace);
}

static void check_cases(const struct split_case *cases, size_t count, const char *const *drop)
{
    for (size_t i = 0; i < count; i++) {
        struct str text = str_from_c(cases[i].text);
        for (size_t at = 0; at <= text.len; at++)
            check_case(&cases[i], text, drop, at);
    }
}

static void test_lists(void **state)
{
    (void)state;
    check_cases(lists, COUNT(lists), NULL);
}

static void test_values(void **state)
{
    (void)state;
    check_cases(values, COUNT(values), NULL);
}

static void test_dropping(void **state)
{
    (void)state;
    check_cases(dropping, COUNT(dropping), drops);
}

/* What has nothing to drop is the same with and without a list of it. */
static void test_nothing_to_drop(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    check_cases(lists, COUNT(lists), none);
    check_cases(values, COUNT(values), none);
}

/* The table cannot hold it: a NUL ends a C string. */
static void test_nul(void **state)
{
    (void)state;
    struct listener l = {0};
    struct error err;
    struct kube_split *split = listener_start(SPLIT_VALUES, NULL, NULL, &l);
    assert_true(kube_split_feed(split, STR("{\"a\0b\":\"\0\"}"), &err));
    check_text("trace", buf_str(&l.trace), STR("{\"a\0b\":\"\0\"}\n"));
    assert_false(kube_split_feed(split, STR("\0"), &err));
    kube_split_free(split);
    buf_free(&l.trace);
}

/* An escaped NUL would keep the piece from being read. */
static void test_escaped_nul(void **state)
{
    (void)state;
    static const struct split_case cases[] = {
        {"alone", SPLIT_VALUES, NULL, "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ufffd\"}\n", NULL},
        {"in a name", SPLIT_VALUES, NULL, "{\"x\\u0000y\":1}", "{\"x\\ufffdy\":1}\n", NULL},
        {"several", SPLIT_VALUES, NULL, "{\"\\u0000\\u0000\":\"\\u00001\\u0000\"}",
         "{\"\\ufffd\\ufffd\":\"\\ufffd1\\ufffd\"}\n", NULL},
        {"behind an escaped backslash", SPLIT_VALUES, NULL, "{\"a\":\"\\\\\\u0000\"}",
         "{\"a\":\"\\\\\\ufffd\"}\n", NULL},
        {"behind an escaped quote", SPLIT_VALUES, NULL, "{\"a\":\"\\\"\\u0000\"}",
         "{\"a\":\"\\\"\\ufffd\"}\n", NULL},
        {"only the text of one", SPLIT_VALUES, NULL, "{\"a\":\"\\\\u0000\"}",
         "{\"a\":\"\\\\u0000\"}\n", NULL},
        {"only the text of one, again", SPLIT_VALUES, NULL, "{\"a\":\"\\\\\\\\u0000\"}",
         "{\"a\":\"\\\\\\\\u0000\"}\n", NULL},
        {"another character", SPLIT_VALUES, NULL, "{\"a\":\"\\u0001\\u00000\"}",
         "{\"a\":\"\\u0001\\ufffd0\"}\n", NULL},
        {"in an item", SPLIT_LIST, NULL, "{\"items\":[{\"a\":\"\\u0000\"}]}",
         "{\"a\":\"\\ufffd\"}\n", NULL},
        {"in a field of a list", SPLIT_LIST, NULL, "{\"x\":\"\\u0000\",\"items\":[]}",
         "x \"\\ufffd\"\n", NULL},
    };
    check_cases(cases, COUNT(cases), NULL);
}

/* ---- stopping ---- */

static void test_stop(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
        const char *trace;
    } cases[] = {
        {"at a text", 1, "kind \"L\"\n"},
        {"at an object", 2, "kind \"L\"\nmetadata {}\n"},
        {"at an item", 3, "kind \"L\"\nmetadata {}\n{\"a\":1}\n"},
        {"at the last", 4, "kind \"L\"\nmetadata {}\n{\"a\":1}\n{}\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listener l = {.stop_at = cases[i].at};
        struct error err = {"untouched"};
        struct kube_split *split = listener_start(SPLIT_LIST, NULL, NULL, &l);
        bool ok = kube_split_feed(
            split, STR("{\"kind\":\"L\",\"metadata\":{},\"items\":[{\"a\":1},{}]}"), &err);
        CHECK(cases[i].name, !ok && strcmp(err.text, "untouched") == 0);
        check_text(cases[i].name, buf_str(&l.trace), str_from_c(cases[i].trace));
        kube_split_free(split);
        buf_free(&l.trace);
    }
    kube_split_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_dropping), cmocka_unit_test(test_nothing_to_drop),
        cmocka_unit_test(test_nul),      cmocka_unit_test(test_escaped_nul),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
