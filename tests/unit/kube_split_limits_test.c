/* kube/split.h: its limits, and what it holds. */
#include <malloc.h>

#include "check.h"
#include "split_listener.h"

static const char *const drops[] = {"secrets", NULL};

/* {"a":[{"a":[… so that `depth` brackets are open, and closed again. */
static void append_nested(struct buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        buf_append_str(out, i % 2 == 0 ? STR("{\"a\":") : STR("["));
    buf_append_str(out, STR("1"));
    for (unsigned i = depth; i > 0; i--)
        buf_append_byte(out, i % 2 == 1 ? '}' : ']');
}

static void test_depth(void **state)
{
    (void)state;
    static const char *const drop[] = {"a", NULL};
    for (unsigned dropped = 0; dropped < 2; dropped++) {
        for (unsigned depth = 1; depth <= SPLIT_DEPTH + 2; depth++) {
            CLEANUP_BUF struct buf text = {0};
            struct listener l = {.is_quiet = true};
            struct error err = {""};
            struct kube_split *split =
                listener_start(SPLIT_VALUES, dropped > 0 ? drop : NULL, NULL, &l);
            append_nested(&text, depth);
            bool ok = kube_split_feed(split, buf_str(&text), &err);
            assert_int_equal(ok, depth <= SPLIT_DEPTH);
            assert_int_equal(l.pieces, ok ? 1 : 0);
            assert_true(ok || strstr(err.text, "too deep") != NULL);
            kube_split_free(split);
        }
    }
}

/* Feeds `text` until `bytes` of it were taken. */
static bool feed_repeated(struct kube_split *split, struct str text, size_t bytes,
                          struct error *err)
{
    CLEANUP_BUF struct buf chunk = {0};
    while (chunk.len + text.len <= 64 * 1024)
        buf_append_str(&chunk, text);
    for (size_t fed = 0; fed < bytes; fed += chunk.len) {
        size_t rest = bytes - fed;
        if (!kube_split_feed(split, str_head(buf_str(&chunk), rest), err))
            return false;
    }
    return true;
}

static void test_piece_limit(void **state)
{
    (void)state;
    const size_t frame = STR("{\"a\":\"\"}").len;
    for (size_t over = 0; over < 2; over++) {
        struct listener l = {.is_quiet = true};
        struct error err = {""};
        struct kube_split *split = listener_start(SPLIT_LIST, NULL, NULL, &l);
        bool ok = kube_split_feed(split, STR("{\"items\":[{\"a\":\""), &err) &&
                  feed_repeated(split, STR("x"), SPLIT_PIECE_LIMIT - frame + over, &err) &&
                  kube_split_feed(split, STR("\"},{}]}"), &err);
        assert_int_equal(ok, over == 0);
        if (ok) {
            assert_int_equal(l.pieces, 2);
            assert_int_equal(l.longest, SPLIT_PIECE_LIMIT);
            assert_true(kube_split_is_complete(split));
        } else {
            assert_non_null(strstr(err.text, "more than 16 MiB"));
        }
        kube_split_free(split);
    }
}

/* Not only texts: brackets, and numbers. */
static void test_piece_limit_without_texts(void **state)
{
    (void)state;
    static const char *const parts[] = {"{},", "1,", " ", "7"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct listener l = {.is_quiet = true};
        struct error err = {""};
        struct kube_split *split = listener_start(SPLIT_VALUES, NULL, NULL, &l);
        assert_true(kube_split_feed(split, STR("{\"a\":["), &err));
        CHECK(parts[i], !feed_repeated(split, str_from_c(parts[i]), SPLIT_PIECE_LIMIT, &err));
        CHECK(parts[i], strstr(err.text, "more than 16 MiB") != NULL);
        kube_split_free(split);
    }
}

/* Memory in use: what came from the heap, and what was mapped for large blocks. */
static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* What is dropped has no limit, and is not held; nor are items that were told, blanks between them, numbers and names. */
static void test_memory(void **state)
{
    (void)state;
    enum { BYTES = 48 * 1024 * 1024, HELD = 16 * 1024 };
    static const struct {
        const char *name, *before, *repeated, *after;
    } cases[] = {
        {"a dropped text", "{\"items\":[{\"secrets\":\"", "x", "\"}]}"},
        {"a dropped array", "{\"items\":[{\"secrets\":[1", ",{\"a\":\"b\"}", "]}]}"},
        {"items", "{\"items\":[{}", ",{\"a\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}", "]}"},
        {"blanks", "{\"items\":[{}", " ", "]}"},
        {"a number", "{\"x\":1", "1", ",\"items\":[]}"},
        {"a name", "{\"", "n", "\":1,\"items\":[]}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct listener l = {.is_quiet = true};
        struct error err = {""};
        struct str part = str_from_c(cases[i].repeated);
        size_t before = memory_in_use();
        struct kube_split *split = listener_start(SPLIT_LIST, drops, NULL, &l);
        bool ok = kube_split_feed(split, str_from_c(cases[i].before), &err) &&
                  feed_repeated(split, part, BYTES / part.len * part.len, &err);
        size_t during = memory_in_use();
        ok = ok && kube_split_feed(split, str_from_c(cases[i].after), &err);
        CHECK(cases[i].name, ok && kube_split_is_complete(split));
        CHECK(cases[i].name, during < before + HELD);
        kube_split_free(split);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_piece_limit),
        cmocka_unit_test(test_piece_limit_without_texts),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
