/* pb/reader.h and pb/writer.h: strictness, groups, and that what is written reads back. */
#include <stdlib.h>

#include "pb/reader.h"
#include "pb/writer.h"

#include "random.h"

/* A copy without a byte to spare, so that a read behind the end is seen. */
static struct str tight_copy(struct str s)
{
    char *copy = mem_alloc(s.len);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return str_make(copy, s.len);
}

/* Reads all fields; returns how many, or -1 if the reader failed. */
static int count_fields(struct str message)
{
    struct str copy = tight_copy(message);
    struct pb_reader r = pb_reader(copy);
    struct pb_field f;
    int count = 0;
    while (pb_next(&r, &f))
        count++;
    free((char *)copy.ptr);
    return r.failed ? -1 : count;
}

static void test_strictness(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str message;
        int fields;
    } cases[] = {
        {"empty", STR_INIT(""), 0},
        {"no bytes at all", {NULL, 0}, 0},
        {"varint", STR_INIT("\x08\x01"), 1},
        {"varint longer than needed", STR_INIT("\x08\x81\x80\x00"), 1},
        {"largest varint", STR_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1},
        {"varint of 65 bits", STR_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), -1},
        {"varint of eleven bytes", STR_INIT("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
         -1},
        {"varint without a value", STR_INIT("\x08"), -1},
        {"varint without an end", STR_INIT("\x08\x80"), -1},
        {"bytes", STR_INIT("\x0a\x02xy"), 1},
        {"no bytes", STR_INIT("\x0a\x00"), 1},
        {"bytes without a length", STR_INIT("\x0a"), -1},
        {"bytes with half a length", STR_INIT("\x0a\x80"), -1},
        {"length leaves the message", STR_INIT("\x0a\x03xy"), -1},
        {"length of 64 bits", STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xy"), -1},
        {"length that wraps the place", STR_INIT("\x0a\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
         -1},
        {"fixed64",
         STR_INIT("\x09"
                  "12345678"),
         1},
        {"fixed64 cut",
         STR_INIT("\x09"
                  "1234567"),
         -1},
        {"fixed32",
         STR_INIT("\x0d"
                  "1234"),
         1},
        {"fixed32 cut",
         STR_INIT("\x0d"
                  "123"),
         -1},
        {"field number 0", STR_INIT("\x00\x01"), -1},
        {"field number 0, as bytes", STR_INIT("\x02\x00"), -1},
        {"largest field number", STR_INIT("\xf8\xff\xff\xff\x0f\x01"), 1},
        {"field number too large", STR_INIT("\xf8\xff\xff\xff\x1f\x01"), -1},
        {"tag cut", STR_INIT("\x80"), -1},
        {"wire type 6", STR_INIT("\x0e\x01"), -1},
        {"wire type 7", STR_INIT("\x0f\x01"), -1},
        {"second field is bad", STR_INIT("\x08\x01\x0f"), -1},
        {"two fields", STR_INIT("\x08\x01\x12\x01x"), 2},
        {"group", STR_INIT("\x0b\x0c"), 1},
        {"group, then a field", STR_INIT("\x0b\x10\x01\x1a\x01x\x0c\x08\x01"), 2},
        {"group in a group", STR_INIT("\x0b\x13\x14\x0c"), 1},
        {"group without an end", STR_INIT("\x0b"), -1},
        {"inner group without an end", STR_INIT("\x0b\x13\x0c"), -1},
        {"groups that cross", STR_INIT("\x0b\x13\x0c\x14"), -1},
        {"end without a group", STR_INIT("\x0c"), -1},
        {"end of another group", STR_INIT("\x0b\x14"), -1},
        {"bad field in a group", STR_INIT("\x0b\x10\x0c"), -1},
        {"bytes that leave in a group", STR_INIT("\x0b\x12\x05\x0c"), -1},
        {"field number 0 in a group", STR_INIT("\x0b\x00\x01\x0c"), -1},
        {"bytes that look like an end", STR_INIT("\x0b\x12\x01\x0c\x0c"), 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_number(cases[i].name, count_fields(cases[i].message), cases[i].fields);
}

static void test_group_depth(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t depth;
        int fields;
    } cases[] = {
        {"as deep as allowed", PB_GROUP_DEPTH, 2},
        {"one deeper", PB_GROUP_DEPTH + 1, -1},
        {"much deeper", 100000, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf message = {0};
        for (size_t j = 0; j < cases[i].depth; j++)
            buf_append_byte(&message, '\x0b');
        for (size_t j = 0; j < cases[i].depth; j++)
            buf_append_byte(&message, '\x0c');
        buf_append_str(&message, STR("\x08\x01"));
        check_number(cases[i].name, count_fields(buf_str(&message)), cases[i].fields);
    }
}

static void test_failure_is_sticky(void **state)
{
    (void)state;
    struct pb_reader r = pb_reader(STR("\x0c\x08\x01"));
    struct pb_field f;
    assert_false(pb_next(&r, &f));
    assert_false(pb_next(&r, &f));
    assert_true(r.failed);
}

static void test_wrong_type(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str message;
        bool as_varint, as_bytes;
    } cases[] = {
        {"varint", STR_INIT("\x08\x07"), true, false},
        {"bytes", STR_INIT("\x0a\x01x"), false, true},
        {"fixed64",
         STR_INIT("\x09"
                  "12345678"),
         false, false},
        {"fixed32",
         STR_INIT("\x0d"
                  "1234"),
         false, false},
        {"group", STR_INIT("\x0b\x08\x07\x0c"), false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pb_field f;
        struct pb_reader r = pb_reader(cases[i].message);
        CHECK(cases[i].name, pb_next(&r, &f));
        check_number(cases[i].name, (long long)pb_varint(&r, &f), cases[i].as_varint ? 7 : 0);
        check_number(cases[i].name, !r.failed, cases[i].as_varint);
        r = pb_reader(cases[i].message);
        CHECK(cases[i].name, pb_next(&r, &f));
        check_text(cases[i].name, pb_bytes(&r, &f), cases[i].as_bytes ? STR("x") : STR(""));
        check_number(cases[i].name, !r.failed, cases[i].as_bytes);
    }
}

static void test_values(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str message;
        uint32_t number;
        enum pb_wire wire;
        uint64_t value;
    } cases[] = {
        {"varint", STR_INIT("\x08\xac\x02"), 1, PB_VARINT, 300},
        {"largest", STR_INIT("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, PB_VARINT,
         UINT64_MAX},
        {"fixed64", STR_INIT("\x11\x01\x02\x03\x04\x05\x06\x07\x88"), 2, PB_FIXED64,
         0x8807060504030201},
        {"fixed32", STR_INIT("\x1d\x01\x02\x03\x84"), 3, PB_FIXED32, 0x84030201},
        {"number of two bytes", STR_INIT("\xc8\x0c\x05"), 201, PB_VARINT, 5},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pb_reader r = pb_reader(cases[i].message);
        struct pb_field f;
        CHECK(cases[i].name, pb_next(&r, &f));
        check_number(cases[i].name, f.number, cases[i].number);
        check_number(cases[i].name, f.wire, cases[i].wire);
        CHECK(cases[i].name, f.value == cases[i].value);
    }
}

static void test_write(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = {0};
    pb_write_varint(&out, 1, 300);
    pb_write_bytes(&out, 201, STR("a\0b"));
    pb_write_bytes(&out, 2, str_make(NULL, 0));
    pb_write_double(&out, 3, 1.0);
    size_t outer = pb_begin(&out, 4);
    size_t inner = pb_begin(&out, 5);
    pb_end(&out, inner);
    pb_write_varint(&out, 6, 0);
    pb_end(&out, outer);
    check_text("bytes", buf_str(&out),
               STR("\x08\xac\x02\xca\x0c\x03"
                   "a\0b\x12\x00\x19\0\0\0\0\0\0\xf0\x3f\x22\x04\x2a\x00\x30\x00"));
}

static void test_varint_round_trip(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 20000; round++) {
        CLEANUP_BUF struct buf out = {0};
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        uint32_t number = 1 + (uint32_t)random_below(&random, (1u << 29) - 1);
        pb_write_varint(&out, number, value);
        struct pb_reader r = pb_reader(buf_str(&out));
        struct pb_field f;
        assert_true(pb_next(&r, &f));
        assert_int_equal(f.number, number);
        assert_true(pb_varint(&r, &f) == value);
        assert_true(!pb_next(&r, &f) && !r.failed);
    }
}

/* Submessages whose length takes 1, 2, 3 and 4 bytes, each within another one, with a field behind. */
static void test_submessage_lengths(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 120, 127, 128, 129, 16383, 16384, 16390, 70000, 2097152};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        CLEANUP_BUF struct buf out = {0};
        CLEANUP_FREE char *text = mem_alloc(lengths[i]);
        memset(text, 'x', lengths[i]);
        size_t outer = pb_begin(&out, 1);
        size_t inner = pb_begin(&out, 2);
        buf_append(&out, text, lengths[i]);
        pb_end(&out, inner);
        pb_end(&out, outer);
        pb_write_varint(&out, 3, 7);
        struct pb_reader r = pb_reader(buf_str(&out));
        struct pb_field f;
        assert_true(pb_next(&r, &f));
        struct pb_reader within = pb_reader(pb_bytes(&r, &f));
        assert_true(pb_next(&r, &f) && f.number == 3 && pb_varint(&r, &f) == 7);
        assert_false(pb_next(&r, &f) || r.failed);
        assert_true(pb_next(&within, &f) && f.number == 2);
        assert_true(str_eq(pb_bytes(&within, &f), str_make(text, lengths[i])));
        assert_false(pb_next(&within, &f) || within.failed);
    }
}

/* Whatever the bytes: no read outside of them, and the fields stand within. */
static void test_random_bytes(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 50000; round++) {
        char bytes[24];
        size_t len = random_below(&random, sizeof(bytes) + 1);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)random_below(&random, random_below(&random, 2) == 0 ? 256 : 32);
        int fields = count_fields(str_make(bytes, len));
        assert_in_range(fields + 1, 0, len + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strictness),
        cmocka_unit_test(test_group_depth),
        cmocka_unit_test(test_failure_is_sticky),
        cmocka_unit_test(test_wrong_type),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_varint_round_trip),
        cmocka_unit_test(test_submessage_lengths),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
