/* JSON with jansson. jansson checks the text and keeps the order of members, but not where they stood; so the text
 * is walked a second time in step with the tree, which is easy since it is known to be sound.
 *
 * jansson has no events. So if there is a taker, the list `items` is cut out of the text; the document without it is read first, then the
 * elements, each from its own piece of the text. The cuts are made by a look at brackets, commas and strings alone: whether these
 * stand where they may, jansson finds out in the pieces. */
#include "model/doc_parse.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/random.h>

/* The marks of a text, one after the other: what its values begin and end with, and what is between them. */
struct marks {
    const char *at, *end; /* of what is left of the text */
    unsigned line;        /* of `at` */
    const char *start;    /* of the mark that was read last, which ends at `at` */
};

static void skip_string(struct marks *m)
{
    while (m->at < m->end && *m->at != '"')
        m->at += *m->at == '\\' && m->at + 1 < m->end ? 2 : 1;
    m->at += m->at < m->end;
}

/* One of {}[],: or 's' for a string, 'w' for a number or a word, 0 for the end of the text. */
static char next_mark(struct marks *m)
{
    for (; m->at < m->end && doc_is_blank(*m->at); m->at++)
        m->line += *m->at == '\n';
    m->start = m->at;
    if (m->at == m->end)
        return 0;
    char c = *m->at++;
    if (c == '"') {
        skip_string(m);
        return 's';
    }
    if (c != '\0' && strchr("{}[],:", c) != NULL)
        return c;
    while (m->at < m->end && !doc_is_blank(*m->at) && memchr("{}[],:\"", *m->at, 7) == NULL)
        m->at++;
    return 'w';
}

/* A value to be read, with nothing but blanks around it. */
struct piece {
    struct str text;
    unsigned line;   /* on which the text begins */
    unsigned depth;  /* how deep in its document it stands; 1: it is the document */
    const char *cut; /* where lines were cut out of the text, or NULL */
    unsigned cut_lines;
};

/* ---- a value ---- */

struct walker {
    struct arena *arena;
    struct marks marks;
    const struct piece *piece;
    struct doc_entry *entry;
};

static struct doc_node *walk(struct walker *w, json_t *value, unsigned depth);

static bool walk_map(struct walker *w, json_t *value, struct doc_node *node, unsigned depth)
{
    size_t count = json_object_size(value);
    node->keys = arena_array(w->arena, count, sizeof(*node->keys));
    node->key_lines = arena_array(w->arena, count, sizeof(*node->key_lines));
    node->items = arena_array(w->arena, count, sizeof(struct doc_node *));
    void *member = json_object_iter(value);
    for (; member != NULL; member = json_object_iter_next(value, member)) {
        /* Keys with NUL were refused by jansson: it hands them out as C strings. */
        node->keys[node->count] = arena_copy(w->arena, str_from_c(json_object_iter_key(member)));
        next_mark(&w->marks);
        node->key_lines[node->count] = w->marks.line;
        next_mark(&w->marks); /* the colon */
        struct doc_node *item = walk(w, json_object_iter_value(member), depth + 1);
        if (item == NULL)
            return false;
        node->items[node->count++] = item;
        next_mark(&w->marks); /* a comma, or the end */
    }
    if (count == 0)
        next_mark(&w->marks);
    return true;
}

static bool walk_list(struct walker *w, json_t *value, struct doc_node *node, unsigned depth)
{
    size_t count = json_array_size(value);
    node->items = arena_array(w->arena, count, sizeof(struct doc_node *));
    while (node->count < count) {
        struct doc_node *item = walk(w, json_array_get(value, node->count), depth + 1);
        if (item == NULL)
            return false;
        node->items[node->count++] = item;
        next_mark(&w->marks);
    }
    if (w->marks.at == w->piece->cut)
        w->marks.line += w->piece->cut_lines;
    if (count == 0)
        next_mark(&w->marks);
    return true;
}

/* What is written as an integer, and fits. */
static bool parse_integer(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0') /* a fraction, an exponent */
        return false;
    *value = integer;
    return true;
}

static void walk_scalar(struct walker *w, json_t *value, struct doc_node *node)
{
    if (json_is_string(value)) {
        node->type = DOC_STRING;
        node->text =
            arena_copy(w->arena, str_make(json_string_value(value), json_string_length(value)));
        return;
    }
    const struct marks *m = &w->marks;
    node->text = arena_copy(w->arena, str_make(m->start, (size_t)(m->at - m->start)));
    if (json_is_boolean(value)) {
        node->type = DOC_BOOL;
        node->boolean = json_is_true(value);
    } else if (json_is_real(value)) {
        node->number = json_real_value(value);
        node->type = parse_integer(node->text.ptr, &node->integer) ? DOC_INT : DOC_FLOAT;
    }
}

static struct doc_node *walk(struct walker *w, json_t *value, unsigned depth)
{
    next_mark(&w->marks);
    if (depth > DOC_DEPTH) {
        doc_fail(w->entry, w->marks.line, "nested deeper than %d levels", DOC_DEPTH);
        return NULL;
    }
    struct doc_node *node = arena_alloc(w->arena, sizeof(*node));
    node->line = w->marks.line;
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

/* Before jansson makes a tree of it, which takes more room than ours. */
static bool check_size(struct doc_entry *entry, struct str text, unsigned line)
{
    struct marks m = {.at = text.ptr, .end = text.ptr + text.len, .line = line};
    size_t values = 0;
    if (text.len <= DOC_NODE_LIMIT)
        return true; /* a value takes a byte at least */
    for (char mark = next_mark(&m); mark != 0; mark = next_mark(&m)) {
        if (mark == ':' && values > 0)
            values--; /* the string before it was a key; its value will be counted */
        values += mark == '{' || mark == '[' || mark == 's' || mark == 'w';
        if (values > DOC_NODE_LIMIT)
            return doc_fail(entry, m.line, "more than %d values in one document", DOC_NODE_LIMIT);
    }
    return true;
}

static void fail_parser(struct doc_entry *entry, const struct piece *piece, json_error_t *error)
{
    unsigned line = piece->line + (error->line > 0 ? (unsigned)error->line - 1 : 0);
    if (piece->cut != NULL && error->position >= piece->cut - piece->text.ptr)
        line += piece->cut_lines;
    /* jansson shows a piece of the text, which may hold anything. */
    for (char *c = error->text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    }
    doc_fail(entry, line, "%s", error->text);
}

/* NULL: the entry says why. */
static struct doc_node *parse(struct arena *arena, struct doc_entry *entry,
                              const struct piece *piece)
{
    json_error_t error;
    struct str text = piece->text;
    if (!check_size(entry, text, piece->line))
        return NULL;
    /* As real numbers, since an integer of more than 64 bits is no error: Kubernetes writes 1e20 as one, and takes it where a policy may
     * have any number. */
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
    json_t *tree = json_loadb(text.ptr, text.len, flags, &error);
    if (tree == NULL) {
        fail_parser(entry, piece, &error);
        return NULL;
    }
    struct walker w = {.arena = arena,
                       .marks = {.at = text.ptr, .end = text.ptr + text.len, .line = piece->line},
                       .piece = piece,
                       .entry = entry};
    struct doc_node *node = walk(&w, tree, piece->depth);
    json_decref(tree);
    return node;
}

/* ---- the items ---- */

/* Passes over what a bracket opened; the mark that was read last is then what closes it, or the end. */
static void skip_nested(struct marks *m)
{
    char mark;
    for (size_t open = 1; open > 0 && (mark = next_mark(m)) != 0;) {
        open += mark == '{' || mark == '[';
        open -= mark == '}' || mark == ']';
    }
}

/* Takes the text up to the next comma that is not nested, or to the end (false). */
static bool next_piece(struct marks *m, struct str *text)
{
    const char *start = m->at;
    char mark;
    while ((mark = next_mark(m)) != 0 && mark != ',') {
        if (mark == '{' || mark == '[')
            skip_nested(m);
    }
    *text = str_make(start, (size_t)(m->start - start));
    return mark == ',';
}

/* What stands between the brackets of a document's items. */
struct items {
    struct str text;
    unsigned line, end_line;
};

static bool find_items(struct str text, unsigned line, struct items *items)
{
    struct marks m = {.at = text.ptr, .end = text.ptr + text.len, .line = line};
    bool is_key = false, is_value = false; /* the last mark was the key; its colon */
    if (next_mark(&m) != '{')
        return false;
    for (char mark = next_mark(&m); mark != 0 && mark != '}'; mark = next_mark(&m)) {
        items->text.ptr = m.at;
        items->line = m.line;
        if (mark == '{' || mark == '[')
            skip_nested(&m);
        if (mark == '[' && is_value) {
            items->text.len = (size_t)(m.start - items->text.ptr);
            items->end_line = m.line;
            return true;
        }
        is_value = mark == ':' && is_key;
        is_key =
            mark == 's' && str_eq(str_make(m.start, (size_t)(m.at - m.start)), STR("\"items\""));
    }
    return false;
}

static bool is_empty(struct str text)
{
    size_t i = 0;
    while (i < text.len && doc_is_blank(text.ptr[i]))
        i++;
    return i == text.len;
}

/* The document without the items. */
static struct doc_node *parse_rest(struct arena *arena, const struct piece *whole,
                                   const struct items *items, struct doc_entry *entry)
{
    CLEANUP_BUF struct buf rest = {0};
    const char *end = items->text.ptr + items->text.len;
    size_t before = (size_t)(items->text.ptr - whole->text.ptr);
    buf_append_str(&rest, str_head(whole->text, before));
    buf_append(&rest, end, whole->text.len - before - items->text.len);
    const struct piece piece = {.text = buf_str(&rest),
                                .line = whole->line,
                                .depth = whole->depth,
                                .cut = rest.data + before,
                                .cut_lines = items->end_line - items->line};
    return parse(arena, entry, &piece);
}

/* Items that stay in their document. */
struct kept {
    struct doc_node **nodes;
    size_t count, capacity;
};

/* Reads the items; offers them to the taker until one stays. */
static bool read_items(struct arena *arena, const struct items *items,
                       const struct doc_taker *taker, struct doc_entry *entry, struct kept *kept)
{
    const char *end = items->text.ptr + items->text.len;
    struct marks m = {.at = items->text.ptr, .end = end, .line = items->line};
    bool is_more = !is_empty(items->text);
    for (size_t i = 0; is_more; i++) {
        CLEANUP_ARENA struct arena own = {0};
        struct piece piece = {.line = m.line, .depth = 3};
        is_more = next_piece(&m, &piece.text);
        struct doc_node *node = parse(&own, entry, &piece);
        if (node == NULL)
            return false;
        if (kept->count == 0 && taker->item(taker->ctx, entry->root, node, i))
            continue;
        struct str rest = str_make(piece.text.ptr, (size_t)(end - piece.text.ptr));
        if (kept->count == 0 && !check_size(entry, rest, piece.line))
            return false;
        MEM_GROW(kept->nodes, kept->count, kept->capacity);
        kept->nodes[kept->count++] = node;
        arena_adopt(arena, &own);
    }
    return true;
}

/* Reads a document and its items, each by itself. */
static struct doc_node *parse_apart(struct arena *arena, const struct piece *whole,
                                    const struct items *items, const struct doc_taker *taker,
                                    struct doc_entry *entry)
{
    struct kept kept = {0};
    struct doc_node *root = entry->root = parse_rest(arena, whole, items, entry);
    bool ok = root != NULL && read_items(arena, items, taker, entry, &kept);
    for (size_t i = 0; ok && i < root->count; i++) {
        struct doc_node *list = root->items[i];
        if (!str_eq(root->keys[i], DOC_ITEMS))
            continue;
        list->count = kept.count;
        list->items = arena_array(arena, kept.count, sizeof(*list->items));
        if (kept.count > 0)
            memcpy(list->items, kept.nodes, kept.count * sizeof(*list->items));
    }
    free(kept.nodes);
    return ok ? root : NULL;
}

/* Before main. jansson's own way to a seed is a file, which a hardened process cannot open; it would fall back on the time, which
 * can be guessed, and with it keys that all fall into one bucket. */
__attribute__((constructor)) static void seed_tables(void)
{
    unsigned seed;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed) && seed != 0)
        json_object_seed(seed);
}

void doc_parse_json(struct arena *arena, struct str text, unsigned line,
                    const struct doc_taker *taker, struct doc_entry *entry)
{
    struct piece whole = {.text = text, .line = line, .depth = 1};
    struct items items;
    if (is_empty(text))
        return;
    if (taker != NULL && find_items(text, line, &items))
        entry->root = parse_apart(arena, &whole, &items, taker, entry);
    else
        entry->root = parse(arena, entry, &whole);
}
