/* The messages of CSI (proto/csi.proto) that the driver reads and sends, as C values, and which requests it can fulfil.
 *
 * Decoding is strict about the wire format and passes over fields that it does not know. Strings point into the message. Secrets
 * are not looked at.
 */
#ifndef NODE_CSI_MESSAGES_H
#define NODE_CSI_MESSAGES_H

#include "grpc/status.h"
#include "node/credentials.h"

/* What is read of volume_context. Kubelet puts them there if the CSIDriver object says podInfoOnMount; without that the author of the
 * pod could, by volumeAttributes. */
enum csi_key {
    CSI_POD_UID,
    CSI_POD_NAME,
    CSI_POD_NAMESPACE,
    CSI_POD_ACCOUNT,
    CSI_EPHEMERAL,
    CSI_KEYS,
};

enum csi_access { CSI_ACCESS_MISSING, CSI_ACCESS_BLOCK, CSI_ACCESS_MOUNT };
/* Of CSI's access modes those that matter here. */
enum csi_mode { CSI_MODE_MISSING = 0, CSI_MODE_WRITER = 1, CSI_MODE_READER = 2 };

struct csi_publish {
    struct str volume_id, target_path;
    bool has_capability;
    enum csi_access access;
    uint64_t mode; /* see csi_mode; others come, too */
    bool has_mount_flags;
    bool read_only;
    bool is_given[CSI_KEYS];
    struct str context[CSI_KEYS];
};

struct csi_unpublish {
    struct str volume_id, target_path;
};

/* False, with an error, if the bytes are no such message, or have a key of volume_context twice. */
bool csi_decode_publish(struct str bytes, struct csi_publish *request, struct error *err);
bool csi_decode_unpublish(struct str bytes, struct csi_unpublish *request, struct error *err);
/* A message of which no field is needed. */
bool csi_is_message(struct str bytes);

/* Whether it is asked for what there is: an ephemeral volume of a pod, to be mounted, on this node. GRPC_OK, with the pod's
 * credentials and read_only set if anything of the request says so; else INVALID_ARGUMENT if something is missing or
 * wrong in itself, FAILED_PRECONDITION if it is another kind of volume, and an error that names what. */
enum grpc_code csi_check_publish(struct csi_publish *request, struct credentials *credentials,
                                 struct error *err);
/* GRPC_OK or INVALID_ARGUMENT. */
enum grpc_code csi_check_unpublish(const struct csi_unpublish *request, struct error *err);
/* What the keys of credentials are called in requests. */
extern const struct credentials_keys csi_credentials_keys;

/* Append an answer. */
void csi_encode_plugin_info(struct buf *out, struct str name, struct str version);
void csi_encode_ready(struct buf *out);
void csi_encode_node_info(struct buf *out, struct str node_id);

#endif
