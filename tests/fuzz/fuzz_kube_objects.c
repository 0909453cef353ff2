/* Any bytes as events of a watch: {"type": "ADDED", "DELETED", "BEGIN" or "END", "object": {…}} one behind the other; the first byte
 * chooses the kind. Nothing goes that was not told, and when all is gone, nothing is left. */
#include <assert.h>
#include <stdlib.h>

#include "datastore/kubernetes_kinds.h"
#include "datastore/kubernetes_objects.h"
#include "fuzz.h"
#include "kube/split.h"
#include "model/doc.h"

struct world {
    struct kubernetes_objects objects;
    struct map told; /* of resources: the text of the key, to itself */
};

static char *key_text(const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    buf_printf(&text, "%d %zu ", key->kind, key->namespace.len);
    buf_append_str(&text, key->namespace);
    buf_append_str(&text, key->name);
    return mem_strndup(buf_str(&text));
}

static void on_update(void *ctx, struct model_resource *resource)
{
    struct world *world = ctx;
    assert(resource->key.name.len > 0);
    char *text = key_text(&resource->key);
    free(map_set(&world->told, str_from_c(text), text));
    model_resource_free(resource);
}

static void on_remove(void *ctx, const struct model_key *key)
{
    struct world *world = ctx;
    CLEANUP_FREE char *text = key_text(key);
    char *told = map_remove(&world->told, str_from_c(text));
    assert(told != NULL);
    free(told);
}

static void on_problem(void *ctx, const struct datastore_problem *problem)
{
    (void)ctx;
    assert(problem->message.len > 0);
}

static bool is_type(const struct doc_node *event, struct str type)
{
    const struct doc_node *own = doc_get(event, STR("type"));
    return own != NULL && own->type == DOC_STRING && str_eq(own->text, type);
}

static bool on_event(void *ctx, struct str json)
{
    struct world *world = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct doc_file file = doc_load(&arena, json, true);
    if (file.count != 1 || file.entries[0].failed)
        return false;
    const struct doc_node *event = file.entries[0].root, *object = doc_get(event, STR("object"));
    if (is_type(event, STR("BEGIN")))
        kubernetes_objects_begin(&world->objects);
    else if (is_type(event, STR("END")))
        kubernetes_objects_end(&world->objects);
    else if (object != NULL && object->type == DOC_MAP)
        kubernetes_objects_take(&world->objects, object, is_type(event, STR("DELETED")));
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct world world = {0};
    const struct kubernetes_kind *kind = &kubernetes_kinds[(data[0] / 2) % kubernetes_kind_count];
    const struct datastore_sink sink = {
        .update = on_update, .remove = on_remove, .problem = on_problem, .ctx = &world};
    const struct kube_split_events events = {on_event, NULL, &world};
    struct str calico =
        (data[0] & 1) != 0 ? STR("projectcalico.org/v3") : STR("crd.projectcalico.org/v1");
    struct kube_split *split = kube_split_new(SPLIT_VALUES, kind->drop, "object", &events);
    struct error err;
    world.objects.sink = &sink;
    world.objects.api = kind->group != NULL ? kind->api : calico;
    world.objects.kind = kind->kind;
    kube_split_feed(split, str_make((const char *)data + 1, size - 1), &err);
    kube_split_free(split);

    kubernetes_objects_begin(&world.objects);
    kubernetes_objects_end(&world.objects);
    assert(world.told.count == 0);
    assert(world.objects.known.count == 0 && world.objects.renamed.count == 0);
    kubernetes_objects_free(&world.objects);
    map_free(&world.told);
    return 0;
}
