/* One volume of a pod, from nothing to the socket that it shares with the node agent, and back. Both drivers, FlexVolume's and
 * CSI's, are ways to call these functions.
 *
 * The order matters. To come: the workload's folder, the mounts, and the credentials last, since the node agent puts its socket into the
 * folder as soon as it sees them. To go: the credentials first, so that the node agent lets go.
 *
 * To come and to go can be repeated at will, and after a process that was killed at any point. A volume that is half there
 * is never taken for a whole one.
 *
 * The workload's folder is root's with mode 0711: only the node agent may put something there, and the pod, whatever its user, may
 * reach what it knows by name, the socket. (Upstream asks for 0777, of which the umask leaves 0755.)
 */
#ifndef NODE_VOLUME_H
#define NODE_VOLUME_H

#include "node/credentials.h"
#include "node/mountinfo.h"

/* Folders under the prefix of the Policy Sync API. */
struct volume_homes {
    const char *workloads;   /* of workloads' folders, P/mount */
    const char *credentials; /* of credentials files, P/creds */
};

/* A mount that shows a workload's folder at a target of kubelet's. */
struct volume_mount {
    struct str name; /* of the volume: the folder's */
    struct str target;
};
/* False: it is some other mount. */
bool volume_take_mount(const struct mountinfo_entry *entry, struct volume_mount *mount);
/* The volume's name if the mount shows a workload's folder, wherever that is. */
struct str volume_name_of(const struct mountinfo_entry *entry);

/* What the mounts of the node say about a volume. See mountinfo.h for how far that can be relied on. */
struct volume_sight {
    bool is_here;       /* it is at TARGET */
    bool is_elsewhere;  /* it is at another TARGET */
    struct str instead; /* another volume that is at TARGET, in the arena; empty: none is */
};
bool volume_find(struct arena *arena, struct str target, struct str name,
                 struct volume_sight *sight, struct error *err);

/* Makes the volume NAME at `target` (see mounts.h; `keys` are for errors in the credentials). `read_only`: on nodes with SELinux,
 * too. On failure nothing of it stays, unless it had been whole before: then it is left as it was. */
bool volume_add(const struct volume_homes *homes, struct str target, struct str name,
                const struct credentials *credentials, const struct credentials_keys *keys,
                bool read_only, struct error *err);

/* Takes it away. Does all that it can, and tells the first thing that failed. True if nothing was there.
 *
 * Of the workload's folder, what goes with it are sockets. If anything else is in it, it stays and the log says so: pods under
 * other drivers may have put it there, and the end of a pod must not hang on that. */
bool volume_remove(const struct volume_homes *homes, struct str target, struct str name,
                   struct error *err);

/* The halves of volume_remove. For a target that is not the volume's only one: takes away what is mounted there. */
bool volume_detach(struct str target, struct error *err);
/* For a volume that is mounted nowhere: takes away its credentials and its workload's folder. */
bool volume_forget(const struct volume_homes *homes, struct str name, struct error *err);

#endif
