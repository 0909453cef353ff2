/* A watched folder for tests, in which what is looked at is told in a line of text. */
#ifndef TESTS_FOLDER_WORLD_H
#define TESTS_FOLDER_WORLD_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/folder_watch.h"
#include "base/map.h"
#include "check.h"

static char root[] = "/tmp/dikast-watch-XXXXXX";

/* The folder is P/F in the root. */
#define FOLDER "p/f"

/* What was looked at: "NAME=CONTENTS ", "NAME- " if it is not there, "NAME? " if it cannot be read for now, each with `'` if it is
 * looked at again. Names that begin with a dot are of no interest; `marker` is the marker. */
struct world {
    struct loop *loop;
    struct folder_watch *watch;
    struct loop_timer timer;
    struct map known; /* the names that were there, as the user's own */
    struct buf trace;
    bool is_full; /* every file is said to be unreadable for now */
};

static inline enum folder_interest interest(const char *name)
{
    if (strcmp(name, "marker") == 0)
        return FOLDER_MARKER;
    return name[0] == '.' ? FOLDER_IGNORED : FOLDER_FILE;
}

static inline void list_known(void *ctx, struct list *names)
{
    struct world *world = ctx;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&world->known, &position)) != NULL)
        list_add(names, entry->value);
}

static inline void forget(struct world *world, const char *name)
{
    free(map_remove(&world->known, str_from_c(name)));
}

static inline void remember(struct world *world, const char *name)
{
    char *copy = mem_strndup(str_from_c(name));
    free(map_set(&world->known, str_from_c(copy), copy));
}

static inline void look(void *ctx, const char *name, bool is_again)
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

static inline void stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

static inline void run(struct world *world, unsigned milliseconds)
{
    loop_arm(world->loop, &world->timer, milliseconds);
    loop_run(world->loop);
}

/* What was looked at so far, within a time. A new case begins then. */
static inline void check_looks(const char *name, struct world *world, unsigned milliseconds,
                               const char *expected)
{
    run(world, milliseconds);
    check_text(name, buf_str(&world->trace), str_from_c(expected));
    world->trace.len = 0;
}

/* The same, as soon as all of it has come. */
static inline void await_looks(const char *name, struct world *world, const char *expected)
{
    for (int i = 0; i < 200 && world->trace.len < strlen(expected); i++)
        run(world, 50);
    check_looks(name, world, 1, expected);
}

static inline struct folder_watch *open_watch(struct world *world, const char *path,
                                              struct error *err)
{
    const struct folder_watch_user user = {.title = "Test",
                                           .interest = interest,
                                           .list_known = list_known,
                                           .look = look,
                                           .ctx = world};
    return folder_watch_open(world->loop, path, &user, err);
}

static inline void open_world(struct world *world, const char *path)
{
    struct error err;
    *world = (struct world){.loop = loop_new(&err)};
    assert_non_null(world->loop);
    world->timer = (struct loop_timer){.callback = stop, .ctx = world};
    world->watch = open_watch(world, path, &err);
    if (world->watch == NULL || !folder_watch_read_all(world->watch, &err))
        fail_msg("%s", err.text);
}

static inline void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static inline void close_world(struct world *world)
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

static inline int open_to_write(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    return fd;
}

static inline void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void write_file(const char *path, const char *text)
{
    int fd = open_to_write(path);
    put(fd, text);
    close(fd);
}

static inline int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static inline int remove_root(void **state)
{
    (void)state;
    return chdir("/") != 0 || rmdir(root) != 0;
}

static inline int make_folder(void **state)
{
    (void)state;
    return system("mkdir -p " FOLDER);
}

static inline int remove_folder(void **state)
{
    (void)state;
    return system("rm -rf p a b");
}

#define FOLDER_CASE(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

#endif
