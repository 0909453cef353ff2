/* A recursive-descent parser straight over the text: one function a line of the grammar in selector.h. */
#include <stdlib.h>

#include "selector/build.h"
#include "selector/selector.h"

struct parser {
    struct arena *arena;
    struct str text;
    size_t at; /* the next byte to read */
    int depth; /* open parentheses and `!` */
    bool failed;
    size_t failed_at;
    struct error *err;
};

struct operands {
    const struct selector **items;
    size_t count, capacity;
};

static const struct selector *parse_or(struct parser *p);

/* Says what was expected at byte `at`. The first complaint counts. */
static const struct selector *fail(struct parser *p, size_t at, const char *expected)
{
    if (p->failed)
        return NULL;
    p->failed = true;
    p->failed_at = at;
    if (at < p->text.len)
        error_set(p->err, "bad selector %s: expected %s at position %zu, found %s",
                  quote(p->text).text, expected, at,
                  quote(str_head(str_from(p->text, at), 20)).text);
    else
        error_set(p->err, "bad selector %s: expected %s at position %zu, found the end",
                  quote(p->text).text, expected, at);
    return NULL;
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->text.len && (p->text.ptr[p->at] == ' ' || p->text.ptr[p->at] == '\t'))
        p->at++;
}

/* Takes `token`, with blanks before it, if it comes next. */
static bool take(struct parser *p, struct str token)
{
    skip_blanks(p);
    if (!str_starts_with(str_from(p->text, p->at), token))
        return false;
    p->at += token.len;
    return true;
}

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-';
}

/* Like take(), but the word must end there: `inx` is not `in`. */
static bool take_word(struct parser *p, struct str word)
{
    size_t before = p->at;
    if (take(p, word) && !(p->at < p->text.len && is_label_byte(p->text.ptr[p->at])))
        return true;
    p->at = before;
    return false;
}

static bool parse_label(struct parser *p, struct str *label)
{
    skip_blanks(p);
    size_t start = p->at;
    while (p->at < p->text.len && is_label_byte(p->text.ptr[p->at]))
        p->at++;
    *label = str_make(p->text.ptr + start, p->at - start);
    if (label->len == 0)
        fail(p, start, "a label name");
    else if (label->len > SELECTOR_LABEL_LIMIT)
        fail(p, start, "a label name of at most 512 bytes");
    return !p->failed;
}

static bool parse_string(struct parser *p, struct str *value)
{
    skip_blanks(p);
    size_t start = p->at;
    char mark = start < p->text.len ? p->text.ptr[start] : '\0';
    if (mark != '\'' && mark != '"') {
        fail(p, start, "a string in quotes");
        return false;
    }
    struct str rest = str_from(p->text, start + 1);
    size_t len = str_find(rest, mark);
    if (len == rest.len) {
        fail(p, p->text.len, "the closing quote of a string");
        return false;
    }
    *value = str_make(p->text.ptr + start + 1, len);
    p->at = start + len + 2;
    return true;
}

static const struct selector *parse_set(struct parser *p, enum selector_op op, struct str label)
{
    struct str *values = NULL;
    size_t count = 0, capacity = 0;
    if (!take(p, STR("{")))
        return fail(p, p->at, "\"{\"");
    while (!take(p, STR("}"))) {
        if (count > 0 && !take(p, STR(","))) {
            fail(p, p->at, "\",\" or \"}\"");
            break;
        }
        MEM_GROW(values, count, capacity);
        if (!parse_string(p, &values[count]))
            break;
        count++;
    }
    struct selector *s = NULL;
    if (!p->failed) {
        s = selector_new(p->arena, op, label);
        selector_set_values(p->arena, s, values, count);
    }
    free(values);
    return s;
}

static const struct selector *parse_comparison(struct parser *p, enum selector_op op,
                                               struct str label)
{
    struct str value;
    if (!parse_string(p, &value))
        return NULL;
    struct selector *s = selector_new(p->arena, op, label);
    selector_set_values(p->arena, s, &value, 1);
    return s;
}

/* "starts with" and the like: two words with blanks between, or written as one. */
static bool take_two_words(struct parser *p, struct str first, struct str second,
                           struct str together)
{
    size_t before = p->at;
    if (take_word(p, together) || (take_word(p, first) && take_word(p, second)))
        return true;
    p->at = before;
    return false;
}

static const struct selector *parse_test(struct parser *p)
{
    struct str label;
    if (!parse_label(p, &label))
        return NULL;
    if (take(p, STR("==")))
        return parse_comparison(p, SELECTOR_EQ, label);
    if (take(p, STR("!=")))
        return parse_comparison(p, SELECTOR_NE, label);
    if (take_word(p, STR("in")))
        return parse_set(p, SELECTOR_IN, label);
    if (take_two_words(p, STR("not"), STR("in"), STR("notin")))
        return parse_set(p, SELECTOR_NOT_IN, label);
    if (take_word(p, STR("contains")))
        return parse_comparison(p, SELECTOR_CONTAINS, label);
    if (take_two_words(p, STR("starts"), STR("with"), STR("startswith")))
        return parse_comparison(p, SELECTOR_STARTS_WITH, label);
    if (take_two_words(p, STR("ends"), STR("with"), STR("endswith")))
        return parse_comparison(p, SELECTOR_ENDS_WITH, label);
    skip_blanks(p);
    return fail(p, p->at, "an operator (==, !=, in, not in, contains, starts with, ends with)");
}

/* A name directly followed by "(": a label may be called `has` too, so the parenthesis decides. */
static bool take_call(struct parser *p, struct str name)
{
    size_t before = p->at;
    if (take_word(p, name) && take(p, STR("(")))
        return true;
    p->at = before;
    return false;
}

static const struct selector *close_call(struct parser *p, const struct selector *s)
{
    if (take(p, STR(")")))
        return s;
    return fail(p, p->at, "\")\"");
}

static const struct selector *parse_has(struct parser *p)
{
    struct str label;
    if (!parse_label(p, &label))
        return NULL;
    return close_call(p, selector_has(p->arena, label));
}

static const struct selector *parse_not(struct parser *p)
{
    skip_blanks(p);
    size_t start = p->at;
    bool inverted = take(p, STR("!"));
    if (inverted || take(p, STR("("))) {
        if (p->depth == SELECTOR_DEPTH)
            return fail(p, start, "at most 100 nested \"(\" and \"!\"");
        p->depth++;
        const struct selector *inner = inverted ? parse_not(p) : parse_or(p);
        p->depth--;
        if (inner == NULL)
            return NULL;
        return inverted ? selector_not(p->arena, inner) : close_call(p, inner);
    }
    if (take_call(p, STR("has")))
        return parse_has(p);
    if (take_call(p, STR("all")))
        return close_call(p, selector_new(p->arena, SELECTOR_ALL, STR("")));
    if (take_call(p, STR("global")))
        return close_call(p, selector_new(p->arena, SELECTOR_GLOBAL, STR("")));
    return parse_test(p);
}

/* One or more of what `parse_operand` reads, with `separator` between. */
static const struct selector *parse_chain(struct parser *p, enum selector_op op,
                                          struct str separator,
                                          const struct selector *(*parse_operand)(struct parser *))
{
    struct operands list = {0};
    do {
        const struct selector *operand = parse_operand(p);
        if (operand == NULL)
            break;
        MEM_GROW(list.items, list.count, list.capacity);
        list.items[list.count++] = operand;
    } while (take(p, separator));
    const struct selector *chain =
        p->failed ? NULL : selector_chain(p->arena, op, list.items, list.count);
    free(list.items);
    return chain;
}

static const struct selector *parse_and(struct parser *p)
{
    return parse_chain(p, SELECTOR_AND, STR("&&"), parse_not);
}

static const struct selector *parse_or(struct parser *p)
{
    return parse_chain(p, SELECTOR_OR, STR("||"), parse_and);
}

const struct selector *selector_parse(struct arena *arena, struct str text, size_t *position,
                                      struct error *err)
{
    struct parser p = {.arena = arena, .text = text, .err = err};
    skip_blanks(&p);
    if (p.at == text.len) {
        struct selector *empty = selector_new(arena, SELECTOR_ALL, STR(""));
        empty->is_empty = true;
        return empty;
    }
    const struct selector *s = parse_or(&p);
    skip_blanks(&p);
    if (s != NULL && p.at < text.len)
        s = fail(&p, p.at, "\"&&\", \"||\" or the end");
    if (s == NULL && position != NULL)
        *position = p.failed_at;
    return s;
}
