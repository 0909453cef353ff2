/* The types of plain YAML scalars, as Kubernetes' tools read them: YAML 1.1 without numbers to the base 60.
 * Source: the behaviour of sigs.k8s.io/yaml, through which kubectl and calicoctl read their files. */
#include "model/doc_parse.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static const struct {
    struct str text;
    enum doc_type type;
    bool boolean;
    double number;
} words[] = {
    {STR_INIT("y"), DOC_BOOL, true, 0},
    {STR_INIT("Y"), DOC_BOOL, true, 0},
    {STR_INIT("yes"), DOC_BOOL, true, 0},
    {STR_INIT("Yes"), DOC_BOOL, true, 0},
    {STR_INIT("YES"), DOC_BOOL, true, 0},
    {STR_INIT("true"), DOC_BOOL, true, 0},
    {STR_INIT("True"), DOC_BOOL, true, 0},
    {STR_INIT("TRUE"), DOC_BOOL, true, 0},
    {STR_INIT("on"), DOC_BOOL, true, 0},
    {STR_INIT("On"), DOC_BOOL, true, 0},
    {STR_INIT("ON"), DOC_BOOL, true, 0},
    {STR_INIT("n"), DOC_BOOL, false, 0},
    {STR_INIT("N"), DOC_BOOL, false, 0},
    {STR_INIT("no"), DOC_BOOL, false, 0},
    {STR_INIT("No"), DOC_BOOL, false, 0},
    {STR_INIT("NO"), DOC_BOOL, false, 0},
    {STR_INIT("false"), DOC_BOOL, false, 0},
    {STR_INIT("False"), DOC_BOOL, false, 0},
    {STR_INIT("FALSE"), DOC_BOOL, false, 0},
    {STR_INIT("off"), DOC_BOOL, false, 0},
    {STR_INIT("Off"), DOC_BOOL, false, 0},
    {STR_INIT("OFF"), DOC_BOOL, false, 0},
    {STR_INIT(""), DOC_NULL, false, 0},
    {STR_INIT("~"), DOC_NULL, false, 0},
    {STR_INIT("null"), DOC_NULL, false, 0},
    {STR_INIT("Null"), DOC_NULL, false, 0},
    {STR_INIT("NULL"), DOC_NULL, false, 0},
    {STR_INIT(".nan"), DOC_FLOAT, false, NAN},
    {STR_INIT(".NaN"), DOC_FLOAT, false, NAN},
    {STR_INIT(".NAN"), DOC_FLOAT, false, NAN},
    {STR_INIT(".inf"), DOC_FLOAT, false, INFINITY},
    {STR_INIT(".Inf"), DOC_FLOAT, false, INFINITY},
    {STR_INIT(".INF"), DOC_FLOAT, false, INFINITY},
    {STR_INIT("+.inf"), DOC_FLOAT, false, INFINITY},
    {STR_INIT("+.Inf"), DOC_FLOAT, false, INFINITY},
    {STR_INIT("+.INF"), DOC_FLOAT, false, INFINITY},
    {STR_INIT("-.inf"), DOC_FLOAT, false, -INFINITY},
    {STR_INIT("-.Inf"), DOC_FLOAT, false, -INFINITY},
    {STR_INIT("-.INF"), DOC_FLOAT, false, -INFINITY},
};

enum { LONGEST_WORD = 5 };

/* How many digits of the base stand at the beginning of `text`. */
static size_t count_digits(const char *text, int base)
{
    size_t n = 0;
    while (str_hex_value(text[n]) >= 0 && str_hex_value(text[n]) < base)
        n++;
    return n;
}

/* Cuts the prefix that names the base: 0x, 0o, 0b, or a leading 0 (octal). */
static int take_base(const char **text)
{
    const char *t = *text;
    if (t[0] != '0' || t[1] == '\0')
        return 10;
    int base = t[1] == 'x' || t[1] == 'X'   ? 16
               : t[1] == 'o' || t[1] == 'O' ? 8
               : t[1] == 'b' || t[1] == 'B' ? 2
                                            : 0;
    *text += base != 0 ? 2 : 1;
    return base != 0 ? base : 8;
}

static bool parse_int(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    int base = take_base(&text);
    size_t digits = count_digits(text, base);
    if (digits == 0 || text[digits] != '\0')
        return false;
    errno = 0;
    unsigned long long magnitude = strtoull(text, NULL, base);
    unsigned long long limit = (unsigned long long)INT64_MAX + (negative ? 1 : 0);
    if (errno == ERANGE || magnitude > limit)
        return false;
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* [-+]? ( .DIGITS | DIGITS [ . DIGITS? ] ) ( [eE] [-+]? DIGITS )? */
static bool is_float(const char *text)
{
    if (*text == '-' || *text == '+')
        text++;
    size_t whole = count_digits(text, 10);
    text += whole;
    if (*text == '.') {
        size_t fraction = count_digits(++text, 10);
        if (whole == 0 && fraction == 0)
            return false;
        text += fraction;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '-' || *text == '+')
            text++;
        size_t exponent = count_digits(text, 10);
        if (exponent == 0)
            return false;
        text += exponent;
    }
    return *text == '\0';
}

static bool resolve_word(struct doc_node *node)
{
    if (node->text.len > LONGEST_WORD)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq(node->text, words[i].text)) {
            node->type = words[i].type;
            node->boolean = words[i].boolean;
            node->number = words[i].number;
            return true;
        }
    }
    return false;
}

/* `1_000` is 1000. Returns C text: a plain scalar holds no NUL. */
static const char *without_underscores(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    size_t used = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_')
            copy[used++] = text.ptr[i];
    }
    return copy;
}

void doc_resolve_plain(struct arena *arena, struct doc_node *node)
{
    node->type = DOC_STRING;
    if (resolve_word(node))
        return;
    char first = node->text.ptr[0];
    if ((first < '0' || first > '9') && first != '-' && first != '+' && first != '.')
        return;
    const char *text = without_underscores(arena, node->text);
    if (first != '.' && parse_int(text, &node->integer)) {
        node->type = DOC_INT;
        node->number = (double)node->integer;
        return;
    }
    double number = is_float(text) ? strtod(text, NULL) : INFINITY;
    if (isfinite(number)) {
        node->type = DOC_FLOAT;
        node->number = number;
    }
}
