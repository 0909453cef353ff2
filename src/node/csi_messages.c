#include "node/csi_messages.h"

#include "node/mounts.h"
#include "pb/reader.h"
#include "pb/writer.h"

/* Numbers in this file are the field numbers of proto/csi.proto. */

static const char uid_key[] = "csi.storage.k8s.io/pod.uid";
static const char name_key[] = "csi.storage.k8s.io/pod.name";
static const char namespace_key[] = "csi.storage.k8s.io/pod.namespace";
static const char account_key[] = "csi.storage.k8s.io/serviceAccount.name";
static const char ephemeral_key[] = "csi.storage.k8s.io/ephemeral";

static const char *const key_names[CSI_KEYS] = {
    [CSI_POD_UID] = uid_key,
    [CSI_POD_NAME] = name_key,
    [CSI_POD_NAMESPACE] = namespace_key,
    [CSI_POD_ACCOUNT] = account_key,
    [CSI_EPHEMERAL] = ephemeral_key,
};

const struct credentials_keys csi_credentials_keys = {uid_key, name_key, namespace_key,
                                                      account_key};

/* ---- decoding ---- */

static bool decode_access_mode(struct str bytes, struct csi_publish *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            request->mode = pb_varint(&r, &f);
    }
    return !r.failed;
}

static bool decode_mount(struct str bytes, struct csi_publish *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    request->access = CSI_ACCESS_MOUNT;
    while (pb_next(&r, &f)) {
        if (f.number == 2)
            request->has_mount_flags |= pb_bytes(&r, &f).len > 0;
    }
    return !r.failed;
}

static bool decode_capability(struct str bytes, struct csi_publish *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    bool ok = true;
    request->has_capability = true;
    while (ok && pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            request->access = CSI_ACCESS_BLOCK;
            ok = csi_is_message(pb_bytes(&r, &f));
            break;
        case 2:
            ok = decode_mount(pb_bytes(&r, &f), request);
            break;
        case 3:
            ok = decode_access_mode(pb_bytes(&r, &f), request);
            break;
        default:
            break;
        }
    }
    return ok && !r.failed;
}

/* An entry of volume_context: key 1, value 2. */
static bool decode_context(struct str bytes, struct csi_publish *request, struct error *err)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    struct str key = STR(""), value = STR("");
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            key = pb_bytes(&r, &f);
        else if (f.number == 2)
            value = pb_bytes(&r, &f);
    }
    if (r.failed)
        return error_set(err, "volume_context is not a map of strings");
    for (size_t i = 0; i < CSI_KEYS; i++) {
        if (!str_eq(key, str_from_c(key_names[i])))
            continue;
        /* A map has no key twice; which of them whoever made this meant, we do not guess. */
        if (request->is_given[i])
            return error_set(err, "volume_context has %s twice", key_names[i]);
        request->is_given[i] = true;
        request->context[i] = value;
    }
    return true;
}

static bool decode_publish_field(struct pb_reader *r, const struct pb_field *f,
                                 struct csi_publish *request, struct error *err)
{
    switch (f->number) {
    case 1:
        request->volume_id = pb_bytes(r, f);
        return true;
    case 4:
        request->target_path = pb_bytes(r, f);
        return true;
    case 5:
        return decode_capability(pb_bytes(r, f), request) ||
               error_set(err, "volume_capability is not a VolumeCapability");
    case 6:
        request->read_only = pb_varint(r, f) != 0;
        return true;
    case 8:
        return decode_context(pb_bytes(r, f), request, err);
    default:
        return true;
    }
}

bool csi_decode_publish(struct str bytes, struct csi_publish *request, struct error *err)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    *request = (struct csi_publish){0};
    while (pb_next(&r, &f)) {
        if (!decode_publish_field(&r, &f, request, err))
            return false;
    }
    return !r.failed || error_set(err, "the message is not a NodePublishVolumeRequest");
}

bool csi_decode_unpublish(struct str bytes, struct csi_unpublish *request, struct error *err)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    *request = (struct csi_unpublish){0};
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            request->volume_id = pb_bytes(&r, &f);
        else if (f.number == 2)
            request->target_path = pb_bytes(&r, &f);
    }
    return !r.failed || error_set(err, "the message is not a NodeUnpublishVolumeRequest");
}

bool csi_is_message(struct str bytes)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
    }
    return !r.failed;
}

/* ---- checking ---- */

/* What both calls have. */
static bool check_place(struct str volume_id, struct str target_path, struct str *uid,
                        struct error *err)
{
    if (volume_id.len == 0)
        return error_set(err, "volume_id is missing");
    if (target_path.len == 0)
        return error_set(err, "target_path is missing");
    if (!credentials_check_name("volume_id", volume_id, err))
        return false;
    return mounts_pod_uid(target_path, uid, err) || error_prefix(err, "target_path");
}

static enum grpc_code refuse(struct error *err, const char *what)
{
    error_set(err, "%s", what);
    return GRPC_FAILED_PRECONDITION;
}

static enum grpc_code check_capability(const struct csi_publish *request, struct error *err)
{
    if (!request->has_capability || request->access == CSI_ACCESS_MISSING ||
        request->mode == CSI_MODE_MISSING) {
        error_set(err, "%s is missing",
                  !request->has_capability                ? "volume_capability"
                  : request->access == CSI_ACCESS_MISSING ? "volume_capability.access_type"
                                                          : "volume_capability.access_mode");
        return GRPC_INVALID_ARGUMENT;
    }
    if (request->access == CSI_ACCESS_BLOCK)
        return refuse(err, "volume_capability is block: the volume is a folder, not a device");
    if (request->mode != CSI_MODE_WRITER && request->mode != CSI_MODE_READER)
        return refuse(err, "volume_capability.access_mode is neither SINGLE_NODE_WRITER nor "
                           "SINGLE_NODE_READER_ONLY: the volume is one pod's on one node");
    if (request->has_mount_flags)
        return refuse(err, "volume_capability.mount.mount_flags: the volume has no mount options");
    return GRPC_OK;
}

static enum grpc_code check_context(const struct csi_publish *request, struct error *err)
{
    for (size_t i = 0; i < CSI_KEYS; i++) {
        if (request->is_given[i])
            continue;
        error_set(err,
                  "%s is missing from volume_context; is podInfoOnMount true in the CSIDriver "
                  "csi.tigera.io?",
                  key_names[i]);
        return GRPC_INVALID_ARGUMENT;
    }
    if (str_eq(request->context[CSI_EPHEMERAL], STR("true")))
        return GRPC_OK;
    error_set(err,
              "%s is %s: there are only ephemeral volumes, inline in a pod, no persistent ones",
              ephemeral_key, quote(request->context[CSI_EPHEMERAL]).text);
    return GRPC_FAILED_PRECONDITION;
}

static bool check_credentials(const struct credentials *c, struct str path, struct str uid,
                              struct error *err)
{
    return credentials_check(c, &csi_credentials_keys, err) &&
           (str_eq(uid, c->uid) ||
            error_set(err, "target_path %s is not a volume of the pod whose %s is %s",
                      quote(path).text, uid_key, quote(c->uid).text));
}

enum grpc_code csi_check_publish(struct csi_publish *request, struct credentials *credentials,
                                 struct error *err)
{
    struct str uid = {NULL, 0};
    *credentials = (struct credentials){
        .uid = request->context[CSI_POD_UID],
        .workload = request->context[CSI_POD_NAME],
        .namespace = request->context[CSI_POD_NAMESPACE],
        .account = request->context[CSI_POD_ACCOUNT],
    };
    if (!check_place(request->volume_id, request->target_path, &uid, err))
        return GRPC_INVALID_ARGUMENT;
    enum grpc_code code = check_capability(request, err);
    if (code == GRPC_OK)
        code = check_context(request, err);
    if (code == GRPC_OK && !check_credentials(credentials, request->target_path, uid, err))
        code = GRPC_INVALID_ARGUMENT;
    request->read_only |= request->mode == CSI_MODE_READER;
    return code;
}

enum grpc_code csi_check_unpublish(const struct csi_unpublish *request, struct error *err)
{
    struct str uid = {NULL, 0};
    return check_place(request->volume_id, request->target_path, &uid, err) ? GRPC_OK
                                                                            : GRPC_INVALID_ARGUMENT;
}

/* ---- encoding ---- */

void csi_encode_plugin_info(struct buf *out, struct str name, struct str version)
{
    pb_write_bytes(out, 1, name);
    pb_write_bytes(out, 2, version);
}

void csi_encode_ready(struct buf *out)
{
    size_t ready = pb_begin(out, 1); /* google.protobuf.BoolValue */
    pb_write_varint(out, 1, 1);
    pb_end(out, ready);
}

void csi_encode_node_info(struct buf *out, struct str node_id)
{
    pb_write_bytes(out, 1, node_id);
}
