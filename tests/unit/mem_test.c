/* mem.h: allocation that cannot fail, buffers, arenas. */
#include "base/mem.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* The larger one is out of reach for any optimiser: it cannot see that the allocation must fail. */
static volatile size_t huge = SIZE_MAX / 2 + 1;

static void overflow_realloc(void)
{
    free(mem_realloc_array(NULL, huge, 2));
}

static void overflow_arena_array(void)
{
    struct arena arena = {0};
    arena_array(&arena, huge, 2);
}

static void overflow_arena_alloc(void)
{
    struct arena arena = {0};
    arena_alloc(&arena, huge * 2 - 1);
}

/* Runs it in a process of its own, which must not come to its end. */
static bool ends_process(void (*run)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        run();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_overflow_ends_process(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"mem_realloc_array", overflow_realloc},
        {"arena_array", overflow_arena_array},
        {"arena_alloc", overflow_arena_alloc},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK(cases[i].name, ends_process(cases[i].run));
}

static void test_nothing_is_something(void **state)
{
    (void)state;
    CLEANUP_FREE void *a = mem_alloc(0);
    CLEANUP_FREE void *b = mem_zalloc(0);
    CLEANUP_FREE void *c = mem_realloc(NULL, 0);
    CLEANUP_FREE void *d = mem_realloc_array(NULL, 0, 8);
    assert_true(a != NULL && b != NULL && c != NULL && d != NULL);
}

static void test_strndup(void **state)
{
    (void)state;
    CLEANUP_FREE char *text = mem_strndup(STR("a\0b"));
    CLEANUP_FREE char *empty = mem_strndup(str_make(NULL, 0));
    assert_memory_equal(text, "a\0b", 4);
    assert_string_equal(empty, "");
}

static void test_grow(void **state)
{
    (void)state;
    size_t *numbers = NULL, count = 0, capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        MEM_GROW(numbers, count, capacity);
        numbers[count++] = i;
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(capacity, 1024);
    free(numbers);
}

static void test_buf(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    buf_append(&b, NULL, 0);
    check_text("nothing", buf_str(&b), STR(""));
    buf_append(&b, "a\0b", 3);
    buf_append_byte(&b, 'c');
    buf_append_str(&b, STR("de"));
    buf_append_str(&b, str_make(NULL, 0));
    buf_printf(&b, "%d-%s", 7, "x");
    buf_printf(&b, "%s", "");
    check_text("all kinds", buf_str(&b), STR("a\0bcde7-x"));
    memcpy(buf_reserve(&b, 5000), "z", 1);
    b.len++;
    check_text("reserved", buf_str(&b), STR("a\0bcde7-xz"));
    assert_true(b.capacity >= 5000);
    buf_free(&b);
    assert_true(b.data == NULL && b.len == 0 && b.capacity == 0);
}

/* Appends of all lengths, so that every one of them once has to grow. */
static void test_buf_growth(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = {0};
    char piece[300];
    size_t expected = 0;
    for (size_t i = 0; i < sizeof(piece); i++) {
        memset(piece, (int)('a' + i % 26), i);
        buf_append(&b, piece, i);
        buf_printf(&b, "%.*s", (int)i, piece);
        expected += 2 * i;
    }
    assert_int_equal(b.len, expected);
    size_t at = 0;
    for (size_t i = 0; i < sizeof(piece); i++) {
        for (size_t j = 0; j < 2 * i; j++)
            assert_int_equal(b.data[at++], 'a' + i % 26);
    }
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

/* Sizes from nothing to more than a chunk: aligned, zeroed, apart from each other, and still there
 * at the end. */
static void test_arena(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 0, 7, 16, 17, 1000, 1024, 1025, 5000, 65536, 65537, 200000};
    enum { ROUNDS = 20 };
    CLEANUP_ARENA struct arena arena = {0};
    char *places[ROUNDS][COUNT(sizes)];
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t j = 0; j < COUNT(sizes); j++) {
            char *place = places[i][j] = arena_alloc(&arena, sizes[j]);
            assert_int_equal((uintptr_t)place % alignof(max_align_t), 0);
            assert_true(is_zero(place, sizes[j]));
            memset(place, (int)(i * COUNT(sizes) + j), sizes[j]);
        }
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t j = 0; j < COUNT(sizes); j++) {
            for (size_t k = 0; k < sizes[j]; k++)
                assert_int_equal((uint8_t)places[i][j][k], i * COUNT(sizes) + j);
        }
    }
}

static void test_arena_strings(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    char source[] = "a\0b";
    struct str copy = arena_copy(&arena, str_make(source, 3));
    source[0] = 'x';
    check_text("copy", copy, STR("a\0b"));
    assert_int_equal(copy.ptr[3], '\0');
    assert_string_equal(arena_copy(&arena, str_make(NULL, 0)).ptr, "");
    struct str printed = arena_printf(&arena, "%0*d", 3000, 7);
    assert_int_equal(printed.len, 3000);
    assert_int_equal(printed.ptr[2999], '7');
    assert_int_equal(printed.ptr[3000], '\0');
    check_text("empty print", arena_printf(&arena, "%s", ""), STR(""));
    assert_non_null(arena_array(&arena, 0, 8));
}

/* Strings lie side by side, and what follows them is aligned again. */
static void test_arena_packs_strings(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    const char *first = arena_copy(&arena, STR("ab")).ptr;
    const char *second = arena_copy(&arena, STR("c")).ptr;
    assert_ptr_equal(second, first + 3);
    for (size_t i = 0; i < 2000; i++) {
        struct str text = arena_printf(&arena, "%zu", i);
        assert_int_equal((uintptr_t)arena_alloc(&arena, i % 40) % alignof(max_align_t), 0);
        assert_string_equal(first, "ab");
        assert_int_equal(strtoul(text.ptr, NULL, 10), i);
    }
}

/* A few bytes take little; something large does not end the chunk that is being filled. */
static void test_arena_is_frugal(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    char *before = arena_alloc(&arena, 16);
    assert_in_range(malloc_usable_size(arena.chunks), 16, 512);
    char *large = arena_alloc(&arena, 100 * 1000);
    char *after = arena_alloc(&arena, 16);
    assert_ptr_equal(after, before + 16);
    assert_true(is_zero(large, 100 * 1000));
}

static void test_arena_adopts(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 200, 100 * 1000};
    for (size_t i = 0; i < COUNT(sizes) * COUNT(sizes); i++) {
        CLEANUP_ARENA struct arena to = {0}, from = {0};
        size_t own = sizes[i % COUNT(sizes)], other = sizes[i / COUNT(sizes)];
        char *mine = own > 0 ? memset(arena_alloc(&to, own), 'm', own) : NULL;
        char *yours = other > 0 ? memset(arena_alloc(&from, other), 'y', other) : NULL;
        arena_adopt(&to, &from);
        assert_null(from.chunks);
        memset(arena_alloc(&from, 300), 'z', 300);
        memset(arena_alloc(&to, 300), 'n', 300);
        for (size_t j = 0; j < own; j++)
            assert_int_equal(mine[j], 'm');
        for (size_t j = 0; j < other; j++)
            assert_int_equal(yours[j], 'y');
    }
}

static void test_arena_again(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    arena_free(&arena);
    arena_alloc(&arena, 10);
    arena_free(&arena);
    assert_null(arena.chunks);
    assert_non_null(arena_alloc(&arena, 10));
}

/* In the place of the C library's: what it is given is taken down. */
static const char *wiped[64];
static size_t wiped_len[64], wiped_count;

void explicit_bzero(void *place, size_t len)
{
    memset(place, 0, len);
    wiped[wiped_count] = place;
    wiped_len[wiped_count++] = len;
}

/* What it is called where bounds are checked. */
void __explicit_bzero_chk(void *place, size_t len, size_t size);
void __explicit_bzero_chk(void *place, size_t len, size_t size)
{
    assert_true(len <= size);
    explicit_bzero(place, len);
}

static bool was_wiped(const char *place)
{
    for (size_t i = 0; i < wiped_count; i++) {
        if (place >= wiped[i] && place < wiped[i] + wiped_len[i])
            return true;
    }
    return false;
}

static void test_wipe(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 200, 100000, 3, 70000};
    const char *places[COUNT(sizes)];
    struct buf none = {0}, buf = {0};
    struct arena arena = {0};
    wiped_count = 0;
    buf_wipe(&none);
    arena_wipe(&arena);
    assert_int_equal(wiped_count, 0);
    buf_append_str(&buf, STR("secret"));
    const char *first = buf.data, *last = buf.data + buf.capacity - 1;
    buf.len = 1; /* what stood behind it is wiped as well */
    buf_wipe(&buf);
    assert_true(was_wiped(first) && was_wiped(last));
    assert_true(buf.data == NULL && buf.len == 0 && buf.capacity == 0);
    for (size_t i = 0; i < COUNT(sizes); i++)
        places[i] = arena_alloc(&arena, sizes[i]);
    arena_wipe(&arena);
    for (size_t i = 0; i < COUNT(sizes); i++)
        assert_true(was_wiped(places[i]) && was_wiped(places[i] + sizes[i] - 1));
    assert_null(arena.chunks);
}

static void test_cleanup_close(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    {
        CLEANUP_CLOSE int owned = fd;
        CLEANUP_CLOSE int none = -1;
        assert_true(owned >= 0 && none < 0);
    }
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_ends_process),
        cmocka_unit_test(test_nothing_is_something),
        cmocka_unit_test(test_strndup),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_buf_growth),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_adopts),
        cmocka_unit_test(test_arena_strings),
        cmocka_unit_test(test_arena_packs_strings),
        cmocka_unit_test(test_arena_is_frugal),
        cmocka_unit_test(test_arena_again),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_cleanup_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
