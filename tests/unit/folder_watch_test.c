/* folder_watch.h: by a real folder in which files are written, linked and moved in every way, and which is itself moved. */
#include "base/folder_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/map.h"
#include "check.h"

static char root[] = "/tmp/dikast-watch-XXXXXX";

/* The folder is P/F in the root. */
#define FOLDER "p/f"

/* What was looked at: "NAME=CONTENTS ", "NAME- " if it is not there, "NAME? " if it cannot be read for now, each with `'` if it is
 * looked at again. Names ending in ~ are of no interest. */
struct world {
    struct loop *loop;
    struct folder_watch *watch;
    struct loop_timer timer;
    struct map known; /* the names that were there, as the user's own */
    struct buf trace;
    bool is_full; /* every file is said to be unreadable for now */
};

static enum folder_interest interest(const char *name)
{
    if (strcmp(name, "marker") == 0)
        return FOLDER_MARKER;
    return name[0] == '.' ? FOLDER_IGNORED : FOLDER_FILE;
}

static void list_known(void *ctx, struct list *names)
{
    struct world *world = ctx;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&world->known, &position)) != NULL)
        list_add(names, entry->value);
}

static void forget(struct world *world, const char *name)
{
    free(map_remove(&world->known, str_from_c(name)));
}

static void remember(struct world *world, const char *name)
{
    char *copy = mem_strndup(str_from_c(name));
    free(map_set(&world->known, str_from_c(copy), copy));
}

static void look(void *ctx, const char *name, bool is_again)
{
    struct world *world = ctx;
    CLEANUP_BUF struct buf text = {0};
    struct error err;
    enum disk_result result =
        world->is_full ? DISK_BUSY
                       : disk_read(folder_watch_fd(world->watch), name, true, 1000, &text, &err);
    buf_printf(&world->trace, "%s", name);
    if (result == DISK_READ)
        buf_printf(&world->trace, "=%.*s", STR_ARG(buf_str(&text)));
    else
        buf_append_str(&world->trace, result == DISK_BUSY ? STR("?") : STR("-"));
    buf_append_str(&world->trace, is_again ? STR("' ") : STR(" "));
    if (result == DISK_BUSY)
        folder_watch_retry(world->watch, name);
    else if (result == DISK_GONE)
        forget(world, name);
    else
        remember(world, name);
}

static void stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

static void run(struct world *world, unsigned milliseconds)
{
    loop_arm(world->loop, &world->timer, milliseconds);
    loop_run(world->loop);
}

/* What was looked at so far, within a time. A new case begins then. */
static void check_looks(const char *name, struct world *world, unsigned milliseconds,
                        const char *expected)
{
    run(world, milliseconds);
    check_text(name, buf_str(&world->trace), str_from_c(expected));
    world->trace.len = 0;
}

/* The same, as soon as all of it has come. */
static void await_looks(const char *name, struct world *world, const char *expected)
{
    for (int i = 0; i < 200 && world->trace.len < strlen(expected); i++)
        run(world, 50);
    check_looks(name, world, 1, expected);
}

static struct folder_watch *open_watch(struct world *world, const char *path, struct error *err)
{
    const struct folder_watch_user user = {.title = "Test",
                                           .interest = interest,
                                           .list_known = list_known,
                                           .look = look,
                                           .ctx = world};
    return folder_watch_open(world->loop, path, &user, err);
}

static void open_world(struct world *world, const char *path)
{
    struct error err;
    *world = (struct world){.loop = loop_new(&err)};
    assert_non_null(world->loop);
    world->timer = (struct loop_timer){.callback = stop, .ctx = world};
    world->watch = open_watch(world, path, &err);
    if (world->watch == NULL || !folder_watch_read_all(world->watch, &err))
        fail_msg("%s", err.text);
}

static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void close_world(struct world *world)
{
    size_t position = 0;
    struct map_entry *entry;
    folder_watch_close(world->watch);
    loop_free(world->loop);
    while ((entry = map_next(&world->known, &position)) != NULL)
        free(entry->value);
    map_free(&world->known);
    buf_free(&world->trace);
}

static int open_to_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void write_file(const char *path, const char *text)
{
    int fd = open_to_write(path);
    put(fd, text);
    close(fd);
}

/* ---- files ---- */

static void test_what_is_there(void **state)
{
    (void)state;
    struct world world;
    write_file(FOLDER "/c", "3");
    write_file(FOLDER "/a", "1");
    write_file(FOLDER "/.hidden", "x");
    write_file(FOLDER "/b", "2");
    open_world(&world, FOLDER);
    check_text("by name", buf_str(&world.trace), STR("a=1 b=2 c=3 "));
    world.trace.len = 0;
    check_looks("that is all", &world, 200, "");
    close_world(&world);
}

static void test_each_once_in_order(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, FOLDER);
    write_file(FOLDER "/b", "1");
    write_file(FOLDER "/c", "1");
    write_file(FOLDER "/a", "1");
    write_file(FOLDER "/b", "2");
    write_file(FOLDER "/.hidden", "x");
    check_looks("written", &world, 1, "c=1 a=1 b=2 ");
    assert_int_equal(rename(FOLDER "/c", FOLDER "/d"), 0);
    assert_int_equal(rename(FOLDER "/a", "a"), 0);
    assert_int_equal(unlink(FOLDER "/b"), 0);
    check_looks("moved and gone", &world, 1, "c- d=1 a- b- ");
    assert_int_equal(rename("a", FOLDER "/a"), 0);
    assert_int_equal(chmod(FOLDER "/d", 0600), 0);
    assert_int_equal(chmod(FOLDER "/a", 0600), 0);
    check_looks("moved in, changed in mode", &world, 1, "d=1 a=1 ");
    assert_int_equal(symlink("d", FOLDER "/link"), 0);
    assert_int_equal(mkdir(FOLDER "/folder", 0755), 0);
    check_looks("links, folders", &world, 1, "link=1 folder- ");
    write_file("p/a", "");
    assert_int_equal(unlink("p/a"), 0);
    check_looks("beside the folder", &world, 1, "");
    write_file(FOLDER "/marker", "");
    check_looks("a marker: all", &world, 1, "a=1 d=1 folder- link=1 ");
    close_world(&world);
}

/* By open and close: never before the close, whatever happens in between. */
static void test_half_written(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, FOLDER);
    int fd = open_to_write(FOLDER "/a");
    check_looks("empty", &world, 300, "");
    put(fd, "ha");
    check_looks("half", &world, 300, "");
    assert_int_equal(fchmod(fd, 0600), 0);
    check_looks("its mode", &world, 1, "");
    write_file(FOLDER "/marker", "");
    check_looks("all others", &world, 1, "");
    put(fd, "lf");
    close(fd);
    check_looks("whole", &world, 1, "a=half ");

    fd = open_to_write(FOLDER "/a");
    check_looks("truncated", &world, 300, "");
    put(fd, "new");
    close(fd);
    fd = open_to_write(FOLDER "/a");
    check_looks("again in the same turn", &world, 300, "");
    put(fd, "newer");
    close(fd);
    check_looks("whole again", &world, 1, "a=newer ");

    /* What is written to a file that is gone is nothing about the one that took its place. */
    fd = open_to_write(FOLDER "/a");
    write_file("b", "other");
    assert_int_equal(rename("b", FOLDER "/a"), 0);
    put(fd, "lost");
    check_looks("replaced", &world, 1, "a=other ");
    close(fd);
    check_looks("and that is all", &world, 200, "");
    close_world(&world);
}

/* A file is gone, and its name is there again at once. */
static void test_made_anew(void **state)
{
    (void)state;
    struct world world;
    write_file(FOLDER "/a", "old");
    write_file(FOLDER "/b", "old");
    open_world(&world, FOLDER);
    world.trace.len = 0;
    assert_int_equal(unlink(FOLDER "/a"), 0);
    assert_int_equal(unlink(FOLDER "/b"), 0);
    int fd = open_to_write(FOLDER "/a");
    put(fd, "n");
    assert_int_equal(mknod(FOLDER "/b", S_IFREG | 0644, 0), 0);
    check_looks("not the half of it", &world, 1, "");
    await_looks("one that stays empty", &world, "b= ");
    put(fd, "ew");
    close(fd);
    check_looks("written", &world, 1, "a=new ");
    close_world(&world);
}

static void link_unnamed(const char *path, const char *text)
{
    char name[64];
    int fd = open(FOLDER, O_TMPFILE | O_WRONLY, 0644);
    assert_true(fd >= 0);
    put(fd, text);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    assert_int_equal(linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW), 0);
    close(fd);
}

/* Nobody closes a file under a name that it got by link(). */
static void test_linked(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, FOLDER);
    write_file(FOLDER "/.new", "1");
    run(&world, 50);
    assert_int_equal(link(FOLDER "/.new", FOLDER "/a"), 0);
    check_looks("two names: it is complete", &world, 1, "a=1 ");
    assert_int_equal(link(FOLDER "/.new", FOLDER "/b"), 0);
    assert_int_equal(unlink(FOLDER "/a"), 0);
    assert_int_equal(unlink(FOLDER "/.new"), 0);
    check_looks("the other one is gone", &world, 1, "a- ");
    await_looks("one name", &world, "b=1 ");
    link_unnamed(FOLDER "/c", "2");
    await_looks("it never had another", &world, "c=2 ");
    for (int i = 0; i < 3; i++) {
        link_unnamed(i == 0 ? FOLDER "/d" : i == 1 ? FOLDER "/e" : FOLDER "/f", "x");
        run(&world, 40);
    }
    await_looks("some after another", &world, "d=x e=x f=x ");
    check_looks("once", &world, 300, "");
    close_world(&world);
}

/* ---- what fails for now ---- */

static void test_retry(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, FOLDER);
    world.is_full = true;
    write_file(FOLDER "/a", "1");
    write_file(FOLDER "/b", "1");
    check_looks("not now", &world, 1, "a? b? ");
    write_file(FOLDER "/b", "2");
    check_looks("a change", &world, 1, "b? ");
    check_looks("not at once", &world, 500, "");
    run(&world, 900);
    check_text("again", buf_str(&world.trace), STR("a?' b?' "));
    world.trace.len = 0;
    check_looks("not so soon again", &world, 1200, "");
    world.is_full = false;
    await_looks("later", &world, "a=1' b=2' ");
    check_looks("not any more", &world, 300, "");
    close_world(&world);
}

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A list that cannot be had says nothing about what is there; it is had later. */
static void test_no_list(void **state)
{
    (void)state;
    struct world world;
    struct rlimit limit;
    struct error err;
    write_file(FOLDER "/a", "1");
    open_world(&world, FOLDER);
    world.trace.len = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    write_file(FOLDER "/marker", "");
    assert_int_equal(unlink(FOLDER "/a"), 0);
    set_descriptors(3);
    check_looks("none", &world, 1, "");
    struct folder_watch *other = open_watch(&world, FOLDER, &err);
    assert_null(other);
    assert_non_null(strstr(err.text, "Too many open files"));
    set_descriptors(limit.rlim_cur);
    await_looks("had later", &world, "a- ");
    close_world(&world);
}

/* ---- lost events ---- */

static long queued_events(void)
{
    long limit = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &limit), 1);
    fclose(file);
    return limit;
}

static void test_overflow(void **state)
{
    (void)state;
    struct world world;
    write_file(FOLDER "/goes", "1");
    write_file(FOLDER "/stays", "1");
    open_world(&world, FOLDER);
    world.trace.len = 0;
    int fd = open_to_write(FOLDER "/written");
    put(fd, "half");
    run(&world, 1);
    write_file(FOLDER "/.x", "");
    for (long i = 0, end = queued_events() / 2 + 1; i < end; i++)
        assert_int_equal(rename(i % 2 == 0 ? FOLDER "/.x" : FOLDER "/.y",
                                i % 2 == 0 ? FOLDER "/.y" : FOLDER "/.x"),
                         0);
    assert_int_equal(unlink(FOLDER "/goes"), 0);
    write_file(FOLDER "/comes", "1");
    close(fd);
    await_looks("all", &world, "comes=1 stays=1 written=half goes- ");
    close_world(&world);
}

/* ---- the folder ---- */

/* Moves it away and back, or another into its place; `change` is made right before, and must not be looked at. */
static void check_away(const char *name, const char *change, const char *away,
                       const char *meanwhile, const char *back)
{
    struct world world;
    write_file(FOLDER "/a", "1");
    write_file(FOLDER "/b", "1");
    open_world(&world, FOLDER);
    world.trace.len = 0;
    shell(change);
    shell(away);
    check_looks(name, &world, 100, "");
    CHECK(name, folder_watch_fd(world.watch) < 0);
    shell(meanwhile);
    shell(back);
    await_looks(name, &world, "b=2 c=3 a- ");
    write_file(FOLDER "/b", "3");
    check_looks(name, &world, 10, "b=3 ");
    close_world(&world);
    shell("rm -rf p q; mkdir -p " FOLDER);
}

static void test_away(void **state)
{
    (void)state;
    static const char *const anew =
        "mkdir -p p/f; printf 2 >p/f/b; printf 3 >p/f/c; touch p/f/.hidden";
    check_away("the folder renamed", "rm p/f/a", "mv p/f p/g", "printf 2 >p/g/b; printf 3 >p/g/c",
               "mv p/g p/f");
    check_away("the folder removed", "true", "rm -r p/f", anew, "true");
    check_away("another folder", "rm p/f/b", "mv p/f p/g", anew, "rm -r p/g");
    check_away("the one above renamed", "rm p/f/b", "mv p q", "rm q/f/a; printf 2 >q/f/b",
               "printf 3 >q/f/c; mv q p");
    check_away("another one above", "rm p/f/b", "mv p q", anew, "true");
}

/* Nothing tells of these: it is looked now and then. */
static void test_led_elsewhere(void **state)
{
    (void)state;
    struct world world;
    shell("mkdir q; printf 2 >q/b; ln -s p/f link");
    write_file(FOLDER "/a", "1");
    open_world(&world, "link");
    check_text("by a link", buf_str(&world.trace), STR("a=1 "));
    world.trace.len = 0;
    assert_int_equal(rename("p", "r"), 0);
    check_looks("where the link leads through", &world, 100, "");
    CHECK("away", folder_watch_fd(world.watch) < 0);
    assert_int_equal(rename("r", "p"), 0);
    await_looks("back", &world, "a=1 ");
    shell("ln -sfn q link");
    await_looks("another link", &world, "b=2 a- ");
    close_world(&world);
    shell("rm -r q link");
}

static void test_mounted_over(void **state)
{
    (void)state;
    struct world world;
    write_file(FOLDER "/a", "1");
    open_world(&world, FOLDER);
    world.trace.len = 0;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "p", "tmpfs", 0, NULL) != 0)
        fail_msg("this test mounts, and must be run as root: %s", strerror(errno));
    assert_int_equal(mkdir(FOLDER, 0755), 0);
    write_file(FOLDER "/b", "2");
    await_looks("mounted over", &world, "b=2 a- ");
    close_world(&world);
    assert_int_equal(umount("p"), 0);
}

/* Made at the start, if that is wanted; never later. */
static void test_made(void **state)
{
    (void)state;
    struct world world;
    struct error err;
    open_world(&world, FOLDER);
    assert_null(open_watch(&world, "p/none", &err));
    check_text("missing", str_from_c(err.text),
               STR("cannot open the folder \"p/none\": No such file or directory"));
    write_file("p/file", "");
    assert_null(open_watch(&world, "p/file", &err));
    check_text("a file", str_from_c(err.text),
               STR("cannot open the folder \"p/file\": Not a directory"));
    const struct folder_watch_user maker = {.title = "Test",
                                            .is_made = true,
                                            .interest = interest,
                                            .list_known = list_known,
                                            .look = look,
                                            .ctx = &world};
    struct folder_watch *made = folder_watch_open(world.loop, "p/one/two", &maker, &err);
    assert_non_null(made);
    assert_int_equal(rmdir("p/one/two"), 0);
    run(&world, 100);
    CHECK("empty and removed", folder_watch_fd(made) < 0);
    run(&world, 1500);
    assert_int_equal(access("p/one/two", F_OK), -1);
    folder_watch_close(made);
    folder_watch_close(NULL);
    close_world(&world);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int remove_root(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(root) != 0;
}

static int make_folder(void **state)
{
    (void)state;
    return system("mkdir -p " FOLDER);
}

static int remove_folder(void **state)
{
    (void)state;
    return system("rm -rf p a b");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_is_there), CASE(test_each_once_in_order),
        CASE(test_half_written),  CASE(test_made_anew),
        CASE(test_linked),        CASE(test_retry),
        CASE(test_no_list),       CASE(test_overflow),
        CASE(test_away),          CASE(test_led_elsewhere),
        CASE(test_mounted_over),  CASE(test_made),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
