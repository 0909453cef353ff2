/* JSON with jansson. jansson checks the text and keeps the order of members, but not where they stood; so the text
 * is walked a second time in step with the tree, which is easy since it is known to be sound. */
#include "model/doc_parse.h"

#include <jansson.h>
#include <sys/random.h>

struct walker {
    struct arena *arena;
    const char *at, *end; /* of what is left of the text */
    unsigned line;
    size_t nodes;
    struct doc_entry *entry;
};

static void skip_blanks(struct walker *w)
{
    for (; w->at < w->end && memchr(" \t\r\n", *w->at, 4) != NULL; w->at++) {
        if (*w->at == '\n')
            w->line++;
    }
}

/* Skips one byte of punctuation and the blanks around it. */
static void skip_mark(struct walker *w)
{
    skip_blanks(w);
    w->at++;
    skip_blanks(w);
}

static void skip_string(struct walker *w)
{
    w->at++;
    while (*w->at != '"')
        w->at += *w->at == '\\' ? 2 : 1;
    w->at++;
}

/* A number, true, false or null: the text until what cannot belong to it. */
static struct str skip_word(struct walker *w)
{
    const char *start = w->at;
    while (w->at < w->end && memchr(",]} \t\r\n", *w->at, 7) == NULL)
        w->at++;
    return str_make(start, (size_t)(w->at - start));
}

static struct doc_node *walk(struct walker *w, json_t *value, unsigned depth);

static bool walk_map(struct walker *w, json_t *value, struct doc_node *node, unsigned depth)
{
    size_t count = json_object_size(value);
    node->keys = arena_array(w->arena, count, sizeof(*node->keys));
    node->key_lines = arena_array(w->arena, count, sizeof(*node->key_lines));
    node->items = arena_array(w->arena, count, sizeof(struct doc_node *));
    void *member = json_object_iter(value);
    skip_mark(w);
    for (; member != NULL; member = json_object_iter_next(value, member)) {
        /* Keys with NUL were refused by jansson: it hands them out as C strings. */
        node->keys[node->count] = arena_copy(w->arena, str_from_c(json_object_iter_key(member)));
        node->key_lines[node->count] = w->line;
        skip_string(w);
        skip_mark(w);
        struct doc_node *item = walk(w, json_object_iter_value(member), depth + 1);
        if (item == NULL)
            return false;
        node->items[node->count++] = item;
        skip_mark(w);
    }
    if (count == 0)
        w->at++;
    return true;
}

static bool walk_list(struct walker *w, json_t *value, struct doc_node *node, unsigned depth)
{
    size_t count = json_array_size(value);
    node->items = arena_array(w->arena, count, sizeof(struct doc_node *));
    skip_mark(w);
    while (node->count < count) {
        struct doc_node *item = walk(w, json_array_get(value, node->count), depth + 1);
        if (item == NULL)
            return false;
        node->items[node->count++] = item;
        skip_mark(w);
    }
    if (count == 0)
        w->at++;
    return true;
}

static void walk_scalar(struct walker *w, json_t *value, struct doc_node *node)
{
    if (json_is_string(value)) {
        skip_string(w);
        node->type = DOC_STRING;
        node->text =
            arena_copy(w->arena, str_make(json_string_value(value), json_string_length(value)));
        return;
    }
    node->text = arena_copy(w->arena, skip_word(w));
    if (json_is_boolean(value)) {
        node->type = DOC_BOOL;
        node->boolean = json_is_true(value);
    } else if (json_is_integer(value)) {
        node->type = DOC_INT;
        node->integer = json_integer_value(value);
        node->number = (double)node->integer;
    } else if (json_is_real(value)) {
        node->type = DOC_FLOAT;
        node->number = json_real_value(value);
    }
}

static struct doc_node *walk(struct walker *w, json_t *value, unsigned depth)
{
    if (depth > DOC_DEPTH || ++w->nodes > DOC_NODE_LIMIT) {
        doc_fail(w->entry, w->line,
                 depth > DOC_DEPTH ? "nested deeper than %d levels"
                                   : "more than %d values in one document",
                 depth > DOC_DEPTH ? DOC_DEPTH : DOC_NODE_LIMIT);
        return NULL;
    }
    struct doc_node *node = arena_alloc(w->arena, sizeof(*node));
    node->line = w->line;
    if (json_is_object(value)) {
        node->type = DOC_MAP;
        return walk_map(w, value, node, depth) ? node : NULL;
    }
    if (json_is_array(value)) {
        node->type = DOC_LIST;
        return walk_list(w, value, node, depth) ? node : NULL;
    }
    walk_scalar(w, value, node);
    return node;
}

static bool is_empty(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(" \t\r\n", text.ptr[i], 4) == NULL)
            return false;
    }
    return true;
}

/* Before main. jansson's own way to a seed is a file, which a hardened process cannot open; it would fall back on the time, which
 * can be guessed, and with it keys that all fall into one bucket. */
__attribute__((constructor)) static void seed_tables(void)
{
    unsigned seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed) && seed != 0)
        json_object_seed(seed);
}

void doc_parse_json(struct arena *arena, struct str text, unsigned line, struct doc_entry *entry)
{
    if (is_empty(text))
        return;
    json_error_t error;
    json_t *tree = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (tree == NULL) {
        unsigned offset = error.line > 0 ? (unsigned)error.line - 1 : 0;
        /* jansson shows a piece of the text, which may hold anything. */
        for (char *c = error.text; *c != '\0'; c++) {
            if (*c < 0x20 || *c > 0x7e)
                *c = '?';
        }
        doc_fail(entry, line + offset, "%s", error.text);
        return;
    }
    struct walker w = {
        .arena = arena, .at = text.ptr, .end = text.ptr + text.len, .line = line, .entry = entry};
    skip_blanks(&w);
    entry->root = walk(&w, tree, 1);
    json_decref(tree);
}
