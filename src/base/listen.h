/* A listening unix socket.
 *
 * Its mode says who may connect (on Linux, who may write to it): 0777 if all may who can reach its folder, 0700 if it is for its
 * owner alone.
 *
 * The folder may belong to somebody hostile (a pod's volume): nothing in it is followed, and nothing but a socket is
 * removed.
 *
 * Threads: making one changes the process' umask for a moment, so only while there is one thread.
 */
#ifndef BASE_LISTEN_H
#define BASE_LISTEN_H

#include <sys/types.h>

#include "base/error.h"

/* The socket that was made, so that no other that took its place is removed for it. */
struct listen_socket {
    int fd;
    dev_t device;
    ino_t inode;
};

/* Listens at `path`; an old socket there is removed first, anything else is an error. The descriptor is non-blocking. */
bool listen_unix(const char *path, mode_t mode, struct listen_socket *made, struct error *err);
/* The same, at `name` in an open folder, where `path` leads, too: tools show the socket under that, unless it is
 * too long for an address. */
bool listen_unix_at(int folder_fd, const char *name, const char *path, mode_t mode,
                    struct listen_socket *made, struct error *err);

/* Removes the socket from its path, if it is still the one that was made. */
void listen_remove(const char *path, const struct listen_socket *made);
void listen_remove_at(int folder_fd, const char *name, const struct listen_socket *made);

#endif
