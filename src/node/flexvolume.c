#include "node/flexvolume.h"

#include <fcntl.h>
#include <limits.h>

#include "node/mounts.h"
#include "node/object.h"

/* ---- configuration ---- */

/* Where a path under the prefix, its slashes and a name have room in PATH_MAX too. */
enum { HOME_LIMIT = 1024 };

/* A path without `..`: what is configured as a folder under the prefix must be one. */
static bool check_path(const char *key, struct str path, struct error *err)
{
    struct str component, rest = path;
    bool more;
    if (path.len > HOME_LIMIT)
        return error_set(err, "%s %s is longer than %d bytes", key, quote(path).text, HOME_LIMIT);
    do {
        more = str_cut(rest, '/', &component, &rest);
        if (str_eq(component, STR("..")))
            return error_set(err, "%s %s has .. in it", key, quote(path).text);
    } while (more);
    return true;
}

static bool take_home(struct arena *arena, const struct doc_node *object, const char *key,
                      struct str prefix, struct str home, const char **out, struct error *err)
{
    if (!object_string_if_any(arena, object, key, &home, err) || !check_path(key, home, err))
        return false;
    while (str_starts_with(home, STR("/")))
        home = str_from(home, 1);
    *out = arena_printf(arena, "%.*s/%.*s", STR_ARG(prefix), STR_ARG(home)).ptr;
    return true;
}

static bool take_homes(struct arena *arena, const struct doc_node *object,
                       struct volume_homes *homes, struct error *err)
{
    const char *key = "nodeagent_management_home";
    struct str prefix = STR("/var/run/nodeagent");
    if (!object_string_if_any(arena, object, key, &prefix, err) || !check_path(key, prefix, err))
        return false;
    if (prefix.ptr[0] != '/')
        return error_set(err, "%s %s is not an absolute path", key, quote(prefix).text);
    return take_home(arena, object, "nodeagent_workload_home", prefix, STR("/mount"),
                     &homes->workloads, err) &&
           take_home(arena, object, "nodeagent_credentials_home", prefix, STR("/creds"),
                     &homes->credentials, err);
}

static bool take_level(struct arena *arena, const struct doc_node *object, enum log_level *level,
                       struct error *err)
{
    struct str word = STR("WARNING");
    if (!object_string_if_any(arena, object, "log_level", &word, err))
        return false;
    return log_parse_level(word, level) ||
           error_set(err, "log_level %s is none of DEBUG, INFO, WARNING, ERROR", quote(word).text);
}

bool flexvolume_parse_config(struct arena *arena, struct str text, struct flexvolume_config *config,
                             struct error *err)
{
    struct str version = {NULL, 0};
    const struct doc_node *object = object_load(arena, text, err);
    return object != NULL && take_homes(arena, object, &config->homes, err) &&
           take_level(arena, object, &config->log_level, err) &&
           object_string_if_any(arena, object, "k8s_version", &version, err);
}

bool flexvolume_read_config(const char *path, bool must_exist, struct arena *arena,
                            struct flexvolume_config *config, struct error *err)
{
    enum { FILE_LIMIT = 64 * 1024 };
    CLEANUP_BUF struct buf text = {0};
    enum disk_result result = disk_read(AT_FDCWD, path, true, FILE_LIMIT, &text, err);
    if (result == DISK_FAILED || (result == DISK_GONE && must_exist))
        return false;
    if (result == DISK_GONE)
        buf_append_str(&text, STR("{}"));
    return flexvolume_parse_config(arena, buf_str(&text), config, err) ||
           error_prefix(err, "%s", quote(str_from_c(path)).text);
}

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

bool flexvolume_mount(const struct flexvolume_config *config, struct str dir, struct str options,
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
    if (!volume_add(&config->homes, dir, uid, &c, &option_keys, err))
        return false;
    log_event(LOG_INFO, "Mounted", LOG_STR("dir", dir), LOG_STR("uid", uid),
              LOG_STR("namespace", c.namespace), LOG_STR("pod", c.workload),
              LOG_STR("account", c.account));
    return true;
}

bool flexvolume_unmount(const struct flexvolume_config *config, struct str dir, struct error *err)
{
    struct str uid;
    if (!mounts_pod_uid(dir, &uid, err) || !volume_remove(&config->homes, dir, uid, err))
        return false;
    log_event(LOG_INFO, "Unmounted", LOG_STR("dir", dir), LOG_STR("uid", uid));
    return true;
}
