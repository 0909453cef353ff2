/* folder.h: which volumes there are, by a real folder that is really watched. */
#include "policysync/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char root[] = "/tmp/dikast-folder-XXXXXX";

/* What was told: "+NAME(workload) =NAME -NAME …". The volume `marker` is left out: it tells that all before it was seen. */
struct world {
    struct loop *loop;
    struct psync_folder *folder;
    struct loop_timer too_late;
    struct buf trace;
    bool late;
};

static void on_added(void *ctx, struct str name, const struct credentials *credentials)
{
    struct world *world = ctx;
    if (str_eq(name, STR("marker")))
        loop_stop(world->loop);
    else
        buf_printf(&world->trace, "+%.*s(%.*s/%.*s) ", STR_ARG(name),
                   STR_ARG(credentials->namespace), STR_ARG(credentials->workload));
}

static void on_removed(void *ctx, struct str name)
{
    struct world *world = ctx;
    if (!str_eq(name, STR("marker")))
        buf_printf(&world->trace, "-%.*s ", STR_ARG(name));
}

static void on_rewritten(void *ctx, struct str name)
{
    struct world *world = ctx;
    if (!str_eq(name, STR("marker")))
        buf_printf(&world->trace, "=%.*s ", STR_ARG(name));
}

static void give_up(void *ctx)
{
    struct world *world = ctx;
    world->late = true;
    loop_stop(world->loop);
}

static void open_world(struct world *world)
{
    struct error err;
    const struct psync_folder_events events = {on_added, on_removed, on_rewritten, world};
    *world = (struct world){.loop = loop_new(&err)};
    assert_non_null(world->loop);
    world->too_late = (struct loop_timer){.callback = give_up, .ctx = world};
    world->folder = psync_folder_open(world->loop, "creds", &events, &err);
    if (world->folder == NULL)
        fail_msg("%s", err.text);
}

static void remove_all(const char *folder)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf ./%s", folder);
    assert_int_equal(system(command), 0);
}

static void close_world(struct world *world)
{
    psync_folder_close(world->folder);
    loop_free(world->loop);
    buf_free(&world->trace);
    remove_all("creds");
}

static void write_volume(const char *name, const char *workload)
{
    struct error err;
    const struct credentials credentials = {.uid = STR("u-1"),
                                            .workload = str_from_c(workload),
                                            .namespace = STR("bank"),
                                            .account = STR("sa")};
    if (!credentials_write("creds", str_from_c(name), &credentials, &err))
        fail_msg("%s", err.text);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void wait_for_marker(const char *name, struct world *world)
{
    loop_arm(world->loop, &world->too_late, 10 * 1000);
    loop_run(world->loop);
    loop_disarm(world->loop, &world->too_late);
    CHECK(name, !world->late);
}

/* What was told of all that was done before. */
static void check_told(const char *name, struct world *world, const char *expected)
{
    static unsigned version;
    char workload[32];
    snprintf(workload, sizeof(workload), "v%u", ++version);
    write_volume("marker", workload);
    wait_for_marker(name, world);
    check_text(name, buf_str(&world->trace), str_from_c(expected));
    world->trace.len = 0;
}

static void run(struct world *world, unsigned milliseconds)
{
    loop_arm(world->loop, &world->too_late, milliseconds);
    loop_run(world->loop);
    world->late = false;
}

/* What comes by itself after a while. */
static void await_told(const char *name, struct world *world, const char *expected)
{
    for (int i = 0; i < 200 && world->trace.len < strlen(expected); i++)
        run(world, 50);
    check_told(name, world, expected);
}

static void test_appear_and_vanish(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(mkdir("creds", 0755), 0);
    write_volume("early", "web");
    open_world(&world);
    check_text("at the start", buf_str(&world.trace), STR("+early(bank/web) "));
    world.trace.len = 0;
    write_volume("a", "web");
    check_told("appears", &world, "+a(bank/web) ");
    write_volume("a", "web");
    check_told("written again", &world, "=a ");
    write_volume("a", "db");
    check_told("another workload", &world, "-a +a(bank/db) ");
    assert_int_equal(rename("creds/a.json", "creds/b.json"), 0);
    check_told("renamed", &world, "-a +b(bank/db) ");
    assert_int_equal(rename("creds/b.json", "b.json"), 0);
    check_told("moved away", &world, "-b ");
    assert_int_equal(rename("b.json", "creds/b.json"), 0);
    check_told("and back", &world, "+b(bank/db) ");
    assert_int_equal(unlink("creds/b.json"), 0);
    check_told("deleted", &world, "-b ");
    assert_int_equal(unlink("creds/early.json"), 0);
    write_volume("early", "web");
    check_told("gone and back at once", &world, "=early ");
    psync_folder_close(world.folder);
    check_text("closed", buf_str(&world.trace), STR(""));
    world.folder = NULL;
    close_world(&world);
}

#define GOOD "{\"UID\":\"u\",\"Workload\":\"web\",\"Namespace\":\"bank\",\"ServiceAccount\":\"sa\"}"

/* Writers that do not rename: a file counts when it is closed. */
static void test_written_in_place(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    FILE *file = fopen("creds/a.json", "w");
    assert_non_null(file);
    fputs("{\"UID\":", file);
    fflush(file);
    check_told("half", &world, "");
    fputs(GOOD + sizeof("{\"UID\":") - 1, file);
    fclose(file);
    check_told("whole", &world, "+a(bank/web) ");
    /* Of a file that has another name already nobody closes anything. */
    write_text("whole.json", GOOD);
    assert_int_equal(link("whole.json", "creds/b.json"), 0);
    check_told("linked", &world, "+b(bank/web) ");
    assert_int_equal(rename("whole.json", "creds/.c"), 0);
    assert_int_equal(unlink("creds/b.json"), 0);
    assert_int_equal(link("creds/.c", "creds/c.json"), 0);
    assert_int_equal(unlink("creds/.c"), 0);
    check_told("the other name gone", &world, "-b ");
    await_told("linked, the other name gone", &world, "+c(bank/web) ");
    close_world(&world);
}

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Without descriptors nothing is known of a file, which is no news of its volume. */
static void test_busy(void **state)
{
    (void)state;
    struct world world;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    open_world(&world);
    write_volume("a", "web");
    check_told("known", &world, "+a(bank/web) ");
    write_volume("a", "db");
    write_volume("b", "web");
    set_descriptors(3);
    run(&world, 50);
    set_descriptors(limit.rlim_cur);
    check_told("what was known stays", &world, "");
    await_told("read later", &world, "-a +a(bank/db) +b(bank/web) ");
    close_world(&world);
}

/* What is bad is nobody's, until it is good. */
static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"empty", ""},
        {"no JSON", "hello"},
        {"half", "{\"UID\":\"u\""},
        {"no object", "[]"},
        {"no workload", "{\"UID\":\"u\",\"Namespace\":\"bank\",\"ServiceAccount\":\"sa\"}"},
        {"a path for a workload",
         "{\"UID\":\"u\",\"Workload\":\"../x\",\"Namespace\":\"bank\",\"ServiceAccount\":\"sa\"}"},
        {"a slash in the namespace",
         "{\"UID\":\"u\",\"Workload\":\"web\",\"Namespace\":\"a/b\",\"ServiceAccount\":\"sa\"}"},
    };
    struct world world;
    open_world(&world);
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_text("creds/a.json", cases[i].text);
        check_told(cases[i].name, &world, "");
        write_text("creds/a.json", GOOD);
        check_told(cases[i].name, &world, "+a(bank/web) ");
        write_text("creds/a.json", cases[i].text);
        check_told(cases[i].name, &world, "-a ");
    }
    close_world(&world);
}

/* What is no credentials file, whatever is in it. */
static void test_passed_over(void **state)
{
    (void)state;
    static const char *const names[] = {"creds/.a.json", "creds/.json",      "creds/a.txt",
                                        "creds/json",    "creds/a.json.new", "creds/a b.json",
                                        "creds/..a.json"};
    struct world world;
    assert_int_equal(mkdir("creds", 0755), 0);
    write_text("elsewhere.json", GOOD);
    for (size_t i = 0; i < COUNT(names); i++)
        write_text(names[i], GOOD);
    assert_int_equal(mkdir("creds/folder.json", 0755), 0);
    assert_int_equal(symlink("../elsewhere.json", "creds/link.json"), 0);
    assert_int_equal(mkfifo("creds/fifo.json", 0644), 0);
    open_world(&world);
    check_told("at the start", &world, "");
    for (size_t i = 0; i < COUNT(names); i++)
        write_text(names[i], GOOD);
    assert_int_equal(rename("creds/link.json", "creds/link2.json"), 0);
    assert_int_equal(rename("creds/folder.json", "creds/folder2.json"), 0);
    check_told("later", &world, "");
    write_text("creds/a.json.json", GOOD);
    check_told("a name may have dots", &world, "+a.json(bank/web) ");
    close_world(&world);
    assert_int_equal(unlink("elsewhere.json"), 0);
}

/* ---- the folder itself ---- */

static void test_made(void **state)
{
    (void)state;
    struct error err;
    struct world world;
    open_world(&world);
    check_told("made", &world, "");
    const struct psync_folder_events events = {on_added, on_removed, on_rewritten, &world};
    struct psync_folder *deep = psync_folder_open(world.loop, "creds/one/two/three", &events, &err);
    assert_non_null(deep);
    psync_folder_close(deep);
    write_text("creds/file", "");
    static const char *const bad[] = {"creds/file", "creds/file/creds"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(psync_folder_open(world.loop, bad[i], &events, &err));
        CHECK(err.text, strstr(err.text, quote(str_from_c(bad[i])).text) != NULL &&
                            strstr(err.text, "Not a directory") != NULL);
    }
    psync_folder_close(NULL);
    close_world(&world);
}

/* While the folder is away, what it said stays; when it is back, what differs is told. */
static void test_away(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    write_volume("a", "web");
    write_volume("b", "web");
    write_volume("c", "web");
    check_told("three", &world, "+a(bank/web) +b(bank/web) +c(bank/web) ");
    write_volume("b", "db"); /* just before: when it is looked at, it is away */
    assert_int_equal(rename("creds", "away"), 0);
    run(&world, 50);
    assert_int_equal(unlink("away/a.json"), 0);
    check_text("away", buf_str(&world.trace), STR(""));
    assert_int_equal(rename("away", "creds"), 0);
    write_volume("c", "db");
    write_volume("marker", "back");
    wait_for_marker("back", &world);
    static const char *const told[] = {"-b +b(bank/db) -c +c(bank/db) -a ",
                                       "-c +c(bank/db) -b +b(bank/db) -a "};
    CHECK("back", str_eq(buf_str(&world.trace), str_from_c(told[0])) ||
                      str_eq(buf_str(&world.trace), str_from_c(told[1])));
    world.trace.len = 0;
    write_volume("b", "web");
    check_told("watched again", &world, "-b +b(bank/web) ");
    remove_all("creds");
    assert_int_equal(mkdir("creds", 0755), 0);
    write_volume("b", "web");
    write_volume("marker", "anew");
    wait_for_marker("made anew", &world);
    check_told("made anew", &world, "=b -c ");
    close_world(&world);
}

/* ---- more events than the kernel keeps ---- */

static long queued_events(void)
{
    long limit = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &limit) != 1)
        limit = 0;
    fclose(file);
    return limit;
}

static void test_overflow(void **state)
{
    (void)state;
    struct world world;
    long limit = queued_events();
    assert_in_range(limit, 1, 1000 * 1000);
    open_world(&world);
    write_volume("stays", "web");
    write_volume("goes", "web");
    check_told("two", &world, "+stays(bank/web) +goes(bank/web) ");
    write_text("creds/.x", "");
    for (long i = 0; i < limit / 2 + 1; i++)
        assert_int_equal(
            rename(i % 2 == 0 ? "creds/.x" : "creds/.y", i % 2 == 0 ? "creds/.y" : "creds/.x"), 0);
    assert_int_equal(unlink("creds/goes.json"), 0);
    write_volume("comes", "web");
    check_told("all events of it are lost", &world, "+comes(bank/web) =stays -goes ");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appear_and_vanish),
        cmocka_unit_test(test_written_in_place),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
