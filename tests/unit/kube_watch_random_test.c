/* kube/watch.h and datastore/kubernetes_objects.h against a server that has a state, and trouble: whatever happens, in the end the
 * sink has what the cluster has, and nothing was removed that was not there. */
#include <stdio.h>

#include "api_server.h"
#include "base/log.h"
#include "datastore/kubernetes_objects.h"
#include "kube/watch.h"
#include "random.h"
#include "skipping_clock.h"

enum { OBJECTS = 6, CHANGES = 60, PAGE_SIZE = 2, CALM = 150 * 1000 };

struct change {
    unsigned object;
    bool is_deleted, is_new;
};

struct world {
    struct loop *loop;
    struct random random;
    struct api_server server;
    bool can_stream, is_calm;

    /* The cluster: the version of each object (0: it is not there), and what led there. Versions count changes from 1. */
    unsigned objects[OBJECTS];
    struct change log[CHANGES + 1];
    unsigned version, oldest; /* of the latter the server still knows what came after */
    /* The list that is being read in pages. */
    unsigned snapshot[OBJECTS], snapshot_version;
    struct buf body;
    struct loop_timer mutate, over;

    /* The client, and what it was told. */
    struct kube_config config;
    struct kube_client *client;
    struct kube_watch *watch;
    struct kubernetes_objects reader;
    struct datastore_sink sink;
    unsigned told[OBJECTS];
};

/* ---- the client ---- */

static unsigned object_of(const struct model_key *key)
{
    assert_true(key->name.len == 1);
    return (unsigned)(key->name.ptr[0] - 'a');
}

static void on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    struct str label;
    uint64_t version;
    assert_true(labels_get(&resource->labels, STR("version"), &label));
    assert_true(str_parse_uint(label, CHANGES, &version));
    world->told[object_of(&resource->key)] = (unsigned)version;
    model_resource_free(resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    unsigned object = object_of(key);
    assert_true(world->told[object] > 0);
    world->told[object] = 0;
}

static void on_begin(void *ctx)
{
    kubernetes_objects_begin(&((struct world *)ctx)->reader);
}

static void on_whole(void *ctx)
{
    kubernetes_objects_end(&((struct world *)ctx)->reader);
}

static void on_object(void *ctx, const struct doc_node *object, bool is_deleted)
{
    kubernetes_objects_take(&((struct world *)ctx)->reader, object, is_deleted);
}

static void on_batch_end(void *ctx)
{
    (void)ctx;
}

static void on_problem(void *ctx, const char *problem)
{
    (void)ctx;
    (void)problem;
}

/* ---- the server ---- */

static void append_object(struct buf *out, unsigned object, unsigned version)
{
    buf_printf(out,
               "{\"metadata\":{\"namespace\":\"n\",\"name\":\"%c\",\"resourceVersion\":\"%u\","
               "\"labels\":{\"version\":\"%u\"}},\"spec\":{}}",
               'a' + (int)object, version, version);
}

static void append_event(struct buf *out, const char *type, unsigned object, unsigned version)
{
    buf_printf(out, "{\"type\":\"%s\",\"object\":", type);
    append_object(out, object, version);
    buf_append_str(out, STR("}\n"));
}

static void append_change(struct buf *out, const struct world *world, unsigned version)
{
    const struct change *change = &world->log[version];
    append_event(out,
                 change->is_deleted ? "DELETED"
                 : change->is_new   ? "ADDED"
                                    : "MODIFIED",
                 change->object, version);
}

static void append_bookmark(struct buf *out, unsigned version, const char *more)
{
    buf_printf(out,
               "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"%u\"%s}}}\n",
               version, more);
}

static struct api_reply answer_stream(struct world *world)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (world->objects[i] > 0)
            append_event(&world->body, "ADDED", i, world->objects[i]);
    }
    append_bookmark(&world->body, world->version,
                    ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
    return (struct api_reply){.ending = API_OPEN, .body = buf_str(&world->body)};
}

static struct api_reply gone(struct world *world, bool as_event)
{
    const struct str status = STR("{\"kind\":\"Status\",\"code\":410,\"message\":\"too old\"}");
    if (!as_event)
        return (struct api_reply){.status = 410, .body = status};
    buf_printf(&world->body, "{\"type\":\"ERROR\",\"object\":%s}\n", status.ptr);
    return (struct api_reply){.body = buf_str(&world->body)};
}

/* The number behind `key` in the target; 0: there is none. */
static unsigned number_in(struct str target, struct str key)
{
    uint64_t number = 0;
    while (target.len > 0 && !str_starts_with(target, key))
        target = str_from(target, 1);
    struct str text, rest;
    str_cut(str_from(target, key.len), '&', &text, &rest);
    str_parse_uint(text, 1000000, &number);
    return (unsigned)number;
}

static struct api_reply answer_watch(struct world *world, unsigned from)
{
    if (from < world->oldest)
        return gone(world, random_below(&world->random, 2) == 0);
    for (unsigned version = from + 1; version <= world->version; version++)
        append_change(&world->body, world, version);
    return (struct api_reply){.ending = API_OPEN, .body = buf_str(&world->body)};
}

static struct api_reply answer_list(struct world *world, unsigned start)
{
    unsigned i = start, count = 0;
    if (start == 0) {
        memcpy(world->snapshot, world->objects, sizeof(world->snapshot));
        world->snapshot_version = world->version;
    } else if (world->snapshot_version < world->oldest) {
        return gone(world, false);
    }
    buf_append_str(&world->body, STR("{\"items\":["));
    for (; i < OBJECTS && count < PAGE_SIZE; i++) {
        if (world->snapshot[i] == 0)
            continue;
        buf_append_str(&world->body, count++ > 0 ? STR(",") : STR(""));
        append_object(&world->body, i, world->snapshot[i]);
    }
    buf_printf(&world->body, "],\"metadata\":{\"resourceVersion\":\"%u\"", world->snapshot_version);
    if (i < OBJECTS)
        buf_printf(&world->body, ",\"continue\":\"%u\"", i);
    buf_append_str(&world->body, STR("}}"));
    return (struct api_reply){.body = buf_str(&world->body)};
}

/* Spoils a good answer. */
static void trouble(struct world *world, struct api_reply *reply)
{
    static const unsigned statuses[] = {500, 503, 429, 401, 403};
    switch (random_below(&world->random, 5)) {
    case 0:
        *reply = (struct api_reply){
            .status = statuses[random_below(&world->random, COUNT(statuses))],
            .headers = random_below(&world->random, 2) == 0 ? "Retry-After: 2\r\n" : NULL};
        break;
    case 1:
        reply->ending = API_HANG_UP;
        break;
    case 2:
        reply->ending = API_NOTHING;
        break;
    default: /* cut at any byte */
        reply->body = str_head(reply->body, random_below(&world->random, reply->body.len + 1));
        reply->ending = random_below(&world->random, 2) == 0 ? API_CUT : API_WHOLE;
    }
}

static struct api_reply answer(void *ctx, const struct api_request *request)
{
    struct world *world = ctx;
    struct str target = request->target;
    struct api_reply reply;
    world->body.len = 0;
    if (str_contains(target, STR("limit=")))
        reply = answer_list(world, number_in(target, STR("continue=")));
    else if (!str_contains(target, STR("sendInitialEvents")))
        reply = answer_watch(world, number_in(target, STR("resourceVersion=")));
    else if (world->can_stream)
        reply = answer_stream(world);
    else
        reply = (struct api_reply){.status = 422};
    if (!world->is_calm && random_below(&world->random, 3) == 0)
        trouble(world, &reply);
    reply.chunk = random_below(&world->random, 3) == 0 ? 1 + random_below(&world->random, 20) : 0;
    return reply;
}

/* ---- what happens ---- */

static void change_something(struct world *world)
{
    CLEANUP_BUF struct buf event = {0};
    unsigned object = (unsigned)random_below(&world->random, OBJECTS);
    bool is_new = world->objects[object] == 0;
    bool is_deleted = !is_new && random_below(&world->random, 3) == 0;
    world->log[++world->version] = (struct change){object, is_deleted, is_new};
    world->objects[object] = is_deleted ? 0 : world->version;
    append_change(&event, world, world->version);
    if (random_below(&world->random, 4) == 0)
        append_bookmark(&event, world->version, "");
    api_server_send(&world->server, buf_str(&event));
}

static void happen(void *ctx)
{
    struct world *world = ctx;
    size_t what = random_below(&world->random, 12);
    change_something(world);
    if (what == 0)
        world->oldest = world->version;
    else if (what == 1)
        api_server_hang_up(&world->server);
    world->is_calm = world->version == CHANGES;
    if (world->is_calm)
        loop_arm(world->loop, &world->over, CALM);
    else
        loop_arm(world->loop, &world->mutate, random_below(&world->random, 1500));
}

static void stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

static void start(struct world *world, char *address, size_t size)
{
    const struct kube_watch_options options = {.path = "/api/v1/pods"};
    const struct kube_watch_events events = {on_begin,     on_whole,   on_object,
                                             on_batch_end, on_problem, world};
    struct error err;
    world->loop = loop_new(&err);
    api_server_start(&world->server, world->loop, answer, world);
    snprintf(address, size, "http://127.0.0.1:%u", world->server.port);
    world->config.server = address;
    world->client = kube_client_new(world->loop, &world->config, &err);
    assert_non_null(world->client);
    world->sink = (struct datastore_sink){.update = on_update, .remove = on_remove, .ctx = world};
    world->reader =
        (struct kubernetes_objects){.sink = &world->sink, .api = STR("v1"), .kind = STR("Pod")};
    world->watch = kube_watch_new(world->loop, world->client, &options, &events);
    world->mutate = (struct loop_timer){.callback = happen, .ctx = world};
    world->over = (struct loop_timer){.callback = stop, .ctx = world};
    loop_arm(world->loop, &world->mutate, 1);
}

static void end(struct world *world)
{
    kube_watch_free(world->watch);
    kube_client_free(world->client);
    kubernetes_objects_free(&world->reader);
    api_server_stop(&world->server);
    loop_free(world->loop);
    buf_free(&world->body);
}

static void test_nothing_is_lost(void **state)
{
    (void)state;
    struct random random = random_start();
    for (unsigned i = 0; i < 8; i++) {
        char address[64];
        struct world world = {.random = {random_next(&random)}, .can_stream = i % 2 == 0};
        start(&world, address, sizeof(address));
        loop_run(world.loop);
        for (size_t j = 0; j < OBJECTS; j++)
            check_number("version", world.told[j], world.objects[j]);
        assert_true(kube_watch_is_live(world.watch));
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost),
    };
    clock_patience = 3;
    log_set_level(LOG_ERROR + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
