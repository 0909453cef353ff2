#include "node/object.h"

const struct doc_node *object_load(struct arena *arena, struct str text, struct error *err)
{
    struct doc_file file = doc_load(arena, text, true);
    if (file.count == 0) {
        error_set(err, "there is nothing in it");
        return NULL;
    }
    if (file.entries[0].failed) {
        error_set(err, "not JSON: %s", file.entries[0].error.text);
        return NULL;
    }
    const struct doc_node *root = file.entries[0].root;
    if (root->type != DOC_MAP) {
        error_set(err, "%.*s, not a JSON object", STR_ARG(doc_describe(arena, root)));
        return NULL;
    }
    return root;
}

static bool take_string(struct arena *arena, const struct doc_node *node, const char *key,
                        struct str *value, struct error *err)
{
    if (node->type != DOC_STRING)
        return error_set(err, "line %u: %s is %.*s, not a string", node->line, key,
                         STR_ARG(doc_describe(arena, node)));
    *value = node->text;
    return true;
}

bool object_string(struct arena *arena, const struct doc_node *object, const char *key,
                   struct str *value, struct error *err)
{
    const struct doc_node *node = doc_get(object, str_from_c(key));
    if (node == NULL)
        return error_set(err, "%s is missing", key);
    return take_string(arena, node, key, value, err);
}

bool object_string_if_any(struct arena *arena, const struct doc_node *object, const char *key,
                          struct str *value, struct error *err)
{
    struct str found = {NULL, 0};
    const struct doc_node *node = doc_get(object, str_from_c(key));
    if (node != NULL && !take_string(arena, node, key, &found, err))
        return false;
    if (found.len > 0)
        *value = found;
    return true;
}
