/* doc_read and model_decoder_*: documents whose items are taken one by one say what they say whole; and what is bounded. */
#include "model/decode.h"

#include "check.h"

/* ---- the same as whole ---- */

static void write_decoded(struct buf *out, const struct model_decoded *decoded)
{
    for (size_t i = 0; i < decoded->count; i++) {
        struct model_resource *r = decoded->resources[i];
        CLEANUP_ARENA struct arena arena = {0};
        buf_printf(out, "%u %.*s%s\n", r->line, STR_ARG(model_key_format(&arena, &r->key)),
                   r->broken.len > 0 ? ", broken" : "");
        model_resource_free(r);
    }
    for (size_t i = 0; i < decoded->problem_count; i++)
        buf_printf(out, "%u%c %.*s\n", decoded->problems[i].line,
                   decoded->problems[i].warning ? '?' : '!', STR_ARG(decoded->problems[i].message));
}

static void write_whole(struct buf *out, struct str text, bool json)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, text, json);
    for (size_t i = 0; i < file.count; i++) {
        if (file.entries[i].failed) {
            buf_printf(out, "%s\n", file.entries[i].error.text);
            continue;
        }
        struct model_decoded decoded = model_decode(&arena, file.entries[i].root);
        write_decoded(out, &decoded);
    }
}

struct reading {
    struct model_decoder *decoder;
    struct buf *out;
    size_t offered, taken;
};

static bool take_item(void *ctx, const struct doc_node *document, const struct doc_node *item,
                      size_t index)
{
    struct reading *reading = ctx;
    bool is_taken = model_decoder_take(reading->decoder, document, item, index);
    reading->offered++;
    reading->taken += is_taken;
    return is_taken;
}

static void take_document(void *ctx, const struct doc_entry *entry)
{
    struct reading *reading = ctx;
    if (entry->failed) {
        buf_printf(reading->out, "%s\n", entry->error.text);
        model_decoder_drop(reading->decoder);
        return;
    }
    struct model_decoded decoded = model_decoder_finish(reading->decoder, entry->root);
    write_decoded(reading->out, &decoded);
}

static struct reading write_parts(struct buf *out, struct str text, bool json)
{
    struct reading reading = {.decoder = model_decoder_new(), .out = out};
    const struct doc_taker taker = {take_item, take_document, &reading};
    /* A copy of the exact size, so that the sanitizer sees a byte read behind it. */
    CLEANUP_FREE char *copy = mem_alloc(text.len);
    memcpy(copy, text.ptr, text.len);
    doc_read(str_make(copy, text.len), json, &taker);
    model_decoder_free(reading.decoder);
    return reading;
}

#define NS(name) "{apiVersion: v1, kind: Namespace, metadata: {name: " name "}}"
#define JSON_NS(name)                                                                              \
    "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"" name "\"}}"

/* `taken` of the items that were `offered`. */
static const struct {
    const char *name, *text;
    bool json;
    size_t offered, taken;
} cases[] = {
    {"a list",
     "apiVersion: v1\nitems:\n- " NS("a") "\n- " NS("b") "\nkind: List\nmetadata: {}\nx: 1\n",
     false, 2, 2},
    {"the kind first", "apiVersion: v1\nkind: List\nitems:\n- " NS("a") "\n", false, 1, 1},
    {"in one line", "{items: [" NS("a") ", " NS("b") "], kind: List, apiVersion: v1}", false, 2, 2},
    {"no items", "{apiVersion: v1, kind: List, items: []}", false, 0, 0},
    {"items are no list", "{apiVersion: v1, kind: List, items: {a: [" NS("a") "]}}", false, 0, 0},
    {"items are nothing", "{apiVersion: v1, kind: List, items: }", false, 0, 0},
    {"not at the top", "{apiVersion: v1, kind: List, x: {items: [" NS("a") "]}}", false, 0, 0},
    {"kinds are known from the list",
     "{apiVersion: v1, kind: NamespaceList, items: [{metadata: {name: a}}, {metadata: {}}]}", false,
     2, 2},
    {"kinds are known too late",
     "{items: [{metadata: {name: a}}, " NS("b") ", {metadata: {name: 7}}], apiVersion: v1, kind: "
                                                "NamespaceList}",
     false, 1, 0},
    {"some say their kind, others do not",
     "{items: [" NS("a") ", {metadata: {name: b}}, " NS("7") "], apiVersion: v1, kind: "
                                                             "NamespaceList}",
     false, 2, 1},
    {"kinds that nobody knows", "{items: [{metadata: {name: a}}], apiVersion: v1, kind: List}",
     false, 1, 0},
    {"bad items", "{apiVersion: v1, items: [7, ~, [], " NS("a") ", " NS("0x1") "], kind: List}",
     false, 5, 5},
    {"no list after all", "{apiVersion: v1, items: [" NS("a") ", " NS("[]") "], kind: ConfigMap}",
     false, 2, 2},
    {"of no kind at all", "{items: [" NS("a") "]}", false, 1, 1},
    {"a list without a version", "{items: [" NS("a") "], kind: List}", false, 1, 1},
    {"an error after the items", "apiVersion: v1\nitems:\n- " NS("a") "\nkind: List\nkind: List\n",
     false, 1, 1},
    {"an error in an item", "apiVersion: v1\nitems:\n- " NS("a") "\n- {a: ]}\n", false, 1, 1},
    {"several documents",
     "items: [" NS("a") "]\nkind: X\n---\napiVersion: v1\nitems: [" NS(
         "b") "]\nkind: List\n---\n"
              "items: [" NS("c") ", ]]\n---\n" NS("d") "\n",
     false, 3, 3},
    {"lists in lists",
     "{apiVersion: v1, items: [{apiVersion: v1, kind: List, items: [" NS("a") ", 7]}, " NS(
         "b") "], kind: List}",
     false, 2, 2},
    {"a list in no list",
     "{apiVersion: v1, items: [{apiVersion: v1, kind: List, items: [" NS("a") "]}], kind: X}",
     false, 1, 1},
    {"aliases from item to item",
     "apiVersion: v1\nitems:\n- " NS("a") "\n- " NS(
         "&n b") "\n- {apiVersion: v1, kind: "
                 "ServiceAccount, metadata: {name: *n, namespace: *n}}\nkind: List\n",
     false, 1, 1},
    {"an alias to an item",
     "{items: [" NS("a") ", &i " NS("b") "], more: *i, apiVersion: v1, kind: "
                                         "List}",
     false, 1, 1},
    {"an anchor before", "{x: &i 1, items: [" NS("a") ", " NS("b") "], apiVersion: v1, kind: List}",
     false, 0, 0},
    {"items by an anchor", "{items: &i [" NS("a") "], apiVersion: v1, kind: List}", false, 0, 0},
    {"a kind of no use, twice",
     "{apiVersion: v1, items: [{apiVersion: v1, kind: ConfigMap}, {apiVersion: v1, kind: "
     "ConfigMap}], kind: List}",
     false, 2, 2},

    {"JSON",
     "{\"kind\": \"List\", \"apiVersion\": \"v1\",\n \"items\": [\n" JSON_NS("a") ",\n\n" JSON_NS(
         "7x!") "\n], \"x\": [1],\n \"metadata\": {\"items\": [1]}}\n",
     true, 2, 2},
    {"JSON: the kind last",
     "{\"items\":[\n{\"metadata\": {\"name\": \"a\"}}],\n\"apiVersion\": "
     "\"v1\", \"kind\":\"NamespaceList\"}",
     true, 1, 1},
    {"JSON: no items", "{\"items\": [ \n ], \"apiVersion\": \"v1\", \"kind\": 7}", true, 0, 0},
    {"JSON: marks in strings",
     "{\"a\\\"}]\": \"\\\\\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": "
     "\"]},\\\"[\"}, " JSON_NS("a") "], \"apiVersion\": \"v1\", \"kind\": \"List\"}",
     true, 2, 2},
    {"JSON: kinds that nobody knows",
     "{\"items\": [" JSON_NS("a") ", {},\n" JSON_NS(
         "b") "], \"apiVersion\": \"v1\",\n\"kind\": \"List\"}",
     true, 3, 3},
    {"JSON: no list after all",
     "{\"items\": [" JSON_NS("a") ", {}, 7], \"apiVersion\": \"v1\",\n"
                                  "\"kind\": \"ConfigMap\"}",
     true, 2, 1},
    {"JSON: other items",
     "{\"apiVersion\": \"items\", \"kind\": \"items\", \"x\": {\"items\": [" JSON_NS("a") "]}}",
     true, 0, 0},
    {"JSON: not a map", "[\"items\", [" JSON_NS("a") "]]", true, 0, 0},
};

static void test_same_as_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf whole = {0}, parts = {0};
        struct str text = str_from_c(cases[i].text);
        write_whole(&whole, text, cases[i].json);
        struct reading reading = write_parts(&parts, text, cases[i].json);
        assert_true(whole.len > 0 || reading.offered == 0);
        check_text(cases[i].name, buf_str(&parts), buf_str(&whole));
        check_number(cases[i].name, (long long)reading.offered, (long long)cases[i].offered);
        check_number(cases[i].name, (long long)reading.taken, (long long)cases[i].taken);
    }
}

/* JSON that is wrong is wrong in parts, too. (jansson words it by what it saw.) */
static void test_wrong_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } wrong[] = {
        {"{\"items\": [1 2]}", "line 1: "},
        {"{\"items\": [,]}", "line 1: "},
        {"{\"items\": [\n1,\n]}", "line 3: "},
        {"{\"items\": [1}", "line 1: "},
        {"{\"items\": [", "line 1: "},
        {"{\"items\": [\n\"x", "line 2: "},
        {"{\"items\": [\n\n1],\n}", "line 4: "},
        {"{\"items\": [1]", "line 1: "},
        {"{\"items\": [{]}]}", "line 1: "},
        {"{\"items\": [\n[}\n]}", "line 2: "},
        {"{\"items\": [1], \"items\": [2]}", "line 1: "},
        {"{\"items\": [\n], \"a\": 1,\n\"a\": 1}", "line 3: "},
        {"{\"items\": [\"\\", "line 1: "},
        {"{\"items\": [1]} x", "line 1: "},
        {"{\"items\": [\n{\"a\": 1, \"a\": 2}]}", "line 2: "},
        {"{\"items\" [1]}", "line 1: "},
        {"{\"items\": [1],\n[2]}", "line 2: "},
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP_BUF struct buf whole = {0}, parts = {0};
        write_whole(&whole, str_from_c(wrong[i].text), true);
        write_parts(&parts, str_from_c(wrong[i].text), true);
        CHECK(wrong[i].text, str_starts_with(buf_str(&whole), STR("line ")));
        if (!str_starts_with(buf_str(&parts), str_from_c(wrong[i].line)))
            fail_msg("%s: %.*s", wrong[i].text, STR_ARG(buf_str(&parts)));
    }
}

/* Lines behind the items are those of the file. */
static void test_lines(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = {0};
    write_parts(&out,
                STR("{\"apiVersion\": \"v1\", \"items\": [\n\n" JSON_NS("a") ",\n" JSON_NS(
                    "b") "\n],\n\"kind\":\n\"What\"}"),
                true);
    check_text("after the cut", buf_str(&out), STR("6! kind: unknown kind \"What\"\n"));
}

/* ---- limits ---- */

/* As many items as are said, each a list of as many numbers. */
static void write_items(struct buf *out, size_t items, size_t numbers, const char *end)
{
    buf_append_str(out, STR("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": ["));
    for (size_t i = 0; i < items; i++) {
        buf_append_str(out, i == 0 ? STR("[0") : STR(",\n[0"));
        for (size_t j = 1; j < numbers; j++)
            buf_append_str(out, STR(",1"));
        buf_append_str(out, STR("]"));
    }
    buf_append_str(out, str_from_c(end));
}

struct sizes {
    size_t items;
    bool stay;
    struct error error;
};

static bool count_item(void *ctx, const struct doc_node *document, const struct doc_node *item,
                       size_t index)
{
    struct sizes *sizes = ctx;
    (void)document;
    (void)item;
    check_number("index", (long long)index, (long long)sizes->items);
    sizes->items++;
    return !sizes->stay;
}

static void note_document(void *ctx, const struct doc_entry *entry)
{
    ((struct sizes *)ctx)->error = entry->error;
}

/* The limit is one of each item, or of all that stay. */
static void test_limits(void **state)
{
    (void)state;
    enum { MANY = 600 * 1000 };
    static const struct {
        const char *name;
        size_t items, numbers;
        bool stay;
        size_t offered;
        const char *error;
        bool json_only; /* in YAML what stands around an item counts with it */
    } limits[] = {
        {"two and a half millions", 4, MANY, false, 4, "", false},
        {"that stay", 4, MANY, true, 1, "more than 1000000 values in one document", false},
        {"in one item", 2, 1200 * 1000, false, 0, "more than 1000000 values in one document",
         false},
        {"as many as may be", 1, DOC_NODE_LIMIT - 1, false, 1, "", true},
        {"one more", 1, DOC_NODE_LIMIT, false, 0, "more than 1000000 values in one document", true},
    };
    for (size_t i = 0; i < COUNT(limits) * 2; i++) {
        bool json = i % 2 == 0;
        const char *name = limits[i / 2].name;
        CLEANUP_BUF struct buf text = {0};
        struct sizes sizes = {.stay = limits[i / 2].stay};
        const struct doc_taker taker = {count_item, note_document, &sizes};
        if (limits[i / 2].json_only && !json)
            continue;
        write_items(&text, limits[i / 2].items, limits[i / 2].numbers, "]}");
        doc_read(buf_str(&text), json, &taker);
        check_number(name, (long long)sizes.items, (long long)limits[i / 2].offered);
        if ((sizes.error.text[0] == '\0') != (limits[i / 2].error[0] == '\0') ||
            strstr(sizes.error.text, limits[i / 2].error) == NULL)
            fail_msg("%s: \"%s\"", name, sizes.error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_whole),
        cmocka_unit_test(test_wrong_json),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
