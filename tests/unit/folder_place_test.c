/* folder_watch.h: a folder that is itself moved, replaced and mounted over, or one above it. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "folder_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_CASE(test_away),
        FOLDER_CASE(test_led_elsewhere),
        FOLDER_CASE(test_mounted_over),
        FOLDER_CASE(test_made),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
