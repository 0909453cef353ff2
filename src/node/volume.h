/* One volume of a pod, from nothing to the socket that it shares with the node agent, and back. Both drivers, FlexVolume's and
 * CSI's, are ways to call these two functions.
 *
 * The order matters. To come: the workload's folder, the mounts, and the credentials last, since the node agent puts its socket into the
 * folder as soon as it sees them. To go: the credentials first, so that the node agent lets go.
 *
 * Both can be repeated at will, and after a process that was killed at any point. A volume that is half there
 * is never taken for a whole one.
 *
 * The workload's folder is root's with mode 0711: only the node agent may put something there, and the pod, whatever its user, may
 * reach what it knows by name, the socket. (Upstream asks for 0777, of which the umask leaves 0755.)
 */
#ifndef NODE_VOLUME_H
#define NODE_VOLUME_H

#include "node/credentials.h"

/* Folders under the prefix of the Policy Sync API. */
struct volume_homes {
    const char *workloads;   /* of workloads' folders, P/mount */
    const char *credentials; /* of credentials files, P/creds */
};

/* Makes the volume NAME at `target` (see mounts.h; `keys` are for errors in the credentials). On failure nothing of it stays,
 * unless it had been whole before: then it is left as it was. */
bool volume_add(const struct volume_homes *homes, struct str target, struct str name,
                const struct credentials *credentials, const struct credentials_keys *keys,
                struct error *err);

/* Takes it away. Does all that it can, and tells the first thing that failed. True if nothing was there.
 *
 * Of the workload's folder, what goes with it are sockets. If anything else is in it, it stays and the log says so: pods under
 * other drivers may have put it there, and the end of a pod must not hang on that. */
bool volume_remove(const struct volume_homes *homes, struct str target, struct str name,
                   struct error *err);

#endif
