/* What is mounted where, as /proc/self/mountinfo tells it.
 *
 * It is for looking around: before Linux 5.8 some mounts may be missing from it if others come and go meanwhile. Whether a
 * folder is a mount point, where much hangs on it, mounts.h finds out by another way.
 *
 * Source: proc(5), /proc/PID/mountinfo.
 */
#ifndef NODE_MOUNTINFO_H
#define NODE_MOUNTINFO_H

#include "base/error.h"
#include "base/mem.h"

struct mountinfo_entry {
    struct str
        root; /* what is mounted: of a bind mount the folder's path within its own file system */
    struct str point; /* where */
    bool is_deleted;  /* the folder was removed; `root` is the path that it had */
};

struct mountinfo {
    const struct mountinfo_entry *entries; /* in the order in which they were mounted */
    size_t count;
};

/* What this process can see. Everything lives in the arena. */
bool mountinfo_read(struct arena *arena, struct mountinfo *info, struct error *err);

/* `text` is what the kernel says. The error names the line that is not as it should be. */
bool mountinfo_parse(struct arena *arena, struct str text, struct mountinfo *info,
                     struct error *err);

#endif
