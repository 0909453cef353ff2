#include "policysync/client.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "grpc/client.h"
#include "policysync/decode.h"

/* Milliseconds between two tries: a second, more or less, so that the sidecars of a node do not all come at once when
 * its agent is back. */
enum { RETRY_LEAST = 750, RETRY_SPREAD = 500 };

struct psync_client {
    struct loop *loop;
    char *target;
    struct psync_client_events events;
    struct psync_sink sink;
    struct grpc_client_call *call; /* NULL between two streams */
    struct loop_timer retry;
    struct arena arena; /* of the messages of one batch */
    bool up;            /* the stream has brought something */
    bool has_batch;
    uint64_t streams;
    struct error told; /* why there is no stream; empty: nothing was told */
};

static void start(void *ctx);

static uint64_t retry_delay(void)
{
    uint16_t random = 0;
    ssize_t ignored = getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)ignored; /* without it the delay is not spread; that is all */
    return RETRY_LEAST + random % RETRY_SPREAD;
}

/* The stream is over, or did not come about. */
static void try_later(struct psync_client *client, const char *problem)
{
    if (client->up)
        client->events.lost(client->events.ctx);
    bool is_news = error_is_news(&client->told, problem);
    log_event(is_news ? LOG_WARNING : LOG_DEBUG,
              "No Policy Sync stream; trying again every second, the last policy stays in force",
              LOG_C("target", client->target), LOG_C("problem", problem));
    client->call = NULL;
    client->up = false;
    loop_arm(client->loop, &client->retry, retry_delay());
}

static void note_up(struct psync_client *client)
{
    if (client->up)
        return;
    client->up = true;
    client->streams++;
    client->told.text[0] = '\0';
    log_event(LOG_INFO, "Successfully connected to Policy Sync server",
              LOG_C("target", client->target));
    log_message(LOG_INFO, "Starting synchronization with Policy Sync server");
    client->events.begin(client->events.ctx);
}

static void end_batch(struct psync_client *client)
{
    if (client->has_batch)
        client->sink.batch_end(client->sink.ctx);
    client->has_batch = false;
    arena_free(&client->arena);
}

static void on_message(void *ctx, struct str bytes)
{
    struct psync_client *client = ctx;
    struct psync_message message;
    struct error err;
    note_up(client);
    if (!psync_decode(&client->arena, bytes, &message, &err)) {
        grpc_client_cancel(client->call);
        end_batch(client);
        try_later(client, err.text);
        return;
    }
    if (message.kind == PSYNC_IN_SYNC)
        log_message(LOG_INFO, "In sync with Policy Sync server");
    client->sink.message(client->sink.ctx, &message);
    client->has_batch = true;
    /* What a message points to was copied or is done with. */
    arena_free(&client->arena);
}

static void on_turn_end(void *ctx)
{
    end_batch(ctx);
}

static void on_end(void *ctx, enum grpc_code code, struct str message)
{
    struct psync_client *client = ctx;
    struct error problem;
    end_batch(client);
    error_set(&problem, "stream ended with gRPC status %d: %s", (int)code, quote(message).text);
    try_later(client, problem.text);
}

static void start(void *ctx)
{
    struct psync_client *client = ctx;
    struct error err;
    const struct grpc_client_callbacks callbacks = {
        .on_message = on_message, .on_turn_end = on_turn_end, .on_end = on_end, .ctx = client};
    client->call = grpc_client_start(client->loop, str_from_c(client->target),
                                     STR("/felix.PolicySync/Sync"), STR(""), callbacks, &err);
    if (client->call == NULL)
        try_later(client, err.text);
}

struct psync_client *psync_client_new(struct loop *loop, const char *target,
                                      const struct psync_client_events *events,
                                      const struct psync_sink *sink)
{
    struct psync_client *client = mem_zalloc(sizeof(*client));
    client->loop = loop;
    client->target = mem_strndup(str_from_c(target));
    client->events = *events;
    client->sink = *sink;
    client->retry = (struct loop_timer){.callback = start, .ctx = client};
    start(client);
    return client;
}

uint64_t psync_client_streams(const struct psync_client *client)
{
    return client->streams;
}

void psync_client_free(struct psync_client *client)
{
    if (client == NULL)
        return;
    loop_disarm(client->loop, &client->retry);
    grpc_client_cancel(client->call);
    arena_free(&client->arena);
    free(client->target);
    free(client);
}
