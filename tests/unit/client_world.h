/* For tests of kube/client.h: a client, its server, and requests that take down what comes of them. Time skips. */
#ifndef TESTS_CLIENT_WORLD_H
#define TESTS_CLIENT_WORLD_H

#include <stdio.h>

#include "api_server.h"
#include "base/log.h"
#include "check.h"
#include "kube/client.h"
#include "skipping_clock.h"

struct world {
    struct loop *loop;
    struct api_server server;
    struct kube_config config;
    char address[64];
    struct kube_client *client;
    struct api_reply reply;
    struct buf target, head; /* of the last request */
    unsigned asked;
    unsigned open; /* calls that have not ended */
};

/* One request, and what came of it. */
struct call {
    struct world *world;
    struct kube_request *request;
    struct buf body, message;
    unsigned turns;               /* ends of turns */
    size_t in_turn, most_in_turn; /* bytes of its body */
    bool has_ended, stops, is_turn_open;
    enum kube_outcome outcome;
    unsigned retry_after;
    /* What it does at the end of a turn and at its own. */
    void (*at_turn_end)(struct call *call);
    void (*at_end)(struct call *call);
    struct call *other;
};

static inline struct api_reply world_answer(void *ctx, const struct api_request *request)
{
    struct world *world = ctx;
    world->asked++;
    world->target.len = world->head.len = 0;
    buf_append_str(&world->target, request->target);
    buf_append_str(&world->head, request->head);
    return world->reply;
}

static inline void world_start(struct world *world, const char *base)
{
    struct error err;
    world->loop = loop_new(&err);
    api_server_start(&world->server, world->loop, world_answer, world);
    snprintf(world->address, sizeof(world->address), "http://127.0.0.1:%u%s", world->server.port,
             base);
    world->config.server = world->address;
    world->client = kube_client_new(world->loop, &world->config, &err);
    if (world->client == NULL)
        fail_msg("%s", err.text);
}

static inline void world_end(struct world *world)
{
    kube_client_free(world->client);
    api_server_stop(&world->server);
    loop_free(world->loop);
    buf_free(&world->target);
    buf_free(&world->head);
}

static inline bool call_on_data(void *ctx, struct str bytes)
{
    struct call *call = ctx;
    assert_false(call->has_ended);
    assert_true(bytes.len > 0);
    call->is_turn_open = true;
    buf_append_str(&call->body, bytes);
    call->in_turn += bytes.len;
    if (call->in_turn > call->most_in_turn)
        call->most_in_turn = call->in_turn;
    return !call->stops;
}

static inline void call_on_turn_end(void *ctx)
{
    struct call *call = ctx;
    assert_true(call->is_turn_open && !call->has_ended);
    call->is_turn_open = false;
    call->turns++;
    call->in_turn = 0;
    if (call->at_turn_end != NULL)
        call->at_turn_end(call);
}

static inline void call_on_end(void *ctx, enum kube_outcome outcome, struct str message,
                               unsigned retry_after)
{
    struct call *call = ctx;
    assert_false(call->has_ended || call->is_turn_open);
    call->has_ended = true;
    call->request = NULL;
    call->outcome = outcome;
    call->retry_after = retry_after;
    buf_append_str(&call->message, message);
    if (call->at_end != NULL)
        call->at_end(call);
    if (--call->world->open == 0)
        loop_stop(call->world->loop);
}

static inline void call_start(struct call *call, struct world *world, const char *path,
                              uint64_t silence)
{
    const struct kube_callbacks callbacks = {call_on_data, call_on_turn_end, call_on_end, call};
    call->world = world;
    world->open++;
    call->request = kube_request_start(world->client, path, silence, &callbacks);
    assert_non_null(call->request);
    assert_false(call->has_ended);
}

static inline void call_free(struct call *call)
{
    buf_free(&call->body);
    buf_free(&call->message);
}

static inline uint32_t crc32_of(struct str text)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static inline void append_little(struct buf *out, uint32_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_append_byte(out, (char)(number >> (8 * i)));
}

/* A request to its end. */
static inline void call_run(struct call *call, struct world *world, const char *path)
{
    call_start(call, world, path, 0);
    loop_run(world->loop);
    assert_true(call->has_ended);
}

#endif
