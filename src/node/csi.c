#include "node/csi.h"

#include "base/log.h"
#include "node/csi_messages.h"

/* ---- answers ---- */

static void finish(struct grpc_call *call, const char *method, enum grpc_code code,
                   const struct error *err)
{
    if (code == GRPC_OK) {
        grpc_call_finish(call, GRPC_OK, STR(""));
        return;
    }
    log_event(LOG_ERROR, "Call failed", LOG_C("call", method), LOG_INT("code", code),
              LOG_C("problem", err->text));
    grpc_call_finish(call, code, str_from_c(err->text));
}

/* Answers a request that asks for nothing in particular. */
static void answer(struct grpc_call *call, struct str request, struct str response)
{
    if (!csi_is_message(request)) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, STR("the request is not a message"));
        return;
    }
    grpc_call_send(call, response);
    grpc_call_finish(call, GRPC_OK, STR(""));
}

/* ---- Identity ---- */

static void get_plugin_info(void *ctx, struct grpc_call *call, struct str request)
{
    CLEANUP_BUF struct buf response = {0};
    (void)ctx;
    csi_encode_plugin_info(&response, STR(CSI_DRIVER_NAME), STR(DIKAST_VERSION));
    answer(call, request, buf_str(&response));
}

static void probe(void *ctx, struct grpc_call *call, struct str request)
{
    CLEANUP_BUF struct buf response = {0};
    (void)ctx;
    csi_encode_ready(&response);
    answer(call, request, buf_str(&response));
}

static void get_no_capabilities(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    answer(call, request, STR(""));
}

/* ---- NodePublishVolume ---- */

/* Whether the volume at this TARGET is somebody else's. Bad credentials are nobody's: they are written anew. */
static enum grpc_code check_owner(const struct csi_driver *driver, struct arena *arena,
                                  const struct csi_publish *request,
                                  const struct credentials *wanted, struct error *err)
{
    struct credentials found;
    struct quoted name = quote(request->volume_id), path = quote(request->target_path);
    enum disk_result result =
        credentials_read(driver->homes.credentials, request->volume_id, arena, &found, err);
    if (result == DISK_BUSY)
        return GRPC_INTERNAL;
    if (result != DISK_READ || credentials_eq(&found, wanted))
        return GRPC_OK;
    error_set(err, "volume_id %s is at target_path %s already, for the pod %.*s/%.*s", name.text,
              path.text, STR_ARG(found.namespace), STR_ARG(found.workload));
    return GRPC_ALREADY_EXISTS;
}

/* Whether what is there already is in the way. */
static enum grpc_code check_sight(const struct csi_driver *driver, struct arena *arena,
                                  const struct csi_publish *request,
                                  const struct credentials *wanted, struct error *err)
{
    struct volume_sight sight;
    struct quoted name = quote(request->volume_id), path = quote(request->target_path);
    if (!volume_find(arena, request->target_path, request->volume_id, &sight, err))
        return GRPC_INTERNAL;
    if (sight.instead.len > 0) {
        error_set(err, "another volume, %s, is at target_path %s", quote(sight.instead).text,
                  path.text);
        return GRPC_FAILED_PRECONDITION;
    }
    if (sight.is_elsewhere) {
        error_set(err, "volume_id %s is at another target_path than %s already", name.text,
                  path.text);
        return GRPC_FAILED_PRECONDITION;
    }
    return sight.is_here ? check_owner(driver, arena, request, wanted, err) : GRPC_OK;
}

static enum grpc_code publish(const struct csi_driver *driver, struct str bytes, struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct csi_publish request;
    struct credentials c;
    if (!csi_decode_publish(bytes, &request, err))
        return GRPC_INVALID_ARGUMENT;
    enum grpc_code code = csi_check_publish(&request, &c, err);
    if (code == GRPC_OK)
        code = check_sight(driver, &arena, &request, &c, err);
    if (code != GRPC_OK)
        return code;
    if (!volume_add(&driver->homes, request.target_path, request.volume_id, &c,
                    &csi_credentials_keys, request.read_only, err))
        return GRPC_INTERNAL;
    log_event(LOG_INFO, "Published", LOG_STR("target", request.target_path),
              LOG_STR("volume", request.volume_id), LOG_STR("uid", c.uid),
              LOG_STR("namespace", c.namespace), LOG_STR("pod", c.workload),
              LOG_STR("account", c.account));
    return GRPC_OK;
}

static void node_publish_volume(void *ctx, struct grpc_call *call, struct str request)
{
    struct error err;
    enum grpc_code code = publish(ctx, request, &err);
    if (code == GRPC_OK)
        grpc_call_send(call, STR(""));
    finish(call, "NodePublishVolume", code, &err);
}

/* ---- NodeUnpublishVolume ---- */

static enum grpc_code unpublish(const struct csi_driver *driver, struct str bytes,
                                struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct csi_unpublish request;
    struct volume_sight sight;
    if (!csi_decode_unpublish(bytes, &request, err))
        return GRPC_INVALID_ARGUMENT;
    enum grpc_code code = csi_check_unpublish(&request, err);
    if (code != GRPC_OK)
        return code;
    if (!volume_find(&arena, request.target_path, request.volume_id, &sight, err))
        return GRPC_INTERNAL;
    if (sight.instead.len > 0) {
        error_set(err, "another volume, %s, is at target_path %s", quote(sight.instead).text,
                  quote(request.target_path).text);
        return GRPC_FAILED_PRECONDITION;
    }
    bool removed = sight.is_elsewhere
                       ? volume_detach(request.target_path, err)
                       : volume_remove(&driver->homes, request.target_path, request.volume_id, err);
    if (!removed)
        return GRPC_INTERNAL;
    log_event(LOG_INFO, "Unpublished", LOG_STR("target", request.target_path),
              LOG_STR("volume", request.volume_id));
    return GRPC_OK;
}

static void node_unpublish_volume(void *ctx, struct grpc_call *call, struct str request)
{
    struct error err;
    enum grpc_code code = unpublish(ctx, request, &err);
    if (code == GRPC_OK)
        grpc_call_send(call, STR(""));
    finish(call, "NodeUnpublishVolume", code, &err);
}

/* ---- the rest of Node ---- */

bool csi_check_node_id(struct str node_id, struct error *err)
{
    enum { LIMIT = 256 };
    bool good = node_id.len > 0 && node_id.len <= LIMIT;
    for (size_t i = 0; i < node_id.len; i++)
        good &= node_id.ptr[i] > ' ' && node_id.ptr[i] < 0x7f;
    return good || error_set(err,
                             "%s is not a node's id: 1 to %d printable ASCII characters without "
                             "blanks",
                             quote(node_id).text, LIMIT);
}

static void node_get_info(void *ctx, struct grpc_call *call, struct str request)
{
    CLEANUP_BUF struct buf response = {0};
    const struct csi_driver *driver = ctx;
    csi_encode_node_info(&response, driver->node_id);
    answer(call, request, buf_str(&response));
}

static void not_offered(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    grpc_call_finish(call, GRPC_UNIMPLEMENTED,
                     STR(CSI_DRIVER_NAME " offers neither staging nor statistics nor expansion of "
                                         "volumes, as NodeGetCapabilities says"));
}

void csi_list_methods(struct csi_driver *driver, struct grpc_method methods[CSI_METHODS])
{
    const struct grpc_method all[CSI_METHODS] = {
        {STR("/csi.v1.Identity/GetPluginInfo"), get_plugin_info, driver},
        {STR("/csi.v1.Identity/GetPluginCapabilities"), get_no_capabilities, driver},
        {STR("/csi.v1.Identity/Probe"), probe, driver},
        {STR("/csi.v1.Node/NodePublishVolume"), node_publish_volume, driver},
        {STR("/csi.v1.Node/NodeUnpublishVolume"), node_unpublish_volume, driver},
        {STR("/csi.v1.Node/NodeGetCapabilities"), get_no_capabilities, driver},
        {STR("/csi.v1.Node/NodeGetInfo"), node_get_info, driver},
        {STR("/csi.v1.Node/NodeStageVolume"), not_offered, driver},
        {STR("/csi.v1.Node/NodeUnstageVolume"), not_offered, driver},
        {STR("/csi.v1.Node/NodeGetVolumeStats"), not_offered, driver},
        {STR("/csi.v1.Node/NodeExpandVolume"), not_offered, driver},
    };
    memcpy(methods, all, sizeof(all));
}
