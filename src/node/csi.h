/* The CSI driver csi.tigera.io: the services Identity and Node of the Container Storage Interface, over gRPC. With it a pod has the
 * volume
 *
 *     volumes: [{name: felix-sync, csi: {driver: csi.tigera.io}}]
 *
 * and in that the node agent's socket, nodeagent/socket (see volume.h). The volume's id is its NAME there.
 *
 *     NodePublishVolume     makes the volume; only ephemeral ones are offered (see csi_messages.h)
 *     NodeUnpublishVolume   takes it away
 *     NodeGetCapabilities   none: no staging, statistics, growth; those calls answer UNIMPLEMENTED
 *     NodeGetInfo           the node's id, which Kubernetes wants to hear though nothing uses it
 *     GetPluginInfo, GetPluginCapabilities (none), Probe (ready: whoever can ask is answered)
 *
 * Both calls can be repeated. What there is, is read from the disk and from the mounts each time, so that a driver that was
 * restarted, or killed in the middle, needs to remember nothing. As CSI has it:
 *
 *     published at this TARGET, for the same pod             OK
 *     published at this TARGET, for somebody else            ALREADY_EXISTS
 *     published at another TARGET                            FAILED_PRECONDITION; unpublish there leaves it alone
 *     another volume is at this TARGET                       FAILED_PRECONDITION, of both calls
 *     something on the node cannot be done                   INTERNAL: nothing of the volume is left, kubelet counts on it
 *
 * Threads: all on the loop's, one call after the other, so calls for one volume take turns. A call takes some milliseconds, most
 * of them until the credentials are on the disk.
 *
 * Source: container-storage-interface/spec, version 1; kubelet's pkg/volume/csi; upstream's pod2daemon/csidriver.
 */
#ifndef NODE_CSI_H
#define NODE_CSI_H

#include "grpc/server.h"
#include "node/volume.h"

#define CSI_DRIVER_NAME "csi.tigera.io"

/* What is kept for it. Borrowed: must outlive the server. */
struct csi_driver {
    struct volume_homes homes;
    struct str node_id; /* see csi_check_node_id */
};

/* A node's id: 1 to 256 bytes of printable ASCII without blanks. (CSI has any text of that length; Kubernetes' are DNS names.) */
bool csi_check_node_id(struct str node_id, struct error *err);

/* The calls, for grpc_server_new. */
enum { CSI_METHODS = 11 };
void csi_list_methods(struct csi_driver *driver, struct grpc_method methods[CSI_METHODS]);

#endif
