#include "datastore/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "datastore/claims.h"
#include "datastore/file.h"

/* How often a folder that went away is looked for, in milliseconds. */
enum { RETRY_PAUSE = 1000 };

enum {
    WATCHED_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

struct directory {
    struct loop *loop;
    struct datastore_sink sink;
    char *path;
    int folder_fd;
    struct loop_watch inotify; /* fd -1: the folder is away */
    struct loop_timer retry;
    struct claims claims;
    bool changed; /* the sink was told something since the last batch_end */
};

/* ---- one file ---- */

static void tell_update(struct directory *d, struct model_resource *resource)
{
    d->changed = true;
    d->sink.update(d->sink.ctx, resource);
}

/* Takes the resource. */
static void take_resource(struct directory *d, struct claims_file *file,
                          struct model_resource *resource)
{
    struct claim *claim = claims_find(&d->claims, file, &resource->key);
    if (claim != NULL && claim->seen)
        datastore_report(&d->sink,
                         &(struct datastore_problem){
                             .what = "Resource stands twice in a file; the later one counts",
                             .place = file->name,
                             .line = resource->line,
                             .is_warning = true,
                             .message = resource->key.name});
    bool is_new = claim == NULL || claim->digest != resource->digest;
    if (claim != NULL)
        claim->seen = true;
    if (!is_new || !datastore_is_used(resource, claim != NULL)) {
        model_resource_free(resource);
        return;
    }
    claims_assert(&d->claims, file, &resource->key, resource->digest)->seen = true;
    tell_update(d, resource);
}

/* Reads another file for the one resource that is in force again now that a newer claim on it is gone. */
static void restore_from(struct directory *d, const struct claim *claim)
{
    struct file_contents contents;
    struct error err;
    bool gone;
    struct model_resource *found = NULL;
    if (!file_read(d->folder_fd, claim->file->name, &d->sink, &contents, &gone, &err))
        return; /* its own event is on its way */
    for (size_t i = 0; i < contents.count; i++) {
        struct model_resource *resource = contents.resources[i];
        if (model_key_eq(&resource->key, &claim->key->key) && datastore_is_used(resource, false)) {
            model_resource_free(found);
            found = resource;
        } else {
            model_resource_free(resource);
        }
    }
    free(contents.resources);
    if (found != NULL)
        tell_update(d, found);
}

static void drop_claim(struct directory *d, struct claim *claim)
{
    struct claim_key *key = claim->key;
    bool was_in_force = claims_newest(key) == claim;
    bool was_only_one = key->claims == claim && claim->next_of_key == NULL;
    if (was_only_one) {
        d->changed = true;
        d->sink.remove(d->sink.ctx, &key->key);
    }
    claims_drop(&d->claims, claim);
    if (was_in_force && !was_only_one)
        restore_from(d, claims_newest(key));
}

/* Drops the claims that the last reading did not make again. */
static void drop_unseen(struct directory *d, struct claims_file *file)
{
    struct claim *next;
    for (struct claim *claim = file->claims; claim != NULL; claim = next) {
        next = claim->next_of_file;
        if (!claim->seen)
            drop_claim(d, claim);
    }
}

static void load_file(struct directory *d, const char *name)
{
    struct file_contents contents;
    struct error err;
    bool gone;
    struct claims_file *file = claims_file(&d->claims, name);
    bool readable = file_read(d->folder_fd, name, &d->sink, &contents, &gone, &err);
    if (!readable && !gone) {
        datastore_report(&d->sink,
                         &(struct datastore_problem){
                             .what = file->claims != NULL
                                         ? "File cannot be read; what it said before stays in force"
                                         : "File cannot be read; nothing of it is in force",
                             .place = name,
                             .message = str_from_c(err.text)});
        return;
    }
    for (struct claim *claim = file->claims; claim != NULL; claim = claim->next_of_file)
        claim->seen = false;
    for (size_t i = 0; readable && i < contents.count; i++)
        take_resource(d, file, contents.resources[i]);
    if (readable)
        free(contents.resources);
    if (gone || !contents.is_partial)
        drop_unseen(d, file);
    if (gone)
        claims_forget_file(&d->claims, file);
}

/* ---- the folder ---- */

struct names {
    char **items;
    size_t count, capacity;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_name(struct names *names, const char *name)
{
    MEM_GROW(names->items, names->count, names->capacity);
    names->items[names->count++] = mem_strndup(str_from_c(name));
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

/* The data files of the folder, and those that it had before. */
static struct names list_names(struct directory *d)
{
    struct names names = {0};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&d->claims.files, &position)) != NULL)
        add_name(&names, ((struct claims_file *)entry->value)->name);
    int fd = openat(d->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        log_event(LOG_ERROR, "Directory cannot be listed", LOG_C("directory", d->path),
                  LOG_C("problem", strerror(errno)));
        return names;
    }
    struct dirent *item;
    while ((item = readdir(stream)) != NULL) {
        if (file_is_data(item->d_name))
            add_name(&names, item->d_name);
    }
    closedir(stream);
    return names;
}

/* Loads all files in the order of their names, so that the outcome of a start does not depend on the file system. */
static void load_all(struct directory *d)
{
    struct names names = list_names(d);
    if (names.count > 1)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    for (size_t i = 0; i < names.count; i++) {
        if (i == 0 || strcmp(names.items[i], names.items[i - 1]) != 0)
            load_file(d, names.items[i]);
    }
    if (names.count == 0)
        log_event(LOG_WARNING, "Directory holds no .yaml, .yml or .json files",
                  LOG_C("directory", d->path));
    free_names(&names);
}

static void end_batch(struct directory *d)
{
    if (d->changed)
        d->sink.batch_end(d->sink.ctx);
    d->changed = false;
}

/* ---- watching ---- */

static void on_inotify(void *ctx, uint32_t events);

/* Opens the folder and watches it; sets err if either fails. */
static bool attach(struct directory *d, struct error *err)
{
    d->folder_fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->folder_fd < 0)
        return error_set(err, "cannot open directory %s: %s", quote(str_from_c(d->path)).text,
                         strerror(errno));
    d->inotify = (struct loop_watch){inotify_init1(IN_NONBLOCK | IN_CLOEXEC), on_inotify, d};
    if (d->inotify.fd >= 0 && inotify_add_watch(d->inotify.fd, d->path, WATCHED_EVENTS) >= 0 &&
        loop_add(d->loop, &d->inotify, EPOLLIN, err))
        return true;
    error_set(err, "cannot watch directory %s: %s", quote(str_from_c(d->path)).text,
              strerror(errno));
    if (d->inotify.fd >= 0)
        close(d->inotify.fd);
    close(d->folder_fd);
    d->inotify.fd = d->folder_fd = -1;
    return false;
}

static void detach(struct directory *d)
{
    if (d->inotify.fd < 0)
        return;
    loop_remove(d->loop, &d->inotify);
    close(d->inotify.fd);
    close(d->folder_fd);
    d->inotify.fd = d->folder_fd = -1;
}

static void on_retry(void *ctx)
{
    struct directory *d = ctx;
    struct error err;
    if (!attach(d, &err)) {
        loop_arm(d->loop, &d->retry, RETRY_PAUSE);
        return;
    }
    log_event(LOG_INFO, "Directory is back", LOG_C("directory", d->path));
    load_all(d);
    end_batch(d);
}

static void lose_folder(struct directory *d)
{
    log_event(LOG_ERROR, "Directory went away; all that it said stays in force until it is back",
              LOG_C("directory", d->path));
    detach(d);
    loop_arm(d->loop, &d->retry, RETRY_PAUSE);
}

/* A new name: of a file that somebody still writes, its close will tell; links are complete at once. */
static bool is_complete_when_created(const struct directory *d, const char *name)
{
    struct stat info;
    return fstatat(d->folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISLNK(info.st_mode) || info.st_nlink > 1);
}

/* What the events of one turn ask for. */
struct work {
    struct names files;
    bool all;  /* look at everything: events were lost, or a mounted ConfigMap was swapped */
    bool lost; /* the folder itself is gone */
};

static void note_event(struct directory *d, const struct inotify_event *event, struct work *work)
{
    if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
        work->lost = true;
    } else if ((event->mask & IN_Q_OVERFLOW) != 0) {
        work->all = true;
    } else if (event->len > 0 && strcmp(event->name, "..data") == 0) {
        /* Kubernetes mounts ConfigMaps as links through this one, and changes them by swapping it. */
        work->all = true;
    } else if (event->len > 0 && file_is_data(event->name)) {
        if ((event->mask & IN_CREATE) == 0 || is_complete_when_created(d, event->name))
            add_name(&work->files, event->name);
    }
}

/* All events that are waiting. */
static struct work read_events(struct directory *d)
{
    _Alignas(struct inotify_event) char buffer[16 * 1024];
    struct work work = {0};
    ssize_t len;
    while ((len = read(d->inotify.fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + len;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            note_event(d, event, &work);
            at += sizeof(*event) + event->len;
        }
    }
    return work;
}

static void on_inotify(void *ctx, uint32_t events)
{
    struct directory *d = ctx;
    (void)events;
    struct work work = read_events(d);
    if (work.files.count > 1)
        qsort(work.files.items, work.files.count, sizeof(*work.files.items), compare_names);
    if (work.lost)
        lose_folder(d);
    else if (work.all)
        load_all(d);
    for (size_t i = 0; i < work.files.count && !work.lost && !work.all; i++) {
        if (i == 0 || strcmp(work.files.items[i], work.files.items[i - 1]) != 0)
            load_file(d, work.files.items[i]);
    }
    free_names(&work.files);
    end_batch(d);
}

struct directory *directory_open(struct loop *loop, const char *path,
                                 const struct datastore_sink *sink, struct error *err)
{
    struct directory *d = mem_zalloc(sizeof(*d));
    d->loop = loop;
    d->sink = *sink;
    d->path = mem_strndup(str_from_c(path));
    d->retry = (struct loop_timer){.callback = on_retry, .ctx = d};
    d->folder_fd = d->inotify.fd = -1;
    if (!attach(d, err)) {
        directory_close(d);
        return NULL;
    }
    /* Watched first, read then: a change in between is read twice rather than never. */
    load_all(d);
    d->sink.in_sync(d->sink.ctx);
    d->sink.batch_end(d->sink.ctx);
    d->changed = false;
    return d;
}

void directory_close(struct directory *d)
{
    if (d == NULL)
        return;
    loop_disarm(d->loop, &d->retry);
    detach(d);
    claims_free(&d->claims);
    free(d->path);
    free(d);
}
