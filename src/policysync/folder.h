/* The folder of credentials files, watched: which volumes there are, and whose.
 *
 *     P/creds/NAME.json   (see node/credentials.h)
 *
 * Files are read when they appear (by a close, a rename or a link), also those that are there at the start. Anything else in the
 * folder is passed over; a file that is bad is reported, and as good as not there until it changes. One that cannot be read for a
 * reason that passes (no descriptors left) says what it said before, until it can. If the folder goes away, what it said stays
 * until it is back. base/folder_watch.h has the whole account.
 *
 * Threads: the loop's.
 */
#ifndef POLICYSYNC_FOLDER_H
#define POLICYSYNC_FOLDER_H

#include "base/loop.h"
#include "node/credentials.h"

struct psync_folder;

struct psync_folder_events {
    /* A volume is there; or its file says something else than before: then `removed` came first. Texts are borrowed. */
    void (*added)(void *ctx, struct str name, const struct credentials *credentials);
    void (*removed)(void *ctx, struct str name);
    /* Its file was written anew, or looked at once more, and says the same: maybe the volume was unmounted and mounted in between. */
    void (*rewritten)(void *ctx, struct str name);
    void *ctx;
};

/* Makes the folder if it is missing. NULL: it cannot be had. `added` is called from within for the files that are there. */
struct psync_folder *psync_folder_open(struct loop *loop, const char *path,
                                       const struct psync_folder_events *events, struct error *err);
/* Without calling `removed`. */
void psync_folder_close(struct psync_folder *folder);

#endif
