/* For property tests: random selectors as text, with all operators, nested. */
#ifndef TESTS_RANDOM_SELECTOR_H
#define TESTS_RANDOM_SELECTOR_H

#include "selector/selector.h"

#include "random.h"

struct selector_universe {
    const char *const *labels;
    size_t label_count;
    const char *const *values;
    size_t value_count;
};

static inline const char *pick(struct random *random, const char *const *texts, size_t count)
{
    return texts[random_below(random, count)];
}

static inline void write_random_set(struct buf *out, struct random *random,
                                    const struct selector_universe *u)
{
    size_t count = random_below(random, 4);
    buf_append_byte(out, '{');
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s'%s'", i > 0 ? ", " : "", pick(random, u->values, u->value_count));
    buf_append_byte(out, '}');
}

static inline void write_random_test(struct buf *out, struct random *random,
                                     const struct selector_universe *u)
{
    static const char *const with_value[] = {
        "==", "==", "!=", "contains", "starts with", "ends with"};
    const char *label = pick(random, u->labels, u->label_count);
    switch (random_below(random, 12)) {
    case 0:
        buf_append_str(out, random_below(random, 4) == 0 ? STR("global()") : STR("all()"));
        return;
    case 1:
    case 2:
        buf_printf(out, "has(%s)", label);
        return;
    case 3:
    case 4:
        buf_printf(out, "%s %s ", label, random_below(random, 2) == 0 ? "in" : "not in");
        write_random_set(out, random, u);
        return;
    default:
        buf_printf(out, "%s %s '%s'", label, pick(random, with_value, COUNT(with_value)),
                   pick(random, u->values, u->value_count));
    }
}

static inline void write_random_selector(struct buf *out, struct random *random,
                                         const struct selector_universe *u, int depth)
{
    size_t kind = random_below(random, depth > 0 ? 6 : 1);
    if (kind <= 1) {
        write_random_test(out, random, u);
        return;
    }
    if (kind == 2) {
        buf_append_str(out, STR("!("));
        write_random_selector(out, random, u, depth - 1);
        buf_append_byte(out, ')');
        return;
    }
    size_t width = 2 + random_below(random, 2);
    for (size_t i = 0; i < width; i++) {
        buf_append_str(out, i == 0 ? STR("(") : kind <= 4 ? STR(") && (") : STR(") || ("));
        write_random_selector(out, random, u, depth - 1);
    }
    buf_append_byte(out, ')');
}

static inline const struct selector *random_selector(struct arena *arena, struct random *random,
                                                     const struct selector_universe *u, int depth)
{
    CLEANUP_BUF struct buf text = {0};
    struct error err;
    write_random_selector(&text, random, u, depth);
    const struct selector *s = selector_parse(arena, buf_str(&text), NULL, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

#endif
