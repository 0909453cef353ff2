/* selector.h: what can be said of a selector where only some labels are known; copies. */
#include "selector/selector.h"

#include "random_selector.h"

enum { LABELS = 3, VALUES = 4 };

static const char *const labels[LABELS] = {"a", "b", "c"};
static const char *const values[VALUES] = {"", "1", "2", "12"};
static const struct selector_universe universe = {labels, LABELS, values, VALUES};

/* The state of each label: a place in `values`, or: */
enum { ABSENT = VALUES, STATES, UNKNOWN = STATES };

struct labelling {
    size_t states[LABELS];
};

static size_t state_of(const struct labelling *labelling, struct str label)
{
    size_t i = 0;
    while (!str_eq(str_from_c(labels[i]), label))
        i++;
    return labelling->states[i];
}

static enum selector_label_state get_known(const void *ctx, struct str label, struct str *value)
{
    size_t state = state_of(ctx, label);
    if (state < VALUES)
        *value = str_from_c(values[state]);
    return state == UNKNOWN  ? SELECTOR_LABEL_UNKNOWN
           : state == ABSENT ? SELECTOR_LABEL_ABSENT
                             : SELECTOR_LABEL_PRESENT;
}

static bool get(const void *ctx, struct str label, struct str *value)
{
    size_t state = state_of(ctx, label);
    if (state < VALUES)
        *value = str_from_c(values[state]);
    return state < VALUES;
}

static enum selector_answer decide(const struct selector *s, const struct labelling *labelling)
{
    const struct selector_known_labels known = {get_known, labelling};
    return selector_decide(s, &known);
}

static bool matches(const struct selector *s, const struct labelling *labelling)
{
    const struct selector_labels all = {get, labelling};
    return selector_matches(s, &all);
}

static const struct selector *parse(struct arena *arena, const char *text)
{
    struct error err;
    const struct selector *s = selector_parse(arena, str_from_c(text), NULL, &err);
    if (s == NULL)
        fail_msg("%s", err.text);
    return s;
}

/* a is "1", b is absent, c is unknown. */
static void test_decide(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum selector_answer answer;
    } cases[] = {
        {"", SELECTOR_YES},
        {"all()", SELECTOR_YES},
        {"global()", SELECTOR_YES},
        {"!all()", SELECTOR_NO},
        {"has(a)", SELECTOR_YES},
        {"a == '1'", SELECTOR_YES},
        {"a == '2'", SELECTOR_NO},
        {"a in {}", SELECTOR_NO},
        {"has(b)", SELECTOR_NO},
        {"b == ''", SELECTOR_NO},
        {"b != '1'", SELECTOR_YES},
        {"b not in {'1'}", SELECTOR_YES},
        {"b contains ''", SELECTOR_NO},
        {"has(c)", SELECTOR_DEPENDS},
        {"c == '1'", SELECTOR_DEPENDS},
        {"c != '1'", SELECTOR_DEPENDS},
        {"!has(c)", SELECTOR_DEPENDS},
        {"has(c) && has(b)", SELECTOR_NO},
        {"has(b) && has(c)", SELECTOR_NO},
        {"has(c) && has(a)", SELECTOR_DEPENDS},
        {"has(a) && !has(b)", SELECTOR_YES},
        {"has(c) || has(a)", SELECTOR_YES},
        {"has(a) || has(c)", SELECTOR_YES},
        {"has(c) || has(b)", SELECTOR_DEPENDS},
        {"has(b) || a == '2'", SELECTOR_NO},
        {"!(has(c) && has(b))", SELECTOR_YES},
        {"!(has(c) || has(a))", SELECTOR_NO},
        {"!(has(c) || has(b))", SELECTOR_DEPENDS},
    };
    const struct labelling known = {{1, ABSENT, UNKNOWN}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        check_number(cases[i].text, decide(parse(&arena, cases[i].text), &known), cases[i].answer);
    }
}

/* The next way to fill in what is unknown; false: that was the last. */
static bool next_completion(const struct labelling *known, struct labelling *completion)
{
    for (size_t i = 0; i < LABELS; i++) {
        if (known->states[i] != UNKNOWN)
            continue;
        if (++completion->states[i] < STATES)
            return true;
        completion->states[i] = 0;
    }
    return false;
}

/* Yes and no are said only where they hold whatever the unknown labels are; where all are known, one of them is said. */
static void check_answer(const struct selector *s, const struct labelling *known,
                         size_t counts[SELECTOR_DEPENDS + 1])
{
    CLEANUP_BUF struct buf text = {0};
    struct labelling completion = *known;
    size_t unknown = 0;
    enum selector_answer answer = decide(s, known);
    selector_format(&text, s);
    buf_append_byte(&text, '\0');
    counts[answer]++;
    for (size_t i = 0; i < LABELS; i++) {
        if (known->states[i] == UNKNOWN) {
            completion.states[i] = 0;
            unknown++;
        }
    }
    CHECK(text.data, unknown > 0 || answer != SELECTOR_DEPENDS);
    do {
        bool is_match = matches(s, &completion);
        CHECK(text.data, answer == SELECTOR_DEPENDS || is_match == (answer == SELECTOR_YES));
    } while (next_completion(known, &completion));
}

static void test_all_completions(void **state)
{
    (void)state;
    struct random random = random_start();
    size_t counts[SELECTOR_DEPENDS + 1] = {0};
    for (int round = 0; round < 5000; round++) {
        CLEANUP_ARENA struct arena arena = {0};
        const struct selector *s = random_selector(&arena, &random, &universe, 3);
        for (int i = 0; i < 4; i++) {
            struct labelling known;
            for (size_t j = 0; j < LABELS; j++)
                known.states[j] =
                    random_below(&random, 3) == 0 ? UNKNOWN : random_below(&random, STATES);
            check_answer(s, &known, counts);
        }
    }
    for (size_t i = 0; i < COUNT(counts); i++)
        assert_in_range(counts[i], 2000, SIZE_MAX); /* each often enough */
}

/* A copy is the same selector, and needs nothing of the first. */
static void test_copy(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 1000; round++) {
        CLEANUP_ARENA struct arena arena = {0};
        CLEANUP_BUF struct buf before = {0}, after = {0};
        struct arena first = {0};
        const struct selector *s = random_selector(&first, &random, &universe, 4);
        const struct selector *copy = selector_copy(&arena, s);
        selector_format(&before, s);
        assert_int_equal(copy->is_empty, s->is_empty);
        arena_free(&first);
        selector_format(&after, copy);
        check_text("copy", buf_str(&after), buf_str(&before));
    }
    CLEANUP_ARENA struct arena arena = {0};
    assert_true(selector_copy(&arena, parse(&arena, " "))->is_empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide),
        cmocka_unit_test(test_all_completions),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
