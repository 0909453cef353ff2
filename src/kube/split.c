#include "kube/split.h"

#include <stdlib.h>

enum { WORD_LIMIT = 64, PATH_LIMIT = 256 };

struct kube_split {
    enum kube_split_mode mode;
    const char *const *drop;
    struct str drop_below;
    struct kube_split_events events;

    /* Where in the text we are. */
    bool in_string, is_escaped;
    unsigned depth;
    char brackets[SPLIT_DEPTH]; /* that are open */
    char word[WORD_LIMIT];      /* the last string, as far as it fits */
    unsigned word_len;          /* of it; more than WORD_LIMIT: it does not */

    /* Of a list. */
    struct str field; /* the one that is being read, in field_name */
    char field_name[WORD_LIMIT];
    bool has_field; /* its value is being read, or comes next */
    bool in_items;
    bool has_items; /* they were seen; null counts as none */
    bool has_ended;

    /* The piece that is being read. */
    struct buf piece;
    bool is_capturing;
    unsigned outside; /* the depth around it */
    unsigned level;   /* objects of it that are open */
    char path[PATH_LIMIT];
    size_t path_len[SPLIT_PATH_DEPTH +
                    1]; /* of the path to each level; more than PATH_LIMIT: not known */
    bool is_skipping;
    unsigned skip_depth; /* of the object whose field's value is left out */
};

struct kube_split *kube_split_new(enum kube_split_mode mode, const char *const *drop,
                                  const char *drop_below, const struct kube_split_events *events)
{
    struct kube_split *split = mem_zalloc(sizeof(*split));
    split->mode = mode;
    split->drop = drop;
    split->drop_below = str_from_c(drop_below);
    split->events = *events;
    return split;
}

void kube_split_free(struct kube_split *split)
{
    if (split == NULL)
        return;
    buf_free(&split->piece);
    free(split);
}

bool kube_split_is_complete(const struct kube_split *split)
{
    return split->depth == 0 &&
           (split->mode == SPLIT_VALUES || (split->has_ended && split->has_items));
}

/* ---- pieces ---- */

static void keep(struct kube_split *split, char c)
{
    if (split->is_capturing && !split->is_skipping)
        buf_append_byte(&split->piece, c);
}

static void start_piece(struct kube_split *split)
{
    split->is_capturing = true;
    split->outside = split->depth;
    split->level = 0;
    split->piece.len = 0;
}

/* Whether the byte at `at` is escaped by the backslashes before it. */
static bool is_escaped_at(const char *start, const char *at)
{
    const char *first = at;
    while (first > start && first[-1] == '\\')
        first--;
    return (at - first) % 2 != 0;
}

/* The escape of a NUL becomes that of U+FFFD. */
static void replace_nul(struct buf *piece)
{
    const struct str nul = STR("\\u0000"), replacement = STR("\\ufffd");
    char *at = piece->data, *end = piece->data + piece->len;
    while ((at = memmem(at, (size_t)(end - at), nul.ptr, nul.len)) != NULL) {
        if (!is_escaped_at(piece->data, at))
            memcpy(at, replacement.ptr, replacement.len);
        at += nul.len;
    }
}

/* The bracket or the quote that ends the piece was kept. */
static bool end_piece(struct kube_split *split)
{
    replace_nul(&split->piece);
    struct str json = buf_str(&split->piece);
    split->is_capturing = false;
    if (split->mode == SPLIT_VALUES || split->in_items)
        return split->events.on_piece(split->events.ctx, json);
    split->has_field = false;
    return split->events.on_field(split->events.ctx, split->field, json);
}

/* ---- what is left out ---- */

/* The path to the field whose name was read last; empty: it is too long or too deep to be asked for. */
static struct str path_to_field(struct kube_split *split)
{
    const struct str none = {NULL, 0};
    if (split->level == 0 || split->level > SPLIT_PATH_DEPTH)
        return none;
    size_t above = split->level > 1 ? split->path_len[split->level - 1] : 0;
    size_t dot = split->level > 1 ? 1 : 0;
    split->path_len[split->level] = PATH_LIMIT + 1;
    if (split->word_len > WORD_LIMIT || above + dot + split->word_len > PATH_LIMIT)
        return none;
    split->path[above] = '.'; /* is written over if it should not be there */
    memcpy(split->path + above + dot, split->word, split->word_len);
    split->path_len[split->level] = above + dot + split->word_len;
    return str_make(split->path, split->path_len[split->level]);
}

static bool is_dropped(struct kube_split *split)
{
    struct str path = path_to_field(split);
    bool is_item = split->mode == SPLIT_VALUES || split->in_items;
    if (split->drop == NULL || path.len == 0 || !is_item)
        return false;
    if (split->drop_below.len > 0) {
        if (!str_starts_with(path, split->drop_below) || path.len <= split->drop_below.len ||
            path.ptr[split->drop_below.len] != '.')
            return false;
        path = str_from(path, split->drop_below.len + 1);
    }
    for (size_t i = 0; split->drop[i] != NULL; i++) {
        if (str_eq(path, str_from_c(split->drop[i])))
            return true;
    }
    return false;
}

/* The value of a dropped field becomes null. */
static void start_skipping(struct kube_split *split)
{
    buf_append_str(&split->piece, STR("null"));
    split->is_skipping = true;
    split->skip_depth = split->depth;
}

/* ---- bytes between strings ---- */

static bool fail(struct error *err, const char *what)
{
    return error_set(err, "the API server sent no JSON as expected: %s", what);
}

/* Whether the value of `items` is next or being read. */
static bool is_at_items(const struct kube_split *split)
{
    return split->depth == 1 && split->has_field && str_eq(split->field, STR("items"));
}

static bool is_one_of(char c, struct str bytes)
{
    return memchr(bytes.ptr, c, bytes.len) != NULL;
}

/* What is wrong with a byte outside of all pieces; NULL: nothing. An item that is passed over would count as gone. */
static const char *find_misplaced(const struct kube_split *split, char c)
{
    if (is_one_of(c, STR(" \t\r\n")))
        return NULL;
    if (split->depth == 0)
        return c == '{' && !split->has_ended ? NULL : "an object was expected";
    if (split->depth == 2)
        return is_one_of(c, STR("{,]")) ? NULL : "an item that is no object";
    if (!split->has_field)
        return is_one_of(c, STR("\":,}")) ? NULL : "a name was expected";
    if (!is_at_items(split))
        return NULL;
    if (split->has_items && is_one_of(c, STR("[n")))
        return "its items stand twice";
    return is_one_of(c, STR("[nul,}")) ? NULL : "its items are no array";
}

static bool open_bracket(struct kube_split *split, char c, struct error *err)
{
    if (split->depth == SPLIT_DEPTH)
        return fail(err, "brackets nest too deep");
    bool is_list = split->mode == SPLIT_LIST;
    if (c == '[' && is_at_items(split))
        split->in_items = split->has_items = true;
    else if (!split->is_capturing && split->depth == (!is_list ? 0 : split->in_items ? 2u : 1u))
        start_piece(split);
    split->brackets[split->depth++] = c;
    keep(split, c);
    split->level += split->is_capturing && !split->is_skipping && c == '{';
    return true;
}

static bool close_bracket(struct kube_split *split, char c, struct error *err)
{
    char opened = c == '}' ? '{' : '[';
    if (split->brackets[split->depth - 1] != opened)
        return fail(err, "brackets do not pair up");
    if (split->is_skipping && split->depth == split->skip_depth)
        split->is_skipping = false;
    keep(split, c);
    split->level -= split->is_capturing && !split->is_skipping && c == '}';
    split->depth--;
    if (split->is_capturing && split->depth == split->outside)
        return end_piece(split);
    if (split->in_items && split->depth == 1) {
        split->in_items = split->has_field = false;
        return true;
    }
    split->has_ended = split->mode == SPLIT_LIST && split->depth == 0;
    return true;
}

static void take_colon(struct kube_split *split)
{
    if (split->is_capturing && !split->is_skipping) {
        keep(split, ':');
        if (is_dropped(split))
            start_skipping(split);
    } else if (split->mode == SPLIT_LIST && split->depth == 1 && !split->is_capturing) {
        unsigned len = split->word_len <= WORD_LIMIT ? split->word_len : 0;
        memcpy(split->field_name, split->word, len);
        split->field = str_make(split->field_name, len);
        split->has_field = true;
    }
}

static void take_comma(struct kube_split *split)
{
    if (split->is_skipping && split->depth == split->skip_depth)
        split->is_skipping = false;
    keep(split, ',');
    if (split->mode == SPLIT_LIST && split->depth == 1)
        split->has_field = false;
}

static void start_string(struct kube_split *split)
{
    split->in_string = true;
    split->word_len = 0;
    /* A text as the value of a list's field is a piece of its own. */
    if (split->mode == SPLIT_LIST && split->depth == 1 && split->has_field && !split->is_capturing)
        start_piece(split);
    keep(split, '"');
}

/* A byte of a number, true, false or null. */
static void take_literal(struct kube_split *split, char c)
{
    keep(split, c);
    if (c == 'n' && is_at_items(split))
        split->has_items = true;
}

static bool take_byte(struct kube_split *split, char c, struct error *err)
{
    const char *problem = split->is_capturing ? NULL : find_misplaced(split, c);
    if (problem != NULL)
        return fail(err, problem);
    switch (c) {
    case '"':
        start_string(split);
        return true;
    case '{':
    case '[':
        return open_bracket(split, c, err);
    case '}':
    case ']':
        return close_bracket(split, c, err);
    case ':':
        take_colon(split);
        return true;
    case ',':
        take_comma(split);
        return true;
    default:
        take_literal(split, c);
        return true;
    }
}

/* ---- strings ---- */

static bool end_string(struct kube_split *split)
{
    split->in_string = false;
    /* Only a text that is a piece by itself is captured at its own depth. */
    bool is_piece = split->is_capturing && split->depth == split->outside;
    return !is_piece || end_piece(split);
}

/* Takes bytes up to the end of the string; returns how many. */
static size_t take_string(struct kube_split *split, struct str bytes, bool *ok)
{
    size_t i = 0;
    while (i < bytes.len && (split->is_escaped || bytes.ptr[i] != '"')) {
        split->is_escaped = !split->is_escaped && bytes.ptr[i] == '\\';
        if (split->word_len < WORD_LIMIT)
            split->word[split->word_len] = bytes.ptr[i];
        split->word_len += split->word_len <= WORD_LIMIT;
        i++;
    }
    bool has_ended = i < bytes.len;
    size_t used = has_ended ? i + 1 : i;
    if (split->is_capturing && !split->is_skipping)
        buf_append(&split->piece, bytes.ptr, used);
    *ok = !has_ended || end_string(split);
    return used;
}

bool kube_split_feed(struct kube_split *split, struct str bytes, struct error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < bytes.len;) {
        if (split->in_string)
            i += take_string(split, str_from(bytes, i), &ok);
        else
            ok = take_byte(split, bytes.ptr[i++], err);
        if (split->piece.len > SPLIT_PIECE_LIMIT)
            return error_set(err, "the API server sent an object of more than 16 MiB");
    }
    return ok;
}
