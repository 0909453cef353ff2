#include "base/folder_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/folder_list.h"
#include "base/folder_turn.h"
#include "base/log.h"

/* In milliseconds. */
enum {
    CHECK_PAUSE = 5000, /* until it is looked again whether the path still leads to the folder */
    AWAY_PAUSE = 1000,  /* the same, if it did not */
    LINK_PAUSE = 100,   /* how long a name may be before its writer's first write */
    RETRY_PAUSE = 1000, /* at first; then twice as long each time */
    RETRY_PAUSE_MOST = 32000,
};

/* A writer who is faster than we are must not keep the loop from turning. */
enum { READS_A_TURN = 64 };

enum {
    /* EXCL_UNLINK: what somebody still writes to a file that is gone is nothing about the new one of that name. */
    WATCHED_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                     IN_ATTRIB | IN_MODIFY | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK,
    /* Only of their own moves: what else happens in them may be much, and is no concern of ours. MASK_ADD: by a bind mount the
     * folder may be its own ancestor. */
    ANCESTORS_EVENTS = IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD,
    /* Of a folder that somebody has open, as we do, DELETE_SELF is not told; only its parent tells. */
    PARENTS_EVENTS = ANCESTORS_EVENTS | IN_DELETE,
};

/* A name that is not to be looked at yet. */
struct pending {
    uint64_t due;   /* by loop_now; 0: as soon as whoever writes it closes it */
    uint64_t pause; /* the last one before a retry; 0: it is not finished */
    uint64_t order; /* smaller came first */
    bool was_there; /* under this name was another file right before */
    off_t size;     /* of a new one, when it was looked at last */
    char name[];
};

struct folder_watch {
    struct loop *loop;
    struct folder_watch_user user;
    char *path;
    int fd; /* -1: the folder is away */
    struct loop_watch inotify;
    int wd; /* of the folder; the others are of those above it */
    struct loop_timer check;
    struct loop_timer soonest; /* of `pending` */
    struct map pending;        /* -> struct pending */
    uint64_t waits;            /* so far */
    bool is_unread;            /* all is to be looked at, which did not go well so far */
    struct error told;         /* why not, or why the folder is not back; empty: nothing was told */
};

static void tell(const struct folder_watch *watch, enum log_level level, const char *what)
{
    CLEANUP_BUF struct buf message = {0};
    buf_printf(&message, "%s %s%c", watch->user.title, what, '\0');
    log_event(level, message.data, LOG_C("folder", watch->path));
}

static void tell_problem(struct folder_watch *watch, const char *what, const struct error *problem)
{
    CLEANUP_BUF struct buf message = {0};
    buf_printf(&message, "%s %s%c", watch->user.title, what, '\0');
    log_event(error_is_news(&watch->told, problem->text) ? LOG_ERROR : LOG_DEBUG, message.data,
              LOG_C("folder", watch->path), LOG_C("problem", problem->text));
}

/* ---- names that are not to be looked at yet ---- */

static struct pending *find_pending(const struct folder_watch *watch, const char *name)
{
    return map_get(&watch->pending, str_from_c(name));
}

static struct pending *make_pending(struct folder_watch *watch, const char *name)
{
    struct pending *pending = find_pending(watch, name);
    size_t len = strlen(name);
    if (pending != NULL)
        return pending;
    pending = mem_zalloc(sizeof(*pending) + len + 1);
    memcpy(pending->name, name, len);
    map_set(&watch->pending, str_make(pending->name, len), pending);
    return pending;
}

/* NULL is fine. */
static void drop_pending(struct folder_watch *watch, struct pending *pending)
{
    if (pending != NULL)
        map_remove(&watch->pending, str_from_c(pending->name));
    free(pending);
}

static void drop_all_pending(struct folder_watch *watch)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&watch->pending, &position)) != NULL)
        free(entry->value);
    map_free(&watch->pending);
    watch->pending = (struct map){0};
    loop_disarm(watch->loop, &watch->soonest);
}

static void wait_for(struct folder_watch *watch, struct pending *pending, uint64_t pause)
{
    pending->due = loop_now(watch->loop) + pause;
    pending->order = ++watch->waits;
    if (watch->soonest.due == 0 || watch->soonest.due > pending->due)
        loop_arm(watch->loop, &watch->soonest, pause);
}

void folder_watch_retry(struct folder_watch *watch, const char *name)
{
    struct pending *pending = find_pending(watch, name);
    if (pending != NULL && pending->pause == 0)
        return; /* it is being written */
    pending = make_pending(watch, name);
    pending->pause = pending->pause == 0                     ? RETRY_PAUSE
                     : pending->pause < RETRY_PAUSE_MOST / 2 ? pending->pause * 2
                                                             : RETRY_PAUSE_MOST;
    wait_for(watch, pending, pending->pause);
}

/* A new name of which no event told for a while that it is written to: linked, if there is something in it; else somebody is about
 * to write. If it took the place of another file, then that one's end is news, at any rate. */
static bool is_finished(struct folder_watch *watch, struct pending *pending)
{
    struct stat info;
    if (fstatat(watch->fd, pending->name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (info.st_size != pending->size) {
        /* Its first bytes come just now, and the event is right behind them. */
        pending->size = info.st_size;
        wait_for(watch, pending, LINK_PAUSE);
        return false;
    }
    return info.st_size > 0 || pending->was_there;
}

static int compare_order(const void *a, const void *b)
{
    const struct pending *first = *(struct pending *const *)a,
                         *second = *(struct pending *const *)b;
    return first->order < second->order ? -1 : 1;
}

/* Notes what is due; of those that are retried, the pause is remembered until they have been looked at. */
static void note_due(struct folder_watch *watch, struct folder_turn *turn)
{
    struct list due = {0};
    uint64_t now = loop_now(watch->loop), next = UINT64_MAX;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&watch->pending, &position)) != NULL) {
        struct pending *pending = entry->value;
        if (pending->due > 0 && pending->due <= now)
            list_add(&due, pending);
        else if (pending->due > 0 && pending->due < next)
            next = pending->due;
    }
    if (due.count > 1)
        qsort(due.items, due.count, sizeof(*due.items), compare_order);
    for (uint32_t i = 0; i < due.count; i++) {
        struct pending *pending = due.items[i];
        bool is_retry = pending->pause > 0;
        pending->due = 0;
        if (!is_retry && !is_finished(watch, pending))
            continue;
        folder_turn_note(turn, pending->name, is_retry);
        if (!is_retry)
            drop_pending(watch, pending);
    }
    list_free(&due);
    /* Not for each of many names on its own. */
    if (next < UINT64_MAX && watch->soonest.due == 0)
        loop_arm(watch->loop, &watch->soonest, next - now > LINK_PAUSE ? next - now : LINK_PAUSE);
}

/* ---- events ---- */

/* A new name: a file with one name may be one that is about to be written. */
static bool is_complete(const struct folder_watch *watch, const char *name, off_t *size)
{
    struct stat info;
    if (fstatat(watch->fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    *size = info.st_size;
    return !S_ISREG(info.st_mode) || info.st_nlink > 1;
}

static void note_file(struct folder_watch *watch, uint32_t mask, const char *name,
                      struct folder_turn *turn)
{
    struct pending *pending = find_pending(watch, name);
    bool is_unfinished = pending != NULL && pending->pause == 0;
    off_t size = 0;
    bool is_new = (mask & IN_CREATE) != 0 && !is_complete(watch, name, &size);
    if (is_new || (mask & IN_MODIFY) != 0) {
        /* What was noted of it is over: it would be read half. */
        bool was_noted = folder_turn_forget(turn, name);
        pending = make_pending(watch, name);
        pending->due = pending->pause = 0;
        if (is_new) {
            pending->was_there = was_noted;
            pending->size = size;
            wait_for(watch, pending, LINK_PAUSE);
        }
    } else if ((mask & IN_ATTRIB) == 0 || !is_unfinished) {
        drop_pending(watch, pending);
        folder_turn_note(turn, name, false);
    }
}

static void note_event(struct folder_watch *watch, const struct inotify_event *event,
                       struct folder_turn *turn)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        drop_all_pending(watch);
        turn->all = true;
    }
    /* What is told of the folder itself and of those above it wakes us, and in every turn it is looked whether it is in its place. */
    if (event->wd != watch->wd || event->len == 0)
        return;
    enum folder_interest interest = watch->user.interest(event->name);
    if (interest == FOLDER_MARKER)
        turn->all = true;
    else if (interest == FOLDER_FILE)
        note_file(watch, event->mask, event->name, turn);
}

static void read_events(struct folder_watch *watch, struct folder_turn *turn)
{
    _Alignas(struct inotify_event) char buffer[16 * 1024];
    ssize_t len;
    for (int i = 0; i < READS_A_TURN; i++) {
        len = read(watch->inotify.fd, buffer, sizeof(buffer));
        if (len <= 0)
            return;
        for (char *at = buffer; at < buffer + len;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            note_event(watch, event, turn);
            at += sizeof(*event) + event->len;
        }
        /* As many come as fit; what comes after them wakes us again. */
        if ((size_t)len < sizeof(buffer) / 2)
            return;
    }
}

/* ---- looking ---- */

static void look(struct folder_watch *watch, const char *name, bool is_again)
{
    watch->user.look(watch->user.ctx, name, is_again);
    struct pending *pending = find_pending(watch, name);
    if (pending != NULL && pending->pause > 0 && pending->due == 0)
        drop_pending(watch, pending);
}

/* Files that are being written are left to their writers' close. */
static bool look_at_all(struct folder_watch *watch, struct error *err)
{
    struct folder_list list = {0};
    struct list known = {0};
    watch->user.list_known(watch->user.ctx, &known);
    watch->is_unread = !folder_list_read(&list, watch->fd, watch->user.interest, &known);
    if (watch->is_unread)
        error_set(err, "cannot list the folder %s: %s", quote(str_from_c(watch->path)).text,
                  strerror(errno));
    list_free(&known);
    for (uint32_t i = 0; i < list.names.count && !watch->is_unread; i++) {
        struct pending *pending = find_pending(watch, list.names.items[i]);
        if (pending != NULL && pending->pause == 0)
            continue;
        drop_pending(watch, pending);
        look(watch, list.names.items[i], false);
    }
    folder_list_free(&list);
    return !watch->is_unread;
}

/* ---- the folder's place ---- */

/* The descriptor keeps the folder's number from being given to another. */
static bool is_in_place(const struct folder_watch *watch)
{
    struct stat place, folder;
    return stat(watch->path, &place) == 0 && fstat(watch->fd, &folder) == 0 &&
           place.st_dev == folder.st_dev && place.st_ino == folder.st_ino;
}

/* Those that may not be watched are left to the look that is taken once in a while. */
static void watch_ancestors(struct folder_watch *watch)
{
    CLEANUP_BUF struct buf path = {0};
    uint32_t events = PARENTS_EVENTS;
    struct stat below = {0}, here;
    buf_append_str(&path, str_from_c(watch->path));
    for (;;) {
        /* By `..`, which leads through what the folder is really in, whatever links lead to it. */
        buf_append(&path, "/..", sizeof("/.."));
        path.len--;
        /* Nothing is above the root but the root. */
        if (stat(path.data, &here) != 0 ||
            (here.st_dev == below.st_dev && here.st_ino == below.st_ino))
            return;
        inotify_add_watch(watch->inotify.fd, path.data, events);
        events = ANCESTORS_EVENTS;
        below = here;
    }
}

static void on_inotify(void *ctx, uint32_t events);

static void detach(struct folder_watch *watch)
{
    if (watch->inotify.fd >= 0) {
        loop_remove(watch->loop, &watch->inotify);
        close(watch->inotify.fd);
    }
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = watch->inotify.fd = -1;
}

/* Opens the folder and watches it. */
static bool attach(struct folder_watch *watch, bool make, struct error *err)
{
    watch->fd = disk_open_folder(watch->path, make, err);
    if (watch->fd < 0)
        return false;
    watch->inotify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch->wd = watch->inotify.fd < 0
                    ? -1
                    : inotify_add_watch(watch->inotify.fd, watch->path, WATCHED_EVENTS);
    if (watch->wd < 0)
        error_set(err, "cannot watch the folder %s: %s", quote(str_from_c(watch->path)).text,
                  strerror(errno));
    else if (loop_add(watch->loop, &watch->inotify, EPOLLIN, err)) {
        watch_ancestors(watch);
        return true;
    }
    detach(watch);
    return false;
}

static void lose(struct folder_watch *watch)
{
    tell(watch, LOG_ERROR, "went away; what it said stays in force until it is back");
    detach(watch);
    drop_all_pending(watch);
}

static bool is_missing(const struct folder_watch *watch)
{
    struct stat info;
    return stat(watch->path, &info) != 0 && errno == ENOENT;
}

/* ---- turns ---- */

static void look_at_noted(struct folder_watch *watch, const struct folder_turn *turn)
{
    struct error err;
    if (turn->all || watch->is_unread) {
        if (look_at_all(watch, &err))
            watch->told.text[0] = '\0';
        else
            tell_problem(watch, "cannot be listed; what it said stays in force", &err);
        return;
    }
    for (const struct folder_noted *noted = turn->first; noted != NULL; noted = noted->next)
        look(watch, noted->name, noted->is_again);
}

static void take_turn(struct folder_watch *watch, bool is_due)
{
    struct folder_turn turn = {0};
    read_events(watch, &turn);
    if (!is_in_place(watch)) {
        lose(watch);
    } else {
        if (is_due)
            note_due(watch, &turn);
        look_at_noted(watch, &turn);
    }
    loop_arm(watch->loop, &watch->check,
             watch->fd < 0 || watch->is_unread ? AWAY_PAUSE : CHECK_PAUSE);
    if (watch->user.turn_end != NULL)
        watch->user.turn_end(watch->user.ctx);
    folder_turn_free(&turn);
}

static void on_inotify(void *ctx, uint32_t events)
{
    (void)events;
    take_turn(ctx, false);
}

static void on_soonest(void *ctx)
{
    take_turn(ctx, true);
}

static void on_check(void *ctx)
{
    struct folder_watch *watch = ctx;
    struct error err;
    if (watch->fd < 0) {
        if (!attach(watch, false, &err)) {
            if (!is_missing(watch))
                tell_problem(watch, "cannot be had again", &err);
            loop_arm(watch->loop, &watch->check, AWAY_PAUSE);
            return;
        }
        tell(watch, LOG_INFO, "is back");
        watch->is_unread = true;
    }
    take_turn(watch, false);
}

/* ---- the whole ---- */

struct folder_watch *folder_watch_open(struct loop *loop, const char *path,
                                       const struct folder_watch_user *user, struct error *err)
{
    struct folder_watch *watch = mem_zalloc(sizeof(*watch));
    watch->loop = loop;
    watch->user = *user;
    watch->path = mem_strndup(str_from_c(path));
    watch->fd = -1;
    watch->inotify = (struct loop_watch){-1, on_inotify, watch};
    watch->check = (struct loop_timer){.callback = on_check, .ctx = watch};
    watch->soonest = (struct loop_timer){.callback = on_soonest, .ctx = watch};
    if (attach(watch, user->is_made, err)) {
        loop_arm(loop, &watch->check, CHECK_PAUSE);
        return watch;
    }
    folder_watch_close(watch);
    return NULL;
}

bool folder_watch_read_all(struct folder_watch *watch, struct error *err)
{
    return look_at_all(watch, err);
}

int folder_watch_fd(const struct folder_watch *watch)
{
    return watch->fd;
}

void folder_watch_close(struct folder_watch *watch)
{
    if (watch == NULL)
        return;
    loop_disarm(watch->loop, &watch->check);
    detach(watch);
    drop_all_pending(watch);
    free(watch->path);
    free(watch);
}
