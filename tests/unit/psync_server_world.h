/* For tests of policysync/server.h: a node with a feed, its sockets in a folder of the test's own, and streams of sidecars. All share
 * one loop and one thread, so what a turn comes to does not hang on how fast the machine is; time skips.
 */
#ifndef TESTS_PSYNC_SERVER_WORLD_H
#define TESTS_PSYNC_SERVER_WORLD_H

#include "policysync/feed_private.h"
#include "policysync/server.h"

#include "feed_world.h"
#include "folder.h"
#include "grpc_peer.h"
#include "node/credentials.h"
#include "skipping_clock.h"

#define SYNC "/felix.PolicySync/Sync"

struct node {
    struct feed_world told;
    struct world peers; /* for struct peer: the loop, and the path of a socket */
    struct psync_server *server;
};

/* One call, and what came of it: a line for each message, "large" for those that are. */
struct stream_seen {
    struct grpc_client_call *call;
    struct buf text, reason;
    bool has_ended;
    enum grpc_code code;
};

static inline void node_mount(const char *volume, const char *pod)
{
    struct error err;
    const struct credentials of = {STR("uid"), str_from_c(pod), STR("k"), STR("sa")};
    if (!credentials_write("creds", str_from_c(volume), &of, &err))
        fail_msg("%s", err.text);
}

/* With a socket for each of the pods k/web and k/db, which nothing was told of yet. */
static inline void node_open(struct node *node)
{
    struct error err;
    log_set_level(LOG_ERROR + 1);
    clock_patience = 0; /* nothing is done by others */
    *node = (struct node){0};
    open_feed(&node->told);
    node->peers.loop = loop_new(&err);
    assert_non_null(node->peers.loop);
    snprintf(node->peers.path, sizeof(node->peers.path), "mount/web/socket");
    node_mount("web", "web");
    node_mount("db", "db");
    node->server = psync_server_new(node->peers.loop, node->told.feed, ".", &err);
    if (node->server == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(psync_server_stats(node->server).sockets, 2);
}

static inline void node_pass(struct node *node, uint64_t milliseconds)
{
    clock_pass(node->peers.loop, milliseconds);
}

static inline void node_close(struct node *node)
{
    psync_server_free(node->server);
    node_pass(node, 60000); /* no timer of it is left */
    assert_int_equal(feed_stats(node->told.feed).readers, 0);
    close_feed(&node->told);
    loop_free(node->peers.loop);
}

/* ---- sidecars ---- */

static inline void stream_take_message(void *ctx, struct str bytes)
{
    enum { LARGE_MESSAGE = 16 * 1024 };
    struct stream_seen *seen = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message;
    struct error err;
    bool is_large = bytes.len > LARGE_MESSAGE;
    if (!psync_decode(&arena, bytes, &message, &err))
        fail_msg("%s", err.text);
    append_line(&seen->text, is_large ? NULL : &message, "large");
}

static inline void stream_take_end(void *ctx, enum grpc_code code, struct str message)
{
    struct stream_seen *seen = ctx;
    seen->has_ended = true;
    seen->call = NULL;
    seen->code = code;
    buf_append_str(&seen->reason, message);
}

/* Begins a call on a volume's socket, and lets come what comes. */
static inline void stream_open(struct node *node, struct stream_seen *seen, const char *volume)
{
    struct error err;
    char path[64];
    const struct grpc_client_callbacks callbacks = {stream_take_message, NULL, stream_take_end,
                                                    seen};
    snprintf(path, sizeof(path), "mount/%s/socket", volume);
    *seen = (struct stream_seen){0};
    seen->call =
        grpc_client_start(node->peers.loop, str_from_c(path), STR(SYNC), STR(""), callbacks, &err);
    if (seen->call == NULL)
        fail_msg("%s", err.text);
    node_pass(node, 1);
}

static inline void stream_close(struct node *node, struct stream_seen *seen)
{
    grpc_client_cancel(seen->call);
    buf_free(&seen->text);
    buf_free(&seen->reason);
    *seen = (struct stream_seen){0};
    node_pass(node, 1);
}

/* What came since the last look; the stream goes on. */
static inline void check_stream(const char *name, struct stream_seen *seen, const char *expected)
{
    if (seen->has_ended)
        fail_msg("%s: ended: %s", name, quote(buf_str(&seen->reason)).text);
    if (!str_eq(buf_str(&seen->text), str_from_c(expected)))
        fail_msg("%s: got:\n%.*s\nexpected:\n%s", name, STR_ARG(buf_str(&seen->text)), expected);
    seen->text.len = 0;
}

static inline void check_ended(const char *name, const struct stream_seen *seen,
                               enum grpc_code code, const char *reason)
{
    CHECK(name, seen->has_ended);
    check_number(name, seen->code, code);
    check_text(name, buf_str(&seen->reason), str_from_c(reason));
}

#endif
