/* For tests of datastore/kubernetes_objects.h: takes down what the sink is told. */
#ifndef TESTS_OBJECTS_WORLD_H
#define TESTS_OBJECTS_WORLD_H

#include "check.h"
#include "datastore/kubernetes_objects.h"
#include "model/doc.h"
#include "model_show.h"

struct world {
    struct kubernetes_objects objects;
    struct datastore_sink sink;
    struct buf trace;   /* "+KIND NAMESPACE/NAME", "-…", a line each; broken ones "!…" */
    struct buf shown;   /* the last resource (model_show.h) */
    struct buf problem; /* the last one: "WHAT|PLACE|MESSAGE" */
    unsigned problems;
};

static inline void world_on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    buf_append_byte(&world->trace, resource->broken.len > 0 ? '!' : '+');
    buf_append_str(&world->trace, model_key_format(&arena, &resource->key));
    buf_append_byte(&world->trace, '\n');
    world->shown.len = 0;
    show_resource(&world->shown, resource);
    model_resource_free(resource);
}

static inline void world_on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    buf_append_byte(&world->trace, '-');
    buf_append_str(&world->trace, model_key_format(&arena, key));
    buf_append_byte(&world->trace, '\n');
}

static inline void world_on_problem(void *ctx, const struct datastore_problem *problem)
{
    struct world *world = ctx;
    world->problems++;
    world->problem.len = 0;
    buf_printf(&world->problem, "%s|%s|%.*s", problem->what, problem->place,
               STR_ARG(problem->message));
    assert_int_equal(problem->is_warning, strcmp(problem->what, "Questionable resource") == 0);
    assert_int_equal(problem->line, 0);
    assert_true(problem->is_object);
}

/* `world` must stay where it is. */
static inline void world_start(struct world *world, struct str api, struct str kind)
{
    *world = (struct world){0};
    world->sink = (struct datastore_sink){.update = world_on_update,
                                          .remove = world_on_remove,
                                          .problem = world_on_problem,
                                          .ctx = world};
    world->objects = (struct kubernetes_objects){.sink = &world->sink, .api = api, .kind = kind};
}

static inline void world_end(struct world *world)
{
    kubernetes_objects_free(&world->objects);
    buf_free(&world->trace);
    buf_free(&world->shown);
    buf_free(&world->problem);
}

static inline void world_take(struct world *world, struct str json, bool is_deleted)
{
    struct arena arena = {0};
    struct doc_file file = doc_load(&arena, json, true);
    if (file.count != 1 || file.entries[0].failed)
        fail_msg("no JSON: %s", quote(json).text);
    kubernetes_objects_take(&world->objects, file.entries[0].root, is_deleted);
    arena_free(&arena);
}

#endif
