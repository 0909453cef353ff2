#include "model/decode_fields.h"

#include <math.h>
#include <stdio.h>

#include "model/name.h"

/* One document may not flood the log; that its resources are broken is known all the same. */
enum { PROBLEM_LIMIT = 1000 };

static void append_path(struct buf *out, const struct field *f, const struct field *base)
{
    if (f->parent == NULL || f == base)
        return;
    append_path(out, f->parent, base);
    if (f->name.ptr == NULL)
        buf_printf(out, "[%zu]", f->index);
    else if (name_is_of(f->name, ""))
        buf_printf(out, "%s%.*s", out->len > 0 ? "." : "", STR_ARG(f->name));
    else
        buf_printf(out, "[%s]", quote(f->name).text);
}

/* resource->broken tells the error that stands first in the file, not the one that was found first. */
static void note_broken(struct decoder *d, const struct field *at, struct str text)
{
    if (d->resource->broken.len > 0 && at->line >= d->broken_line)
        return;
    d->resource->broken = arena_copy(&d->resource->arena, text);
    d->broken_line = at->line;
}

static void note_problem(struct decoder *d, unsigned line, bool warning, struct str message)
{
    if (d->problem_count == PROBLEM_LIMIT)
        message = STR("more problems than are worth telling; the rest is left out");
    if (d->problem_count > PROBLEM_LIMIT)
        return;
    MEM_GROW(d->problems, d->problem_count, d->problem_capacity);
    d->problems[d->problem_count] = (struct noted_problem){
        .problem = {line, warning, arena_copy(d->messages, message)}, .order = d->problem_count};
    d->problem_count++;
}

__attribute__((format(printf, 4, 0))) static void note(struct decoder *d, const struct field *at,
                                                       bool warning, const char *format,
                                                       va_list args)
{
    d->errors += !warning;
    CLEANUP_BUF struct buf text = {0};
    append_path(&text, at, d->base);
    if (text.len > 0)
        buf_append_str(&text, STR(": "));
    buf_vprintf(&text, format, args);
    if (d->resource == NULL) {
        note_problem(d, at->line, warning, buf_str(&text));
        return;
    }
    if (!warning)
        note_broken(d, at, buf_str(&text));
    if (d->problem_count > PROBLEM_LIMIT)
        return;
    CLEANUP_BUF struct buf message = {0};
    buf_append_str(&message, model_key_format(d->messages, &d->resource->key));
    buf_append_str(&message, STR(": "));
    buf_append_str(&message, buf_str(&text));
    note_problem(d, at->line, warning, buf_str(&message));
}

void decode_error(struct decoder *d, const struct field *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(d, at, false, format, args);
    va_end(args);
    d->is_partial = d->is_partial || d->resource == NULL;
}

void decode_warning(struct decoder *d, const struct field *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(d, at, true, format, args);
    va_end(args);
}

struct field field_member(const struct field *map, size_t index)
{
    const struct doc_node *value = map->node->items[index];
    return (struct field){.parent = map,
                          .name = map->node->keys[index],
                          .line = map->node->key_lines[index],
                          .node = value->type != DOC_NULL ? value : NULL};
}

struct field field_get(const struct field *map, struct str key)
{
    size_t count = map->node != NULL && map->node->type == DOC_MAP ? map->node->count : 0;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(map->node->keys[i], key))
            return field_member(map, i);
    }
    return (struct field){.parent = map, .name = key, .line = map->line};
}

struct field field_get_filled(const struct field *map, struct str key)
{
    struct field f = field_get(map, key);
    if (f.node != NULL && f.node->type == DOC_STRING && f.node->text.len == 0)
        f.node = NULL;
    return f;
}

struct field field_item(const struct field *list, size_t index)
{
    const struct doc_node *node = list->node->items[index];
    return (struct field){.parent = list, .index = index, .line = node->line, .node = node};
}

bool field_require(struct decoder *d, const struct field *f)
{
    if (!field_is_set(f))
        decode_error(d, f, "missing");
    return field_is_set(f);
}

const char *field_quote_hint(const struct field *f)
{
    bool unquoted =
        f->node->type == DOC_BOOL || f->node->type == DOC_INT || f->node->type == DOC_FLOAT;
    return unquoted ? " (quote it to make it a string)" : "";
}

/* True if the field is set and of this type; an error if it is of another. */
static bool has_type(struct decoder *d, const struct field *f, enum doc_type type,
                     const char *expected)
{
    if (f->node == NULL)
        return false;
    if (f->node->type == type)
        return true;
    decode_error(d, f, "expected %s, found %.*s%s", expected,
                 STR_ARG(doc_describe(d->messages, f->node)),
                 type == DOC_STRING ? field_quote_hint(f) : "");
    return false;
}

bool field_text(struct decoder *d, const struct field *f, struct str *value)
{
    if (!has_type(d, f, DOC_STRING, "a string"))
        return false;
    *value = f->node->text;
    return true;
}

bool field_string(struct decoder *d, const struct field *f, struct str *value)
{
    if (!field_text(d, f, value))
        return false;
    *value = arena_copy(&d->resource->arena, *value);
    return true;
}

bool field_bool(struct decoder *d, const struct field *f, bool *value)
{
    if (!has_type(d, f, DOC_BOOL, "true or false"))
        return false;
    *value = f->node->boolean;
    return true;
}

bool field_int(struct decoder *d, const struct field *f, int64_t min, int64_t max, int64_t *value)
{
    if (!has_type(d, f, DOC_INT, "a whole number"))
        return false;
    if (f->node->integer < min || f->node->integer > max) {
        decode_error(d, f, "%lld is not between %lld and %lld", (long long)f->node->integer,
                     (long long)min, (long long)max);
        return false;
    }
    *value = f->node->integer;
    return true;
}

bool field_number(struct decoder *d, const struct field *f, double *value)
{
    enum doc_type type = f->node != NULL && f->node->type == DOC_INT ? DOC_INT : DOC_FLOAT;
    if (!has_type(d, f, type, "a number"))
        return false;
    if (!isfinite(f->node->number)) {
        decode_error(d, f, "expected a number, found `%.*s`", STR_ARG(f->node->text));
        return false;
    }
    *value = f->node->number;
    return true;
}

bool field_map(struct decoder *d, const struct field *f)
{
    return has_type(d, f, DOC_MAP, "a map");
}

size_t field_list(struct decoder *d, const struct field *f)
{
    return has_type(d, f, DOC_LIST, "a list") ? f->node->count : 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

enum { WORD_LIMIT = 40 };

/* The edits (a byte put in, left out or changed, two neighbours swapped; case is free) that lie between two words of
 * at most WORD_LIMIT bytes. edits[i][j] is the answer for the first i and j bytes. */
static size_t distance(struct str a, struct str b)
{
    size_t edits[WORD_LIMIT + 1][WORD_LIMIT + 1] = {{0}};
    for (size_t i = 0; i <= a.len; i++) {
        for (size_t j = 0; j <= b.len; j++) {
            if (i == 0 || j == 0) {
                edits[i][j] = i + j;
                continue;
            }
            char x = str_lower(a.ptr[i - 1]), y = str_lower(b.ptr[j - 1]);
            edits[i][j] =
                smallest(edits[i - 1][j - 1] + (x != y), edits[i - 1][j] + 1, edits[i][j - 1] + 1);
            if (i > 1 && j > 1 && x == str_lower(b.ptr[j - 2]) && str_lower(a.ptr[i - 2]) == y &&
                edits[i - 2][j - 2] + 1 < edits[i][j])
                edits[i][j] = edits[i - 2][j - 2] + 1;
        }
    }
    return edits[a.len][b.len];
}

struct quoted field_suggest(struct field_names names, struct str text)
{
    struct quoted result = {""};
    size_t best = 3; /* more edits make another word */
    for (size_t i = 0; i < names.count && text.len <= WORD_LIMIT; i++) {
        struct str name = names.items[i];
        size_t edits = name.len <= WORD_LIMIT ? distance(text, name) : best;
        if (edits < best && edits * 2 < name.len) {
            best = edits;
            snprintf(result.text, sizeof(result.text), " (did you mean %.*s?)", STR_ARG(name));
        }
    }
    return result;
}

bool field_enum(struct decoder *d, const struct field *f, struct field_names names, size_t *index)
{
    if (!has_type(d, f, DOC_STRING, "a string"))
        return false;
    CLEANUP_BUF struct buf all = {0};
    for (size_t i = 0; i < names.count; i++) {
        if (str_eq(names.items[i], f->node->text)) {
            *index = i;
            return true;
        }
        buf_printf(&all, "%s%.*s", i > 0 ? ", " : "", STR_ARG(names.items[i]));
    }
    decode_error(d, f, "%s is none of %.*s%s", quote(f->node->text).text, STR_ARG(buf_str(&all)),
                 field_suggest(names, f->node->text).text);
    return false;
}

bool field_map_of(struct decoder *d, const struct field *f, struct field_names names)
{
    if (!field_map(d, f))
        return false;
    for (size_t i = 0; i < f->node->count; i++) {
        struct str key = f->node->keys[i];
        size_t known = 0;
        while (known < names.count && !str_eq(names.items[known], key))
            known++;
        if (known < names.count)
            continue;
        struct field member = field_member(f, i);
        decode_warning(d, &member, "unknown field%s", field_suggest(names, key).text);
    }
    return true;
}
