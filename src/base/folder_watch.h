/* A folder of files that somebody reads: tells which of them to read, so that nothing that happens in it is missed.
 *
 *     open ─► read_all ─► look, look, …, turn_end          what is there
 *     … the loop turns ─► look, …, turn_end                what has changed since, once in a while
 *
 * The user has one function that reads a file, `look`. It is called for a name that is new, has changed or is gone; which of these,
 * the file itself says. In one turn a name comes once, in the order of the last events. Where events were lost, the user's
 * marker changed, or another folder took the place, all names are looked at: first those that are there, in the order of bytes, then
 * those that the user knows of besides.
 *
 * When a file counts. Whoever writes it and closes it, moves it in or links it has made it complete, and then it is looked at;
 * one that is written in place is left alone from the first write to the close. A name that comes by link() cannot be told from
 * one that is about to be written, if the other name is taken away at once: it is looked at after a tenth of a second, if
 * nobody has written to it and it is not empty. At the start, and after lost events, files are taken as they are.
 *
 * What cannot be read for a reason that passes (disk_result: DISK_BUSY): the user calls folder_watch_retry, and it is looked at
 * again, first after a second, then ever more rarely, every 32 seconds at last.
 *
 * The folder itself. It is the one that the path leads to. If that is another one or none (removed, renamed, or a folder above it
 * is; a link changed; something mounted over), nothing is told until there is one again, which is looked at once a
 * second. inotify tells of renamed folders above it; of a link and of a mount nothing tells, so once in five seconds, with three
 * system calls, it is looked whether the path still leads there.
 *
 * Sources: inotify(7), open(2) on O_TMPFILE.
 *
 * Threads: the loop's. It must not be closed from within its own calls.
 */
#ifndef BASE_FOLDER_WATCH_H
#define BASE_FOLDER_WATCH_H

#include "base/list.h"
#include "base/loop.h"

struct folder_watch;

/* What a name is to the user: nothing, a file to look at, or the marker whose change may mean any. */
enum folder_interest { FOLDER_IGNORED, FOLDER_FILE, FOLDER_MARKER };

struct folder_watch_user {
    const char *title; /* how the log calls the folder: "Directory" */
    bool
        is_made; /* made if it is missing, at the start only: later somebody may be about to put it back */
    enum folder_interest (*interest)(const char *name);
    /* Adds the names (char *, not copied) that the user knows of. */
    void (*list_known)(void *ctx, struct list *names);
    /* Reads a file, in folder_watch_fd. `is_again`: after a retry, so that what is wrong need not be said again. */
    void (*look)(void *ctx, const char *name, bool is_again);
    /* After all looks of a turn; also if there were none. NULL: not needed. */
    void (*turn_end)(void *ctx);
    void *ctx;
};

/* Watches from now on. NULL: the folder cannot be opened or watched. */
struct folder_watch *folder_watch_open(struct loop *loop, const char *path,
                                       const struct folder_watch_user *user, struct error *err);

/* Looks at all. To be called once, after folder_watch_open: so what changes in between is seen twice rather than never. False: the
 * folder cannot be listed. */
bool folder_watch_read_all(struct folder_watch *watch, struct error *err);

/* The folder, open for reading; -1: it is away, and so nothing is being looked at. */
int folder_watch_fd(const struct folder_watch *watch);

/* Look at this name again a little later. */
void folder_watch_retry(struct folder_watch *watch, const char *name);

/* NULL is fine. */
void folder_watch_close(struct folder_watch *watch);

#endif
