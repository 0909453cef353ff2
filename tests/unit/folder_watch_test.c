/* folder_watch.h: a folder in which files are written, linked and moved in every way. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "folder_world.h"

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
    /* What is written under the name that is gone no event tells: it shows by the size. */
    int fd = open_to_write(FOLDER "/.new");
    assert_int_equal(link(FOLDER "/.new", FOLDER "/g"), 0);
    assert_int_equal(unlink(FOLDER "/.new"), 0);
    run(&world, 50);
    put(fd, "ha");
    check_looks("it grows", &world, 100, "");
    put(fd, "lf");
    await_looks("it grows no more", &world, "g=half ");
    close(fd);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_CASE(test_what_is_there), FOLDER_CASE(test_each_once_in_order),
        FOLDER_CASE(test_half_written),  FOLDER_CASE(test_made_anew),
        FOLDER_CASE(test_linked),        FOLDER_CASE(test_retry),
        FOLDER_CASE(test_no_list),       FOLDER_CASE(test_overflow),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
