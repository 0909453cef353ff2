/* mounts.h: kubelet's paths, and real mounts in a mount namespace of the test's own, for which it must be root. */
#include "node/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

#define LONG255                                                                                    \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"                                                                                     \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"                                                                                     \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_uids(void **state)
{
    (void)state;
    static const struct {
        struct str path;
        const char *uid; /* NULL: refused */
    } cases[] = {
        {STR_INIT("/var/lib/kubelet/pods/u-1/volumes/nodeagent~uds/sync"), "u-1"},
        {STR_INIT("/var/lib/kubelet/pods/u-1/volumes/nodeagent~uds/sync/"), "u-1"},
        {STR_INIT("//var//lib/kubelet/pods//u-1/volumes/nodeagent~uds//sync//"), "u-1"},
        {STR_INIT("/pods/u-1/volumes/nodeagent~uds/sync"), "u-1"},
        {STR_INIT("/a/b/c/d/e/f/pods/u-1/volumes/nodeagent~uds/sync"), "u-1"},
        {STR_INIT("/pods/x/volumes/kubelet/pods/u-1/volumes/nodeagent~uds/sync"), "u-1"},
        {STR_INIT("/k/pods/pods/volumes/nodeagent~uds/sync"), "pods"},
        {STR_INIT("/k/pods/u-1/volumes/nodeagent~uds/pods"), "u-1"},
        {STR_INIT("/k/pods/u-1/volumes/kubernetes.io~csi/sync/mount"), "u-1"},
        {STR_INIT("/k/a b\n/pods/u-1/volumes/nodeagent~uds/sync"), "u-1"},
        {STR_INIT("/k/pods/" LONG255 "/volumes/nodeagent~uds/sync"), LONG255},
        {STR_INIT("/k/pods/" LONG255 "a/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT(""), NULL},
        {STR_INIT("/"), NULL},
        {STR_INIT("k/pods/u-1/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/u-1/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/pods/u-1/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/pods/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/pods/u-1/volumes"), NULL},
        {STR_INIT("/k/pods/u-1/volumes/nodeagent~uds"), NULL},
        {STR_INIT("/k/pods/u-1/volumes/nodeagent~uds/"), NULL},
        {STR_INIT("/k/PODS/u-1/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/xpods/u-1/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/pods/u-1/volumes/nodeagent~uds/.."), NULL},
        {STR_INIT("/k/pods/../volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/../pods/u-1/volumes/nodeagent~uds/sync"), NULL},
        {STR_INIT("/k/pods/u-1/volumes/./sync"), NULL},
        {STR_INIT("/k/pods/u-1/volumes/nodeagent~uds/sync\0"), NULL},
        {STR_INIT("/k/pods/u-1\0/volumes/nodeagent~uds/sync"), NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {""};
        struct str uid = {NULL, 0};
        struct quoted name = quote(cases[i].path);
        CHECK(name.text, mounts_pod_uid(cases[i].path, &uid, &err) == (cases[i].uid != NULL));
        check_text(name.text, uid, str_from_c(cases[i].uid));
        if (cases[i].uid == NULL && strstr(err.text, name.text) == NULL)
            fail_msg("%s: the message does not name it: %s", name.text, err.text);
    }
}

static void test_long_path(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf path = {0};
    struct str uid;
    struct error err;
    const struct str end = STR("/pods/u-1/volumes/nodeagent~uds/sync");
    while (path.len < PATH_MAX - 1 - end.len)
        buf_append_str(&path, path.len % 2 == 0 ? STR("/") : STR("k"));
    buf_append_str(&path, end);
    assert_true(mounts_pod_uid(buf_str(&path), &uid, &err));
    buf_append_byte(&path, '/');
    assert_false(mounts_pod_uid(buf_str(&path), &uid, &err));
    assert_non_null(strstr(err.text, "is longer than 4095 bytes"));
}

static void test_same(void **state)
{
    (void)state;
    static const struct {
        struct str a, b;
        bool same;
    } cases[] = {
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/k/pods/u/volumes/d/n"), true},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/host/k//pods/u/volumes//d/n/"), true},
        {STR_INIT("/k/pods/u/volumes/d/n/mount"), STR_INIT("/k/pods/u/volumes/d/n"), false},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/k/pods/u/volumes/d/n/mount"), false},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/k/pods/v/volumes/d/n"), false},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/k/pods/u/volumes/e/n"), false},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/k/pods/u/volumes/d/nn"), false},
        {STR_INIT("/run/felix"), STR_INIT("/run/felix"), false},
        {STR_INIT("/k/pods/u/volumes/d/n"), STR_INIT("/run/felix"), false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK(quote(cases[i].b).text, mounts_is_same(cases[i].a, cases[i].b) == cases[i].same);
}

/* ---- with mounts. The working directory is a tmpfs, made anew for each test:
 *
 *     pods/u/volumes/d/   the parent of the target
 *     w/                  the workload's folder
 *     x/                  somewhere else, with a tmpfs on it
 */

static char root[] = "/tmp/dikast-mounts-XXXXXX";
static char target_path[64];

#define PARENT "pods/u/volumes/d"
#define TARGET PARENT "/sync"

static int enter_namespace(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        print_error("This test makes mounts, and must be run as root: %s\n", strerror(errno));
        return -1;
    }
    return mkdtemp(root) == NULL;
}

static int leave_namespace(void **state)
{
    (void)state;
    return rmdir(root);
}

static int make_world(void **state)
{
    (void)state;
    static const char *const folders[] = {"pods", "pods/u", "pods/u/volumes", PARENT, TARGET,
                                          "w",    "x"};
    snprintf(target_path, sizeof(target_path), "%s/%s", root, TARGET);
    if (mount("tmpfs", root, "tmpfs", 0, "size=1m") != 0 || chdir(root) != 0)
        return -1;
    for (size_t i = 0; i < COUNT(folders); i++) {
        if (mkdir(folders[i], 0755) != 0)
            return -1;
    }
    return mount("tmpfs", "x", "tmpfs", 0, "size=1m");
}

static int remove_world(void **state)
{
    (void)state;
    return chdir("/") != 0 || umount2(root, MNT_DETACH) != 0;
}

static bool make(bool writable, bool *made, struct error *err)
{
    struct mounts_target target;
    if (!mounts_open(str_from_c(target_path), &target, err))
        return false;
    int folder = open("w", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = mounts_make(&target, folder, writable, made, err);
    close(folder);
    mounts_close(&target);
    return ok;
}

static bool unmake(struct error *err)
{
    struct mounts_target target;
    if (!mounts_open(str_from_c(target_path), &target, err))
        return false;
    bool ok = mounts_remove(&target, err);
    mounts_close(&target);
    return ok;
}

/* How many mounts have the path in them; what is mounted where, the kernel says. */
static int count_mounts(const char *path)
{
    int count = 0;
    char line[8192];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        count += strstr(line, path) != NULL;
    fclose(file);
    return count;
}

static bool is_same(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

static unsigned long flags(const char *path)
{
    const unsigned long all = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
    struct statvfs info;
    assert_int_equal(statvfs(path, &info), 0);
    return info.f_flag & all;
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void check_whole(bool writable)
{
    unsigned long expected = ST_NOSUID | ST_NODEV | ST_NOEXEC | (writable ? 0 : ST_RDONLY);
    struct stat info;
    assert_int_equal(count_mounts(target_path), 2);
    assert_true(is_same("w", TARGET "/nodeagent"));
    assert_int_equal(flags(TARGET), expected);
    assert_int_equal(flags(TARGET "/nodeagent"), expected);
    assert_int_equal(flags("w"), 0);
    assert_int_equal(stat(TARGET, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0755);
}

static void test_cycle(void **state)
{
    (void)state;
    struct error err;
    bool made;
    for (int writable = 0; writable < 2; writable++) {
        assert_true(make(writable, &made, &err) && made);
        check_whole(writable);
        assert_true(make(writable, &made, &err) && !made);
        check_whole(writable);
        assert_true(unmake(&err));
        assert_int_equal(count_mounts(target_path), 0);
        assert_false(exists(TARGET));
        assert_true(unmake(&err));
    }
}

/* Not whole is what has other access, another folder, or nothing at all inside. */
static void test_made_right(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_true(make(true, &made, &err));
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
    assert_int_equal(mount(NULL, TARGET "/nodeagent", NULL, MS_REMOUNT | MS_BIND, NULL), 0);
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
    assert_int_equal(rename("w", "old") | mkdir("w", 0755), 0);
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
    assert_int_equal(umount(TARGET "/nodeagent"), 0);
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
    assert_int_equal(umount(TARGET "/nodeagent") | umount(TARGET), 0);
    assert_int_equal(mount("tmpfs", TARGET, "tmpfs", 0, "size=8k"), 0);
    assert_int_equal(mount("tmpfs", TARGET, "tmpfs", 0, "size=8k"), 0);
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
}

static void test_something_else(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_int_equal(mount("proc", TARGET, "proc", 0, NULL), 0);
    assert_false(make(false, &made, &err));
    assert_non_null(strstr(err.text, "something else is mounted at \"/tmp/"));
    assert_int_equal(count_mounts(target_path), 1);
    assert_true(unmake(&err));
    assert_int_equal(count_mounts(target_path), 0);
}

/* A bind mount of the same file system is one, though nothing but its mount id tells. */
static void test_bind_mount(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(mount("w", TARGET, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount("w", TARGET, NULL, MS_BIND, NULL), 0);
    assert_true(unmake(&err));
    assert_int_equal(count_mounts(target_path), 0);
}

/* The folder that is missing is made, and removed again if the rest fails. */
static void test_folder_missing(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_int_equal(rmdir(TARGET), 0);
    assert_true(make(false, &made, &err) && made);
    check_whole(false);
    assert_true(unmake(&err));
    assert_int_equal(rename("w", "old"), 0);
    assert_false(make(false, &made, &err));
    assert_non_null(strstr(err.text, "cannot mount \"/tmp/"));
    assert_false(exists(TARGET));
    assert_int_equal(count_mounts(target_path), 0);
    assert_int_equal(rename(PARENT, "pods/u/volumes/e"), 0);
    assert_false(make(false, &made, &err));
    assert_non_null(strstr(err.text, "No such file or directory"));
    assert_true(unmake(&err));
}

/* A folder that is in use goes all the same; who has it open keeps it. */
static void test_in_use(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_true(make(false, &made, &err));
    int fd = open(TARGET "/nodeagent", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(unmake(&err));
    assert_int_equal(count_mounts(target_path), 0);
    assert_false(exists(TARGET));
    close(fd);
}

/* Without /proc nobody can say what is mounted: then it is neither there nor gone. */
static void test_without_proc(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_true(make(false, &made, &err));
    assert_int_equal(mount("tmpfs", "/proc", "tmpfs", 0, NULL), 0);
    bool made_again = make(false, &made, &err), removed = unmake(&err);
    assert_int_equal(umount("/proc"), 0);
    assert_false(made_again || removed);
    assert_non_null(strstr(err.text, "cannot unmount \"/tmp/"));
    check_whole(false);
    assert_true(unmake(&err));
}

/* Each in turn is a link to x, where a mount is. None is followed, and that mount stays. */
static void test_links(void **state)
{
    (void)state;
    static const char *const places[] = {TARGET, PARENT, "pods/u/volumes", "pods/u"};
    struct error err;
    bool made;
    for (size_t i = 0; i < COUNT(places); i++) {
        char old[64], elsewhere[64];
        snprintf(old, sizeof(old), "%s-old", places[i]);
        snprintf(elsewhere, sizeof(elsewhere), "%s/x", root);
        assert_int_equal(rename(places[i], old) | symlink(elsewhere, places[i]), 0);
        CHECK(places[i], !make(false, &made, &err));
        CHECK(places[i], strstr(err.text, "Not a directory") != NULL ||
                             strstr(err.text, "Too many levels of symbolic links") != NULL);
        CHECK(places[i], !unmake(&err));
        check_number(places[i], count_mounts(elsewhere), 1);
        check_number(places[i], count_mounts(target_path), 0);
        assert_int_equal(unlink(places[i]) | rename(old, places[i]), 0);
    }
}

/* What a pod might have done to its tmpfs if it could write there. */
static void test_links_inside(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_int_equal(mount("tmpfs", TARGET, "tmpfs", 0, "size=8k"), 0);
    assert_int_equal(symlink(root, TARGET "/nodeagent"), 0);
    assert_true(make(false, &made, &err));
    check_whole(false);
    assert_true(unmake(&err));
    assert_int_equal(mkdir(TARGET, 0755), 0);
    assert_int_equal(mount("tmpfs", TARGET, "tmpfs", 0, "size=8k"), 0);
    assert_int_equal(symlink("../../../../../x", TARGET "/nodeagent"), 0);
    assert_true(unmake(&err));
    assert_int_equal(count_mounts("/x"), 1);
}

/* Links above `pods` are the administrator's. */
static void test_links_above(void **state)
{
    (void)state;
    struct error err;
    bool made;
    assert_int_equal(
        mkdir("data", 0755) | rename("pods", "data/pods") | symlink("data/pods", "pods"), 0);
    assert_true(make(false, &made, &err));
    assert_true(is_same("w", "data/" TARGET "/nodeagent"));
    assert_true(unmake(&err));
    assert_false(exists("data/" TARGET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uids),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_same),
        cmocka_unit_test_setup_teardown(test_cycle, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_made_right, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_something_else, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_bind_mount, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_folder_missing, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_in_use, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_without_proc, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_links, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_links_inside, make_world, remove_world),
        cmocka_unit_test_setup_teardown(test_links_above, make_world, remove_world),
    };
    return cmocka_run_group_tests(tests, enter_namespace, leave_namespace);
}
