#include "kube/client.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "base/log.h"
#include "kube/handle.h"
#include "kube/missing.h"

enum {
    /* After a request that got no answer, so long no connection is used that was there: its server may hang, where others
     * behind the same address do not. */
    DOUBT = 60 * 1000,
    /* What is kept of the body of an answer that is no 2xx: a Status object. */
    ERROR_LIMIT = 16 * 1024,
};

struct kube_request {
    struct kube_client *client;
    struct kube_callbacks callbacks;
    struct kube_handle handle; /* closed: it could not be sent */
    bool is_cancelled;
    bool has_data;       /* on_turn_end is due */
    bool is_answered;    /* the headers of a 2xx answer have come */
    uint64_t silence;    /* milliseconds; 0: any */
    uint64_t last_heard; /* as loop_now */
    curl_off_t received; /* bytes that stats.bytes has */
    struct buf error_body;
    struct error unsent; /* why it could not be sent */
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
    uint64_t doubted;            /* when a request got no answer at all, as loop_now; 0: never */
    struct kube_client_stats stats;
};

/* libcurl hands out what it has unpacked; what has come over the wire it says when it is asked. */
static void count_bytes(struct kube_request *request)
{
    curl_off_t received = 0;
    request->client->curl->easy_getinfo(request->handle.easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    if (received > request->received)
        request->client->stats.bytes += (uint64_t)(received - request->received);
    request->received = received;
}

/* ---- the end of a request ---- */

static void free_request(struct kube_request *request)
{
    struct kube_client *client = request->client;
    if (request->handle.easy != NULL) {
        count_bytes(request);
        client->curl->multi_remove_handle(client->multi, request->handle.easy);
    }
    kube_handle_close(&request->handle);
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
    curl->easy_getinfo(request->handle.easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(request->handle.easy, CURLINFO_RETRY_AFTER, &retry_after);
    enum kube_outcome outcome = outcome_of(status);
    if (code != CURLE_OK) {
        outcome = KUBE_FAILED;
        buf_printf(&message, "%s",
                   request->handle.error[0] != '\0' ? request->handle.error
                                                    : curl->easy_strerror(code));
    } else if (outcome != KUBE_OK) {
        buf_printf(&message, "HTTP status %ld: ", status);
        buf_append_str(&message, status_message(request));
        if (outcome == KUBE_NOT_FOUND && !kube_missing_is_said(buf_str(&request->error_body)))
            outcome = KUBE_FAILED;
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

/* A header; an empty one ends them. */
static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct kube_request *request = ctx;
    struct str line = str_make(data, size * count);
    long status = 0;
    request->last_heard = loop_now(request->client->loop);
    request->client->has_waiting |= str_starts_with(line, STR("HTTP/1."));
    if (str_eq(line, STR("\r\n")) || str_eq(line, STR("\n"))) {
        request->client->curl->easy_getinfo(request->handle.easy, CURLINFO_RESPONSE_CODE, &status);
        request->is_answered = outcome_of(status) == KUBE_OK;
    }
    return line.len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct kube_request *request = ctx;
    struct kube_client *client = request->client;
    size_t len = size * count;
    long status = 0;
    request->last_heard = loop_now(client->loop);
    count_bytes(request);
    if (request->is_cancelled)
        return 0;
    client->curl->easy_getinfo(request->handle.easy, CURLINFO_RESPONSE_CODE, &status);
    if (outcome_of(status) == KUBE_OK) {
        request->has_data = true;
        return request->callbacks.on_data(request->callbacks.ctx, str_make(data, len)) ? len : 0;
    }
    size_t room = ERROR_LIMIT - request->error_body.len;
    buf_append(&request->error_body, data, len < room ? len : room);
    return len;
}

/* ---- the start of a request ---- */

/* One that could not be sent; NULL: there is none. */
static struct kube_request *find_unsent(const struct kube_client *client)
{
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct kube_request *request = client->requests.items[i];
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it cannot see that freed ones are taken out of the list */
        if (request->handle.easy == NULL)
            return request;
    }
    return NULL;
}

/* Whoever is told may start and cancel requests. */
static void on_failing(void *ctx)
{
    struct kube_request *request;
    while ((request = find_unsent(ctx)) != NULL)
        end_request(request, KUBE_FAILED, str_from_c(request->unsent.text), 0);
}

static bool submit(struct kube_request *request, const char *path, struct error *err)
{
    struct kube_client *client = request->client;
    const struct kube_curl *curl = client->curl;
    struct kube_secret secret;
    if (!kube_credential_get(client->credential, &secret, err) ||
        !kube_handle_open(&request->handle, curl, client->config, path, &secret, err))
        return false;
    CURL *easy = request->handle.easy;
    curl->easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, request);
    if (client->doubted != 0 && loop_now(client->loop) - client->doubted < DOUBT)
        curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl->multi_add_handle(client->multi, easy);
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

bool kube_request_is_answered(const struct kube_request *request)
{
    return request->is_answered;
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

static struct kube_request *find_silent(const struct kube_client *client, uint64_t now)
{
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct kube_request *request = client->requests.items[i];
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as above */
        if (request->silence > 0 && now - request->last_heard >= request->silence)
            return request;
    }
    return NULL;
}

static void on_listening(void *ctx)
{
    struct kube_client *client = ctx;
    uint64_t now = loop_now(client->loop);
    struct kube_request *request;
    loop_arm(client->loop, &client->listening, LISTEN_PAUSE);
    while ((request = find_silent(client, now)) != NULL) {
        if (!request->is_answered)
            client->doubted = now;
        end_request(request, KUBE_SILENT, STR("the API server has gone silent"), 0);
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
