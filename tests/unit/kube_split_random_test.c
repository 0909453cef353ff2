/* kube/split.h against jansson, on random JSON and damaged JSON, however the bytes are cut. */
#include <jansson.h>

#include "random.h"
#include "split_listener.h"

static const char *const drops[] = {
    "metadata.managedFields", "spec.containers.env", "secrets", "a.b.c.d.e", NULL,
};

/* Names and texts that have a meaning somewhere, and such as are hard to read. */
static const char *const words[] = {"metadata",
                                    "managedFields",
                                    "spec",
                                    "containers",
                                    "env",
                                    "secrets",
                                    "object",
                                    "items",
                                    "a",
                                    "b",
                                    "c",
                                    "d",
                                    "e",
                                    "",
                                    "\"",
                                    "\\",
                                    "\\\"",
                                    "}]",
                                    "{\"[:,",
                                    "\n\t\x01",
                                    "\xc3\xa4",
                                    "null",
                                    "\xf0\x9f\x98\x80"};

/* The first of them half of the time: those that are dropped, and the way to them. */
static const char *random_word(struct random *r)
{
    return words[random_below(r, random_below(r, 2) == 0 ? 7 : COUNT(words))];
}

static json_t *random_value(struct random *r, unsigned depth);

static json_t *random_object(struct random *r, unsigned depth)
{
    json_t *object = json_object();
    for (size_t i = random_below(r, 5); i > 0; i--)
        json_object_set_new(object, random_word(r), random_value(r, depth + 1));
    return object;
}

static json_t *random_value(struct random *r, unsigned depth)
{
    size_t choice = random_below(r, depth < 7 ? 8 : 5);
    switch (choice) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(random_below(r, 2) == 0);
    case 2:
        return json_integer((json_int_t)random_next(r));
    case 3:
        return json_real((double)random_below(r, 1000) / 7);
    case 4:
        return json_string(random_word(r));
    case 5: {
        json_t *array = json_array();
        for (size_t i = random_below(r, 4); i > 0; i--)
            json_array_append_new(array, random_value(r, depth + 1));
        return array;
    }
    default:
        return random_object(r, depth);
    }
}

/* Puts null in the place of what is dropped, by the other way round: from each path down. */
static void drop_path(json_t *value, const char *path)
{
    size_t i;
    json_t *element;
    if (json_is_array(value)) {
        json_array_foreach (value, i, element)
            drop_path(element, path);
        return;
    }
    struct str head, rest;
    CLEANUP_FREE char *name = NULL;
    bool has_more = str_cut(str_from_c(path), '.', &head, &rest);
    name = mem_strndup(head);
    json_t *inner = json_object_get(value, name);
    if (inner == NULL)
        return;
    if (has_more)
        drop_path(inner, rest.ptr);
    else
        json_object_set_new(value, name, json_null());
}

static void drop_all(json_t *value)
{
    for (size_t i = 0; drops[i] != NULL; i++)
        drop_path(value, drops[i]);
}

static size_t random_flags(struct random *r)
{
    static const size_t flags[] = {JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII,
                                   JSON_ESCAPE_SLASH | JSON_COMPACT, 0};
    return flags[random_below(r, COUNT(flags))] | JSON_ENCODE_ANY;
}

static void append_json(struct buf *out, const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags);
    assert_non_null(text);
    buf_append_str(out, str_from_c(text));
    free(text);
}

/* What the callbacks should be given, as values. */
struct expected {
    json_t *fields, *pieces; /* arrays; of [NAME, VALUE], and of values */
    size_t field, piece;     /* that have come */
};

static json_t *load(struct str json)
{
    json_error_t error;
    json_t *value = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, &error);
    if (value == NULL)
        fail_msg("no JSON: %s: %s", quote(json).text, error.text);
    return value;
}

static bool on_expected_piece(void *ctx, struct str json)
{
    struct expected *e = ctx;
    json_t *got = load(json);
    CHECK(quote(json).text, json_equal(got, json_array_get(e->pieces, e->piece++)));
    json_decref(got);
    return true;
}

static bool on_expected_field(void *ctx, struct str name, struct str json)
{
    struct expected *e = ctx;
    const json_t *field = json_array_get(e->fields, e->field++);
    json_t *got = load(json), *own = json_array_get(field, 1);
    json_t *own_name = json_array_get(field, 0);
    CLEANUP_BUF struct buf quoted = {0};
    buf_printf(&quoted, "\"%.*s\"", STR_ARG(name));
    json_t *got_name = load(buf_str(&quoted));
    CHECK(quote(name).text, json_equal(got_name, own_name));
    CHECK(quote(json).text, json_equal(got, own));
    json_decref(got);
    json_decref(got_name);
    return true;
}

static void feed_in_random_parts(struct kube_split *split, struct str text, struct random *r)
{
    struct error err;
    size_t most = random_below(r, 4) == 0 ? 1 : 1 + random_below(r, 200);
    while (text.len > 0) {
        struct str part = str_head(text, 1 + random_below(r, most));
        if (!kube_split_feed(split, part, &err))
            fail_msg("%s", err.text);
        text = str_from(text, part.len);
    }
}

/* Makes a list and what is to be told of it. */
static void random_list(struct random *r, struct buf *text, struct expected *e)
{
    json_t *list = random_object(r, 1), *items = json_array(), *value;
    const char *name;
    size_t i;
    for (i = random_below(r, 6); i > 0; i--)
        json_array_append_new(items, random_object(r, 1));
    json_object_set_new(list, "items", items);
    append_json(text, list, random_flags(r));
    json_object_foreach (list, name, value) {
        if (value != items &&
            (json_is_string(value) || json_is_object(value) || json_is_array(value)))
            json_array_append_new(e->fields, json_pack("[sO]", name, value));
    }
    json_array_foreach (items, i, value) {
        json_t *dropped = json_deep_copy(value);
        drop_all(dropped);
        json_array_append_new(e->pieces, dropped);
    }
    json_decref(list);
}

static void random_events(struct random *r, struct buf *text, struct expected *e)
{
    for (size_t i = random_below(r, 6); i > 0; i--) {
        json_t *event = random_object(r, 1);
        json_object_set_new(event, "object", random_object(r, 1));
        append_json(text, event, random_flags(r));
        if (random_below(r, 2) == 0)
            buf_append_byte(text, '\n');
        drop_all(json_object_get(event, "object"));
        json_array_append_new(e->pieces, event);
    }
}

static void test_agrees_with_jansson(void **state)
{
    (void)state;
    struct random r = random_start();
    for (int i = 0; i < 3000; i++) {
        struct expected e = {json_array(), json_array(), 0, 0};
        CLEANUP_BUF struct buf text = {0};
        bool is_list = i % 2 == 0;
        if (is_list)
            random_list(&r, &text, &e);
        else
            random_events(&r, &text, &e);
        const struct kube_split_events events = {on_expected_piece, on_expected_field, &e};
        struct kube_split *split = kube_split_new(is_list ? SPLIT_LIST : SPLIT_VALUES, drops,
                                                  is_list ? NULL : "object", &events);
        feed_in_random_parts(split, buf_str(&text), &r);
        CHECK(quote(buf_str(&text)).text, kube_split_is_complete(split));
        assert_int_equal(e.piece, json_array_size(e.pieces));
        assert_int_equal(e.field, json_array_size(e.fields));
        kube_split_free(split);
        json_decref(e.fields);
        json_decref(e.pieces);
    }
}

static bool run(struct str text, const size_t *cuts, enum kube_split_mode mode, struct listener *l,
                struct error *err)
{
    struct kube_split *split = listener_start(mode, drops, NULL, l);
    bool ok = true;
    for (size_t at = 0, i = 0; ok && at < text.len; at += cuts[i++ % 8])
        ok = kube_split_feed(split, str_head(str_from(text, at), cuts[i % 8]), err);
    ok = ok && kube_split_is_complete(split);
    kube_split_free(split);
    return ok;
}

/* Damaged JSON gives the same pieces and the same verdict however it is cut. */
static void test_damaged(void **state)
{
    (void)state;
    static const char bytes[] = "{}[]\":,\\ \n0tn\xff";
    static const size_t whole[8] = {1u << 20, 1, 1, 1, 1, 1, 1, 1};
    struct random r = random_start();
    for (int i = 0; i < 4000; i++) {
        CLEANUP_BUF struct buf text = {0};
        struct expected e = {json_array(), json_array(), 0, 0};
        enum kube_split_mode mode = i % 2 == 0 ? SPLIT_LIST : SPLIT_VALUES;
        if (mode == SPLIT_LIST)
            random_list(&r, &text, &e);
        else
            random_events(&r, &text, &e);
        for (size_t j = random_below(&r, 4); j > 0 && text.len > 0; j--)
            text.data[random_below(&r, text.len)] = bytes[random_below(&r, sizeof(bytes))];
        struct listener a = {0}, b = {0};
        struct error a_err = {""}, b_err = {""};
        size_t cuts[8];
        for (size_t j = 0; j < 8; j++)
            cuts[j] = 1 + random_below(&r, 9);
        bool a_ok = run(buf_str(&text), whole, mode, &a, &a_err);
        bool b_ok = run(buf_str(&text), cuts, mode, &b, &b_err);
        CHECK(quote(buf_str(&text)).text, a_ok == b_ok && strcmp(a_err.text, b_err.text) == 0);
        check_text("pieces", buf_str(&b.trace), buf_str(&a.trace));
        buf_free(&a.trace);
        buf_free(&b.trace);
        json_decref(e.fields);
        json_decref(e.pieces);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_jansson),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
