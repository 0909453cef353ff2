#include "kube/client.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "base/log.h"
#include "kube/answer.h"
#include "kube/handle.h"

enum {
    /* After a request that got no answer, so long no connection is used that was there: its server may hang, where others
     * behind the same address do not. */
    DOUBT = 60 * 1000,
    /* What is kept of the body of an answer that is no 2xx: a Status object. */
    ERROR_LIMIT = 16 * 1024,
    /* Bytes of bodies after which a turn of the loop ends for us, since others wait for it: libcurl alone would unpack a hundred times
     * as much. What has come over the wire together is held until the next turn. */
    TURN_LIMIT = 1024 * 1024,
};

struct kube_request {
    struct kube_client *client;
    struct kube_callbacks callbacks;
    char *path;
    struct kube_handle handle; /* closed: it could not be sent, or is held */
    bool is_held;              /* until there are credentials */
    bool is_over;              /* it could not be sent, or broke when it went on */
    unsigned secret_version;
    bool is_cancelled;
    bool has_data;       /* on_turn_end is due */
    bool is_paused;      /* its body goes on in the next turn */
    bool is_answered;    /* the headers of a 2xx answer have come */
    uint64_t silence;    /* milliseconds; 0: any */
    uint64_t last_heard; /* as loop_now */
    curl_off_t received; /* bytes that stats.bytes has */
    struct buf error_body;
    struct error problem; /* why it is over */
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
    struct loop_timer resuming;  /* lets bodies that are paused go on */
    uint64_t turn;               /* that `handed` is of, as loop_now */
    size_t handed;               /* bytes of bodies */
    struct loop_timer failing;   /* tells requests that are over */
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
    free(request->path);
    buf_free(&request->error_body);
    free(request);
}

static void end_request(struct kube_request *request, enum kube_outcome outcome, struct str message,
                        unsigned retry_after)
{
    struct kube_callbacks callbacks = request->callbacks;
    bool is_cancelled = request->is_cancelled;
    CLEANUP_FREE char *copy = mem_strndup(message);
    if (outcome == KUBE_UNAUTHORIZED)
        kube_credential_refused(request->client->credential, request->secret_version);
    free_request(request);
    if (!is_cancelled)
        callbacks.on_end(callbacks.ctx, outcome, str_make(copy, message.len), retry_after);
}

static void finish(struct kube_request *request, CURLcode code)
{
    const struct kube_curl *curl = request->client->curl;
    long status = 0;
    curl_off_t retry_after = 0;
    CLEANUP_BUF struct buf message = {0};
    curl->easy_getinfo(request->handle.easy, CURLINFO_RESPONSE_CODE, &status);
    curl->easy_getinfo(request->handle.easy, CURLINFO_RETRY_AFTER, &retry_after);
    enum kube_outcome outcome = KUBE_FAILED;
    if (code == CURLE_OK || request->error_body.len == ERROR_LIMIT) {
        outcome = kube_answer_conclude(&message, status, buf_str(&request->error_body));
    } else {
        const char *why = request->handle.error;
        kube_answer_append_problem(&message,
                                   str_from_c(why[0] != '\0' ? why : curl->easy_strerror(code)));
    }
    end_request(request, outcome, buf_str(&message), kube_answer_retry_after(retry_after));
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

/* What comes of a call of libcurl. */
static void conclude(struct kube_client *client)
{
    wake_waiting(client);
    end_turn(client);
    reap(client);
    drop_cancelled(client);
}

static void begin_turn(struct kube_client *client)
{
    client->turn = loop_now(client->loop);
    client->handed = 0;
}

static void act(struct kube_client *client, curl_socket_t fd, int what)
{
    int running;
    if (client->turn != loop_now(client->loop))
        begin_turn(client);
    client->is_busy = true;
    client->curl->multi_socket_action(client->multi, fd, what, &running);
    client->is_busy = false;
    conclude(client);
}

/* on_failing will tell. */
static void set_over(struct kube_request *request, const char *problem)
{
    request->is_over = true;
    error_set(&request->problem, "%s", problem);
    loop_arm(request->client->loop, &request->client->failing, 0);
}

/* libcurl hands out what it holds from within. */
static void on_resuming(void *ctx)
{
    struct kube_client *client = ctx;
    begin_turn(client);
    client->is_busy = true;
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct kube_request *request = client->requests.items[i];
        if (!request->is_paused)
            continue;
        request->is_paused = false;
        CURLcode code = client->curl->easy_pause(request->handle.easy, CURLPAUSE_CONT);
        if (code != CURLE_OK)
            set_over(request, client->curl->easy_strerror(code));
    }
    client->is_busy = false;
    conclude(client);
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
        request->is_answered = kube_answer_outcome(status) == KUBE_OK;
    }
    return line.len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct kube_request *request = ctx;
    struct kube_client *client = request->client;
    size_t len = size * count;
    long status = 0;
    count_bytes(request);
    if (request->is_cancelled || request->is_over)
        return 0;
    if (client->handed >= TURN_LIMIT) {
        request->is_paused = true;
        loop_arm(client->loop, &client->resuming, 0);
        return CURL_WRITEFUNC_PAUSE;
    }
    client->handed += len;
    client->curl->easy_getinfo(request->handle.easy, CURLINFO_RESPONSE_CODE, &status);
    if (kube_answer_outcome(status) == KUBE_OK) {
        request->has_data = true;
        request->last_heard = loop_now(client->loop);
        return request->callbacks.on_data(request->callbacks.ctx, str_make(data, len)) ? len : 0;
    }
    /* A refusal must come to its end in time, and is over when it is too long: else it would hold up what is asked for next. */
    size_t room = ERROR_LIMIT - request->error_body.len;
    buf_append(&request->error_body, data, len < room ? len : room);
    return len < room ? len : 0;
}

/* ---- the start of a request ---- */

/* NULL: there is none. */
static struct kube_request *find_over(const struct kube_client *client)
{
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct kube_request *request = client->requests.items[i];
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it cannot see that freed ones are taken out of the list */
        if (request->is_over)
            return request;
    }
    return NULL;
}

/* Whoever is told may start and cancel requests. */
static void on_failing(void *ctx)
{
    struct kube_request *request;
    while ((request = find_over(ctx)) != NULL)
        end_request(request, KUBE_FAILED, str_from_c(request->problem.text), 0);
}

static bool submit(struct kube_request *request, const struct kube_secret *secret,
                   struct error *err)
{
    struct kube_client *client = request->client;
    const struct kube_curl *curl = client->curl;
    if (!kube_handle_open(&request->handle, curl, client->config, request->path, secret, err))
        return false;
    CURL *easy = request->handle.easy;
    curl->easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl->easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl->easy_setopt(easy, CURLOPT_WRITEDATA, request);
    if (client->doubted != 0 && loop_now(client->loop) - client->doubted < DOUBT)
        curl->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    CURLMcode code = curl->multi_add_handle(client->multi, easy);
    if (code != CURLM_OK) {
        kube_handle_close(&request->handle);
        return error_set(err, "libcurl does not take the request: %s", curl->multi_strerror(code));
    }
    request->secret_version = secret->version;
    request->last_heard = loop_now(client->loop);
    return true;
}

/* Sends it, holds it, or has it told why it cannot be sent. */
static void send_or_hold(struct kube_request *request)
{
    struct kube_client *client = request->client;
    struct kube_secret secret;
    struct error err;
    enum kube_credential_state state = kube_credential_get(client->credential, &secret, &err);
    request->is_held = state == KUBE_CREDENTIAL_AWAITED;
    if (!request->is_held && (state == KUBE_CREDENTIAL_NONE || !submit(request, &secret, &err)))
        set_over(request, err.text);
}

static void on_credential(void *ctx)
{
    struct kube_client *client = ctx;
    for (uint32_t i = 0; i < client->requests.count; i++) {
        struct kube_request *request = client->requests.items[i];
        if (request->is_held)
            send_or_hold(request);
    }
}

struct kube_request *kube_request_start(struct kube_client *client, const char *path,
                                        uint64_t silence, const struct kube_callbacks *callbacks)
{
    struct kube_request *request = mem_zalloc(sizeof(*request));
    request->client = client;
    request->callbacks = *callbacks;
    request->path = mem_strndup(str_from_c(path));
    request->silence = silence;
    list_add(&client->requests, request);
    client->stats.requests++;
    send_or_hold(request);
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
        bool is_sent = request->handle.easy != NULL;
        if (is_sent && request->silence > 0 && now - request->last_heard >= request->silence)
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
    client->credential = kube_credential_new(loop, config, on_credential, client);
    client->timer = (struct loop_timer){.callback = on_timer, .ctx = client};
    client->resuming = (struct loop_timer){.callback = on_resuming, .ctx = client};
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
    loop_disarm(client->loop, &client->resuming);
    loop_disarm(client->loop, &client->failing);
    loop_disarm(client->loop, &client->listening);
    list_free(&client->requests);
    free(client);
}

struct kube_client_stats kube_client_stats(const struct kube_client *client)
{
    return client->stats;
}
