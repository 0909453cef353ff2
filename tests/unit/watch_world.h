/* For tests of kube/watch.h: a watch, and a server that plays scripts to it. Time skips: what takes minutes takes none. */
#ifndef TESTS_WATCH_WORLD_H
#define TESTS_WATCH_WORLD_H

#include <stdio.h>

#include "api_server.h"
#include "base/log.h"
#include "check.h"
#include "kube/watch.h"
#include "skipping_clock.h"

/* Milliseconds: less than any pause before another request. */
enum { SETTLED = 100 };

/* What a request must be like, and what is answered to it. */
struct step {
    /* Parts that the target has, divided by blanks; those behind a `!` it has not. */
    const char *expects;
    struct api_reply reply;
    /* Milliseconds between the end of the step before and the request; most 0: any. */
    uint64_t least, most;
};

struct world {
    struct loop *loop;
    struct api_server server;
    struct kube_config config;
    struct kube_client *client;
    struct kube_watch *watch;
    const char *name;
    const struct step *steps;
    size_t step, step_count;
    uint64_t replied, answered; /* when the step before began and ended, as loop_now */
    bool is_late, is_unexpected;
    unsigned most;   /* objects of a list; 0: any number */
    size_t hurry_at; /* a step, for kube_watch_try_soon */
    struct buf trace;
    struct loop_timer too_late, over, hurry;
};

/* [ begin, ] whole, +NAME there, -NAME gone, . the end of a batch, {PROBLEM}, {} none any more. */
static inline void world_on_begin(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR("["));
}

static inline void world_on_whole(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR("]"));
}

static inline void world_on_object(void *ctx, const struct doc_node *object, bool is_deleted)
{
    struct world *world = ctx;
    const struct doc_node *name = doc_get(doc_get(object, STR("metadata")), STR("name"));
    buf_append_byte(&world->trace, is_deleted ? '-' : '+');
    buf_append_str(&world->trace, name != NULL ? name->text : STR("?"));
}

static inline void world_on_batch_end(void *ctx)
{
    buf_append_str(&((struct world *)ctx)->trace, STR("."));
}

static inline void world_on_problem(void *ctx, const char *problem)
{
    buf_printf(&((struct world *)ctx)->trace, "{%s}", problem != NULL ? problem : "");
}

static inline void world_give_up(void *ctx)
{
    struct world *world = ctx;
    world->is_late = true;
    loop_stop(world->loop);
}

static inline bool world_is_as_expected(struct str target, const char *expects)
{
    struct str rest = str_from_c(expects), part;
    while (rest.len > 0) {
        str_cut(rest, ' ', &part, &rest);
        bool must_not = part.len > 0 && part.ptr[0] == '!';
        if (str_contains(target, str_from(part, must_not)) == must_not)
            return false;
    }
    return true;
}

static inline void world_stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

/* The step that the request is. When what the last one brings has come, the test is over. */
static inline struct api_reply world_play(void *ctx, const struct api_request *request)
{
    const struct api_reply nothing = {.ending = API_NOTHING};
    struct world *world = ctx;
    uint64_t now = loop_now(world->loop);
    /* Who has heard what there is to hear need not wait for the end. */
    uint64_t waited = now - (now < world->answered ? world->replied : world->answered);
    if (world->step == world->step_count)
        return nothing;
    const struct step *step = &world->steps[world->step++];
    if (world->step == world->step_count)
        loop_arm(world->loop, &world->over, SETTLED);
    if (!world_is_as_expected(request->target, step->expects) ||
        (step->most > 0 && (waited < step->least || waited > step->most))) {
        print_message("# %s: step %zu, after %u ms: %.*s\n", world->name, world->step,
                      (unsigned)waited, STR_ARG(request->target));
        world->is_unexpected = true;
        loop_stop(world->loop);
        return nothing;
    }
    world->replied = now;
    world->answered = now + step->reply.lasts;
    return step->reply;
}

static inline void world_start(struct world *world, const struct kube_watch_options *options)
{
    static char server[64];
    static const struct kube_watch_events events = {world_on_begin,   world_on_whole,
                                                    world_on_object,  world_on_batch_end,
                                                    world_on_problem, NULL};
    struct kube_watch_events own = events;
    struct error err;
    own.ctx = world;
    world->loop = loop_new(&err);
    api_server_start(&world->server, world->loop, world_play, world);
    snprintf(server, sizeof(server), "http://127.0.0.1:%u", world->server.port);
    world->config.server = server;
    world->client = kube_client_new(world->loop, &world->config, &err);
    if (world->client == NULL)
        fail_msg("%s", err.text);
    world->too_late = (struct loop_timer){.callback = world_give_up, .ctx = world};
    world->over = (struct loop_timer){.callback = world_stop, .ctx = world};
    loop_arm(world->loop, &world->too_late, 2 * 3600 * 1000);
    world->answered = loop_now(world->loop);
    world->watch = kube_watch_new(world->loop, world->client, options, &own);
}

static inline void world_end(struct world *world)
{
    kube_watch_free(world->watch);
    kube_client_free(world->client);
    api_server_stop(&world->server);
    loop_free(world->loop);
    buf_free(&world->trace);
}

static inline void check_steps(struct world *world)
{
    CHECK(world->name, !world->is_unexpected);
    check_number(world->name, (long long)world->step, (long long)world->step_count);
    CHECK(world->name, !world->is_late);
}

#define OBJECT(name, version)                                                                      \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define ADDED(name, version)       EVENT("ADDED", name, version)
#define MODIFIED(name, version)    EVENT("MODIFIED", name, version)
#define DELETED(name, version)     EVENT("DELETED", name, version)
#define BOOKMARK(version)                                                                          \
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}\n"
#define END(version)                                                                               \
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version              \
    "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define STATUS(code, text) "{\"kind\":\"Status\",\"code\":" code ",\"message\":\"" text "\"}"
#define NOT_FOUND(text)                                                                            \
    "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"" text "\"}"
#define ERROR(code, text) "{\"type\":\"ERROR\",\"object\":" STATUS(code, text) "}\n"
#define LIST(version, more, items)                                                                 \
    "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"" version "\"" more                    \
    "},\"items\":[" items "]}"
#define MORE(token) ",\"continue\":\"" token "\""

#define BODY(text)                                                                                 \
    {                                                                                              \
        .body = STR_INIT(text)                                                                     \
    }
#define STREAM(text, length)                                                                       \
    {                                                                                              \
        .body = STR_INIT(text), .lasts = (length)                                                  \
    }
#define CUT(text)                                                                                  \
    {                                                                                              \
        .body = STR_INIT(text), .ending = API_CUT                                                  \
    }
#define OPEN(text)                                                                                 \
    {                                                                                              \
        .body = STR_INIT(text), .ending = API_OPEN                                                 \
    }
#define REFUSAL(code, text)                                                                        \
    {                                                                                              \
        .status = (code), .body = STR_INIT(text)                                                   \
    }

#define BUSY(code, seconds)                                                                        \
    {                                                                                              \
        .status = (code), .headers = "Retry-After: " seconds "\r\n",                               \
        .body = STR_INIT(STATUS("429", "slower"))                                                  \
    }

#define MISSING REFUSAL(404, "404 page not found\n")

#define NO_KIND "{there is no such kind in the cluster}"

#define AS_STREAM                                                                                  \
    "watch=1 sendInitialEvents=true resourceVersionMatch=NotOlderThan !resourceVersion= !limit="
#define AS_LIST        "limit=500 resourceVersion=0 !continue= !watch="
#define AS_FRESH_LIST  "limit=500 !resourceVersion !continue= !watch="
#define AS_PAGE(token) "limit=500 continue=" token " !resourceVersion !watch="
#define AS_WATCH(version)                                                                          \
    "watch=1 resourceVersion=" version " allowWatchBookmarks=true timeoutSeconds= "                \
    "!sendInitialEvents !limit="

/* After a first failure, and after a second in a row. */
#define FIRST_PAUSE  250, 760
#define SECOND_PAUSE 500, 1510
/* After a watch that had worked, or a version that is too old: when all nodes come. */
#define LOST_PAUSE 0, 5010
/* Before a kind that is not there is looked for again, and again. */
#define FIRST_LOOK  10000, 30010
#define SECOND_LOOK 20000, 60010

/* Longer than it takes a watch to count as one that works. */
#define LONG 3000

/* A list, and then a watch from version 7. */
#define LISTED                                                                                     \
    {                                                                                              \
        AS_LIST, BODY(LIST("7", "", OBJECT("a", "5"))), 0, 0                                       \
    }
#define QUIET STREAM("", LONG)

struct script {
    const char *name;
    bool no_streaming;
    struct step steps[8];
    const char *trace;
};

/* Starts a watch, and plays the script to it. */
static inline void script_start(struct world *world, const struct script *script)
{
    const struct kube_watch_options options = {
        .path = "/api/v1/things", .no_streaming = script->no_streaming, .most = world->most};
    world->name = script->name;
    world->steps = script->steps;
    while (world->step_count < COUNT(script->steps) &&
           script->steps[world->step_count].expects != NULL)
        world->step_count++;
    world_start(world, &options);
}

static inline void script_end(struct world *world, const struct script *script)
{
    loop_run(world->loop);
    check_steps(world);
    buf_append_byte(&world->trace, '\0');
    if (strcmp(world->trace.data, script->trace) != 0)
        fail_msg("%s:\n     got %s\nexpected %s", script->name, world->trace.data, script->trace);
    world_end(world);
}

static inline void run_scripts(const struct script *scripts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct world world = {0};
        script_start(&world, &scripts[i]);
        script_end(&world, &scripts[i]);
    }
}

#endif
