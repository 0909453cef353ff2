/* directory.h: several files that say something of the same resources, and files that cannot be read. */
#include "datastore/directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

static char folder[] = "/tmp/dikast-directory-XXXXXX";

/* What the sink was told of the resources `x` and `o`: "x=VERSION " of an update, with `!` for the version of a broken one, "x- " of a
 * removal, and how many problems were reported. Their version is their label `v`. */
struct world {
    struct loop *loop;
    struct directory *directory;
    struct loop_timer timer;
    struct buf trace;
    unsigned problems, in_sync;
};

static void on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    struct str version = STR("");
    labels_get(&resource->labels, STR("v"), &version);
    buf_printf(&world->trace, "%.*s=%.*s%s ", STR_ARG(resource->key.name), STR_ARG(version),
               resource->broken.len > 0 ? "!" : "");
    model_resource_free(resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    buf_printf(&world->trace, "%.*s- ", STR_ARG(key->name));
}

static void on_problem(void *ctx, const struct datastore_problem *problem)
{
    struct world *world = ctx;
    (void)problem;
    world->problems++;
}

static void on_in_sync(void *ctx)
{
    ((struct world *)ctx)->in_sync++;
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(".new", "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(".new", name), 0);
}

static void remove_file(const char *name)
{
    assert_int_equal(unlink(name), 0);
}

static void open_world(struct world *world)
{
    struct error err;
    const struct datastore_sink sink = {on_update,  on_remove,  ignore,
                                        on_in_sync, on_problem, world};
    *world = (struct world){.loop = loop_new(&err)};
    assert_non_null(world->loop);
    world->timer = (struct loop_timer){.callback = stop, .ctx = world};
    world->directory = directory_open(world->loop, ".", &sink, &err);
    if (world->directory == NULL)
        fail_msg("%s", err.text);
}

static void close_world(struct world *world)
{
    directory_close(world->directory);
    loop_free(world->loop);
    buf_free(&world->trace);
}

/* What was told of all that was done before: events are there at once. */
static void check_told(const char *name, struct world *world, const char *expected)
{
    loop_arm(world->loop, &world->timer, 1);
    loop_run(world->loop);
    check_text(name, buf_str(&world->trace), str_from_c(expected));
    world->trace.len = 0;
}

static void check_problems(const char *name, struct world *world, unsigned expected)
{
    check_number(name, world->problems, expected);
    world->problems = 0;
}

#define CALICO(kind, name, version, spec)                                                          \
    "---\n{apiVersion: projectcalico.org/v3, kind: " kind ", metadata: {name: " name               \
    ", labels: {v: " version "}}, spec: " spec "}\n"
#define POLICY(name, version) CALICO("GlobalNetworkPolicy", name, version, "{}")
#define WRONG_POLICY          CALICO("GlobalNetworkPolicy", "x", "w", "7")
#define POD(version, ip)                                                                           \
    "{apiVersion: v1, kind: Pod, metadata: {name: x, labels: {v: " version                         \
    "}}, spec: {nodeName: node}, status: {podIP: " ip "}}\n"
#define NAMESPACE(version)                                                                         \
    "{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: " version "}}\n"

static void test_the_later_counts(void **state)
{
    (void)state;
    struct world world;
    write_file("a.yaml", POLICY("x", "a1") POLICY("o", "a1"));
    write_file("b.yaml", POLICY("x", "b1"));
    open_world(&world);
    check_told("at the start by name", &world, "x=a1 o=a1 x=b1 ");
    write_file("b.yaml", POLICY("x", "b2"));
    write_file("a.yaml", POLICY("x", "a2") POLICY("o", "a1"));
    check_told("in the order of their changes", &world, "x=b2 x=a2 ");
    remove_file("a.yaml");
    check_told("the other takes its place", &world, "o- x=b2 ");
    write_file("c.yaml", POLICY("x", "c1"));
    remove_file("c.yaml");
    check_told("come and gone", &world, "");
    write_file("c.yaml", POLICY("x", "c1"));
    check_told("come", &world, "x=c1 ");
    remove_file("b.yaml");
    check_told("one that did not count", &world, "");
    assert_int_equal(rename("c.yaml", "d.yaml"), 0);
    check_told("renamed", &world, "x- x=c1 ");
    close_world(&world);
}

/* A wrong version in one file does not take the good one of another away. */
static void test_wrong_beside_good(void **state)
{
    (void)state;
    struct world world;
    write_file("world.yaml", POD("good", "10.0.0.1"));
    open_world(&world);
    check_told("good", &world, "x=good ");
    write_file("zz.yaml", POD("wrong", "nonsense"));
    check_told("wrong", &world, "");
    check_problems("wrong", &world, 1);
    write_file("world.yaml", POD("better", "10.0.0.1"));
    check_told("the good one changes", &world, "x=better ");
    remove_file("world.yaml");
    check_told("the wrong one is all there is", &world, "x=wrong! ");
    write_file("world.yaml", POD("good", "10.0.0.1"));
    check_told("good again", &world, "x=good ");
    remove_file("zz.yaml");
    check_told("the wrong one goes", &world, "");
    remove_file("world.yaml");
    check_told("gone", &world, "x- ");
    write_file("a.yaml", NAMESPACE("{v: a}"));
    write_file("b.yaml", NAMESPACE("7"));
    check_told("a namespace", &world, "x=a ");
    remove_file("a.yaml");
    check_told("a wrong namespace is none", &world, "x- ");
    remove_file("b.yaml");
    check_told("nor when it goes", &world, "");
    close_world(&world);
}

/* What the removed file said must not stay in force if what the other says cannot be read. */
static void test_unreadable_beside_removed(void **state)
{
    (void)state;
    struct world world;
    write_file("a.yaml", POLICY("x", "deny"));
    write_file("b.yaml", POLICY("x", "allow"));
    open_world(&world);
    check_told("both", &world, "x=deny x=allow ");
    write_file("a.yaml", "{");
    check_told("one unreadable", &world, "");
    remove_file("b.yaml");
    check_told("the other removed", &world, "x=! ");
    check_problems("said", &world, 2);
    write_file("a.yaml", POLICY("x", "deny"));
    check_told("as it was", &world, "x=deny ");
    write_file("b.yaml", POLICY("x", "allow"));
    write_file("a.yaml", "{");
    check_told("both once more", &world, "x=allow ");
    remove_file("b.yaml");
    check_told("one removed", &world, "x=! ");
    write_file("c.yaml", POLICY("x", "c"));
    check_told("a third", &world, "x=c ");
    remove_file("c.yaml");
    check_told("and it is gone", &world, "x=! ");
    remove_file("a.yaml");
    check_told("gone", &world, "x- ");

    write_file("a.yaml", NAMESPACE("{v: a}"));
    write_file("b.yaml", NAMESPACE("{v: b}"));
    check_told("two namespaces", &world, "x=a x=b ");
    write_file("a.yaml", "{");
    remove_file("b.yaml");
    check_told("an unreadable namespace is none", &world, "x- ");
    write_file("a.yaml", NAMESPACE("{v: a}"));
    check_told("mended", &world, "x=a ");
    remove_file("a.yaml");
    check_told("gone", &world, "x- ");
    close_world(&world);
}

/* The third takes the place if the second does not say it any more, though nothing told so (behind a link). */
static void test_changed_without_a_word(void **state)
{
    (void)state;
    struct world world;
    assert_int_equal(mkdir("folder", 0755), 0);
    write_file("folder/one", POLICY("x", "linked"));
    write_file("a.yaml", POLICY("x", "a"));
    assert_int_equal(symlink("folder/one", "b.yaml"), 0);
    write_file("c.yaml", POLICY("x", "c"));
    open_world(&world);
    check_told("three", &world, "x=a x=linked x=c ");
    write_file("folder/one", POLICY("o", "linked"));
    check_told("nothing tells", &world, "");
    remove_file("c.yaml");
    check_told("it is found out", &world, "o=linked x=a ");
    write_file("c.yaml", POLICY("x", "c"));
    check_told("three", &world, "x=c ");
    close_world(&world);
}

/* Thousands of resources that take others' place cost one reading of their file, and no report. */
static void test_many_restored(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct world world;
    CLEANUP_BUF struct buf old = {0}, new = {0};
    buf_printf(&old, "%s", WRONG_POLICY);
    for (int i = 0; i < COUNT; i++) {
        buf_printf(&old, CALICO("Tier", "t%d", "old", "{order: 1}"), i);
        buf_printf(&new, CALICO("Tier", "t%d", "new", "{order: 2}"), i);
    }
    buf_append_byte(&old, '\0');
    buf_append_byte(&new, '\0');
    write_file("old.yaml", old.data);
    open_world(&world);
    check_problems("the wrong one", &world, 1);
    write_file("z.yaml", new.data);
    loop_arm(world.loop, &world.timer, 1);
    loop_run(world.loop);
    world.trace.len = 0;
    remove_file("z.yaml");
    loop_arm(world.loop, &world.timer, 1);
    loop_run(world.loop);
    unsigned restored = 0;
    for (struct str left = buf_str(&world.trace), word; left.len > 0; restored++) {
        str_cut(left, ' ', &word, &left);
        CHECK("restored", str_ends_with(word, STR("=old")));
    }
    check_number("all", restored, COUNT);
    check_problems("nothing new", &world, 0);
    close_world(&world);
}

/* ---- no descriptors left ---- */

static void set_descriptors(rlim_t count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void await_told(const char *name, struct world *world, const char *expected)
{
    for (int i = 0; i < 200 && world->trace.len < strlen(expected); i++) {
        loop_arm(world->loop, &world->timer, 50);
        loop_run(world->loop);
    }
    check_told(name, world, expected);
}

/* A file is read when there are some again; until then what it said counts. */
static void test_busy(void **state)
{
    (void)state;
    struct world world;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    write_file("a.yaml", POLICY("x", "a"));
    write_file("b.yaml", POLICY("x", "b"));
    open_world(&world);
    check_told("both", &world, "x=a x=b ");
    write_file("c.yaml", POLICY("o", "c"));
    remove_file("b.yaml");
    set_descriptors(3);
    check_told("nothing can be read, and nothing is told", &world, "");
    check_problems("of each it is said", &world, 2);
    set_descriptors(limit.rlim_cur);
    await_told("later", &world, "o=c x=a ");
    check_problems("no more", &world, 0);
    close_world(&world);
}

/* At the start nothing is in sync before all is known. */
static void test_busy_at_the_start(void **state)
{
    (void)state;
    struct world world;
    write_file("a.yaml", POLICY("x", "a"));
    assert_int_equal(symlink("/proc/self/mem", "b.yaml"), 0); /* gives EIO */
    open_world(&world);
    check_told("the other", &world, "x=a ");
    write_file("a.yaml", POLICY("x", "a2"));
    check_told("goes on", &world, "x=a2 ");
    check_number("in sync", world.in_sync, 0);
    write_file("b.yaml", POLICY("o", "b"));
    check_told("readable", &world, "o=b ");
    check_number("in sync", world.in_sync, 1);
    write_file("b.yaml", POLICY("o", "b2"));
    check_told("later", &world, "o=b2 ");
    check_number("once", world.in_sync, 1);
    close_world(&world);
}

/* The same of what is to take another's place: the removed version stays until it can be read. */
static void test_busy_beside_removed(void **state)
{
    (void)state;
    struct world world;
    write_file("a.yaml", POLICY("x", "a"));
    write_file("b.yaml", POLICY("x", "b") POLICY("o", "b"));
    open_world(&world);
    check_told("both", &world, "x=a x=b o=b ");
    /* A file that gives EIO. */
    assert_int_equal(symlink("/proc/self/mem", ".link"), 0);
    assert_int_equal(rename(".link", "a.yaml"), 0);
    check_told("unreadable", &world, "");
    remove_file("b.yaml");
    check_told("what it says may come", &world, "o- ");
    write_file("c.yaml", POLICY("o", "c"));
    check_told("nor later", &world, "o=c ");
    check_problems("said once", &world, 1);
    write_file("new", POLICY("x", "a2"));
    assert_int_equal(symlink("new", ".link"), 0);
    assert_int_equal(rename(".link", "a.yaml"), 0);
    check_told("readable", &world, "x=a2 ");
    close_world(&world);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int empty_folder(void **state)
{
    (void)state;
    return system("rm -rf *");
}

static int remove_folder(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_later_counts, empty_folder),
        cmocka_unit_test_teardown(test_wrong_beside_good, empty_folder),
        cmocka_unit_test_teardown(test_unreadable_beside_removed, empty_folder),
        cmocka_unit_test_teardown(test_changed_without_a_word, empty_folder),
        cmocka_unit_test_teardown(test_many_restored, empty_folder),
        cmocka_unit_test_teardown(test_busy, empty_folder),
        cmocka_unit_test_teardown(test_busy_at_the_start, empty_folder),
        cmocka_unit_test_teardown(test_busy_beside_removed, empty_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
