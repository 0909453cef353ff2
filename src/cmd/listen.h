/* A listening unix socket.
 */
#ifndef CMD_LISTEN_H
#define CMD_LISTEN_H

#include <sys/types.h>

#include "base/error.h"

/* The socket that was made, so that no other that took its place is removed for it. */
struct listen_socket {
    int fd;
    dev_t device;
    ino_t inode;
};

/* Listens at `path` with mode 0777 (Envoy runs as another user); an old socket there is removed first, anything else is an
 * error. The descriptor is non-blocking. */
bool listen_unix(const char *path, struct listen_socket *made, struct error *err);

/* Removes the socket from its path, if it is still the one that was made. */
void listen_remove(const char *path, const struct listen_socket *made);

#endif
