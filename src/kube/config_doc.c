#include "kube/config_doc.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_LIMIT = 4 * 1024 * 1024 };

/* ---- files ---- */

static bool read_text(const char *path, struct buf *text, bool *is_missing, struct error *err)
{
    FILE *file = fopen(path, "re");
    *is_missing = file == NULL && errno == ENOENT;
    if (file == NULL)
        return error_set(err, "cannot open kubeconfig %s: %s", quote(str_from_c(path)).text,
                         strerror(errno));
    size_t len;
    while (text->len <= FILE_LIMIT && (len = fread(buf_reserve(text, 4096), 1, 4096, file)) > 0)
        text->len += len;
    bool ok = !ferror(file) && text->len <= FILE_LIMIT;
    fclose(file);
    return ok || error_set(err, "cannot read kubeconfig %s, or it is larger than 4 MiB",
                           quote(str_from_c(path)).text);
}

static bool read_file(struct arena *arena, const char *path, struct config_files *files,
                      bool *is_missing, struct error *err)
{
    WIPE_BUF struct buf text = {0};
    if (!read_text(path, &text, is_missing, err))
        return false;
    struct doc_file documents = doc_load(arena, arena_copy(arena, buf_str(&text)), false);
    if (documents.count == 0)
        return true; /* nothing in it */
    if (documents.entries[0].failed)
        return error_set(err, "kubeconfig %s: %s", path, documents.entries[0].error.text);
    if (documents.entries[0].root->type != DOC_MAP)
        return error_set(err, "kubeconfig %s is not a map", path);
    files->items[files->count++] = (struct config_file){path, documents.entries[0].root};
    return true;
}

bool config_read_files(struct arena *arena, const char *paths, struct config_files *files,
                       struct error *err)
{
    struct str rest = str_from_c(paths), path;
    *files = (struct config_files){arena_array(arena, strlen(paths) + 1, sizeof(*files->items)), 0};
    bool is_list = strchr(paths, ':') != NULL, is_missing;
    while (rest.len > 0) {
        str_cut(rest, ':', &path, &rest);
        if (path.len == 0)
            continue;
        const char *copy = arena_copy(arena, path).ptr;
        if (!read_file(arena, copy, files, &is_missing, err) && !(is_list && is_missing))
            return false;
    }
    return files->count > 0 ||
           error_set(err, "there is nothing in kubeconfig %s", quote(str_from_c(paths)).text);
}

/* ---- finding ---- */

/* The entries of that name; *entry: the first, or NULL. */
static size_t find_named(const struct doc_node *list, const char *name,
                         const struct doc_node **entry)
{
    size_t found = 0;
    *entry = NULL;
    for (size_t i = 0; list != NULL && list->type == DOC_LIST && i < list->count; i++) {
        const struct doc_node *own = doc_get(list->items[i], STR("name"));
        if (own == NULL || own->type != DOC_STRING || !str_eq(own->text, str_from_c(name)))
            continue;
        if (found++ == 0)
            *entry = list->items[i];
    }
    return found;
}

/* A field of ours that holds something else than it should would count as one that is not there: a user without a token, say. */
static bool check_fields(const struct config_item *item, struct error *err)
{
    static const char *const texts[] = {"cluster",
                                        "user",
                                        "server",
                                        "tls-server-name",
                                        "proxy-url",
                                        "certificate-authority",
                                        "certificate-authority-data",
                                        "client-certificate",
                                        "client-certificate-data",
                                        "client-key",
                                        "client-key-data",
                                        "token",
                                        "tokenFile",
                                        "username",
                                        "password",
                                        "command",
                                        "apiVersion",
                                        "installHint",
                                        "interactiveMode"};
    static const char *const booleans[] = {"insecure-skip-tls-verify", "provideClusterInfo"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct doc_node *node = doc_get(item->node, str_from_c(texts[i]));
        if (node != NULL && (node->type == DOC_LIST || node->type == DOC_MAP))
            return error_set(err, "%s: %s %s: %s is no text", item->file, item->kind, item->name,
                             texts[i]);
    }
    for (size_t i = 0; i < sizeof(booleans) / sizeof(booleans[0]); i++) {
        const struct doc_node *node = doc_get(item->node, str_from_c(booleans[i]));
        if (node != NULL && node->type != DOC_NULL && node->type != DOC_BOOL)
            return error_set(err, "%s: %s %s: %s is neither true nor false", item->file, item->kind,
                             item->name, booleans[i]);
    }
    return true;
}

/* The first file that has it counts; item->node is NULL if none has. False: a file has it twice, so that nobody knows which is meant. */
static bool find_item(const struct config_files *files, const char *kind, const char *name,
                      struct config_item *item, struct error *err)
{
    CLEANUP_BUF struct buf plural = {0};
    buf_printf(&plural, "%ss", kind);
    *item = (struct config_item){.kind = kind, .name = name};
    for (size_t i = 0; i < files->count && item->node == NULL; i++) {
        const struct config_file *file = &files->items[i];
        const struct doc_node *entry;
        if (find_named(doc_get(file->root, buf_str(&plural)), name, &entry) > 1)
            return error_set(err, "kubeconfig %s has %s %s twice", file->path, kind,
                             quote(str_from_c(name)).text);
        const struct doc_node *node = doc_get(entry, str_from_c(kind));
        if (node != NULL && node->type == DOC_MAP)
            *item = (struct config_item){kind, name, file->path, node};
    }
    return true;
}

bool config_find_context(const struct config_files *files, struct config_item *context,
                         struct error *err)
{
    const char *name = NULL;
    for (size_t i = 0; i < files->count && name == NULL; i++) {
        const struct config_item root = {"file", "", files->items[i].path, files->items[i].root};
        name = config_text(&root, "current-context");
    }
    if (name == NULL)
        return error_set(err, "kubeconfig %s has no current-context", files->items[0].path);
    if (!find_item(files, "context", name, context, err))
        return false;
    if (context->node == NULL)
        return error_set(err, "kubeconfig %s has no context %s", files->items[0].path,
                         quote(str_from_c(name)).text);
    return check_fields(context, err);
}

bool config_find(const struct config_files *files, const char *kind, const char *name,
                 const struct config_item *context, struct config_item *item, struct error *err)
{
    if (name == NULL)
        return error_set(err, "kubeconfig %s: context %s names no %s", context->file, context->name,
                         kind);
    if (!find_item(files, kind, name, item, err))
        return false;
    if (item->node == NULL)
        return error_set(err, "kubeconfig %s: there is no %s %s, which context %s names",
                         context->file, kind, quote(str_from_c(name)).text, context->name);
    return check_fields(item, err);
}

/* ---- values ---- */

/* Numbers and booleans are texts, too, by the way they are written. */
static bool is_text(const struct doc_node *node)
{
    return node != NULL && node->type != DOC_NULL && node->type != DOC_LIST &&
           node->type != DOC_MAP;
}

const char *config_text(const struct config_item *item, const char *key)
{
    const struct doc_node *node = doc_get(item->node, str_from_c(key));
    return is_text(node) && node->text.len > 0 ? node->text.ptr : NULL;
}

bool config_bool(const struct config_item *item, const char *key)
{
    const struct doc_node *node = doc_get(item->node, str_from_c(key));
    return node != NULL && node->type == DOC_BOOL && node->boolean;
}

bool config_has(const struct config_item *item, const char *key)
{
    const struct doc_node *node = doc_get(item->node, str_from_c(key));
    return node != NULL && node->type != DOC_NULL;
}

const char *config_copy(struct arena *arena, const char *text)
{
    return text != NULL ? arena_copy(arena, str_from_c(text)).ptr : NULL;
}

const char *config_path(struct arena *arena, const struct config_item *item, const char *key)
{
    const char *path = config_text(item, key), *slash = strrchr(item->file, '/');
    if (path == NULL || path[0] == '/' || slash == NULL)
        return config_copy(arena, path);
    return arena_printf(arena, "%.*s/%s", (int)(slash - item->file), item->file, path).ptr;
}

/* ---- exec ---- */

/* The list of that name; NULL: it is empty, or not there. */
static bool get_list(const struct config_item *exec, const char *key, const struct doc_node **list,
                     struct error *err)
{
    *list = doc_get(exec->node, str_from_c(key));
    if (*list != NULL && (*list)->type == DOC_NULL)
        *list = NULL;
    return *list == NULL || (*list)->type == DOC_LIST ||
           error_set(err, "%s: user %s: exec: %s is no list", exec->file, exec->name, key);
}

static bool copy_args(struct arena *arena, const struct config_item *exec, const char ***args,
                      struct error *err)
{
    const struct doc_node *list;
    if (!get_list(exec, "args", &list, err))
        return false;
    size_t count = list != NULL ? list->count : 0;
    *args = arena_array(arena, count + 1, sizeof(**args));
    for (size_t i = 0; i < count; i++) {
        if (!is_text(list->items[i]))
            return error_set(err, "%s: user %s: exec: args[%zu] is no text", exec->file, exec->name,
                             i);
        (*args)[i] = arena_copy(arena, list->items[i]->text).ptr;
    }
    return true;
}

static bool copy_env(struct arena *arena, const struct config_item *exec, const char ***env,
                     struct error *err)
{
    const struct doc_node *list;
    if (!get_list(exec, "env", &list, err))
        return false;
    size_t count = list != NULL ? list->count : 0;
    *env = arena_array(arena, count + 1, sizeof(**env));
    for (size_t i = 0; i < count; i++) {
        const struct doc_node *name = doc_get(list->items[i], STR("name"));
        const struct doc_node *value = doc_get(list->items[i], STR("value"));
        if (!is_text(name) || name->text.len == 0 || str_find(name->text, '=') < name->text.len ||
            !is_text(value))
            return error_set(err, "%s: user %s: exec: env[%zu] has no name and value", exec->file,
                             exec->name, i);
        (*env)[i] = arena_printf(arena, "%.*s=%.*s", STR_ARG(name->text), STR_ARG(value->text)).ptr;
    }
    return true;
}

/* The program, its version and its ways. */
static bool read_exec(struct arena *arena, const struct config_item *item, struct kube_exec *exec,
                      struct error *err)
{
    const char *command = config_text(item, "command");
    const char *version = config_text(item, "apiVersion");
    const char *mode = config_text(item, "interactiveMode");
    if (command == NULL || version == NULL)
        return error_set(err, "%s: user %s: exec needs command and apiVersion", item->file,
                         item->name);
    if (strcmp(version, "client.authentication.k8s.io/v1") != 0 &&
        strcmp(version, "client.authentication.k8s.io/v1beta1") != 0)
        return error_set(err, "%s: user %s: exec: apiVersion %s is not supported", item->file,
                         item->name, quote(str_from_c(version)).text);
    if (mode != NULL && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
        return error_set(err, "%s: user %s: exec: interactiveMode %s is not supported", item->file,
                         item->name, quote(str_from_c(mode)).text);
    /* A bare name is looked for on the PATH, a path is relative to the file. */
    exec->command = strchr(command, '/') != NULL ? config_path(arena, item, "command")
                                                 : config_copy(arena, command);
    exec->api_version = config_copy(arena, version);
    exec->install_hint = config_copy(arena, config_text(item, "installHint"));
    exec->provide_cluster_info = config_bool(item, "provideClusterInfo");
    return copy_args(arena, item, &exec->args, err) && copy_env(arena, item, &exec->env, err);
}

bool config_exec(struct arena *arena, const struct config_item *user, struct kube_exec *exec,
                 struct error *err)
{
    const struct doc_node *node = doc_get(user->node, STR("exec"));
    if (node == NULL || node->type == DOC_NULL)
        return true;
    const struct config_item item = {"user", user->name, user->file, node};
    if (node->type != DOC_MAP)
        return error_set(err, "%s: user %s: exec is no map", user->file, user->name);
    return check_fields(&item, err) && read_exec(arena, &item, exec, err);
}
