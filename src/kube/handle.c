#include "kube/handle.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/disk.h"

enum { CONNECT_PATIENCE = 10 * 1000, PEM_LIMIT = 1024 * 1024 };

/* Half a minute without an acknowledgement: the peer, or the way to it, is gone. */
static int set_socket_options(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    unsigned milliseconds = 30 * 1000;
    (void)ctx;
    (void)purpose;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
    return CURL_SOCKOPT_OK;
}

/* A libcurl of another make may not take all: without the authorities it would trust the system's. */
static bool check_taken(const struct kube_handle *handle, CURLcode code, const char *what,
                        struct error *err)
{
    return code == CURLE_OK || error_set(err, "this libcurl does not take the %s: %s", what,
                                         handle->curl->easy_strerror(code));
}

static bool set_pem(struct kube_handle *handle, CURLoption file, CURLoption blob,
                    const struct kube_pem *pem, const char *what, struct error *err)
{
    const struct kube_curl *curl = handle->curl;
    struct curl_blob data = {(char *)pem->data.ptr, pem->data.len, CURL_BLOB_COPY};
    CURLcode code = CURLE_OK;
    if (pem->data.len > 0)
        code = curl->easy_setopt(handle->easy, blob, &data);
    else if (pem->path != NULL)
        code = curl->easy_setopt(handle->easy, file, pem->path);
    return check_taken(handle, code, what, err);
}

/* Of what shows who we are. libcurl would use a connection again that was made with a file of the same name, whatever is in it now: once the
 * certificate has expired, its successor would never be shown. */
static bool set_own_pem(struct kube_handle *handle, CURLoption blob, const struct kube_pem *pem,
                        const char *what, struct error *err)
{
    WIPE_BUF struct buf text = {0};
    struct kube_pem own = {.data = pem->data};
    if (own.data.len == 0 && pem->path != NULL) {
        if (disk_read(AT_FDCWD, pem->path, true, PEM_LIMIT, &text, err) != DISK_READ)
            return error_prefix(err, "%s", what);
        if (text.len == 0)
            return error_set(err, "%s: %s is empty", what, quote(str_from_c(pem->path)).text);
        own.data = buf_str(&text);
    }
    return set_pem(handle, blob, blob, &own, what, err);
}

static bool set_tls(struct kube_handle *handle, const struct kube_secret *secret, struct error *err)
{
    const struct kube_curl *curl = handle->curl;
    const struct kube_config *config = handle->config;
    CURL *easy = handle->easy;
    CURLcode code = curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* libcurl would keep authorities for a day: those that are replaced would be trusted, and their successors not. */
    curl->easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    if (config->ca.path != NULL || config->ca.data.len > 0)
        curl->easy_setopt(easy, CURLOPT_CAPATH, NULL); /* the system's are not asked as well */
    if (config->insecure) {
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return check_taken(handle, code, "oldest version of TLS, 1.2", err) &&
           set_pem(handle, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB, &config->ca,
                   "certificate-authority", err) &&
           set_own_pem(handle, CURLOPT_SSLCERT_BLOB, &secret->certificate, "client-certificate",
                       err) &&
           set_own_pem(handle, CURLOPT_SSLKEY_BLOB, &secret->key, "client-key", err);
}

static void set_identity(struct kube_handle *handle, const struct kube_secret *secret)
{
    const struct kube_curl *curl = handle->curl;
    const struct kube_config *config = handle->config;
    if (secret->token.len > 0) {
        WIPE_BUF struct buf header = {0};
        buf_printf(&header, "Authorization: Bearer %.*s", STR_ARG(secret->token));
        buf_append_byte(&header, '\0');
        handle->headers = curl->slist_append(handle->headers, header.data);
    } else if (config->username != NULL) {
        curl->easy_setopt(handle->easy, CURLOPT_USERNAME, config->username);
        curl->easy_setopt(handle->easy, CURLOPT_PASSWORD,
                          config->password != NULL ? config->password : "");
    }
}

/* Where the certificate is for another name (tls-server-name), the URL has that name, and the connection goes to the server's own. */
static void append_renamed_url(struct kube_handle *handle, struct buf *url)
{
    const struct kube_config *config = handle->config;
    struct str scheme, rest = str_from_c(config->server), authority, base;
    CLEANUP_BUF struct buf connect_to = {0};
    str_cut(rest, '/', &scheme, &rest); /* "https:", "/HOST:PORT/BASE" */
    bool has_base = str_cut(str_from(rest, 1), '/', &authority, &base);
    size_t end = authority.len;
    while (end > 0 && authority.ptr[end - 1] >= '0' && authority.ptr[end - 1] <= '9')
        end--;
    bool has_port = end > 0 && end < authority.len && authority.ptr[end - 1] == ':';
    struct str port = has_port ? str_from(authority, end) : STR("443");
    buf_printf(&connect_to, "%s:%.*s:%.*s%s", config->server_name, STR_ARG(port),
               STR_ARG(authority), has_port ? "" : ":443");
    buf_append_byte(&connect_to, '\0');
    handle->connect_to = handle->curl->slist_append(NULL, connect_to.data);
    buf_printf(url, "https://%s:%.*s%s%.*s", config->server_name, STR_ARG(port),
               has_base ? "/" : "", STR_ARG(base));
}

static void set_url(struct kube_handle *handle, const char *path)
{
    const struct kube_curl *curl = handle->curl;
    const struct kube_config *config = handle->config;
    CLEANUP_BUF struct buf url = {0};
    if (config->server_name != NULL)
        append_renamed_url(handle, &url);
    else
        buf_printf(&url, "%s", config->server);
    buf_printf(&url, "%s", path);
    buf_append_byte(&url, '\0');
    curl->easy_setopt(handle->easy, CURLOPT_URL, url.data);
    if (handle->connect_to != NULL)
        curl->easy_setopt(handle->easy, CURLOPT_CONNECT_TO, handle->connect_to);
}

static bool set_proxy(struct kube_handle *handle, struct error *err)
{
    const struct kube_curl *curl = handle->curl;
    const char *proxy = handle->config->proxy;
    const struct str scheme = STR("socks5://");
    WIPE_BUF struct buf url = {0};
    if (proxy == NULL)
        return true;
    /* As Kubernetes' own clients have it, the proxy finds the server's address. To libcurl that is another scheme. */
    if (str_eq_nocase(str_head(str_from_c(proxy), scheme.len), scheme))
        buf_printf(&url, "socks5h://%s", proxy + scheme.len);
    else
        buf_printf(&url, "%s", proxy);
    buf_append_byte(&url, '\0');
    CURLcode code = curl->easy_setopt(handle->easy, CURLOPT_PROXY, url.data);
    curl->easy_setopt(handle->easy, CURLOPT_NOPROXY, ""); /* whatever no_proxy says */
    return check_taken(handle, code, "proxy", err);
}

static void set_options(struct kube_handle *handle)
{
    const struct kube_curl *curl = handle->curl;
    CURL *easy = handle->easy;
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, handle->error);
    curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's */
    curl->easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_socket_options);
    curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http");
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_PATIENCE);
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
    curl->easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl->easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
    curl->easy_setopt(easy, CURLOPT_USERAGENT, "dikast/" DIKAST_VERSION);
}

bool kube_handle_open(struct kube_handle *handle, const struct kube_curl *curl,
                      const struct kube_config *config, const char *path,
                      const struct kube_secret *secret, struct error *err)
{
    handle->curl = curl;
    handle->config = config;
    handle->easy = curl->easy_init();
    if (handle->easy == NULL)
        return error_set(err, "libcurl has no handle for it");
    set_options(handle);
    set_url(handle, path);
    if (!set_proxy(handle, err) || !set_tls(handle, secret, err)) {
        kube_handle_close(handle);
        return false;
    }
    set_identity(handle, secret);
    handle->headers = curl->slist_append(handle->headers, "Accept: application/json");
    curl->easy_setopt(handle->easy, CURLOPT_HTTPHEADER, handle->headers);
    return true;
}

void kube_handle_close(struct kube_handle *handle)
{
    if (handle->easy == NULL)
        return;
    handle->curl->easy_cleanup(handle->easy);
    for (struct curl_slist *each = handle->headers; each != NULL; each = each->next)
        explicit_bzero(each->data, strlen(each->data)); /* the token */
    handle->curl->slist_free_all(handle->headers);
    handle->curl->slist_free_all(handle->connect_to);
    *handle = (struct kube_handle){0};
}
