#include "policysync/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"

/* How often a folder that went away is looked for, in milliseconds. */
enum { RETRY_PAUSE = 1000 };

enum {
    WATCHED_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

/* A file that was reported. */
struct known {
    struct str name;
    struct credentials credentials;
    bool is_seen; /* in the listing that is under way */
    struct arena arena;
};

struct psync_folder {
    struct loop *loop;
    struct psync_folder_events events;
    char *path;
    struct loop_watch inotify; /* fd -1: the folder is away */
    struct loop_timer retry;
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

static bool credentials_eq(const struct credentials *a, const struct credentials *b)
{
    return str_eq(a->uid, b->uid) && str_eq(a->workload, b->workload) &&
           str_eq(a->namespace, b->namespace) && str_eq(a->account, b->account);
}

static void report(struct psync_folder *folder, struct str name, struct known *known,
                   struct known *read)
{
    if (known != NULL && credentials_eq(&known->credentials, &read->credentials)) {
        known->is_seen = true;
        free_known(read);
        return;
    }
    if (known != NULL)
        drop(folder, known);
    read->name = arena_copy(&read->arena, name);
    read->is_seen = true;
    map_set(&folder->known, read->name, read);
    folder->events.added(folder->events.ctx, read->name, &read->credentials);
}

static bool is_away(const struct psync_folder *folder)
{
    struct stat info;
    return stat(folder->path, &info) != 0;
}

static void look_at(struct psync_folder *folder, struct str name)
{
    struct error err;
    struct known *known = map_get(&folder->known, name);
    struct known *read = mem_zalloc(sizeof(*read));
    enum disk_result result =
        credentials_read(folder->path, name, &read->arena, &read->credentials, &err);
    if (result == DISK_READ) {
        report(folder, name, known, read);
        return;
    }
    free_known(read);
    if (result == DISK_FAILED)
        log_event(LOG_ERROR, "Bad credentials file; nobody is served by it",
                  LOG_C("folder", folder->path), LOG_STR("name", name), LOG_C("problem", err.text));
    /* A file that went with the whole folder is not gone; that the folder is away is told by an event that is yet to come. */
    if (known != NULL && !(result == DISK_GONE && is_away(folder)))
        drop(folder, known);
}

/* ---- the folder ---- */

static bool list_files(struct psync_folder *folder)
{
    DIR *stream = opendir(folder->path);
    if (stream == NULL) {
        log_event(LOG_ERROR, "Credentials folder cannot be listed", LOG_C("folder", folder->path),
                  LOG_C("problem", strerror(errno)));
        return false;
    }
    struct dirent *item;
    struct str name;
    while ((item = readdir(stream)) != NULL) {
        if (parse_file_name(item->d_name, &name))
            look_at(folder, name);
    }
    closedir(stream);
    return true;
}

/* Looks at everything: at the start, and when events were lost. */
static void look_at_all(struct psync_folder *folder)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&folder->known, &position)) != NULL)
        ((struct known *)entry->value)->is_seen = false;
    if (!list_files(folder))
        return;
    position = 0;
    while ((entry = map_next(&folder->known, &position)) != NULL) {
        struct known *known = entry->value;
        if (known->is_seen)
            continue;
        drop(folder, known);
        position = 0;
    }
}

static void on_inotify(void *ctx, uint32_t events);

static bool attach(struct psync_folder *folder, struct error *err)
{
    CLEANUP_CLOSE int fd = disk_open_folder(folder->path, true, err);
    if (fd < 0)
        return false;
    folder->inotify =
        (struct loop_watch){inotify_init1(IN_NONBLOCK | IN_CLOEXEC), on_inotify, folder};
    if (folder->inotify.fd >= 0 &&
        inotify_add_watch(folder->inotify.fd, folder->path, WATCHED_EVENTS) >= 0 &&
        loop_add(folder->loop, &folder->inotify, EPOLLIN, err))
        return true;
    error_set(err, "cannot watch the credentials folder %s: %s",
              quote(str_from_c(folder->path)).text, strerror(errno));
    if (folder->inotify.fd >= 0)
        close(folder->inotify.fd);
    folder->inotify.fd = -1;
    return false;
}

static void detach(struct psync_folder *folder)
{
    if (folder->inotify.fd < 0)
        return;
    loop_remove(folder->loop, &folder->inotify);
    close(folder->inotify.fd);
    folder->inotify.fd = -1;
}

static void on_retry(void *ctx)
{
    struct psync_folder *folder = ctx;
    struct error err;
    /* It is not made anew here: somebody may be about to put it back, with all that was in it. */
    if (is_away(folder) || !attach(folder, &err)) {
        loop_arm(folder->loop, &folder->retry, RETRY_PAUSE);
        return;
    }
    log_event(LOG_INFO, "Credentials folder is back", LOG_C("folder", folder->path));
    look_at_all(folder);
}

static void lose(struct psync_folder *folder)
{
    log_event(LOG_ERROR, "Credentials folder went away; its volumes are served until it is back",
              LOG_C("folder", folder->path));
    detach(folder);
    loop_arm(folder->loop, &folder->retry, RETRY_PAUSE);
}

/* A new name: of a file that somebody still writes, its close will tell; links are complete at once. */
static bool is_complete_when_created(const struct psync_folder *folder, const char *file)
{
    CLEANUP_BUF struct buf path = {0};
    struct stat info;
    buf_printf(&path, "%s/%s", folder->path, file);
    buf_append_byte(&path, '\0');
    return lstat(path.data, &info) == 0 && (S_ISLNK(info.st_mode) || info.st_nlink > 1);
}

/* What the events of one turn ask for. */
struct work {
    struct map
        names; /* each once, however often its file was written; what they lead to is not NULL */
    struct list order; /* struct str: the same, the earliest first */
    struct arena arena;
    bool all;  /* look at everything: events were lost */
    bool lost; /* the folder itself is gone */
};

static void note_event(const struct psync_folder *folder, const struct inotify_event *event,
                       struct work *work)
{
    struct str name;
    if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
        work->lost = true;
    } else if ((event->mask & IN_Q_OVERFLOW) != 0) {
        work->all = true;
    } else if (event->len > 0 && parse_file_name(event->name, &name) &&
               ((event->mask & IN_CREATE) == 0 || is_complete_when_created(folder, event->name)) &&
               map_get(&work->names, name) == NULL) {
        struct str *copy = arena_alloc(&work->arena, sizeof(*copy));
        *copy = arena_copy(&work->arena, name);
        map_set(&work->names, *copy, copy);
        list_add(&work->order, copy);
    }
}

/* All events that are waiting. */
static void read_events(struct psync_folder *folder, struct work *work)
{
    _Alignas(struct inotify_event) char buffer[16 * 1024];
    ssize_t len;
    while ((len = read(folder->inotify.fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + len;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            note_event(folder, event, work);
            at += sizeof(*event) + event->len;
        }
    }
}

static void on_inotify(void *ctx, uint32_t events)
{
    struct psync_folder *folder = ctx;
    struct work work = {0};
    (void)events;
    read_events(folder, &work);
    if (work.lost)
        lose(folder);
    else if (work.all)
        look_at_all(folder);
    for (uint32_t i = 0; !work.lost && !work.all && i < work.order.count; i++)
        look_at(folder, *(const struct str *)work.order.items[i]);
    list_free(&work.order);
    map_free(&work.names);
    arena_free(&work.arena);
}

struct psync_folder *psync_folder_open(struct loop *loop, const char *path,
                                       const struct psync_folder_events *events, struct error *err)
{
    struct psync_folder *folder = mem_zalloc(sizeof(*folder));
    folder->loop = loop;
    folder->events = *events;
    folder->path = mem_strndup(str_from_c(path));
    folder->retry = (struct loop_timer){.callback = on_retry, .ctx = folder};
    if (!attach(folder, err)) {
        psync_folder_close(folder);
        return NULL;
    }
    /* Watched first, read then: a change in between is seen twice rather than never. */
    look_at_all(folder);
    return folder;
}

void psync_folder_close(struct psync_folder *folder)
{
    size_t position = 0;
    struct map_entry *entry;
    if (folder == NULL)
        return;
    loop_disarm(folder->loop, &folder->retry);
    detach(folder);
    while ((entry = map_next(&folder->known, &position)) != NULL)
        free_known(entry->value);
    map_free(&folder->known);
    free(folder->path);
    free(folder);
}
