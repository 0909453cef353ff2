#include "cmd/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

/* Room for the connections of an Envoy with many workers that all come at once. */
enum { BACKLOG = 512 };

static bool remove_old_socket(const char *path, struct error *err)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return errno == ENOENT || error_set(err, "cannot look at socket path %s: %s",
                                            quote(str_from_c(path)).text, strerror(errno));
    if (!S_ISSOCK(info.st_mode))
        return error_set(err, "socket path %s is occupied by something that is not a socket",
                         quote(str_from_c(path)).text);
    if (unlink(path) != 0)
        return error_set(err, "cannot remove the old socket %s: %s", quote(str_from_c(path)).text,
                         strerror(errno));
    return true;
}

static bool listen_at(const char *path, const struct sockaddr_un *address,
                      struct listen_socket *made)
{
    struct stat info;
    if (bind(made->fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
        chmod(path, 0777) != 0 || lstat(path, &info) != 0)
        return false;
    made->device = info.st_dev;
    made->inode = info.st_ino;
    return listen(made->fd, BACKLOG) == 0;
}

bool listen_unix(const char *path, struct listen_socket *made, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address.sun_path))
        return error_set(err, "socket path %s is %s (at most %zu bytes)",
                         quote(str_from_c(path)).text, len == 0 ? "empty" : "too long",
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, len + 1);
    if (!remove_old_socket(path, err))
        return false;
    made->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made->fd >= 0 && listen_at(path, &address, made))
        return true;
    error_set(err, "cannot listen on %s: %s", quote(str_from_c(path)).text, strerror(errno));
    if (made->fd >= 0)
        close(made->fd);
    return false;
}

void listen_remove(const char *path, const struct listen_socket *made)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_dev == made->device &&
        info.st_ino == made->inode)
        unlink(path);
}
