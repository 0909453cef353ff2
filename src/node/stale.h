/* What is left of CSI volumes that kubelet will not ask to be taken away any more, taken away when the driver starts.
 *
 * As a rule nothing is left: kubelet repeats NodeUnpublishVolume until it succeeds, also for a driver that was down, since it
 * keeps a file vol_data.json beside TARGET from before the volume is asked for until after it has gone. But if that file is lost, or
 * the pod's folder is removed by hand, it cannot. What nobody can use any more goes, by these rules:
 *
 *     mounts at TARGET   of which the workload's folder has been removed: no socket can be reached there, and none put there; or
 *                        that neither the node agent knows (no credentials) nor kubelet (no vol_data.json)
 *     P/creds, P/mount   of a volume that no mount shows, and whose pod has no folder at kubelet, or nobody knows whose it is (no
 *                        credentials): no container can have it
 *
 * Everything else stays, and if there is a doubt the log says so: credentials that cannot be read; a mount that the node agent
 * knows, but kubelet does not, for its pod may still run.
 *
 * Only volumes are looked at whose name is one of those that kubelet makes for CSI's ephemeral volumes, csi- and 64 hexadecimal
 * digits: those of the FlexVolume driver, which shares P, are named otherwise. And nothing is done at all unless kubelet's
 * folder of pods can be read and has something in it: at least the driver's own pod must be there, or it is not kubelet's.
 *
 * Source: Kubernetes' pkg/volume/csi (vol_data.json; makeVolumeHandle).
 */
#ifndef NODE_STALE_H
#define NODE_STALE_H

#include "node/volume.h"

struct stale_count {
    size_t mounts, volumes; /* taken away */
    size_t doubtful;        /* left, with a warning in the log */
};

/* `kubelet` is kubelet's folder, such as /var/lib/kubelet. Must not run beside a driver that makes volumes. False: it could not
 * be found out what is there, and nothing was done. */
bool stale_clean(const struct volume_homes *homes, const char *kubelet, struct stale_count *count,
                 struct error *err);

#endif
