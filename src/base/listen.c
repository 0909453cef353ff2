#include "base/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Room for the connections of an Envoy with many workers that all come at once. */
enum { BACKLOG = 512 };

static bool remove_old_socket(int folder_fd, const char *name, struct error *err)
{
    struct stat info;
    if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || error_set(err, "cannot look at it: %s", strerror(errno));
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, "it is occupied by something that is not a socket");
    if (unlinkat(folder_fd, name, 0) != 0)
        return error_set(err, "cannot remove the old socket: %s", strerror(errno));
    return true;
}

/* The mode comes by the umask, not by chmod, which would follow a link that somebody put into the socket's place. */
static bool bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
    mode_t old = umask(~mode & 0777);
    bool ok = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    umask(old);
    return ok;
}

bool listen_unix_at(int folder_fd, const char *name, const char *path, mode_t mode,
                    struct listen_socket *made, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info;
    made->fd = -1;
    if (!remove_old_socket(folder_fd, name, err))
        return false;
    /* The address of a socket is short, and the way to a volume may be long: then it goes through /proc. */
    char *place = address.sun_path;
    size_t room = sizeof(address.sun_path);
    if (strlen(path) < room)
        memcpy(place, path, strlen(path));
    else if ((size_t)snprintf(place, room, "/proc/self/fd/%d/%s", folder_fd, name) >= room)
        return error_set(err, "its name is too long");
    made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made->fd >= 0 && bind_with_mode(made->fd, &address, mode) &&
        fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        listen(made->fd, BACKLOG) == 0) {
        made->device = info.st_dev;
        made->inode = info.st_ino;
        return true;
    }
    error_set(err, "%s", strerror(errno));
    if (made->fd >= 0)
        close(made->fd);
    made->fd = -1;
    return false;
}

/* Opens the folder of a path; *name gets the part behind it. -1: it cannot be opened. */
static int open_folder(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FREE char *folder = mem_strndup(str_make(path, (size_t)(slash - path)));
    return open(slash == path ? "/" : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool listen_unix(const char *path, mode_t mode, struct listen_socket *made, struct error *err)
{
    struct quoted shown = quote(str_from_c(path));
    const char *name;
    made->fd = -1;
    /* Whoever connects must be able to name it. */
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(err, "socket path %s is too long (at most %zu bytes)", shown.text,
                         sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    CLEANUP_CLOSE int folder_fd = open_folder(path, &name);
    if (name[0] == '\0')
        return error_set(err, "socket path %s is %s", shown.text,
                         path[0] == '\0' ? "empty" : "a folder");
    if (folder_fd < 0)
        return error_set(err, "cannot open the folder of socket path %s: %s", shown.text,
                         strerror(errno));
    return listen_unix_at(folder_fd, name, path, mode, made, err) ||
           error_prefix(err, "cannot listen on %s", shown.text);
}

void listen_remove_at(int folder_fd, const char *name, const struct listen_socket *made)
{
    struct stat info;
    if (fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(info.st_mode) &&
        info.st_dev == made->device && info.st_ino == made->inode)
        unlinkat(folder_fd, name, 0);
}

void listen_remove(const char *path, const struct listen_socket *made)
{
    listen_remove_at(AT_FDCWD, path, made);
}
