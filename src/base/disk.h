/* Folders and files, read and written as wholes.
 *
 * Paths and names are C strings: their callers have refused NUL. A name is one component. Errors name what could not be
 * done with which file; if a function has only a folder's descriptor, the caller puts the folder's path before it.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include <dirent.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

/* Opens a folder; links on the way are followed. `make`: it and those above it are made if they are missing, with mode 0755.
 * Returns a file descriptor, or -1; then, without `make`, errno says why, ENOENT that it is not there. */
int disk_open_folder(const char *path, bool make, struct error *err);

/* The names in a folder that is open for reading, from the first on, for readdir; the caller calls closedir. NULL, with errno: they
 * cannot be read. */
DIR *disk_open_names(int folder);

/* Why a file was not read: it is not there; there is something wrong with it; or for a reason that has nothing to do with it and
 * may pass (no descriptors or memory left, a disk or a server that does not answer). */
enum disk_result { DISK_READ, DISK_GONE, DISK_FAILED, DISK_BUSY };

/* What it means that a file or folder that is there was not opened or read, by errno: DISK_FAILED or DISK_BUSY. */
enum disk_result disk_meaning(int error);

/* Appends the contents of a regular file of at most `limit` bytes. `folder` may be AT_FDCWD. `follow`: it may be a link. */
enum disk_result disk_read(int folder, const char *name, bool follow, size_t limit,
                           struct buf *text, struct error *err);

/* Puts a file into a folder in one step: others see the old one, or none, until all of the new one is there and on the disk.
 * It is written aside as .NAME.new, which is removed if something fails. If the process is killed it stays, and the next
 * disk_write or disk_remove of that name takes it away. Two at a time must not write the same name. */
bool disk_write(int folder, const char *name, mode_t mode, struct str contents, struct error *err);

/* Removes a file, or a link, never what it points to. True if it was not there. */
bool disk_remove(int folder, const char *name, struct error *err);

#endif
