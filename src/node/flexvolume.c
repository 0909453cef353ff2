#include "node/flexvolume.h"

#include "node/mounts.h"

/* ---- answers ---- */

static void append_string(struct buf *out, const char *text)
{
    buf_append_byte(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_append_byte(out, '\\');
        buf_append_byte(out, *text < 0x20 || *text > 0x7e ? '?' : *text);
    }
    buf_append_byte(out, '"');
}

static void append_status(struct buf *out, enum flexvolume_status status, const char *message)
{
    static const char *const names[] = {"Success", "Failure", "Not supported"};
    buf_printf(out, "{\"status\":\"%s\",\"message\":", names[status]);
    append_string(out, message);
}

void flexvolume_answer(struct buf *out, enum flexvolume_status status, const char *message)
{
    append_status(out, status, message);
    buf_append_str(out, STR("}\n"));
}

void flexvolume_answer_init(struct buf *out)
{
    append_status(out, FLEXVOLUME_SUCCESS, "ready");
    buf_append_str(out, STR(",\"capabilities\":{\"attach\":false,\"fsGroup\":false}}\n"));
}

/* ---- calls ---- */

static const struct credentials_keys option_keys = {
    "kubernetes.io/pod.uid", "kubernetes.io/pod.name", "kubernetes.io/pod.namespace",
    "kubernetes.io/serviceAccount.name"};

bool flexvolume_parse_options(struct arena *arena, struct str options,
                              struct credentials *credentials, struct error *err)
{
    return credentials_parse(arena, options, &option_keys, credentials, err) ||
           error_prefix(err, "the options of mount");
}

bool flexvolume_mount(const struct node_config *config, struct str dir, struct str options,
                      struct error *err)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct credentials c;
    struct str uid;
    if (!flexvolume_parse_options(&arena, options, &c, err) || !mounts_pod_uid(dir, &uid, err))
        return false;
    if (!str_eq(uid, c.uid))
        return error_set(err, "%s is not a volume of the pod whose %s is %s", quote(dir).text,
                         option_keys.uid, quote(c.uid).text);
    if (!volume_add(&config->homes, dir, uid, &c, &option_keys, false, err))
        return false;
    log_event(LOG_INFO, "Mounted", LOG_STR("dir", dir), LOG_STR("uid", uid),
              LOG_STR("namespace", c.namespace), LOG_STR("pod", c.workload),
              LOG_STR("account", c.account));
    return true;
}

bool flexvolume_unmount(const struct node_config *config, struct str dir, struct error *err)
{
    struct str uid;
    if (!mounts_pod_uid(dir, &uid, err) || !volume_remove(&config->homes, dir, uid, err))
        return false;
    log_event(LOG_INFO, "Unmounted", LOG_STR("dir", dir), LOG_STR("uid", uid));
    return true;
}
