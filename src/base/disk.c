#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- folders ---- */

/* Makes the folder and those above it. One that is there already may be anything; opening it will tell. */
static bool make_folders(const char *path, struct error *err)
{
    CLEANUP_FREE char *part = mem_strndup(str_from_c(path));
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return error_set(err, "cannot make the folder %s: %s", quote(str_from_c(part)).text,
                             strerror(errno));
        part[i] = path[i];
    }
    return true;
}

int disk_open_folder(const char *path, bool make, struct error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(path, flags);
    if (fd < 0 && errno == ENOENT && make) {
        if (!make_folders(path, err))
            return -1;
        fd = open(path, flags);
    }
    if (fd < 0) {
        int error = errno;
        error_set(err, "cannot open the folder %s: %s", quote(str_from_c(path)).text,
                  strerror(error));
        errno = error;
    }
    return fd;
}

/* A description of its own: one that was read before would not begin at the start. */
DIR *disk_open_names(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    int error = errno;
    if (names == NULL && fd >= 0)
        close(fd);
    errno = error;
    return names;
}

/* ---- reading ---- */

enum disk_result disk_meaning(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EIO:
    case EAGAIN:
    case ESTALE:
    case ETIMEDOUT:
        return DISK_BUSY;
    default:
        return DISK_FAILED;
    }
}

static enum disk_result read_all(int fd, size_t limit, struct buf *text, struct error *err)
{
    enum { STEP = 64 * 1024 };
    size_t start = text->len;
    for (;;) {
        ssize_t n = read(fd, buf_reserve(text, STEP), STEP);
        if (n == 0)
            return DISK_READ;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            enum disk_result result = disk_meaning(errno);
            error_set(err, "cannot read: %s", strerror(errno));
            return result;
        }
        text->len += (size_t)n;
        if (text->len - start > limit) {
            error_set(err, "larger than %zu bytes", limit);
            return DISK_FAILED;
        }
    }
}

/* A link to nowhere is there, and cannot be read. */
static bool is_there(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static enum disk_result open_and_read(int folder, const char *name, bool follow, size_t limit,
                                      struct buf *text, struct error *err)
{
    struct stat info;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    CLEANUP_CLOSE int fd = openat(folder, name, flags);
    if (fd < 0) {
        int error = errno;
        error_set(err, "cannot open: %s", strerror(error));
        return error == ENOENT && !is_there(folder, name) ? DISK_GONE : disk_meaning(error);
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        error_set(err, "not a regular file");
        return DISK_FAILED;
    }
    return read_all(fd, limit, text, err);
}

enum disk_result disk_read(int folder, const char *name, bool follow, size_t limit,
                           struct buf *text, struct error *err)
{
    enum disk_result result = open_and_read(folder, name, follow, limit, text, err);
    if (result != DISK_READ)
        error_prefix(err, "%s", quote(str_from_c(name)).text);
    return result;
}

/* ---- writing ---- */

static bool write_all(int fd, struct str contents)
{
    while (contents.len > 0) {
        ssize_t n = write(fd, contents.ptr, contents.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        contents = str_from(contents, (size_t)n);
    }
    return true;
}

/* The file's name while it is being written. It ends in no way that anybody takes for a finished file. */
struct new_name {
    char text[NAME_MAX + 1];
};

static bool make_new_name(const char *name, struct new_name *new, struct error *err)
{
    int len = snprintf(new->text, sizeof(new->text), ".%s.new", name);
    if (len < 0 || (size_t)len >= sizeof(new->text))
        return error_set(err, "the file name %s is too long", quote(str_from_c(name)).text);
    return true;
}

static bool write_aside(int folder, const char *name, mode_t mode, struct str contents)
{
    /* What a killed process left must not be written to: somebody may have it open. */
    if (unlinkat(folder, name, 0) != 0 && errno != ENOENT)
        return false;
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    /* The mode is set apart, so that the umask has no say in it. */
    bool written = write_all(fd, contents) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int error = errno;
    if (close(fd) == 0 && written)
        return true;
    errno = written ? errno : error;
    return false;
}

bool disk_write(int folder, const char *name, mode_t mode, struct str contents, struct error *err)
{
    struct new_name new;
    if (!make_new_name(name, &new, err))
        return false;
    if (write_aside(folder, new.text, mode, contents) &&
        renameat(folder, new.text, folder, name) == 0)
        return true;
    error_set(err, "cannot write %s: %s", quote(str_from_c(name)).text, strerror(errno));
    unlinkat(folder, new.text, 0);
    return false;
}

/* Looks before it unlinks: on a read-only file system unlink fails even if there is nothing to remove. */
static bool remove_one(int folder, const char *name)
{
    struct stat info;
    if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    return unlinkat(folder, name, 0) == 0 || errno == ENOENT;
}

bool disk_remove(int folder, const char *name, struct error *err)
{
    struct new_name new;
    if (!make_new_name(name, &new, err))
        return false;
    if (remove_one(folder, name) && remove_one(folder, new.text))
        return true;
    return error_set(err, "cannot remove %s: %s", quote(str_from_c(name)).text, strerror(errno));
}
