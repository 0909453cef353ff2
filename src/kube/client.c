#include "kube/client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/log.h"
#include "kube/credential.h"
#include "kube/curl.h"

enum {
    CONNECT_PATIENCE = 10 * 1000,
    /* What is kept of the body of an answer that is no 2xx: a Status object. */
    ERROR_LIMIT = 16 * 1024,
};

struct kube_request {
    struct kube_client *client;
    struct kube_callbacks callbacks;
    CURL *easy; /* NULL: it could not be sent */
    struct curl_slist *headers, *connect_to;
    bool is_cancelled;
    bool has_data;       /* on_turn_end is due */
    uint64_t silence;    /* milliseconds; 0: any */
    uint64_t last_heard; /* as loop_now */
    struct buf error_body;
    char error[CURL_ERROR_SIZE]; /* libcurl's */
    struct error unsent;         /* why it could not be sent */
};

/* A socket that libcurl has asked to be watched. */
struct socket_watch {
    struct loop_watch watch;
    struct kube_client *client;
};

struct kube_client {
    struct loop *loop;
    const struct kube_config *config;
    const struct kube_curl *curl;
    struct kube_credential *credential;
    CURLM *multi;
    bool is_busy; /* within a call of libcurl's multi interface, which must not be entered again */
    bool has_waiting;            /* requests that wait for a connection may have to be woken */
    struct loop_timer timer;     /* libcurl's */
    struct loop_timer failing;   /* tells requests that could not be sent */
    struct loop_timer listening; /* looks for requests that have gone silent */
    struct list requests;        /* struct kube_request */
    struct kube_client_stats stats;
};

/* ---- the end of a request ---- */

static void free_request(struct kube_request *request)
{
    struct kube_client *client = request->client;
    if (request->easy != NULL) {
        client->curl->multi_remove_handle(client->multi, request->easy);
        client->curl->easy_cleanup(request->easy);
    }
    client->curl->slist_free_all(request->headers);
    client->curl->slist_free_all(request->connect_to);
    list_remove_item(&client->requests, request);
    buf_free(&request->error_body);
    free(request);
}

static enum kube_outcome outcome_of(long status)
{
    switch (status) {
    case 401:
        return KUBE_UNAUTHORIZED;
    case 403:
        return KUBE_FORBIDDEN;
    case 404:
        return KUBE_NOT_FOUND;
    case 410:
        return KUBE_GONE;
    case 429:
        return KUBE_BUSY;
    default:
        if (status >= 200 && status < 300)
            return KUBE_OK;
        return status >= 400 && status < 500 ? KUBE_INVALID : KUBE_FAILED;
    }
}

static void end_request(struct kube_request *request, enum kube_outcome outcome, struct str message,
                        unsigned retry_after)
{
    struct kube_callbacks callbacks = request->callbacks;
    bool is_cancelled = request->is_cancelled;
    CLEANUP_FREE char *copy = mem_strndup(message);
    if (outcome == KUBE_UNAUTHORIZED)
        kube_credential_refused(request->client->credential);
    free_request(request);
    if (!is_cancelled)
        callbacks.on_end(callbacks.ctx, outcome, str_make(copy, message.len), retry_after);
}

/* The `message` of a Status object, or as much of another answer as fits into a line. */
static struct str status_message(const struct kube_request *request)
{
    struct str body = buf_str(&request->error_body), rest = body;
    const struct str key = STR("\"message\":\"");
    while (rest.len > 0 && !str_starts_with(rest, key))
        rest = str_from(rest, 1);
    rest = str_from(rest, key.len);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '"')
        len += rest.ptr[len] == '\\' ? 2 : 1;
    return len > 0 && len <= rest.len ? str_head(rest, len) : str_head(body, 200);
}

static void finish(struct kube_request *request, CURLcode code)
{
    const struct kube_curl *curl = request->client->curl;
    long status = 0;
    curl_off_t retry_after = 0;
    CLEANUP_BUF struct buf message = {0};
    curl->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
    enum kube_outcome outcome = outcome_of(status);
    if (code != CURLE_OK) {
        outcome = KUBE_FAILED;
        buf_printf(&message, "%s",
                   request->error[0] != '\0' ? request->error : curl->easy_strerror(code));
    } else if (outcome != KUBE_OK) {
        buf_printf(&message, "HTTP status %ld: ", status);
        buf_append_str(&message, status_message(request));
    }
    end_request(request, outcome, buf_str(&message),
                retry_after > 0 && retry_after < 3600 ? (unsigned)retry_after : 0);
}

/* Tells the requests that libcurl is done with. */
static void reap(struct kube_client *client)
{
    CURLMsg *message;
    int left;
    while ((message = client->curl->multi_info_read(client->multi, &left)) != NULL) {
        struct kube_request *request = NULL;
        CURLcode code = message->data.result;
        client->curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        finish(request, code);
    }
}

/* ---- libcurl on the loop ---- */

/* Whoever is told may start and cancel requests, so the walk begins anew each time. */
static void end_turn(struct kube_client *client)
{
    for (uint32_t i = 0; i < client->requests.count;) {
        struct kube_request *request = client->requests.items[i];
        bool is_due = request->has_data && !request->is_cancelled;
        i = is_due ? 0 : i + 1;
        request->has_data = false;
        if (is_due && request->callbacks.on_turn_end != NULL)
            request->callbacks.on_turn_end(request->callbacks.ctx);
    }
}

static void drop_cancelled(struct kube_client *client)
{
    for (uint32_t i = client->requests.count; i > 0; i--) {
        struct kube_request *request = client->requests.items[i - 1];
        if (request->is_cancelled)
            free_request(request);
    }
}

/* Requests wait to see whether they can share the first one's connection. When they cannot, libcurl (7.88) does not look at them again
 * before some request ends, and a watch does not: the end of one that never was makes it look. */
static void wake_waiting(struct kube_client *client)
{
    CURL *none = client->has_waiting ? client->curl->easy_init() : NULL;
    client->has_waiting = false;
    if (none == NULL)
        return;
    client->curl->multi_add_handle(client->multi, none);
    client->curl->multi_remove_handle(client->multi, none);
    client->curl->easy_cleanup(none);
}

/* One call of libcurl, and what comes of it. */
static void act(struct kube_client *client, curl_socket_t fd, int what)
{
    int running;
    client->is_busy = true;
    client->curl->multi_socket_action(client->multi, fd, what, &running);
    client->is_busy = false;
    wake_waiting(client);
    end_turn(client);
    reap(client);
    drop_cancelled(client);
}

static void on_socket(void *ctx, uint32_t events)
{
    struct socket_watch *socket = ctx;
    int what = 0;
    if ((events & EPOLLIN) != 0)
        what |= CURL_CSELECT_IN;
    if ((events & EPOLLOUT) != 0)
        what |= CURL_CSELECT_OUT;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0)
        what |= CURL_CSELECT_ERR;
    act(socket->client, socket->watch.fd, what);
}

static void on_timer(void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl: watch this socket so, or not at all. */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct kube_client *client = ctx;
    struct socket_watch *socket = socket_ctx;
    struct error err;
    (void)easy;
    uint32_t events = ((what & CURL_POLL_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
                      ((what & CURL_POLL_OUT) != 0 ? (uint32_t)EPOLLOUT : 0);
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            loop_remove(client->loop, &socket->watch);
        free(socket);
        client->curl->multi_assign(client->multi, fd, NULL);
    } else if (socket == NULL) {
        socket = mem_zalloc(sizeof(*socket));
        socket->client = client;
        socket->watch = (struct loop_watch){fd, on_socket, socket};
        client->curl->multi_assign(client->multi, fd, socket);
        if (!loop_add(client->loop, &socket->watch, events, &err))
            return -1;
    } else {
        loop_modify(client->loop, &socket->watch, events);
    }
    return 0;
}

static int set_timer(CURLM *multi, long delay, void *ctx)
{
    struct kube_client *client = ctx;
    (void)multi;
    if (delay < 0)
        loop_disarm(client->loop, &client->timer);
    else
        loop_arm(client->loop, &client->timer, (uint64_t)delay);
    return 0;
}

/* ---- data ---- */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct kube_request *request = ctx;
    struct kube_client *client = request->client;
    size_t len = size * count;
    long status = 0;
    request->last_heard = loop_now(client->loop);
    client->stats.bytes += len;
    if (request->is_cancelled)
        return 0;
    client->curl->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    if (outcome_of(status) == KUBE_OK) {
        request->has_data = true;
        return request->callbacks.on_data(request->callbacks.ctx, str_make(data, len)) ? len : 0;
    }
    size_t room = ERROR_LIMIT - request->error_body.len;
    buf_append(&request->error_body, data, len < room ? len : room);
    return len;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct kube_request *request = ctx;
    if (str_starts_with(str_make(data, size * count), STR("HTTP/1.")))
        request->client->has_waiting = true;
    return size * count;
}

/* Half a minute without an acknowledgement: the peer, or the way to it, is gone. */
static int set_socket_options(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    unsigned milliseconds = 30 * 1000;
    (void)ctx;
    (void)purpose;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
    return CURL_SOCKOPT_OK;
}

/* ---- the start of a request ---- */

static void set_pem(struct kube_request *request, CURLoption file, CURLoption blob,
                    const struct kube_pem *pem)
{
    const struct kube_curl *curl = request->client->curl;
    struct curl_blob data = {(char *)pem->data.ptr, pem->data.len, CURL_BLOB_COPY};
    if (pem->data.len > 0)
        curl->easy_setopt(request->easy, blob, &data);
    else if (pem->path != NULL)
        curl->easy_setopt(request->easy, file, pem->path);
}

static void set_tls(struct kube_request *request, const struct kube_secret *secret)
{
    const struct kube_curl *curl = request->client->curl;
    const struct kube_config *config = request->client->config;
    CURL *easy = request->easy;
    curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    set_pem(request, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB, &config->ca);
    set_pem(request, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB, &secret->certificate);
    set_pem(request, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB, &secret->key);
    if (config->insecure) {
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_identity(struct kube_request *request, const struct kube_secret *secret)
{
    const struct kube_curl *curl = request->client->curl;
    const struct kube_config *config = request->client->config;
    if (secret->token.len > 0) {
        CLEANUP_BUF struct buf header = {0};
        buf_printf(&header, "Authorization: Bearer %.*s", STR_ARG(secret->token));
        buf_append_byte(&header, '\0');
        request->headers = curl->slist_append(request->headers, header.data);
        explicit_bzero(header.data, header.len);
    } else if (config->username != NULL) {
        curl->easy_setopt(request->easy, CURLOPT_USERNAME, config->username);
        curl->easy_setopt(request->easy, CURLOPT_PASSWORD,
                          config->password != NULL ? config->password : "");
    }
}

/* Where the certificate is for another name (tls-server-name), the URL has that name, and the connection goes to the server's own. */
static void append_renamed_url(struct kube_request *request, struct buf *url)
{
    const struct kube_config *config = request->client->config;
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
    request->connect_to = request->client->curl->slist_append(NULL, connect_to.data);
    buf_printf(url, "https://%s:%.*s%s%.*s", config->server_name, STR_ARG(port),
               has_base ? "/" : "", STR_ARG(base));
}

static void set_url(struct kube_request *request, const char *path)
{
    const struct kube_curl *curl = request->client->curl;
    const struct kube_config *config = request->client->config;
    CLEANUP_BUF struct buf url = {0};
    if (config->server_name != NULL)
        append_renamed_url(request, &url);
    else
        buf_printf(&url, "%s", config->server);
    buf_printf(&url, "%s", path);
    buf_append_byte(&url, '\0');
    curl->easy_setopt(request->easy, CURLOPT_URL, url.data);
    if (request->connect_to != NULL)
        curl->easy_setopt(request->easy, CURLOPT_CONNECT_TO, request->connect_to);
}

static void set_options(struct kube_request *request)
{
    const struct kube_curl *curl = request->client->curl;
    const struct kube_config *config = request->client->config;
    CURL *easy = request->easy;
    curl->easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, request);
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
    if (config->proxy != NULL)
        curl->easy_setopt(easy, CURLOPT_PROXY, config->proxy);
}

/* Requests that could not be sent. */
static void on_failing(void *ctx)
{
    struct kube_client *client = ctx;
    for (uint32_t i = 0; i < client->requests.count;) {
        struct kube_request *request = client->requests.items[i];
        if (request->easy != NULL) {
            i++;
            continue;
        }
        end_request(request, KUBE_FAILED, str_from_c(request->unsent.text), 0);
        i = 0; /* others may have come and gone */
    }
}

static bool submit(struct kube_request *request, const char *path, struct error *err)
{
    struct kube_client *client = request->client;
    struct kube_secret secret;
    if (!kube_credential_get(client->credential, &secret, err))
        return false;
    request->easy = client->curl->easy_init();
    if (request->easy == NULL)
        return error_set(err, "libcurl has no handle for it");
    set_options(request);
    set_url(request, path);
    set_tls(request, &secret);
    set_identity(request, &secret);
    request->headers = client->curl->slist_append(request->headers, "Accept: application/json");
    client->curl->easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
    client->curl->multi_add_handle(client->multi, request->easy);
    return true;
}

struct kube_request *kube_request_start(struct kube_client *client, const char *path,
                                        uint64_t silence, const struct kube_callbacks *callbacks)
{
    struct error err;
    struct kube_request *request = mem_zalloc(sizeof(*request));
    request->client = client;
    request->callbacks = *callbacks;
    request->silence = silence;
    request->last_heard = loop_now(client->loop);
    list_add(&client->requests, request);
    client->stats.requests++;
    if (!submit(request, path, &err)) {
        request->unsent = err;
        loop_arm(client->loop, &client->failing, 0);
    }
    return request;
}

void kube_request_set_silence(struct kube_request *request, uint64_t silence)
{
    request->silence = silence;
}

void kube_request_cancel(struct kube_request *request)
{
    if (request == NULL)
        return;
    request->is_cancelled = true;
    if (!request->client->is_busy)
        free_request(request);
}

/* ---- the client ---- */

enum { LISTEN_PAUSE = 5000 };

static void on_listening(void *ctx)
{
    struct kube_client *client = ctx;
    uint64_t now = loop_now(client->loop);
    loop_arm(client->loop, &client->listening, LISTEN_PAUSE);
    for (uint32_t i = 0; i < client->requests.count;) {
        struct kube_request *request = client->requests.items[i];
        if (request->silence == 0 || now - request->last_heard < request->silence) {
            i++;
            continue;
        }
        end_request(request, KUBE_SILENT, STR("the API server has gone silent"), 0);
        i = 0;
    }
}

struct kube_client *kube_client_new(struct loop *loop, const struct kube_config *config,
                                    struct error *err)
{
    const struct kube_curl *curl = kube_curl_load(err);
    if (curl == NULL)
        return NULL;
    struct kube_client *client = mem_zalloc(sizeof(*client));
    client->loop = loop;
    client->config = config;
    client->curl = curl;
    client->credential = kube_credential_new(loop, config);
    client->timer = (struct loop_timer){.callback = on_timer, .ctx = client};
    client->failing = (struct loop_timer){.callback = on_failing, .ctx = client};
    client->listening = (struct loop_timer){.callback = on_listening, .ctx = client};
    client->multi = curl->multi_init();
    curl->multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl->multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl->multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl->multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl->multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    loop_arm(loop, &client->listening, LISTEN_PAUSE);
    return client;
}

void kube_client_free(struct kube_client *client)
{
    if (client == NULL)
        return;
    client->curl->multi_cleanup(client->multi);
    kube_credential_free(client->credential);
    loop_disarm(client->loop, &client->timer);
    loop_disarm(client->loop, &client->failing);
    loop_disarm(client->loop, &client->listening);
    list_free(&client->requests);
    free(client);
}

struct kube_client_stats kube_client_stats(const struct kube_client *client)
{
    return client->stats;
}
