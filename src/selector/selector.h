/* Label selectors: `app == 'web' && tier in {'a', 'b'} && !has(test)`.
 *
 *     selector := or ;   or := and ("||" and)* ;   and := not ("&&" not)*
 *     not      := "!" not | "(" or ")" | test
 *     test     := LABEL "==" STRING | LABEL "!=" STRING
 *               | LABEL ("in" | "not in" | "notin") "{" [STRING ("," STRING)*] "}"
 *               | LABEL ("contains" | "starts with" | "startswith" | "ends with" | "endswith") STRING
 *               | "has(" LABEL ")" | "all()" | "global()"
 *
 * A LABEL is 1 to 512 letters, digits, `_ . / -`; a STRING stands in single or double quotes, without
 * escapes. Blanks are space and tab. `!=` and `not in` hold when the label is absent; every other
 * test fails then. `&&` binds tighter than `||`. `(` and `!` nest at most SELECTOR_DEPTH deep.
 *
 * An empty text (or one of blanks alone) parses to a selector that is_empty; what that means, "everything" or "no
 * condition", is for the caller to say. It evaluates to true.
 *
 * Ownership: a selector and all its parts live in the arena given to the parser; texts are copied.
 * Threads: a parsed selector is immutable.
 */
#ifndef SELECTOR_SELECTOR_H
#define SELECTOR_SELECTOR_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum { SELECTOR_DEPTH = 100, SELECTOR_LABEL_LIMIT = 512 };

enum selector_op {
    SELECTOR_ALL, /* also the empty selector */
    SELECTOR_GLOBAL,
    SELECTOR_HAS,
    SELECTOR_EQ,
    SELECTOR_NE,
    SELECTOR_IN,
    SELECTOR_NOT_IN,
    SELECTOR_CONTAINS,
    SELECTOR_STARTS_WITH,
    SELECTOR_ENDS_WITH,
    SELECTOR_NOT, /* of operands[0] */
    SELECTOR_AND, /* of two or more operands, none of them an AND */
    SELECTOR_OR,  /* of two or more operands, none of them an OR */
};

struct selector {
    enum selector_op op;
    bool is_empty;      /* only on the root: the text had no test at all */
    struct str label;   /* of a test */
    struct str *values; /* of a test: one; IN, NOT_IN: sorted bytewise, without doubles */
    size_t value_count;
    const struct selector **operands;
    size_t operand_count;
};

/* Labels as a callback, so that callers need not copy theirs together. False: the label is absent. */
struct selector_labels {
    bool (*get)(const void *ctx, struct str label, struct str *value);
    const void *ctx;
};

/* NULL if the text is no selector. The message then shows the text and says at which byte what was expected; *position
 * (may be NULL) gets the offset of that byte, from 0. */
const struct selector *selector_parse(struct arena *arena, struct str text, size_t *position,
                                      struct error *err);

bool selector_matches(const struct selector *s, const struct selector_labels *labels);

/* The same where only some labels are known: what the result is whatever the others are, or that it depends on them. */
enum selector_answer { SELECTOR_NO, SELECTOR_YES, SELECTOR_DEPENDS };
enum selector_label_state { SELECTOR_LABEL_ABSENT, SELECTOR_LABEL_PRESENT, SELECTOR_LABEL_UNKNOWN };
struct selector_known_labels {
    enum selector_label_state (*get)(const void *ctx, struct str label, struct str *value);
    const void *ctx;
};
enum selector_answer selector_decide(const struct selector *s,
                                     const struct selector_known_labels *labels);

/* Appends the normal form: one text for all spellings that differ only in blanks, quotes, redundant
 * parentheses, and order and doubles within `{}`. Operands of && and || stay in their order. Parsing it gives an
 * equal selector, but for very deep ones: it brackets every chain, which counts as depth.
 *
 *     app == "web"    tier in {"a", "b"}    (a == "1" && !has(b))    all()
 */
void selector_format(struct buf *out, const struct selector *s);

/* Building larger ones. */
const struct selector *selector_copy(struct arena *arena, const struct selector *s);
const struct selector *selector_all(struct arena *arena);
/* An empty operand is left out; and-ing nothing gives all(). */
const struct selector *selector_and(struct arena *arena, const struct selector *a,
                                    const struct selector *b);
const struct selector *selector_not(struct arena *arena, const struct selector *s);
const struct selector *selector_has(struct arena *arena, struct str label);
const struct selector *selector_eq(struct arena *arena, struct str label, struct str value);
/* `values` are copied and sorted. */
const struct selector *selector_in(struct arena *arena, struct str label, const struct str *values,
                                   size_t count);
/* A copy in which every label name has `prefix` before it, and in which all() is `has(all_label)`, global() its opposite.
 * With an empty all_label those two stay as they are. */
const struct selector *selector_relabel(struct arena *arena, const struct selector *s,
                                        struct str prefix, struct str all_label);

#endif
