#include "model/doc_parse.h"

#include <stdio.h>

bool doc_fail(struct doc_entry *entry, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(entry->error.text, sizeof(entry->error.text), format, args);
    va_end(args);
    entry->failed = true;
    entry->error_line = line;
    return error_prefix(&entry->error, "line %u", line);
}

/* Whether a line is the marker `---` or `...`: the three bytes at its beginning, then a blank or its end. */
static bool is_marker(struct str line, struct str marker)
{
    return str_starts_with(line, marker) && (line.len == 3 || doc_is_blank(line.ptr[3]));
}

/* Whether a line may stand before the `---` of its own document: blank, comment or directive. */
static bool is_preamble(struct str line)
{
    size_t i = 0;
    while (i < line.len && doc_is_blank(line.ptr[i]))
        i++;
    return i == line.len || line.ptr[i] == '#' || line.ptr[0] == '%';
}

/* Takes the next line off `text`, its line break included. */
static struct str next_line(struct str *text)
{
    size_t end = str_find(*text, '\n');
    struct str line = str_head(*text, end < text->len ? end + 1 : end);
    *text = str_from(*text, line.len);
    return line;
}

/* What becomes of documents: they are handed out (then each has its own arena), or kept. */
struct splitter {
    const struct doc_taker *taker; /* NULL: they are kept */
    struct arena *arena;           /* of those that are kept */
    struct doc_entry *entries;
    size_t count, capacity;
};

static void add_document(struct splitter *s, struct str text, unsigned line, bool json)
{
    CLEANUP_ARENA struct arena own = {0};
    struct arena *arena = s->taker != NULL ? &own : s->arena;
    struct doc_entry entry = {.line = line};
    if (json)
        doc_parse_json(arena, text, line, s->taker, &entry);
    else
        doc_parse_yaml(arena, text, line, s->taker, &entry);
    if (!entry.failed && (entry.root == NULL || entry.root->type == DOC_NULL))
        return;
    if (!entry.failed)
        entry.line = entry.root->line;
    if (s->taker != NULL) {
        s->taker->document(s->taker->ctx, &entry);
        return;
    }
    MEM_GROW(s->entries, s->count, s->capacity);
    s->entries[s->count++] = entry;
}

/* Cuts before each `---` and at each `...`. YAML forbids both at the beginning of a line anywhere inside of a
 * document, even in a block of literal text, so that the cut needs no knowledge of what it cuts. */
static void split_yaml(struct splitter *s, struct str text)
{
    const char *start = text.ptr;
    const char *end_of_text = start + text.len;
    unsigned line = 1, start_line = 1;
    bool only_preamble = true;
    while (text.len > 0) {
        const char *place = text.ptr;
        struct str current = next_line(&text);
        bool ends = is_marker(current, STR("..."));
        bool begins = is_marker(current, STR("---"));
        if (ends || (begins && !only_preamble)) {
            add_document(s, str_make(start, (size_t)(place - start)), start_line, false);
            start = ends ? place + current.len : place;
            start_line = ends ? line + 1 : line;
            only_preamble = true;
        }
        if (!ends && (begins || !is_preamble(current)))
            only_preamble = false;
        line++;
    }
    if (start != end_of_text)
        add_document(s, str_make(start, (size_t)(end_of_text - start)), start_line, false);
}

static void split(struct splitter *s, struct str text, bool json)
{
    /* The mark that some editors put before UTF-8 text is no part of it. */
    if (str_starts_with(text, STR("\xef\xbb\xbf")))
        text = str_from(text, 3);
    if (json)
        add_document(s, text, 1, true);
    else if (text.len > 0)
        split_yaml(s, text);
}

void doc_read(struct str text, bool json, const struct doc_taker *taker)
{
    struct splitter s = {.taker = taker};
    split(&s, text, json);
}

struct doc_file doc_load(struct arena *arena, struct str text, bool json)
{
    struct splitter s = {.arena = arena};
    split(&s, text, json);
    struct doc_file file = {.count = s.count};
    file.entries = arena_array(arena, s.count, sizeof(*file.entries));
    if (s.count > 0)
        memcpy(file.entries, s.entries, s.count * sizeof(*s.entries));
    mem_cleanup_free(&s.entries);
    return file;
}

const struct doc_node *doc_get(const struct doc_node *node, struct str key)
{
    if (node == NULL || node->type != DOC_MAP)
        return NULL;
    for (size_t i = 0; i < node->count; i++) {
        if (str_eq(node->keys[i], key))
            return node->items[i];
    }
    return NULL;
}

struct str doc_get_text(const struct doc_node *node, struct str key)
{
    const struct doc_node *value = doc_get(node, key);
    return value != NULL && value->type == DOC_STRING ? value->text : str_make(NULL, 0);
}

struct str doc_describe(struct arena *arena, const struct doc_node *node)
{
    switch (node->type) {
    case DOC_BOOL:
        return arena_printf(arena, "the boolean `%.*s`", STR_ARG(node->text));
    case DOC_INT:
    case DOC_FLOAT:
        return arena_printf(arena, "the number `%.*s`", STR_ARG(str_head(node->text, 60)));
    case DOC_STRING:
        return arena_printf(arena, "the string %s", quote(node->text).text);
    case DOC_LIST:
        return STR("a list");
    case DOC_MAP:
        return STR("a map");
    case DOC_NULL:
        break;
    }
    return STR("nothing");
}
