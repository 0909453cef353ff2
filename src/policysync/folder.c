#include "policysync/folder.h"

#include <stdlib.h>

#include "base/folder_watch.h"
#include "base/log.h"
#include "base/map.h"

/* A file that was reported. */
struct known {
    struct str name;
    const char *file; /* NAME.json */
    struct credentials credentials;
    struct arena arena;
};

struct psync_folder {
    struct psync_folder_events events;
    struct folder_watch *watch;
    char *path;
    struct map known; /* name -> struct known */
};

/* ---- one file ---- */

/* NAME of a file NAME.json; false: it is none. Writers' temporary files begin with a dot. */
static bool parse_file_name(const char *file, struct str *name)
{
    struct str text = str_from_c(file), suffix = STR(".json");
    if (file[0] == '.' || !str_ends_with(text, suffix))
        return false;
    *name = str_head(text, text.len - suffix.len);
    return true;
}

static void free_known(struct known *known)
{
    arena_free(&known->arena);
    free(known);
}

static void drop(struct psync_folder *folder, struct known *known)
{
    map_remove(&folder->known, known->name);
    folder->events.removed(folder->events.ctx, known->name);
    free_known(known);
}

static void report(struct psync_folder *folder, const char *file, struct str name,
                   struct known *known, struct known *read)
{
    if (known != NULL && credentials_eq(&known->credentials, &read->credentials)) {
        free_known(read);
        folder->events.rewritten(folder->events.ctx, known->name);
        return;
    }
    if (known != NULL)
        drop(folder, known);
    read->file = arena_copy(&read->arena, str_from_c(file)).ptr;
    read->name = str_head(str_from_c(read->file), name.len);
    map_set(&folder->known, read->name, read);
    folder->events.added(folder->events.ctx, read->name, &read->credentials);
}

static void log_unread(const struct psync_folder *folder, struct str name, const char *message,
                       const struct error *err)
{
    log_event(LOG_ERROR, message, LOG_C("folder", folder->path), LOG_STR("name", name),
              LOG_C("problem", err->text));
}

static void look_at(void *ctx, const char *file, bool is_again)
{
    struct psync_folder *folder = ctx;
    struct error err;
    struct str name;
    if (!parse_file_name(file, &name))
        return;
    struct known *known = map_get(&folder->known, name);
    struct known *read = mem_zalloc(sizeof(*read));
    enum disk_result result = credentials_read_at(folder_watch_fd(folder->watch), name,
                                                  &read->arena, &read->credentials, &err);
    if (result == DISK_READ) {
        report(folder, file, name, known, read);
        return;
    }
    free_known(read);
    if (result == DISK_BUSY) {
        if (!is_again)
            log_unread(
                folder, name,
                "Credentials file cannot be read now; what it said before counts until it can",
                &err);
        folder_watch_retry(folder->watch, file);
        return;
    }
    if (result == DISK_FAILED)
        log_unread(folder, name, "Bad credentials file; nobody is served by it", &err);
    if (known != NULL)
        drop(folder, known);
}

/* ---- the folder ---- */

static enum folder_interest interest(const char *file)
{
    struct str name;
    return parse_file_name(file, &name) ? FOLDER_FILE : FOLDER_IGNORED;
}

static void list_known(void *ctx, struct list *names)
{
    struct psync_folder *folder = ctx;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&folder->known, &position)) != NULL)
        list_add(names, (void *)((struct known *)entry->value)->file);
}

struct psync_folder *psync_folder_open(struct loop *loop, const char *path,
                                       const struct psync_folder_events *events, struct error *err)
{
    struct psync_folder *folder = mem_zalloc(sizeof(*folder));
    const struct folder_watch_user user = {.title = "Credentials folder",
                                           .is_made = true,
                                           .interest = interest,
                                           .list_known = list_known,
                                           .look = look_at,
                                           .ctx = folder};
    folder->events = *events;
    folder->path = mem_strndup(str_from_c(path));
    folder->watch = folder_watch_open(loop, path, &user, err);
    if (folder->watch != NULL && folder_watch_read_all(folder->watch, err))
        return folder;
    psync_folder_close(folder);
    return NULL;
}

void psync_folder_close(struct psync_folder *folder)
{
    size_t position = 0;
    struct map_entry *entry;
    if (folder == NULL)
        return;
    folder_watch_close(folder->watch);
    while ((entry = map_next(&folder->known, &position)) != NULL)
        free_known(entry->value);
    map_free(&folder->known);
    free(folder->path);
    free(folder);
}
