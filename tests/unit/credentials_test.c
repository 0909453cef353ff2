/* credentials.h: which texts are credentials, and files that come and go in one step. */
#include "node/credentials.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define UID "20154c76-bf4e-11e7-8a7e-080027631ab3"
#define GOOD                                                                                       \
    "{\"UID\":\"" UID "\",\"Workload\":\"web-0\",\"Namespace\":\"bank\",\"ServiceAccount\":"       \
    "\"web\"}"

/* 128 and 64 times a letter. */
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A128 A64 A64

static const struct credentials good = {STR_INIT(UID), STR_INIT("web-0"), STR_INIT("bank"),
                                        STR_INIT("web")};

static void test_names(void **state)
{
    (void)state;
    static const struct {
        struct str name;
        bool good;
    } cases[] = {
        {STR_INIT(UID), true},        {STR_INIT("a"), true},
        {STR_INIT("csi-0f1e"), true}, {STR_INIT("a.b_c~d:e"), true},
        {STR_INIT(A128), true},       {STR_INIT(A128 "a"), false},
        {STR_INIT(""), false},        {{NULL, 0}, false},
        {STR_INIT("."), false},       {STR_INIT(".."), false},
        {STR_INIT(".hidden"), false}, {STR_INIT("a..b"), false},
        {STR_INIT("a/b"), false},     {STR_INIT("/"), false},
        {STR_INIT("../x"), false},    {STR_INIT("a b"), false},
        {STR_INIT("a\n"), false},     {STR_INIT("a\0b"), false},
        {STR_INIT("a\x7f"), false},   {STR_INIT("\xc3\xa4"), false},
        {STR_INIT("a\"b"), false},    {STR_INIT("a\\b"), false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {""};
        struct quoted name = quote(cases[i].name);
        CHECK(name.text, credentials_check_name("the name", cases[i].name, &err) == cases[i].good);
        CHECK(name.text, cases[i].good || strstr(err.text, "the name ") == err.text);
    }
}

/* What is wrong with it the message says: the field, and the value if there is one. */
static void test_bad_texts(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *message;
    } cases[] = {
        {STR_INIT(""), "there is nothing in it"},
        {STR_INIT(" \n"), "there is nothing in it"},
        {STR_INIT("null"), "there is nothing in it"},
        {STR_INIT("[]"), "a list, not a JSON object"},
        {STR_INIT("\"x\""), "the string \"x\", not a JSON object"},
        {STR_INIT("{"), "not JSON: line 1: "},
        {STR_INIT("UID: x"), "not JSON: line 1: "},
        {STR_INIT(GOOD "x"), "not JSON: line 1: "},
        {STR_INIT(GOOD GOOD), "not JSON: line 1: "},
        {STR_INIT(GOOD "\0"), "not JSON: line 1: "},
        {STR_INIT("{}"), "UID is missing"},
        {STR_INIT("{\"uid\":\"u\"}"), "UID is missing"},
        {STR_INIT("{\"UID\":\"u\"}"), "Workload is missing"},
        {STR_INIT("{\"UID\":\"u\",\"Workload\":\"w\"}"), "Namespace is missing"},
        {STR_INIT("{\"UID\":\"u\",\"Workload\":\"w\",\"Namespace\":\"n\"}"),
         "ServiceAccount is missing"},
        {STR_INIT("{\"UID\":1}"), "line 1: UID is the number `1`, not a string"},
        {STR_INIT("{\"UID\":null}"), "line 1: UID is nothing, not a string"},
        {STR_INIT("{\"UID\":\"u\",\n\"Workload\":[\"w\"]}"),
         "line 2: Workload is a list, not a string"},
        {STR_INIT("{\"UID\":\"u\",\"Workload\":\"w\",\"Namespace\":{},\"ServiceAccount\":\"\"}"),
         "line 1: Namespace is a map, not a string"},
        {STR_INIT("{\"UID\":\"u\",\"UID\":\"u\"}"), "not JSON: line 1: duplicate object key"},
        {STR_INIT("{\"UID\":\"u\\u0000v\"}"), "not JSON: line 1: "},
        {STR_INIT("{\"U\\u0000ID\":\"u\"}"), "not JSON: line 1: "},
        {STR_INIT("{\"UID\":\"u\0v\"}"), "not JSON: line 1: "},
        {STR_INIT("{\"UID\":\"\xff\"}"), "not JSON: line 1: "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct credentials c;
        struct error err = {""};
        struct quoted name = quote(cases[i].text);
        CHECK(name.text,
              !credentials_parse(&arena, cases[i].text, &credentials_file_keys, &c, &err));
        if (strncmp(err.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", name.text, err.text, cases[i].message);
    }
}

static void test_bad_values(void **state)
{
    (void)state;
    const struct credentials bad[] = {
        {STR(""), good.workload, good.namespace, good.account},
        {STR("../x"), good.workload, good.namespace, good.account},
        {good.uid, STR(""), good.namespace, good.account},
        {good.uid, STR("Web"), good.namespace, good.account},
        {good.uid, STR("a/b"), good.namespace, good.account},
        {good.uid, STR(".."), good.namespace, good.account},
        {good.uid, STR("a\0b"), good.namespace, good.account},
        {good.uid, STR(A128 A128), good.namespace, good.account},
        {good.uid, good.workload, STR(""), good.account},
        {good.uid, good.workload, STR("a.b"), good.account},
        {good.uid, good.workload, STR("bank\n"), good.account},
        {good.uid, good.workload, STR(A64), good.account},
        {good.uid, good.workload, good.namespace, STR("-")},
        {good.uid, good.workload, good.namespace, STR("a b")},
    };
    static const char *const fields[] = {
        "UID",       "UID",       "Workload",       "Workload",      "Workload",
        "Workload",  "Workload",  "Workload",       "Namespace",     "Namespace",
        "Namespace", "Namespace", "ServiceAccount", "ServiceAccount"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error err = {""};
        CHECK(fields[i], !credentials_check(&bad[i], &credentials_file_keys, &err));
        CHECK(fields[i], strncmp(err.text, fields[i], strlen(fields[i])) == 0);
    }
    struct credentials without = good;
    struct error err;
    without.account = str_make(NULL, 0);
    assert_true(credentials_check(&without, &credentials_file_keys, &err));
}

static void check_same(const struct credentials *a, const struct credentials *b)
{
    check_text("UID", a->uid, b->uid);
    check_text("Workload", a->workload, b->workload);
    check_text("Namespace", a->namespace, b->namespace);
    check_text("ServiceAccount", a->account, b->account);
}

static void test_format(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf text = {0};
    credentials_format(&text, &good);
    check_text("text", buf_str(&text), STR(GOOD "\n"));
}

/* Keys that others may add, in any order. */
static void test_other_keys(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials c;
    struct error err;
    struct str text =
        STR("{\"ServiceAccount\":\"web\",\"Extra\":{\"UID\":1},\"Namespace\":\"bank\","
            "\"Workload\":\"web-0\",\"UID\":\"" UID "\"}");
    assert_true(credentials_parse(&arena, text, &credentials_file_keys, &c, &err));
    check_same(&c, &good);
}

/* ---- files: each test in a new folder, its working directory ---- */

static char root[] = "/tmp/dikast-credentials-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    memset(strrchr(root, '-') + 1, 'X', 6);
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int remove_root(void **state)
{
    (void)state;
    const char *const names[] = {"a/creds/" UID ".json", "a/creds/x.json", "a/creds", "a/mount",
                                 "a"};
    for (size_t i = 0; i < COUNT(names); i++)
        remove(names[i]);
    return chdir("/") != 0 || rmdir(root) != 0;
}

#define FOLDER "a/creds"
#define FILE_  FOLDER "/" UID ".json"
#define ASIDE  FOLDER "/." UID ".json.new"

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void put(const char *path, struct str text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static enum disk_result read_it(struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials c;
    enum disk_result result = credentials_read(FOLDER, good.uid, &arena, &c, err);
    if (result == DISK_READ)
        check_same(&c, &good);
    return result;
}

static void test_file(void **state)
{
    (void)state;
    struct error err;
    struct stat info;
    assert_int_equal(read_it(&err), DISK_GONE);
    assert_true(credentials_remove(FOLDER, good.uid, &err));
    umask(077);
    assert_true(credentials_write(FOLDER, good.uid, &good, &err));
    umask(022);
    assert_int_equal(read_it(&err), DISK_READ);
    assert_int_equal(stat(FILE_, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0644);
    assert_false(exists(ASIDE));
    assert_true(credentials_write(FOLDER, good.uid, &good, &err));
    assert_true(credentials_remove(FOLDER, good.uid, &err));
    assert_int_equal(read_it(&err), DISK_GONE);
    assert_true(credentials_remove(FOLDER, good.uid, &err));
}

/* What a killed process left does not hinder, nor is it written to: somebody may have it open. */
static void test_left_aside(void **state)
{
    (void)state;
    struct error err;
    char byte;
    assert_int_equal(mkdir("a", 0755) | mkdir(FOLDER, 0755), 0);
    put(ASIDE, STR("x"));
    int fd = open(ASIDE, O_RDONLY | O_CLOEXEC);
    assert_true(credentials_write(FOLDER, good.uid, &good, &err));
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    assert_false(exists(ASIDE));
    put(ASIDE, STR("x"));
    assert_true(credentials_remove(FOLDER, good.uid, &err));
    assert_false(exists(ASIDE) || exists(FILE_));
}

/* If the name is occupied by a folder, the write fails, and nothing stays beside it. */
static void test_write_fails(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(mkdir("a", 0755) | mkdir(FOLDER, 0755) | mkdir(FILE_, 0755), 0);
    assert_false(credentials_write(FOLDER, good.uid, &good, &err));
    assert_string_equal(err.text, "credentials in \"a/creds\": cannot write \"" UID
                                  ".json\": Is a directory");
    assert_false(exists(ASIDE));
    assert_false(credentials_remove(FOLDER, good.uid, &err));
    assert_non_null(strstr(err.text, "cannot remove \"" UID ".json\": Is a directory"));
    assert_int_equal(read_it(&err), DISK_FAILED);
    assert_string_equal(err.text,
                        "credentials in \"a/creds\": \"" UID ".json\": not a regular file");
}

static void test_bad_names(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials c = good;
    struct error err;
    assert_false(credentials_write(FOLDER, STR("../x"), &good, &err));
    assert_false(credentials_remove(FOLDER, STR("../x"), &err));
    assert_int_equal(credentials_read(FOLDER, STR("../x"), &arena, &c, &err), DISK_FAILED);
    c.namespace = STR("Bank");
    assert_false(credentials_write(FOLDER, good.uid, &c, &err));
    assert_false(exists("a"));
}

static void test_bad_folders(void **state)
{
    (void)state;
    struct error err;
    put("a", STR(""));
    assert_false(credentials_write(FOLDER, good.uid, &good, &err));
    assert_string_equal(err.text, "cannot open the folder \"a/creds\": Not a directory");
    assert_false(credentials_remove(FOLDER, good.uid, &err));
    assert_int_equal(read_it(&err), DISK_FAILED);
}

/* A link, a FIFO and a file that is too large are not read. */
static void test_bad_files(void **state)
{
    (void)state;
    struct error err;
    CLEANUP_BUF struct buf large = {0};
    assert_int_equal(mkdir("a", 0755) | mkdir(FOLDER, 0755), 0);
    put(FOLDER "/x.json", STR(GOOD));
    assert_int_equal(symlink("x.json", FILE_), 0);
    assert_int_equal(read_it(&err), DISK_FAILED);
    assert_non_null(strstr(err.text, "Too many levels of symbolic links"));
    assert_int_equal(unlink(FILE_) | mkfifo(FILE_, 0644), 0);
    assert_int_equal(read_it(&err), DISK_FAILED);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(unlink(FILE_), 0);
    buf_append_str(&large, STR(GOOD));
    while (large.len < CREDENTIALS_FILE_LIMIT)
        buf_append_byte(&large, ' ');
    put(FILE_, buf_str(&large));
    assert_int_equal(read_it(&err), DISK_READ);
    buf_append_byte(&large, ' ');
    put(FILE_, buf_str(&large));
    assert_int_equal(read_it(&err), DISK_FAILED);
    assert_non_null(strstr(err.text, UID ".json\": larger than 65536 bytes"));
    put(FILE_, STR("{}"));
    assert_int_equal(read_it(&err), DISK_FAILED);
    assert_string_equal(err.text, "credentials in \"a/creds\": \"" UID ".json\": UID is missing");
}

/* Whether the file is there and good nobody can say when there are no descriptors left. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct error err;
    struct rlimit limit, none;
    assert_true(credentials_write(FOLDER, good.uid, &good, &err));
    int next = open("/", O_PATH | O_CLOEXEC);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int left = 0; left < 2; left++) {
        none = (struct rlimit){(rlim_t)(next + left), limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        enum disk_result result = read_it(&err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        check_number(left == 0 ? "the folder" : "the file", result, DISK_BUSY);
        assert_non_null(strstr(err.text, "Too many open files"));
    }
    assert_int_equal(read_it(&err), DISK_READ);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_other_keys),
        cmocka_unit_test_setup_teardown(test_file, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_left_aside, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_write_fails, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_bad_names, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_bad_folders, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_bad_files, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_no_descriptors, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
