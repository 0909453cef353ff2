/* mountinfo.h: lines of the kernel's, and lines that are none. */
#include "node/mountinfo.h"

#include "check.h"

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        struct str line;
        const char *root, *point;
        bool is_deleted;
    } cases[] = {
        {STR_INIT("36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"), "/", "/mnt", false},
        {STR_INIT("36 35 0:26 /k/agent/mount/u-1 /k/pods/u/volumes/d/n/nodeagent ro - tmpfs t rw"),
         "/k/agent/mount/u-1", "/k/pods/u/volumes/d/n/nodeagent", false},
        {STR_INIT("1 2 0:3 /a//deleted /b rw - tmpfs t rw"), "/a", "/b", true},
        {STR_INIT("1 2 0:3 /a/deleted /b//deleted rw - tmpfs t rw"), "/a/deleted", "/b//deleted",
         false},
        {STR_INIT("1 2 0:3 /a\\040b\\011c\\012d\\134e /b\\0 rw"), "/a b\tc\nd\\e", "/b\\0", false},
        {STR_INIT("1 2 0:3 /a\\089 /b\\04 rw"), "/a\\089", "/b\\04", false},
        {STR_INIT("1 2 0:4 net:[4026532281] /run/netns/x rw shared:2 - nsfs nsfs rw"),
         "net:[4026532281]", "/run/netns/x", false},
        {STR_INIT("1 2 0:3  /b rw"), "", "/b", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct mountinfo info;
        struct error err;
        struct quoted name = quote(cases[i].line);
        CHECK(name.text, mountinfo_parse(&arena, cases[i].line, &info, &err) && info.count == 1);
        check_text(name.text, info.entries[0].root, str_from_c(cases[i].root));
        check_text(name.text, info.entries[0].point, str_from_c(cases[i].point));
        CHECK(name.text, info.entries[0].is_deleted == cases[i].is_deleted);
    }
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR_INIT("x"),
        STR_INIT("\n"),
        STR_INIT("1 2 0:3 /a /b"),
        STR_INIT("1 2 0:3 /a  rw"),
        STR_INIT("1 2 0:3 /a"),
        STR_INIT("1 2 0:3 / /ok rw\n1 2\n"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP_ARENA struct arena arena = {0};
        struct mountinfo info;
        struct error err = {""};
        struct quoted name = quote(cases[i]);
        CHECK(name.text, !mountinfo_parse(&arena, cases[i], &info, &err));
        CHECK(name.text, strstr(err.text, "is not one of mountinfo: \"") != NULL);
    }
}

static void test_many(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct mountinfo info;
    struct error err;
    assert_true(mountinfo_parse(&arena, STR(""), &info, &err));
    assert_int_equal(info.count, 0);
    assert_true(mountinfo_parse(&arena, STR("1 2 0:3 / /a rw\n4 5 0:6 / /b rw\n"), &info, &err));
    assert_int_equal(info.count, 2);
    check_text("second", info.entries[1].point, STR("/b"));
}

/* The kernel's own: there is a root, and /proc. */
static void test_own(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena arena = {0};
    struct mountinfo info;
    struct error err;
    int found = 0;
    assert_true(mountinfo_read(&arena, &info, &err));
    for (size_t i = 0; i < info.count; i++) {
        found |= str_eq(info.entries[i].point, STR("/")) ? 1 : 0;
        found |= str_eq(info.entries[i].point, STR("/proc")) ? 2 : 0;
    }
    assert_int_equal(found, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
