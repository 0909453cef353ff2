/* Any bytes as the two requests of CSI that do something. What is accepted is safe to act on; nothing is mounted here. */
#include <assert.h>

#include "fuzz.h"
#include "node/csi_messages.h"
#include "node/mounts.h"

static void check_place(struct str volume_id, struct str target_path)
{
    struct str uid;
    struct error err;
    assert(credentials_check_name("id", volume_id, &err));
    assert(mounts_pod_uid(target_path, &uid, &err));
    assert(target_path.ptr[0] == '/' && !str_contains(target_path, STR("/../")));
}

static void check_publish(struct str bytes)
{
    CLEANUP_BUF struct buf text = {0};
    struct csi_publish request;
    struct credentials c;
    struct error err;
    struct str uid;
    if (!csi_decode_publish(bytes, &request, &err) ||
        csi_check_publish(&request, &c, &err) != GRPC_OK)
        return;
    check_place(request.volume_id, request.target_path);
    assert(credentials_check(&c, &csi_credentials_keys, &err));
    assert(mounts_pod_uid(request.target_path, &uid, &err) && str_eq(uid, c.uid));
    assert(request.access == CSI_ACCESS_MOUNT && !request.has_mount_flags);
    credentials_format(&text, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_make((const char *)data, size);
    struct csi_unpublish request;
    struct error err;
    check_publish(bytes);
    if (csi_decode_unpublish(bytes, &request, &err) &&
        csi_check_unpublish(&request, &err) == GRPC_OK)
        check_place(request.volume_id, request.target_path);
    return 0;
}
