/* Evaluation, normal form and construction of selectors; the grammar is in parse.c. */
#include "selector/selector.h"

#include <stdlib.h>

#include "selector/build.h"

static bool value_in(const struct selector *s, struct str value)
{
    size_t low = 0, high = s->value_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(s->values[middle], value);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool test_matches(const struct selector *s, bool present, struct str value)
{
    switch (s->op) {
    case SELECTOR_HAS:
        return present;
    case SELECTOR_EQ:
        return present && str_eq(value, s->values[0]);
    case SELECTOR_NE:
        return !present || !str_eq(value, s->values[0]);
    case SELECTOR_IN:
        return present && value_in(s, value);
    case SELECTOR_NOT_IN:
        return !present || !value_in(s, value);
    case SELECTOR_CONTAINS:
        return present && str_contains(value, s->values[0]);
    case SELECTOR_STARTS_WITH:
        return present && str_starts_with(value, s->values[0]);
    case SELECTOR_ENDS_WITH:
        return present && str_ends_with(value, s->values[0]);
    default:
        abort(); /* not a test: the callers handle all others */
    }
}

/* Depth is bounded by the parser, so recursion is too. */
bool selector_matches(const struct selector *s, const struct selector_labels *labels)
{
    switch (s->op) {
    case SELECTOR_ALL:
    case SELECTOR_GLOBAL:
        return true;
    case SELECTOR_NOT:
        return !selector_matches(s->operands[0], labels);
    case SELECTOR_AND:
        for (size_t i = 0; i < s->operand_count; i++) {
            if (!selector_matches(s->operands[i], labels))
                return false;
        }
        return true;
    case SELECTOR_OR:
        for (size_t i = 0; i < s->operand_count; i++) {
            if (selector_matches(s->operands[i], labels))
                return true;
        }
        return false;
    default: {
        struct str value = {NULL, 0};
        bool present = labels->get(labels->ctx, s->label, &value);
        return test_matches(s, present, value);
    }
    }
}

static enum selector_answer decide_test(const struct selector *s,
                                        const struct selector_known_labels *labels)
{
    struct str value = {NULL, 0};
    enum selector_label_state state = labels->get(labels->ctx, s->label, &value);
    if (state == SELECTOR_LABEL_UNKNOWN)
        return SELECTOR_DEPENDS;
    return test_matches(s, state == SELECTOR_LABEL_PRESENT, value) ? SELECTOR_YES : SELECTOR_NO;
}

/* One operand that says `deciding` decides a chain, whatever the others say. */
static enum selector_answer decide_chain(const struct selector *s,
                                         const struct selector_known_labels *labels,
                                         enum selector_answer deciding)
{
    bool depends = false;
    for (size_t i = 0; i < s->operand_count; i++) {
        enum selector_answer answer = selector_decide(s->operands[i], labels);
        if (answer == deciding)
            return deciding;
        depends |= answer == SELECTOR_DEPENDS;
    }
    if (depends)
        return SELECTOR_DEPENDS;
    return deciding == SELECTOR_NO ? SELECTOR_YES : SELECTOR_NO;
}

enum selector_answer selector_decide(const struct selector *s,
                                     const struct selector_known_labels *labels)
{
    switch (s->op) {
    case SELECTOR_ALL:
    case SELECTOR_GLOBAL:
        return SELECTOR_YES;
    case SELECTOR_NOT: {
        enum selector_answer inner = selector_decide(s->operands[0], labels);
        if (inner == SELECTOR_DEPENDS)
            return SELECTOR_DEPENDS;
        return inner == SELECTOR_YES ? SELECTOR_NO : SELECTOR_YES;
    }
    case SELECTOR_AND:
        return decide_chain(s, labels, SELECTOR_NO);
    case SELECTOR_OR:
        return decide_chain(s, labels, SELECTOR_YES);
    default:
        return decide_test(s, labels);
    }
}

/* A string holds at most one of the two kinds of quotes, since there are no escapes. */
static void format_value(struct buf *out, struct str value)
{
    char quote_mark = str_find(value, '"') < value.len ? '\'' : '"';
    buf_append_byte(out, quote_mark);
    buf_append_str(out, value);
    buf_append_byte(out, quote_mark);
}

static void format_set(struct buf *out, const struct selector *s)
{
    buf_append_byte(out, '{');
    for (size_t i = 0; i < s->value_count; i++) {
        if (i > 0)
            buf_append_str(out, STR(", "));
        format_value(out, s->values[i]);
    }
    buf_append_byte(out, '}');
}

static void format_test(struct buf *out, const struct selector *s)
{
    static const struct str words[] = {
        [SELECTOR_EQ] = STR_INIT(" == "),
        [SELECTOR_NE] = STR_INIT(" != "),
        [SELECTOR_IN] = STR_INIT(" in "),
        [SELECTOR_NOT_IN] = STR_INIT(" not in "),
        [SELECTOR_CONTAINS] = STR_INIT(" contains "),
        [SELECTOR_STARTS_WITH] = STR_INIT(" starts with "),
        [SELECTOR_ENDS_WITH] = STR_INIT(" ends with "),
    };
    buf_append_str(out, s->label);
    buf_append_str(out, words[s->op]);
    if (s->op == SELECTOR_IN || s->op == SELECTOR_NOT_IN)
        format_set(out, s);
    else
        format_value(out, s->values[0]);
}

static void format_chain(struct buf *out, const struct selector *s, struct str operator)
{
    buf_append_byte(out, '(');
    for (size_t i = 0; i < s->operand_count; i++) {
        if (i > 0)
            buf_append_str(out, operator);
        selector_format(out, s->operands[i]);
    }
    buf_append_byte(out, ')');
}

void selector_format(struct buf *out, const struct selector *s)
{
    switch (s->op) {
    case SELECTOR_ALL:
        buf_append_str(out, STR("all()"));
        return;
    case SELECTOR_GLOBAL:
        buf_append_str(out, STR("global()"));
        return;
    case SELECTOR_HAS:
        buf_append_str(out, STR("has("));
        buf_append_str(out, s->label);
        buf_append_byte(out, ')');
        return;
    case SELECTOR_NOT:
        buf_append_byte(out, '!');
        selector_format(out, s->operands[0]);
        return;
    case SELECTOR_AND:
        format_chain(out, s, STR(" && "));
        return;
    case SELECTOR_OR:
        format_chain(out, s, STR(" || "));
        return;
    default:
        format_test(out, s);
    }
}

struct selector *selector_new(struct arena *arena, enum selector_op op, struct str label)
{
    struct selector *s = arena_alloc(arena, sizeof(*s));
    s->op = op;
    s->label = arena_copy(arena, label);
    return s;
}

static int compare_values(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void selector_set_values(struct arena *arena, struct selector *s, const struct str *values,
                         size_t count)
{
    s->values = arena_array(arena, count, sizeof(*s->values));
    for (size_t i = 0; i < count; i++)
        s->values[i] = arena_copy(arena, values[i]);
    if (count > 0)
        qsort(s->values, count, sizeof(*s->values), compare_values);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(s->values[i], s->values[s->value_count - 1]))
            s->values[s->value_count++] = s->values[i];
    }
}

/* How many operands `s` brings into a chain of `op`. */
static size_t chain_width(const struct selector *s, enum selector_op op)
{
    return s->op == op ? s->operand_count : 1;
}

static void chain_add(struct selector *chain, const struct selector *s)
{
    if (s->op != chain->op) {
        chain->operands[chain->operand_count++] = s;
        return;
    }
    for (size_t i = 0; i < s->operand_count; i++)
        chain->operands[chain->operand_count++] = s->operands[i];
}

const struct selector *selector_chain(struct arena *arena, enum selector_op op,
                                      const struct selector *const *operands, size_t count)
{
    if (count == 1)
        return operands[0];
    size_t width = 0;
    for (size_t i = 0; i < count; i++)
        width += chain_width(operands[i], op);
    struct selector *chain = selector_new(arena, op, STR(""));
    chain->operands = arena_array(arena, width, sizeof(struct selector *));
    for (size_t i = 0; i < count; i++)
        chain_add(chain, operands[i]);
    return chain;
}

const struct selector *selector_copy(struct arena *arena, const struct selector *s)
{
    struct selector *copy = selector_new(arena, s->op, s->label);
    copy->is_empty = s->is_empty;
    selector_set_values(arena, copy, s->values, s->value_count);
    copy->operands = arena_array(arena, s->operand_count, sizeof(struct selector *));
    copy->operand_count = s->operand_count;
    for (size_t i = 0; i < s->operand_count; i++)
        copy->operands[i] = selector_copy(arena, s->operands[i]);
    return copy;
}

const struct selector *selector_all(struct arena *arena)
{
    return selector_new(arena, SELECTOR_ALL, STR(""));
}

const struct selector *selector_and(struct arena *arena, const struct selector *a,
                                    const struct selector *b)
{
    const struct selector *operands[2];
    size_t count = 0;
    if (!a->is_empty)
        operands[count++] = a;
    if (!b->is_empty)
        operands[count++] = b;
    if (count == 0)
        return selector_all(arena);
    return selector_chain(arena, SELECTOR_AND, operands, count);
}

const struct selector *selector_not(struct arena *arena, const struct selector *s)
{
    struct selector *inverted = selector_new(arena, SELECTOR_NOT, STR(""));
    inverted->operands = arena_array(arena, 1, sizeof(struct selector *));
    inverted->operands[0] = s;
    inverted->operand_count = 1;
    return inverted;
}

const struct selector *selector_has(struct arena *arena, struct str label)
{
    return selector_new(arena, SELECTOR_HAS, label);
}

const struct selector *selector_eq(struct arena *arena, struct str label, struct str value)
{
    struct selector *s = selector_new(arena, SELECTOR_EQ, label);
    selector_set_values(arena, s, &value, 1);
    return s;
}

const struct selector *selector_in(struct arena *arena, struct str label, const struct str *values,
                                   size_t count)
{
    struct selector *s = selector_new(arena, SELECTOR_IN, label);
    selector_set_values(arena, s, values, count);
    return s;
}

static struct str prefixed(struct arena *arena, struct str prefix, struct str label)
{
    return arena_printf(arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(label));
}

const struct selector *selector_relabel(struct arena *arena, const struct selector *s,
                                        struct str prefix, struct str all_label)
{
    if (s->op == SELECTOR_ALL || s->op == SELECTOR_GLOBAL) {
        if (all_label.len == 0 || s->is_empty)
            return s;
        const struct selector *has = selector_has(arena, all_label);
        return s->op == SELECTOR_ALL ? has : selector_not(arena, has);
    }
    struct selector *copy = arena_alloc(arena, sizeof(*copy));
    *copy = *s;
    if (s->label.len > 0)
        copy->label = prefixed(arena, prefix, s->label);
    copy->operands = arena_array(arena, s->operand_count, sizeof(struct selector *));
    for (size_t i = 0; i < s->operand_count; i++)
        copy->operands[i] = selector_relabel(arena, s->operands[i], prefix, all_label);
    return copy;
}
