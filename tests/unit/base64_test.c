/* base/base64.h: against RFC 4648's rules, and there and back. */
#include "base/base64.h"

#include "random.h"

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes; /* bytes NULL: refused */
    } cases[] = {
        /* RFC 4648, section 10. */
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
        {"Zm9v\nYmFy\r\n", "foobar"},
        {"\nZ\nm\n8\n=\n", "fo"},
        {"Z", NULL},
        {"Zg", NULL},
        {"Zg=", NULL},
        {"Zm8", NULL},
        {"Zm9vY", NULL},
        {"Zm9v=", NULL},
        {"Zm9v====", NULL},
        {"=", NULL},
        {"====", NULL},
        {"Z===", NULL},
        {"Zg=v", NULL},
        {"Zg==Zg==", NULL},
        {"Zg==Z", NULL},
        {"Zm9v YmFy", NULL},
        {"Zm9v\tYmFy", NULL},
        {"-_-_", NULL},
        {"Zm9?", NULL},
        {"\xc3\xa4\xc3\xa4", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf out = {0};
        buf_append_str(&out, STR("before:"));
        bool ok = base64_decode(&out, str_from_c(cases[i].text));
        CHECK(cases[i].text, ok == (cases[i].bytes != NULL));
        if (ok)
            check_text(cases[i].text, str_from(buf_str(&out), 7), str_from_c(cases[i].bytes));
        check_text(cases[i].text, str_head(buf_str(&out), 7), STR("before:"));
    }
    CLEANUP_BUF struct buf out = {0};
    assert_false(base64_decode(&out, STR("Zm9v\0")));
}

/* RFC 4648, section 10, and digits that are no letters. */
static void test_encode(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_BUF struct buf out = {0};
        buf_append_str(&out, STR("before:"));
        base64_encode(&out, str_from_c(cases[i][0]));
        check_text(cases[i][0], str_from(buf_str(&out), 7), str_from_c(cases[i][1]));
    }
}

static void test_bytes(void **state)
{
    (void)state;
    struct random r = random_start();
    for (size_t len = 0; len < 300; len++) {
        uint8_t bytes[300];
        CLEANUP_BUF struct buf text = {0};
        CLEANUP_BUF struct buf out = {0};
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)random_next(&r);
        base64_encode(&text, str_make((const char *)bytes, len));
        CHECK("length", text.len == (len + 2) / 3 * 4);
        assert_true(base64_decode(&out, buf_str(&text)));
        check_text("bytes", buf_str(&out), str_make((const char *)bytes, len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
