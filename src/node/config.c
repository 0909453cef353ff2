#include "node/config.h"

#include <fcntl.h>

#include "node/object.h"

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

bool node_config_parse(struct arena *arena, struct str text, struct node_config *config,
                       struct error *err)
{
    struct str version = {NULL, 0};
    const struct doc_node *object = object_load(arena, text, err);
    *config = (struct node_config){.log_level = LOG_WARNING};
    return object != NULL && take_homes(arena, object, &config->homes, err) &&
           take_level(arena, object, &config->log_level, err) &&
           object_string_if_any(arena, object, "endpoint", &config->endpoint, err) &&
           object_string_if_any(arena, object, "node_id", &config->node_id, err) &&
           object_string_if_any(arena, object, "k8s_version", &version, err);
}

bool node_config_read(const char *path, bool must_exist, struct arena *arena,
                      struct node_config *config, struct error *err)
{
    enum { FILE_LIMIT = 64 * 1024 };
    CLEANUP_BUF struct buf text = {0};
    enum disk_result result = disk_read(AT_FDCWD, path, true, FILE_LIMIT, &text, err);
    if (result != DISK_READ && (result != DISK_GONE || must_exist))
        return false;
    if (result == DISK_GONE)
        buf_append_str(&text, STR("{}"));
    return node_config_parse(arena, buf_str(&text), config, err) ||
           error_prefix(err, "%s", quote(str_from_c(path)).text);
}
