#include "kube/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "kube/config_doc.h"

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

bool kube_token_is_sound(struct str token)
{
    size_t i = 0;
    while (i < token.len && token.ptr[i] > ' ' && token.ptr[i] < 0x7f)
        i++;
    return i == token.len;
}

/* ---- in a pod ---- */

static bool load_in_cluster(struct kube_config *config, const char *host, struct error *err)
{
    struct arena *arena = &config->arena;
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    bool is_v6 = strchr(host, ':') != NULL;
    if (port == NULL || port[0] == '\0')
        return error_set(err, "KUBERNETES_SERVICE_HOST is set, but KUBERNETES_SERVICE_PORT is not");
    config->source = "in-cluster";
    config->server =
        arena_printf(arena, is_v6 ? "https://[%s]:%s" : "https://%s:%s", host, port).ptr;
    config->ca.path = POD_FOLDER "/ca.crt";
    config->token_file = POD_FOLDER "/token";
    if (access(config->token_file, R_OK) != 0)
        return error_set(err,
                         "cannot read %s: %s; has the pod automountServiceAccountToken: false?",
                         config->token_file, strerror(errno));
    return true;
}

/* ---- kubeconfig ---- */

static bool read_pem(struct kube_config *config, const struct config_item *item,
                     const char *file_key, const char *data_key, struct kube_pem *pem,
                     struct error *err)
{
    CLEANUP_BUF struct buf bytes = {0};
    const char *text = config_text(item, data_key);
    if (text == NULL) {
        pem->path = config_path(&config->arena, item, file_key);
        return true;
    }
    if (!base64_decode(&bytes, str_from_c(text)))
        return error_set(err, "%s: %s %s: %s is not base64", item->file, item->kind, item->name,
                         data_key);
    pem->data = arena_copy(&config->arena, buf_str(&bytes));
    return true;
}

static bool has_pem(const struct kube_pem *pem)
{
    return pem->path != NULL || pem->data.len > 0;
}

/* The server stands in the log, so there must be no password in it. */
static bool read_server(struct kube_config *config, const struct config_item *cluster,
                        struct error *err)
{
    struct str url = str_from_c(config_text(cluster, "server"));
    struct str scheme, rest;
    if (url.len == 0)
        return error_set(err, "%s: cluster %s has no server", cluster->file, cluster->name);
    if (str_find(url, '@') < url.len)
        return error_set(err, "%s: cluster %s: server has an @ in it: who asks is said in users",
                         cluster->file, cluster->name);
    while (url.len > 0 && url.ptr[url.len - 1] == '/')
        url.len--;
    str_cut(url, '/', &scheme, &rest);
    if ((!str_eq(scheme, STR("https:")) && !str_eq(scheme, STR("http:"))) ||
        !str_starts_with(rest, STR("/")) || rest.len < 2 || rest.ptr[1] == '/')
        return error_set(err, "%s: cluster %s: server %s is not an http(s) URL", cluster->file,
                         cluster->name, quote(str_from_c(config_text(cluster, "server"))).text);
    config->server = arena_copy(&config->arena, url).ptr;
    return true;
}

/* It may hold a password, so it is not shown. */
static bool read_proxy(struct kube_config *config, const struct config_item *cluster,
                       struct error *err)
{
    static const struct str schemes[] = {STR_INIT("http://"), STR_INIT("https://"),
                                         STR_INIT("socks5://"), STR_INIT("socks5h://")};
    struct str url = str_from_c(config_text(cluster, "proxy-url"));
    bool is_known = url.len == 0;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        is_known |=
            url.len > schemes[i].len && str_eq_nocase(str_head(url, schemes[i].len), schemes[i]);
    config->proxy = config_copy(&config->arena, config_text(cluster, "proxy-url"));
    return is_known ||
           error_set(err, "%s: cluster %s: proxy-url is no URL of http, https, socks5 or socks5h",
                     cluster->file, cluster->name);
}

static bool read_cluster(struct kube_config *config, const struct config_item *cluster,
                         struct error *err)
{
    if (!read_server(config, cluster, err) || !read_proxy(config, cluster, err))
        return false;
    config->server_name = config_copy(&config->arena, config_text(cluster, "tls-server-name"));
    config->insecure = config_bool(cluster, "insecure-skip-tls-verify");
    if (!read_pem(config, cluster, "certificate-authority", "certificate-authority-data",
                  &config->ca, err))
        return false;
    return !config->insecure || !has_pem(&config->ca) ||
           error_set(err,
                     "%s: cluster %s: insecure-skip-tls-verify and a certificate-authority exclude "
                     "each other",
                     cluster->file, cluster->name);
}

/* kubectl refuses these as well: one would be somebody, but nobody could say who. */
static bool check_user(const struct kube_config *config, const struct config_item *user,
                       struct error *err)
{
    bool has_token = config->token.len > 0 || config->token_file != NULL;
    if (has_token && config->username != NULL)
        return error_set(err, "%s: user %s: a token and a username exclude each other", user->file,
                         user->name);
    if (has_pem(&config->client_certificate) != has_pem(&config->client_key))
        return error_set(err, "%s: user %s: client-certificate and client-key need each other",
                         user->file, user->name);
    return true;
}

static bool read_user(struct kube_config *config, const struct config_item *user, struct error *err)
{
    static const char *const refused[] = {"as", "as-uid", "as-groups", "as-user-extra",
                                          "auth-provider"};
    struct arena *arena = &config->arena;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (config_has(user, refused[i]))
            return error_set(err, "%s: user %s: %s is not supported", user->file, user->name,
                             refused[i]);
    }
    const char *token = config_copy(arena, config_text(user, "token"));
    config->token = str_from_c(token);
    if (!kube_token_is_sound(config->token))
        return error_set(err, "%s: user %s: token has a blank or another strange character in it",
                         user->file, user->name);
    config->token_file = config_path(arena, user, "tokenFile");
    config->username = config_copy(arena, config_text(user, "username"));
    config->password = config_copy(arena, config_text(user, "password"));
    return read_pem(config, user, "client-certificate", "client-certificate-data",
                    &config->client_certificate, err) &&
           read_pem(config, user, "client-key", "client-key-data", &config->client_key, err) &&
           config_exec(arena, user, &config->exec, err) && check_user(config, user, err);
}

static bool load_files(struct kube_config *config, const char *paths, struct error *err)
{
    WIPE_ARENA struct arena scratch = {0};
    struct config_files files;
    struct config_item context, cluster, user;
    if (!config_read_files(&scratch, paths, &files, err) ||
        !config_find_context(&files, &context, err))
        return false;
    config->source = config_copy(&config->arena, context.file);
    return config_find(&files, "cluster", config_text(&context, "cluster"), &context, &cluster,
                       err) &&
           read_cluster(config, &cluster, err) &&
           (config_text(&context, "user") == NULL ||
            (config_find(&files, "user", config_text(&context, "user"), &context, &user, err) &&
             read_user(config, &user, err)));
}

/* ---- the choice ---- */

static bool load(struct kube_config *config, const char *path, struct error *err)
{
    const char *variable = getenv("KUBECONFIG"), *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *home = getenv("HOME");
    if (path != NULL)
        return load_files(config, path, err);
    if (variable != NULL && variable[0] != '\0')
        return load_files(config, variable, err);
    if (host != NULL && host[0] != '\0')
        return load_in_cluster(config, host, err);
    if (home != NULL) {
        struct str file = arena_printf(&config->arena, "%s/.kube/config", home);
        if (access(file.ptr, F_OK) == 0)
            return load_files(config, file.ptr, err);
    }
    return error_set(err,
                     "no Kubernetes cluster is known: this is no pod, KUBECONFIG is not set, and "
                     "there is no ~/.kube/config");
}

bool kube_config_load(struct kube_config *config, const char *path, struct error *err)
{
    *config = (struct kube_config){0};
    return load(config, path, err);
}

void kube_config_free(struct kube_config *config)
{
    arena_wipe(&config->arena);
}
