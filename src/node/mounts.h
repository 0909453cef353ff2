/* The mounts of one volume, as a pod sees them:
 *
 *     TARGET             a tmpfs of 8 KiB, so that kubelet finds something mounted here
 *     TARGET/nodeagent   the workload's folder, P/mount/NAME, bound here; the node agent's socket is in it
 *
 * TARGET is kubelet's: …/pods/UID/volumes/DRIVER/NAME, and for CSI /mount behind it. What is above `pods` is the
 * administrator's, and links in it are followed. From UID on, links are never followed: not kubelet makes them, and whoever
 * else managed to must not lead a mount of root's elsewhere. For the same reason every step works on the folder that is open, not
 * on its path. Whether a folder is a mount point its mount id tells (/proc/self/fdinfo): unlike the paths in
 * /proc/self/mountinfo it cannot be missed while other mounts come and go.
 *
 * A pod must not be able to harm the node through its volume. So both mounts are nosuid, nodev, noexec, and read-only: the socket
 * can be connected to all the same, but root in a container can neither fill the node's memory through the workload's folder nor
 * put a link there for the node agent to stumble over. Only where SELinux is on must they stay writable, for there the
 * container runtime labels what is in a volume.
 *
 * A driver in a container mounts in a mount namespace of its own, and what the pod gets is the copy that the kernel makes of it in
 * the node's (mount propagation). A copy has the restrictions that a mount has when it appears, and none that it is given later.
 * So mounts are made ready first and then put in their place, which needs Linux 5.12; on older ones only a
 * driver that runs on the node itself can restrict them.
 *
 * Calls for the same TARGET take turns: mounts_open holds a lock on its parent folder until mounts_close.
 *
 * Needs CAP_SYS_ADMIN and /proc.
 */
#ifndef NODE_MOUNTS_H
#define NODE_MOUNTS_H

#include <limits.h>

#include "base/error.h"
#include "base/str.h"

struct mounts_target {
    struct str path; /* as it was given, for messages */
    int parent;      /* the folder that holds TARGET; -1: it is not there */
    char name[NAME_MAX + 1];
    bool made_folder; /* by mounts_make */
};

/* The pod's UID in the path of a TARGET: the component between `pods` and `volumes`. False, with an error, if the path is not one
 * of kubelet's; if it is not absolute, longer than PATH_MAX, or has NUL or a component `.` or `..`. */
bool mounts_pod_uid(struct str path, struct str *uid, struct error *err);

/* Whether two TARGETs are the same volume of the same pod, from wherever kubelet's folder is looked at: a container may see it
 * at several places. False if one of them is not a path of kubelet's. */
bool mounts_is_same(struct str a, struct str b);

/* Opens the parent folder of a TARGET and waits for the lock on it. That a folder on the way is not there is no failure:
 * then nothing is mounted. `path` must live until mounts_close. */
bool mounts_open(struct str path, struct mounts_target *target, struct error *err);
void mounts_close(struct mounts_target *target);

/* Puts both mounts there, unless they are there and right (*made says whether it did). TARGET itself is made if it is missing:
 * kubelet makes it for FlexVolume, and leaves it to the driver in CSI. What is left of an earlier try is taken away
 * first; something else that is mounted there is an error. On failure nothing of it stays.
 *
 * `folder` is the workload's folder, open. `writable`: see above. */
bool mounts_make(struct mounts_target *target, int folder, bool writable, bool *made,
                 struct error *err);

/* Takes back what mounts_make did: the mounts, and TARGET if it made it. */
void mounts_undo(struct mounts_target *target);

/* Unmounts whatever is mounted at TARGET and below, and removes TARGET. Who has something open there keeps it until
 * it is closed. True if it was not there. */
bool mounts_remove(struct mounts_target *target, struct error *err);

#endif
