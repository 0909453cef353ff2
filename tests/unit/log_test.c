/* log.h: lines as they are written, caught through a pipe on file descriptor 2. */
#include "base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

/* Standard error, turned aside. */
struct capture {
    int saved, reader;
};

static struct capture capture_start(void)
{
    int ends[2];
    struct capture capture;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    fflush(stderr);
    capture.saved = dup(STDERR_FILENO);
    capture.reader = ends[0];
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    return capture;
}

/* Puts standard error back; what was written meanwhile is in `text`. */
static struct str capture_end(struct capture capture, char *text, size_t size)
{
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    ssize_t len = read(capture.reader, text, size);
    close(capture.reader);
    return str_make(text, len > 0 ? (size_t)len : 0);
}

struct line {
    char text[16384];
};

static struct str log_one(struct line *line, struct log_field field)
{
    struct capture capture = capture_start();
    log_fields(LOG_INFO, "Something happened", &field, 1);
    return capture_end(capture, line->text, sizeof(line->text));
}

/* "time=2026-01-02T03:04:05.678Z " is 30 bytes; returns what stands behind it. */
static struct str without_time(struct str line)
{
    static const char form[] = "time=dddd-dd-ddTdd:dd:dd.dddZ ";
    assert_true(line.len > strlen(form));
    for (size_t i = 0; i < strlen(form); i++) {
        if (form[i] == 'd')
            assert_in_range(line.ptr[i], '0', '9');
        else
            assert_int_equal(line.ptr[i], form[i]);
    }
    return str_from(line, strlen(form));
}

static void test_logfmt_line(void **state)
{
    (void)state;
    struct line line;
    log_set_format(LOG_LOGFMT);
    struct capture capture = capture_start();
    log_event(LOG_WARNING, "Denied request", LOG_STR("reason", STR("denied_by_rule")),
              LOG_INT("rule", -3), LOG_C("path", "/a b"));
    struct str text = capture_end(capture, line.text, sizeof(line.text));
    check_text("line", without_time(text),
               STR("level=warning msg=\"Denied request\" reason=denied_by_rule rule=-3 "
                   "path=\"/a b\"\n"));
}

static void test_logfmt_values(void **state)
{
    (void)state;
    static const struct {
        struct str value, shown;
    } cases[] = {
        {STR_INIT("plain"), STR_INIT("plain")},
        {STR_INIT("/a/b?c;d,e:f'g"), STR_INIT("/a/b?c;d,e:f'g")},
        {{NULL, 0}, STR_INIT("\"\"")},
        {STR_INIT("a b"), STR_INIT("\"a b\"")},
        {STR_INIT("a=b"), STR_INIT("\"a=b\"")},
        {STR_INIT("a\"b"), STR_INIT("\"a\\\"b\"")},
        {STR_INIT("a\\b"), STR_INIT("\"a\\\\b\"")},
        {STR_INIT("\n"), STR_INIT("\"\\u000a\"")},
        {STR_INIT("\r"), STR_INIT("\"\\u000d\"")},
        {STR_INIT("\t"), STR_INIT("\"\\u0009\"")},
        {STR_INIT("a\0b"), STR_INIT("\"a\\u0000b\"")},
        {STR_INIT("\x1b[2J"), STR_INIT("\"\\u001b[2J\"")},
        {STR_INIT("\x7f"), STR_INIT("\"\\u007f\"")},
        {STR_INIT("\x80"), STR_INIT("\"\\u0080\"")},
        {STR_INIT("\xff"), STR_INIT("\"\\u00ff\"")},
        {STR_INIT("\xc2\x85"), STR_INIT("\"\\u00c2\\u0085\"")},
        {STR_INIT("x\nlevel=info msg=forged"), STR_INIT("\"x\\u000alevel=info msg=forged\"")},
        {STR_INIT("x\" allowed=yes y=\""), STR_INIT("\"x\\\" allowed=yes y=\\\"\"")},
        {STR_INIT("x\\\" allowed=yes"), STR_INIT("\"x\\\\\\\" allowed=yes\"")},
        {STR_INIT("%s%n"), STR_INIT("%s%n")},
    };
    log_set_format(LOG_LOGFMT);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct line line;
        struct quoted name = quote(cases[i].value);
        CLEANUP_BUF struct buf expected = {0};
        buf_append_str(&expected, STR("level=info msg=\"Something happened\" key="));
        buf_append_str(&expected, cases[i].shown);
        buf_append_byte(&expected, '\n');
        struct str text = log_one(&line, LOG_STR("key", cases[i].value));
        check_text(name.text, without_time(text), buf_str(&expected));
    }
}

/* What a reader of logfmt makes of a line: fields between blanks, quotes around some of the values. */
static size_t count_fields(struct str line)
{
    size_t fields = 1;
    bool quoted = false;
    for (size_t i = 0; i < line.len; i++) {
        if (quoted && line.ptr[i] == '\\')
            i++;
        else if (line.ptr[i] == '"')
            quoted = !quoted;
        else if (line.ptr[i] == ' ' && !quoted)
            fields++;
    }
    assert_false(quoted);
    return fields;
}

/* All values of two bytes: none makes a second line, another field, or a byte that is not printable
 * ASCII. */
static void test_no_forgery(void **state)
{
    (void)state;
    log_set_format(LOG_LOGFMT);
    for (unsigned i = 0; i < 65536; i++) {
        char value[2] = {(char)(i >> 8), (char)i};
        struct line line;
        struct str text = log_one(&line, LOG_STR("key", str_make(value, 2)));
        assert_int_equal(str_find(text, '\n'), text.len - 1);
        for (size_t j = 0; j + 1 < text.len; j++)
            assert_in_range((uint8_t)text.ptr[j], 0x20, 0x7e);
        assert_int_equal(count_fields(text), 4);
    }
}

static json_t *parse_line(struct str text)
{
    json_error_t error;
    assert_int_equal(str_find(text, '\n'), text.len - 1);
    json_t *object =
        json_loadb(text.ptr, text.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        fail_msg("%s: %s", quote(text).text, error.text);
    return object;
}

/* Bytes come back as the code points of the same numbers. */
static void check_json_value(const json_t *value, struct str expected)
{
    CLEANUP_BUF struct buf utf8 = {0};
    for (size_t i = 0; i < expected.len; i++) {
        uint8_t byte = (uint8_t)expected.ptr[i];
        if (byte >= 0x80)
            buf_append_byte(&utf8, (char)(0xc0 | byte >> 6));
        buf_append_byte(&utf8, (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte));
    }
    check_text("JSON value", str_make(json_string_value(value), json_string_length(value)),
               buf_str(&utf8));
}

static void test_json_line(void **state)
{
    (void)state;
    struct line line;
    log_set_format(LOG_JSON);
    struct capture capture = capture_start();
    log_event(LOG_ERROR, "It \"broke\"", LOG_STR("why", STR("disk, \n full")),
              LOG_INT("rule", INT64_MIN));
    json_t *object = parse_line(capture_end(capture, line.text, sizeof(line.text)));
    assert_int_equal(json_object_size(object), 5);
    assert_int_equal(json_string_length(json_object_get(object, "time")), 24);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(object, "msg")), "It \"broke\"");
    assert_string_equal(json_string_value(json_object_get(object, "why")), "disk, \n full");
    assert_true(json_integer_value(json_object_get(object, "rule")) == INT64_MIN);
    json_decref(object);
}

static void test_json_bytes(void **state)
{
    (void)state;
    log_set_format(LOG_JSON);
    for (unsigned i = 0; i < 65536; i += 3) {
        char value[2] = {(char)(i >> 8), (char)i};
        struct line line;
        json_t *object = parse_line(log_one(&line, LOG_STR("key", str_make(value, 2))));
        assert_int_equal(json_object_size(object), 4);
        check_json_value(json_object_get(object, "key"), str_make(value, 2));
        json_decref(object);
    }
}

/* At most 1 KiB of a value is shown, and that it was cut. */
static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len, shown;
        bool cut;
    } cases[] = {
        {"a byte less", 1023, 1023, false},
        {"just fits", 1024, 1024, false},
        {"a byte more", 1025, 1024, true},
        {"much more", 100000, 1024, true},
    };
    static char value[100000];
    memset(value, 'x', sizeof(value));
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (enum log_format format = LOG_LOGFMT; format <= LOG_JSON; format++) {
            struct line line;
            log_set_format(format);
            struct str text = log_one(&line, LOG_STR("key", str_make(value, cases[i].len)));
            size_t shown = 0;
            for (size_t j = 0; j < text.len; j++)
                shown += text.ptr[j] == 'x';
            check_number(cases[i].name, (long long)shown, (long long)cases[i].shown);
            check_number(cases[i].name, str_contains(text, STR("x...\"")), cases[i].cut);
        }
    }
}

static void test_cut_keeps_json(void **state)
{
    (void)state;
    char value[2000];
    memset(value, '\\', sizeof(value));
    struct line line;
    log_set_format(LOG_JSON);
    json_t *object = parse_line(log_one(&line, LOG_STR("key", str_make(value, sizeof(value)))));
    assert_int_equal(json_string_length(json_object_get(object, "key")), 1024 + 3);
    json_decref(object);
}

/* ---- a reader that does not read ---- */

/* A pipe that holds so many pages, and as standard error waits like any other. */
static struct capture capture_in_pages(int pages)
{
    struct capture capture = capture_start();
    assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, O_WRONLY), 0);
    assert_int_equal(fcntl(STDERR_FILENO, F_SETPIPE_SZ, pages * PIPE_BUF), pages * PIPE_BUF);
    return capture;
}

static void fill_page(void)
{
    static const char page[PIPE_BUF];
    assert_int_equal(write(STDERR_FILENO, page, sizeof(page)), sizeof(page));
}

static void read_page(const struct capture *capture)
{
    char page[PIPE_BUF];
    assert_int_equal(read(capture->reader, page, sizeof(page)), sizeof(page));
}

/* Where a page is free, the longest line does not wait for more: an alarm would end the test. */
static void test_long_line(void **state)
{
    (void)state;
    static char bytes[1024], letters[1024];
    memset(bytes, '\xff', sizeof(bytes));
    memset(letters, 'x', sizeof(letters));
    for (enum log_format format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        struct line line;
        struct capture capture = capture_in_pages(2);
        log_set_format(format);
        fill_page();
        alarm(10);
        log_event(LOG_INFO, "Denied request", LOG_STR("word", str_make(letters, 1024)),
                  LOG_STR("second", str_make(letters, 1024)), LOG_STR("path", str_make(bytes, 900)),
                  LOG_STR("third", str_make(letters, 1024)), LOG_INT("port", INT64_MIN),
                  LOG_STR("last", str_make(bytes, sizeof(bytes))));
        alarm(0);
        read_page(&capture);
        struct str text = capture_end(capture, line.text, sizeof(line.text));
        assert_in_range(text.len, PIPE_BUF - 512, PIPE_BUF);
        assert_true(str_ends_with(text, format == LOG_JSON ? STR("}\n") : STR("\n")));
        assert_true(str_contains(text, STR("last")));
        if (format == LOG_JSON)
            json_decref(parse_line(text));
    }
}

/* Lines that nobody has room for are dropped; how many, the next one says, and neither waits. */
static void test_dropped(void **state)
{
    (void)state;
    static char bytes[1024];
    memset(bytes, '\xff', sizeof(bytes));
    struct line line;
    struct capture capture = capture_in_pages(2);
    log_set_format(LOG_LOGFMT);
    fill_page();
    fill_page();
    alarm(10);
    for (int i = 0; i < 3; i++)
        log_message(LOG_INFO, "Nobody reads");
    read_page(&capture);
    /* What is said of those three takes the page, and this one is dropped like them. */
    log_event(LOG_INFO, "Long", LOG_STR("path", str_make(bytes, sizeof(bytes))));
    read_page(&capture);
    log_message(LOG_INFO, "Short");
    alarm(0);
    struct str text = capture_end(capture, line.text, sizeof(line.text));
    assert_true(str_contains(text, STR("nobody read the log\" count=3\n")));
    assert_true(str_contains(text, STR("nobody read the log\" count=1\n")));
    assert_false(str_contains(text, STR("Nobody reads")));
    assert_false(str_contains(text, STR("Long")));
    assert_true(str_ends_with(text, STR("msg=Short\n")));
}

static void test_levels(void **state)
{
    (void)state;
    log_set_format(LOG_LOGFMT);
    for (enum log_level least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        log_set_level(least);
        for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            struct line line;
            struct capture capture = capture_start();
            log_message(level, "x");
            struct str text = capture_end(capture, line.text, sizeof(line.text));
            assert_int_equal(log_enabled(level), level >= least);
            assert_int_equal(text.len > 0, level >= least);
        }
    }
    log_set_level(LOG_INFO);
}

static void test_parse_level(void **state)
{
    (void)state;
    static const struct {
        struct str word;
        int level;
    } cases[] = {
        {STR_INIT("debug"), LOG_DEBUG},
        {STR_INIT("INFO"), LOG_INFO},
        {STR_INIT("Warning"), LOG_WARNING},
        {STR_INIT("warn"), LOG_WARNING},
        {STR_INIT("WARN"), LOG_WARNING},
        {STR_INIT("eRRor"), LOG_ERROR},
        {STR_INIT(""), -1},
        {STR_INIT("err"), -1},
        {STR_INIT("info "), -1},
        {STR_INIT("info\0"), -1},
        {STR_INIT("1"), -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum log_level level = LOG_DEBUG;
        bool ok = log_parse_level(cases[i].word, &level);
        check_number(quote(cases[i].word).text, ok ? (int)level : -1, cases[i].level);
    }
}

static void test_parse_format(void **state)
{
    (void)state;
    enum log_format format;
    assert_true(log_parse_format(STR("json"), &format) && format == LOG_JSON);
    assert_true(log_parse_format(STR("logfmt"), &format) && format == LOG_LOGFMT);
    assert_false(log_parse_format(STR("JSON"), &format));
    assert_false(log_parse_format(STR(""), &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logfmt_line),    cmocka_unit_test(test_logfmt_values),
        cmocka_unit_test(test_no_forgery),     cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_json_bytes),     cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_keeps_json), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_parse_level),    cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_dropped),        cmocka_unit_test(test_parse_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
