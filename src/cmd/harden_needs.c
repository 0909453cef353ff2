#include "cmd/harden_needs.h"

#include <stdlib.h>

#include "base/ip.h"
#include "base/str.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER true
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER false
#endif

/* HOST:PORT, HOST, [HOST]:PORT or [HOST]. */
static void need_tcp(struct needs *needs, struct str target, uint64_t default_port)
{
    struct ip_addr address;
    struct str host = target;
    size_t colon = target.len;
    while (colon > 0 && target.ptr[colon - 1] >= '0' && target.ptr[colon - 1] <= '9')
        colon--;
    needs->port = default_port;
    if (colon > 0 && target.ptr[colon - 1] == ':' &&
        str_parse_uint(str_from(target, colon), UINT16_MAX, &needs->port))
        host = str_head(target, colon - 1);
    if (host.len > 2 && host.ptr[0] == '[')
        host = str_make(host.ptr + 1, host.len - 2);
    needs->of[NEED_TCP] = true;
    needs->of[NEED_NAMES] |= !ip_parse_addr(host, &address);
}

/* ---- an API server ---- */

static void need_file(struct needs *needs, const char *path)
{
    if (path != NULL)
        needs->files[needs->file_count++] = path;
}

/* The variables that libcurl looks at for an https URL. */
static bool has_proxy(const struct kube_config *config)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i]) != NULL)
            return true;
    }
    return config->proxy != NULL;
}

static void need_cluster(struct needs *needs, const struct kube_config *config)
{
    struct str scheme, rest, authority, base;
    str_cut(str_from_c(config->server), '/', &scheme, &rest);
    str_cut(str_from(rest, 1), '/', &authority, &base);
    needs->of[NEED_AGENT] = needs->of[NEED_CLUSTER] = true;
    need_tcp(needs, authority, str_eq(scheme, STR("http:")) ? 80 : 443);
    if (has_proxy(config))
        needs->any_port = needs->of[NEED_NAMES] = true;
    need_file(needs, config->ca.path);
    need_file(needs, config->client_certificate.path);
    need_file(needs, config->client_key.path);
    need_file(needs, config->token_file);
    if (config->ca.path == NULL && config->ca.data.len == 0)
        need_file(needs, "/etc/ssl/certs/ca-certificates.crt");
}

/* ---- the target ---- */

/* Its forms are those of policy_source.h and grpc/client.h; what has none of them was refused before. */
struct needs needs_of(const struct harden_paths *paths)
{
    static const struct str directory = STR_INIT("directory:");
    struct str target = str_from_c(paths->dial);
    struct needs needs = {.of = {[NEED_ALWAYS] = true, [NEED_SANITIZER] = HAS_SANITIZER}};
    if (paths->cluster != NULL) {
        need_cluster(&needs, paths->cluster);
    } else if (str_starts_with(target, directory)) {
        needs.folder = paths->dial + directory.len;
    } else {
        needs.of[NEED_AGENT] = true;
        if (!str_starts_with(target, STR("unix:")) && str_find(target, '/') == target.len)
            need_tcp(&needs, target, 0);
    }
    return needs;
}
