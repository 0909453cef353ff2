/* listen.h: who can connect, what may stand in the socket's place, and whose socket is removed. */
#include "base/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#include "check.h"

static char folder[] = "/tmp/dikast-listen-XXXXXX";

static mode_t mode_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 ? info.st_mode : 0;
}

static bool can_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_in_range(strlen(path), 1, sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, path);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

static void listen_well(const char *path, struct listen_socket *made)
{
    struct error err;
    if (!listen_unix(path, 0777, made, &err))
        fail_msg("%s", err.text);
    assert_in_range(made->fd, 0, INT32_MAX);
}

static void check_refused(const char *path, const char *expected)
{
    struct error err = {"not set"};
    struct listen_socket made = {.fd = 7};
    CHECK(path, !listen_unix(path, 0777, &made, &err));
    if (strstr(err.text, expected) == NULL ||
        strstr(err.text, quote(str_from_c(path)).text) == NULL)
        fail_msg("%s (expected %s)", err.text, expected);
    check_number(path, made.fd, -1);
}

static void test_listen(void **state)
{
    (void)state;
    struct listen_socket made;
    mode_t before = umask(027);
    listen_well("socket", &made);
    assert_int_equal(mode_of("socket"), S_IFSOCK | 0777);
    assert_int_equal(umask(before), 027);
    assert_true((fcntl(made.fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(made.fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(accept(made.fd, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_true(can_connect("socket"));
    CLEANUP_CLOSE int accepted = accept(made.fd, NULL, NULL);
    assert_in_range(accepted, 0, INT32_MAX);
    close(made.fd);
    listen_remove("socket", &made);
    assert_int_equal(mode_of("socket"), 0);
    listen_remove("socket", &made);
}

/* The mode is what was asked for, whatever the umask. */
static void test_mode(void **state)
{
    (void)state;
    static const mode_t umasks[] = {0, 027, 0777}, modes[] = {0700, 0770, 0777};
    for (size_t i = 0; i < COUNT(umasks); i++) {
        mode_t before = umask(umasks[i]);
        for (size_t j = 0; j < COUNT(modes); j++) {
            struct listen_socket made;
            struct error err;
            assert_true(listen_unix("socket", modes[j], &made, &err));
            assert_int_equal(mode_of("socket"), S_IFSOCK | modes[j]);
            close(made.fd);
            listen_remove("socket", &made);
        }
        assert_int_equal(umask(before), umasks[i]);
    }
}

/* What a killed process left is replaced; one that lives loses its path, and does not remove its successor. */
static void test_old_socket(void **state)
{
    (void)state;
    struct listen_socket first, second;
    listen_well("socket", &first);
    listen_well("socket", &second);
    assert_true(can_connect("socket"));
    assert_int_equal(accept(first.fd, NULL, NULL), -1);
    CLEANUP_CLOSE int accepted = accept(second.fd, NULL, NULL);
    assert_in_range(accepted, 0, INT32_MAX);
    listen_remove("socket", &first);
    assert_int_equal(mode_of("socket"), S_IFSOCK | 0777);
    listen_remove("socket", &second);
    assert_int_equal(mode_of("socket"), 0);
    close(first.fd);
    close(second.fd);
}

/* Nothing but a socket is removed, and no link is followed. */
static void test_occupied(void **state)
{
    (void)state;
    struct listen_socket made;
    CLEANUP_CLOSE int file = open("file", O_CREAT | O_WRONLY, 0600);
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    listen_well("live", &made);
    assert_int_equal(symlink("live", "to-socket"), 0);
    static const char *const names[] = {"file", "folder", "link", "dangling", "to-socket"};
    for (size_t i = 0; i < COUNT(names); i++) {
        mode_t was = mode_of(names[i]);
        check_refused(names[i], "it is occupied by something that is not a socket");
        check_number(names[i], mode_of(names[i]), was);
    }
    assert_int_equal(mode_of("file"), S_IFREG | 0600);
    assert_int_equal(mode_of("nowhere"), 0);
    /* A link to the very socket is not the socket. */
    listen_remove("to-socket", &made);
    assert_int_equal(mode_of("to-socket") & S_IFMT, S_IFLNK);
    assert_int_equal(mode_of("live"), S_IFSOCK | 0777);
    listen_remove("live", &made);
    close(made.fd);
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(remove(names[i]), 0);
}

static void test_bad_paths(void **state)
{
    (void)state;
    char path[110];
    memset(path, 'x', sizeof(path));
    path[108] = '\0';
    check_refused(path, "is too long (at most 107 bytes)");
    check_refused("", "is empty");
    check_refused("/", "is a folder");
    check_refused("sub/", "is a folder");
    check_refused("none/socket", "No such file or directory");
    CLEANUP_CLOSE int file = open("file", O_CREAT | O_WRONLY, 0600);
    check_refused("file/socket", "Not a directory");
    assert_int_equal(unlink("file"), 0);
}

static void test_longest_path(void **state)
{
    (void)state;
    struct listen_socket made;
    char path[108];
    memset(path, 'x', sizeof(path));
    path[107] = '\0';
    listen_well(path, &made);
    assert_true(can_connect(path));
    listen_remove(path, &made);
    assert_int_equal(mode_of(path), 0);
    close(made.fd);
    snprintf(path, sizeof(path), "%s/socket", folder);
    listen_well(path, &made);
    assert_true(can_connect("socket"));
    listen_remove(path, &made);
    close(made.fd);
}

/* ---- in an open folder ---- */

static int open_path(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_in_range(fd, 0, INT32_MAX);
    return fd;
}

/* Deeper than an address can say. */
static void test_deep(void **state)
{
    (void)state;
    struct listen_socket made;
    struct error err;
    CLEANUP_BUF struct buf path = {0};
    buf_append_str(&path, str_from_c(folder));
    for (int i = 0; i < 5; i++) {
        buf_append_str(&path, STR("/a-folder-with-a-rather-long-name"));
        buf_append_byte(&path, '\0');
        assert_int_equal(mkdir(path.data, 0700), 0);
        path.len--;
    }
    CLEANUP_CLOSE int fd = open_path(path.data);
    size_t folder_len = path.len;
    buf_append(&path, "/socket", sizeof("/socket"));
    if (!listen_unix_at(fd, "socket", path.data, 0777, &made, &err))
        fail_msg("%s", err.text);
    assert_int_equal(mode_of(path.data), S_IFSOCK | 0777);
    char way[64];
    snprintf(way, sizeof(way), "/proc/self/fd/%d/socket", fd);
    assert_true(can_connect(way));
    struct listen_socket other = made;
    other.inode++;
    listen_remove_at(fd, "socket", &other);
    assert_int_equal(mode_of(path.data), S_IFSOCK | 0777);
    listen_remove_at(fd, "socket", &made);
    assert_int_equal(mode_of(path.data), 0);
    close(made.fd);

    char name[120];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(listen_unix_at(fd, name, path.data, 0777, &made, &err));
    assert_non_null(strstr(err.text, "too long"));
    assert_int_equal(made.fd, -1);
    for (path.data[folder_len] = '\0'; strcmp(path.data, folder) != 0;
         *strrchr(path.data, '/') = '\0')
        assert_int_equal(rmdir(path.data), 0);
}

/* A path that leads elsewhere than the open folder by now is an error. */
static void test_folder_replaced(void **state)
{
    (void)state;
    struct listen_socket made;
    struct error err;
    assert_int_equal(mkdir("volume", 0700), 0);
    CLEANUP_CLOSE int fd = open_path("volume");
    assert_int_equal(rename("volume", "away"), 0);
    assert_int_equal(mkdir("volume", 0700), 0);
    assert_false(listen_unix_at(fd, "socket", "volume/socket", 0777, &made, &err));
    assert_int_equal(made.fd, -1);
    assert_int_equal(mode_of("away/socket"), 0);
    remove("volume/socket");
    assert_int_equal(rmdir("volume"), 0);
    assert_int_equal(rmdir("away"), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen),     cmocka_unit_test(test_mode),
        cmocka_unit_test(test_old_socket), cmocka_unit_test(test_occupied),
        cmocka_unit_test(test_bad_paths),  cmocka_unit_test(test_longest_path),
        cmocka_unit_test(test_deep),       cmocka_unit_test(test_folder_replaced),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
