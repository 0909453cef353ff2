/* kube/object.h: what is read of an object that our reader of JSON does not take as a whole. */
#include "kube/object.h"

#include <stdlib.h>

#include "check.h"

/* The tree as JSON, as far as it takes here. */
static void show(struct buf *out, const struct doc_node *node)
{
    if (node->type != DOC_MAP) {
        buf_append_str(out, node->type == DOC_LIST ? STR("[]") : node->text);
        return;
    }
    buf_append_byte(out, '{');
    for (size_t i = 0; i < node->count; i++) {
        buf_printf(out, "%s%.*s:", i > 0 ? "," : "", STR_ARG(node->keys[i]));
        show(out, node->items[i]);
    }
    buf_append_byte(out, '}');
}

#define META       "\"metadata\":{\"name\":\"a\"}"
#define TWICE      "{\"a\":{\"k\":1,\"k\":2}}"
#define SAYS_TWICE "unreadable: line 1: duplicate object key near ''k''"

static void test_objects(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json, *shown; /* NULL: there is none */
    } cases[] = {
        {"a sound one", "{" META ",\"n\":1,\"spec\":{\"a\":[]}}",
         "{metadata:{name:a},n:1,spec:{a:[]}}"},
        {"a name twice", "{\"kind\":\"K\"," META ",\"n\":1,\"spec\":" TWICE ",\"status\":{}}",
         "{kind:K,metadata:{name:a},spec:" SAYS_TWICE ",status:{}}"},
        {"in an event", "{\"type\":\"ADDED\",\"object\":{" META ",\"spec\":" TWICE "}}",
         "{type:ADDED,object:{metadata:{name:a},spec:" SAYS_TWICE "}}"},
        {"no deeper than that", "{" META ",\"object\":{" META ",\"spec\":" TWICE "}}",
         "{metadata:{name:a},object:{metadata:{name:a},spec:" SAYS_TWICE "}}"},
        {"not even its name", "{\"metadata\":" TWICE ",\"spec\":{}}", NULL},
        {"a list in it", "{" META ",\"items\":[{}],\"spec\":" TWICE "}",
         "{metadata:{name:a},spec:" SAYS_TWICE "}"},
        {"twice at the top", "{\"spec\":{},\"spec\":{}}", NULL},
        {"a list", "[]", NULL},
        {"no JSON", "{x y}", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf shown = {0};
        struct error err = {.text = ""};
        const struct doc_node *node = kube_object_load(&arena, str_from_c(cases[i].json), &err);
        if (node != NULL)
            show(&shown, node);
        buf_append_byte(&shown, '\0');
        CHECK(cases[i].name, (node != NULL) == (cases[i].shown != NULL));
        CHECK(cases[i].name, cases[i].shown == NULL || strcmp(shown.data, cases[i].shown) == 0);
        CHECK(cases[i].name, (node == NULL) == (err.text[0] != '\0'));
    }
}

/* As deep as the splitter takes it; an API server prunes no field that its definition does not describe. */
static void test_depth(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf json = {0};
    struct error err;
    buf_append_str(&json, STR("{" META ",\"spec\":"));
    for (int i = 0; i < 120; i++)
        buf_append_str(&json, STR("{\"a\":"));
    buf_append_str(&json, STR("1"));
    for (int i = 0; i < 121; i++)
        buf_append_byte(&json, '}');
    const struct doc_node *node = kube_object_load(&arena, buf_str(&json), &err);
    assert_non_null(node);
    assert_true(str_eq(doc_get_text(doc_get(node, STR("metadata")), STR("name")), STR("a")));
    assert_true(
        str_starts_with(doc_get_text(node, STR("spec")), STR("unreadable: line 1: nested")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_objects),
                                       cmocka_unit_test(test_depth)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
