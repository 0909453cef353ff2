#include "policysync/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/listen.h"
#include "base/log.h"
#include "base/map.h"
#include "grpc/server.h"
#include "policysync/folder.h"

enum {
    /* Bytes that wait with one stream's connection; what is more stays in the feed, where it is shared. */
    PENDING = 64 * 1024,
    /* When sockets that could not be made are tried again, in milliseconds. */
    RETRY_PAUSE = 2000,
    /* Whole IP sets are kept for so long, in case that many sidecars join at once. */
    TRIM_PAUSE = 5000,
    /* Streams that may begin on a socket: so many, then some a second. Each costs a walk over all that its workload needs, and
     * lines in the log. A sidecar tries once a second. */
    JOIN_BURST = 32,
    JOINS_A_SECOND = 4,
    METHODS = 2,
};

/* A sidecar has one connection with one call; it may open the next before the last has ended. What a connection may leave unread
 * is bounded, too, so these bound what a socket can take. */
static const struct grpc_server_limits socket_limits = {
    .connections = 8, .calls = 8, .request_bytes = 64 * 1024, .unsent_bytes = 64 * 1024};

#define SOCKET_NAME "socket"

struct stream;

/* One volume. */
struct socket {
    struct psync_server *server;
    struct str name, workload; /* "NAMESPACE/POD" */
    struct listen_socket listener;
    int folder_fd;            /* of P/mount/NAME; -1: it does not listen */
    struct grpc_server *grpc; /* NULL: it does not listen */
    struct grpc_method methods[METHODS];
    struct error told; /* why it could not be made; empty: nothing was told */
    uint64_t
        joins_due; /* when what was used of JOIN_BURST is regained, in milliseconds of the loop */
    bool is_hasty; /* streams are being refused; said once */
    struct arena arena;
};

/* One live Sync call. */
struct stream {
    struct socket *socket;
    struct grpc_call *call;
    struct feed_reader *reader;
};

struct psync_server {
    struct loop *loop;
    struct feed *feed;
    char *prefix;
    struct psync_folder *folder;
    struct map sockets; /* name -> struct socket */
    struct map streams; /* workload -> struct stream */
    struct loop_timer retry, trim;
    uint64_t joins;
};

/* One that runs is not moved: what comes again and again must not put it off for ever. */
static void arm_once(struct psync_server *server, struct loop_timer *timer, uint64_t delay)
{
    if (timer->due == 0)
        loop_arm(server->loop, timer, delay);
}

/* ---- streams ---- */

/* The call has ended, or is about to. */
static void drop_stream(struct stream *stream)
{
    map_remove(&stream->socket->server->streams, stream->socket->workload);
    feed_leave(stream->reader);
    log_event(LOG_INFO, "Sidecar left", LOG_STR("workload", stream->socket->workload));
    free(stream);
}

static void end_stream(struct stream *stream, enum grpc_code code, struct str message)
{
    grpc_call_finish(stream->call, code, message);
    drop_stream(stream);
}

/* The same, for one whose sidecar may not be reading: what waits for it is not kept. */
static void cut_stream(struct stream *stream, enum grpc_code code, struct str message)
{
    if (grpc_call_pending(stream->call) == 0) {
        end_stream(stream, code, message);
        return;
    }
    grpc_call_reset(stream->call);
    drop_stream(stream);
}

static void on_call_closed(void *ctx)
{
    drop_stream(ctx);
}

static void send(struct stream *stream, struct str message)
{
    struct blob *shared = feed_shared(stream->reader);
    if (shared != NULL)
        grpc_call_send_shared(stream->call, shared);
    else
        grpc_call_send(stream->call, message);
}

/* Sends as long as the sidecar keeps up. */
static void send_waiting(struct stream *stream)
{
    struct str message;
    while (grpc_call_pending(stream->call) < PENDING || feed_is_behind(stream->reader)) {
        switch (feed_read(stream->reader, &message)) {
        case FEED_MESSAGE:
            if (message.len > PSYNC_MESSAGE_LIMIT) {
                log_event(LOG_ERROR, "A message is longer than 4 MiB; the stream is ended",
                          LOG_STR("workload", stream->socket->workload));
                end_stream(stream, GRPC_RESOURCE_EXHAUSTED, STR("a message is longer than 4 MiB"));
                return;
            }
            send(stream, message);
            break;
        case FEED_NOTHING:
            return;
        case FEED_ENDED:
            end_stream(stream, GRPC_OK, STR(""));
            return;
        case FEED_BEHIND:
            log_event(LOG_WARNING, "Sidecar does not read fast enough; its stream is ended",
                      LOG_STR("workload", stream->socket->workload));
            cut_stream(stream, GRPC_RESOURCE_EXHAUSTED,
                       STR("fell too far behind; call again to start anew"));
            return;
        }
    }
}

static void pump(void *ctx)
{
    struct stream *stream = ctx;
    struct psync_server *server = stream->socket->server;
    send_waiting(stream); /* which may end it */
    if (feed_keeps_sets(server->feed))
        arm_once(server, &server->trim, TRIM_PAUSE);
}

/* Whether one more stream may begin on a socket now. */
static bool may_join(struct socket *socket)
{
    const uint64_t cost = 1000 / JOINS_A_SECOND, now = loop_now(socket->server->loop);
    if (socket->joins_due < now)
        socket->joins_due = now;
    bool ok = socket->joins_due + cost <= now + JOIN_BURST * cost;
    if (ok)
        socket->joins_due += cost;
    else if (!socket->is_hasty)
        log_event(LOG_WARNING, "Sidecar begins streams too fast; some are refused",
                  LOG_STR("workload", socket->workload));
    socket->is_hasty = !ok;
    return ok;
}

static void on_sync(void *ctx, struct grpc_call *call, struct str request)
{
    struct socket *socket = ctx;
    struct psync_server *server = socket->server;
    struct stream *old = map_get(&server->streams, socket->workload);
    (void)request; /* SyncRequest has no fields */
    if (!may_join(socket)) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, STR("too many streams in a short time"));
        return;
    }
    if (old != NULL && old->socket != socket)
        log_event(LOG_WARNING, "Two volumes are of the same workload; the newer stream takes over",
                  LOG_STR("workload", socket->workload), LOG_STR("volume", socket->name),
                  LOG_STR("other", old->socket->name));
    if (old != NULL)
        cut_stream(old, GRPC_UNAVAILABLE, STR("replaced by a newer stream of the same workload"));
    struct stream *stream = mem_zalloc(sizeof(*stream));
    const struct psync_endpoint_id id = {STR("k8s"), socket->workload, STR("eth0")};
    const struct feed_events events = {pump, stream};
    stream->socket = socket;
    stream->call = call;
    stream->reader = feed_join(server->feed, &id, &events);
    map_set(&server->streams, socket->workload, stream);
    server->joins++;
    log_event(LOG_INFO, "Sidecar joined", LOG_STR("workload", socket->workload));
    grpc_call_on_closed(call, on_call_closed, stream);
    grpc_call_on_drained(call, pump, stream);
    pump(stream);
}

/* Nothing is made of what sidecars report, and the answer says so: `successful` is false. */
static void on_report(void *ctx, struct grpc_call *call, struct str request)
{
    (void)ctx;
    (void)request;
    grpc_call_send(call, STR(""));
    grpc_call_finish(call, GRPC_OK, STR(""));
}

static void on_trim(void *ctx)
{
    feed_trim(((struct psync_server *)ctx)->feed);
    malloc_trim(0); /* when all join at once, whole sets are many MiB */
}

/* ---- sockets ---- */

/* Makes a folder if it is missing. One that is there may be anything; opening it will tell. */
static bool make_folder(struct buf *path, struct error *err)
{
    buf_append_byte(path, '\0');
    path->len--;
    return mkdir(path->data, 0755) == 0 || errno == EEXIST ||
           error_set(err, "cannot make folder %s: %s", quote(buf_str(path)).text, strerror(errno));
}

/* Opens P/mount/NAME, which the volume's driver has made; without one (a hand-made credentials file) it is made here. */
static int open_volume(const struct socket *socket, struct buf *path, struct error *err)
{
    buf_printf(path, "%s/mount", socket->server->prefix);
    if (!make_folder(path, err))
        return -1;
    buf_printf(path, "/%.*s", STR_ARG(socket->name));
    if (!make_folder(path, err))
        return -1;
    int fd = open(path->data, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_set(err, "cannot open folder %s: %s", quote(buf_str(path)).text, strerror(errno));
    return fd;
}

static bool start_grpc(struct socket *socket, struct error *err)
{
    struct psync_server *server = socket->server;
    socket->methods[0] = (struct grpc_method){STR("/felix.PolicySync/Sync"), on_sync, socket};
    socket->methods[1] = (struct grpc_method){STR("/felix.PolicySync/Report"), on_report, socket};
    socket->grpc =
        grpc_server_new(server->loop, socket->listener.fd, socket->methods, METHODS, err);
    if (socket->grpc == NULL)
        return false;
    grpc_server_set_limits(socket->grpc, &socket_limits);
    grpc_server_allow_path_authority(socket->grpc);
    return true;
}

static bool try_listening(struct socket *socket, struct error *err)
{
    CLEANUP_BUF struct buf path = {0};
    socket->folder_fd = open_volume(socket, &path, err);
    if (socket->folder_fd < 0)
        return false;
    buf_printf(&path, "/%s", SOCKET_NAME);
    buf_append_byte(&path, '\0');
    if (!listen_unix_at(socket->folder_fd, SOCKET_NAME, path.data, 0777, &socket->listener, err))
        error_prefix(err, "cannot listen on %s", quote(str_from_c(path.data)).text);
    else if (start_grpc(socket, err))
        return true;
    close(socket->folder_fd);
    socket->folder_fd = -1;
    return false;
}

static void start_listening(struct socket *socket)
{
    struct error err;
    if (try_listening(socket, &err)) {
        log_event(LOG_INFO, "Serving a workload", LOG_STR("workload", socket->workload),
                  LOG_STR("volume", socket->name));
        return;
    }
    log_event(error_is_news(&socket->told, err.text) ? LOG_ERROR : LOG_DEBUG,
              "Cannot serve a workload; trying again every two seconds",
              LOG_STR("workload", socket->workload), LOG_C("problem", err.text));
    arm_once(socket->server, &socket->server->retry, RETRY_PAUSE);
}

static void on_retry(void *ctx)
{
    struct psync_server *server = ctx;
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&server->sockets, &position)) != NULL) {
        struct socket *socket = entry->value;
        if (socket->grpc == NULL)
            start_listening(socket);
    }
}

static void stop_listening(struct socket *socket)
{
    if (socket->grpc == NULL)
        return;
    listen_remove_at(socket->folder_fd, SOCKET_NAME, &socket->listener);
    close(socket->folder_fd);
    grpc_server_free(socket->grpc); /* ends its streams */
    socket->folder_fd = -1;
    socket->grpc = NULL;
}

static bool is_same_file(const struct stat *info, dev_t device, ino_t inode)
{
    return info->st_dev == device && info->st_ino == inode;
}

/* Whether whoever looks into P/mount/NAME finds the socket that listens. What is open keeps its number, so no other has it. */
static bool can_be_reached(const struct socket *socket)
{
    CLEANUP_BUF struct buf path = {0};
    struct stat folder, place, found;
    buf_printf(&path, "%s/mount/%.*s%c", socket->server->prefix, STR_ARG(socket->name), '\0');
    return fstat(socket->folder_fd, &folder) == 0 && lstat(path.data, &place) == 0 &&
           is_same_file(&place, folder.st_dev, folder.st_ino) &&
           fstatat(socket->folder_fd, SOCKET_NAME, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_same_file(&found, socket->listener.device, socket->listener.inode);
}

static void close_socket(struct socket *socket)
{
    stop_listening(socket);
    arena_free(&socket->arena);
    free(socket);
}

/* ---- volumes ---- */

static void on_volume(void *ctx, struct str name, const struct credentials *credentials)
{
    struct psync_server *server = ctx;
    struct socket *socket = mem_zalloc(sizeof(*socket));
    socket->server = server;
    socket->folder_fd = -1;
    socket->name = arena_copy(&socket->arena, name);
    socket->workload = arena_printf(&socket->arena, "%.*s/%.*s", STR_ARG(credentials->namespace),
                                    STR_ARG(credentials->workload));
    map_set(&server->sockets, socket->name, socket);
    start_listening(socket);
}

static void on_volume_gone(void *ctx, struct str name)
{
    struct psync_server *server = ctx;
    struct socket *socket = map_remove(&server->sockets, name);
    if (socket == NULL)
        return;
    log_event(LOG_INFO, "A workload's volume is gone", LOG_STR("workload", socket->workload),
              LOG_STR("volume", socket->name));
    close_socket(socket);
}

static void on_volume_rewritten(void *ctx, struct str name)
{
    struct psync_server *server = ctx;
    struct socket *socket = map_get(&server->sockets, name);
    if (socket == NULL || socket->grpc == NULL || can_be_reached(socket))
        return;
    log_event(LOG_WARNING, "A workload's socket is not in its place any more; it is made anew",
              LOG_STR("workload", socket->workload), LOG_STR("volume", socket->name));
    stop_listening(socket);
    start_listening(socket);
}

/* ---- the server ---- */

struct psync_server *psync_server_new(struct loop *loop, struct feed *feed, const char *prefix,
                                      struct error *err)
{
    struct psync_server *server = mem_zalloc(sizeof(*server));
    const struct psync_folder_events events = {on_volume, on_volume_gone, on_volume_rewritten,
                                               server};
    CLEANUP_BUF struct buf path = {0};
    server->loop = loop;
    server->feed = feed;
    server->prefix = mem_strndup(str_from_c(prefix));
    server->retry = (struct loop_timer){.callback = on_retry, .ctx = server};
    server->trim = (struct loop_timer){.callback = on_trim, .ctx = server};
    buf_printf(&path, "%s/creds", prefix);
    buf_append_byte(&path, '\0');
    server->folder = psync_folder_open(loop, path.data, &events, err);
    if (server->folder != NULL)
        return server;
    psync_server_free(server);
    return NULL;
}

void psync_server_free(struct psync_server *server)
{
    size_t position = 0;
    struct map_entry *entry;
    if (server == NULL)
        return;
    psync_folder_close(server->folder);
    loop_disarm(server->loop, &server->retry);
    while ((entry = map_next(&server->sockets, &position)) != NULL)
        close_socket(entry->value);
    loop_disarm(server->loop, &server->trim);
    map_free(&server->sockets);
    map_free(&server->streams);
    free(server->prefix);
    free(server);
}

struct psync_server_stats psync_server_stats(const struct psync_server *server)
{
    struct psync_server_stats stats = {.streams = server->streams.count, .joins = server->joins};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&server->sockets, &position)) != NULL) {
        const struct socket *socket = entry->value;
        stats.sockets += socket->grpc != NULL;
        stats.waiting += socket->grpc == NULL;
        if (socket->grpc != NULL)
            stats.connections += grpc_server_stats(socket->grpc).connections;
    }
    return stats;
}
