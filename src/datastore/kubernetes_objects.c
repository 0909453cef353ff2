#include "datastore/kubernetes_objects.h"

#include <stdlib.h>

#include "base/list.h"
#include "model/decode.h"

/* What is told of one object. Who may write one policy is not to fill the logs of all nodes. */
enum { PROBLEMS_TOLD = 20 };

struct known_object {
    uint64_t version;                  /* a hash of its resourceVersion */
    struct known_object *next_renamed; /* another that means the same under another name */
    enum model_kind kind;
    bool is_seen; /* in the list that is under way */
    bool is_told; /* the sink has a version of it */
    bool is_renamed;
    bool is_wanted;                   /* must be told again */
    uint32_t key_len;                 /* of the object's name */
    uint32_t namespace_len, name_len; /* of the resource's */
    char text
        []; /* "NAMESPACE/NAME" of the object; if the resource has other ones, those behind it */
};

static struct str known_key(const struct known_object *known)
{
    return str_make(known->text, known->key_len);
}

/* "NAMESPACE/NAME" of the resource. */
static struct str meaning(const struct known_object *known)
{
    return str_make(known->text + (known->is_renamed ? known->key_len : 0),
                    (size_t)known->namespace_len + 1 + known->name_len);
}

static struct model_key model_key(const struct known_object *known)
{
    struct str text = meaning(known);
    return (struct model_key){known->kind, str_head(text, known->namespace_len),
                              str_make(text.ptr + known->namespace_len + 1, known->name_len)};
}

/* ---- an object ---- */

static struct str object_key(const struct doc_node *object, struct buf *out)
{
    const struct doc_node *metadata = doc_get(object, STR("metadata"));
    buf_append_str(out, doc_get_text(metadata, STR("namespace")));
    buf_append_byte(out, '/');
    buf_append_str(out, doc_get_text(metadata, STR("name")));
    return buf_str(out);
}

static void report(const struct kubernetes_objects *objects, struct str key,
                   const struct model_decoded *decoded)
{
    CLEANUP_BUF struct buf place = {0}, rest = {0};
    buf_printf(&place, "%.*s ", STR_ARG(objects->kind));
    buf_append_str(&place, key.len > 0 && key.ptr[0] == '/' ? str_from(key, 1) : key);
    buf_append_byte(&place, '\0');
    size_t count = decoded->problem_count, told = count > PROBLEMS_TOLD ? PROBLEMS_TOLD : count;
    for (size_t i = 0; i < told; i++)
        datastore_report_object(objects->sink, place.data, decoded->problems[i].warning,
                                decoded->problems[i].message);
    if (told == count)
        return;
    bool is_warning = true;
    for (size_t i = told; i < count; i++)
        is_warning &= decoded->problems[i].warning;
    buf_printf(&rest, "and %zu problems more", count - told);
    datastore_report_object(objects->sink, place.data, is_warning, buf_str(&rest));
}

/* Items of a list need not say what they are; what says so must be what was asked for. */
static bool is_expected(const struct kubernetes_objects *objects, const struct doc_node *object)
{
    struct str api = doc_get_text(object, STR("apiVersion")),
               kind = doc_get_text(object, STR("kind"));
    return (api.len == 0 || str_eq(api, objects->api)) &&
           (kind.len == 0 || str_eq(kind, objects->kind));
}

static void report_unexpected(const struct kubernetes_objects *objects,
                              const struct doc_node *object, struct str key)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct model_problem problem = {
        .message = arena_printf(&arena, "the API server says that it is a %s of %s",
                                quote(doc_get_text(object, STR("kind"))).text,
                                quote(doc_get_text(object, STR("apiVersion"))).text)};
    const struct model_decoded decoded = {.problems = &problem, .problem_count = 1};
    report(objects, key, &decoded);
}

/* What the object means; NULL: nothing that could be told. */
static struct model_resource *decode(const struct kubernetes_objects *objects,
                                     const struct doc_node *object, struct str key)
{
    CLEANUP_ARENA struct arena arena = {0};
    if (!is_expected(objects, object)) {
        report_unexpected(objects, object, key);
        return NULL;
    }
    struct model_decoded decoded =
        model_decode_element(&arena, object, objects->api, objects->kind);
    report(objects, key, &decoded);
    for (size_t i = 1; i < decoded.count; i++)
        model_resource_free(decoded.resources[i]); /* an object is one resource */
    return decoded.count > 0 ? decoded.resources[0] : NULL;
}

/* ---- known ones ---- */

static void add_renamed(struct kubernetes_objects *objects, struct known_object *known)
{
    known->next_renamed = map_get(&objects->renamed, meaning(known));
    map_set(&objects->renamed, meaning(known), known);
}

static void remove_renamed(struct kubernetes_objects *objects, struct known_object *known)
{
    struct known_object *other = map_get(&objects->renamed, meaning(known));
    if (other == known && known->next_renamed != NULL) {
        map_set(&objects->renamed, meaning(known->next_renamed), known->next_renamed);
    } else if (other == known) {
        map_remove(&objects->renamed, meaning(known));
    } else {
        while (other->next_renamed != known)
            other = other->next_renamed;
        other->next_renamed = known->next_renamed;
    }
}

static struct known_object *remember(struct kubernetes_objects *objects, struct str key,
                                     const struct model_key *resource)
{
    CLEANUP_BUF struct buf text = {0};
    buf_append_str(&text, resource->namespace);
    buf_append_byte(&text, '/');
    buf_append_str(&text, resource->name);
    bool is_renamed = !str_eq(buf_str(&text), key);
    struct known_object *known = mem_zalloc(sizeof(*known) + key.len + (is_renamed ? text.len : 0));
    known->kind = resource->kind;
    known->is_renamed = is_renamed;
    known->key_len = (uint32_t)key.len;
    known->namespace_len = (uint32_t)resource->namespace.len;
    known->name_len = (uint32_t)resource->name.len;
    memcpy(known->text, key.ptr, key.len);
    map_set(&objects->known, known_key(known), known);
    if (is_renamed) {
        memcpy(known->text + key.len, text.data, text.len);
        add_renamed(objects, known);
    }
    return known;
}

static bool means(const struct known_object *known, const struct model_key *key)
{
    struct model_key own = model_key(known);
    return model_key_eq(&own, key);
}

static bool is_twin(const struct known_object *known, const struct known_object *other)
{
    struct model_key key = model_key(known);
    return other != known && other->is_told && means(other, &key);
}

/* Another object that was told as the same resource: upstream stored `x` of the default tier as `default.x`, and does not any more. */
static struct known_object *find_twin(const struct kubernetes_objects *objects,
                                      const struct known_object *known)
{
    struct known_object *other = map_get(&objects->known, meaning(known));
    if (other != NULL && is_twin(known, other))
        return other;
    other = map_get(&objects->renamed, meaning(known));
    while (other != NULL && !is_twin(known, other))
        other = other->next_renamed;
    return other;
}

static void want(struct kubernetes_objects *objects, struct known_object *known, bool is_wanted)
{
    objects->wanted += is_wanted;
    objects->wanted -= known->is_wanted;
    known->is_wanted = is_wanted;
}

static void drop(struct kubernetes_objects *objects, struct known_object *known)
{
    struct model_key key = model_key(known);
    struct known_object *twin = find_twin(objects, known);
    want(objects, known, false);
    if (known->is_renamed)
        remove_renamed(objects, known);
    map_remove(&objects->known, known_key(known));
    if (twin != NULL) {
        twin->version = 0; /* whoever comes with it next, it is told again */
        want(objects, twin, true);
    } else if (known->is_told) {
        objects->sink->remove(objects->sink->ctx, &key);
    }
    free(known);
}

static void put(struct kubernetes_objects *objects, const struct doc_node *object, struct str key)
{
    const struct doc_node *metadata = doc_get(object, STR("metadata"));
    struct str version = doc_get_text(metadata, STR("resourceVersion"));
    struct known_object *known = map_get(&objects->known, key);
    if (known != NULL)
        known->is_seen = true; /* even if nobody can make sense of what it is now */
    if (known != NULL && version.len > 0 && known->version == map_hash(version))
        return;
    struct model_resource *resource = decode(objects, object, key);
    if (resource == NULL)
        return;
    /* A policy's tier may give it another name than it had. */
    if (known != NULL && !means(known, &resource->key)) {
        drop(objects, known);
        known = NULL;
    }
    if (known == NULL)
        known = remember(objects, key, &resource->key);
    known->version = map_hash(version);
    known->is_seen = true;
    want(objects, known, false);
    if (datastore_is_used(resource, known->is_told)) {
        known->is_told = true;
        objects->sink->update(objects->sink->ctx, resource);
    } else {
        model_resource_free(resource);
    }
}

void kubernetes_objects_take(struct kubernetes_objects *objects, const struct doc_node *object,
                             bool is_deleted)
{
    CLEANUP_BUF struct buf text = {0};
    struct str key = object_key(object, &text);
    if (!is_deleted) {
        put(objects, object, key);
        return;
    }
    struct known_object *known = map_get(&objects->known, key);
    if (known != NULL)
        drop(objects, known);
}

/* ---- wanted ones ---- */

struct str kubernetes_objects_wanted(const struct kubernetes_objects *objects)
{
    size_t position = 0;
    struct map_entry *entry;
    while (objects->wanted > 0 && (entry = map_next(&objects->known, &position)) != NULL) {
        const struct known_object *known = entry->value;
        if (known->is_wanted)
            return known_key(known);
    }
    return str_make(NULL, 0);
}

void kubernetes_objects_take_wanted(struct kubernetes_objects *objects, struct str key,
                                    const struct doc_node *object)
{
    CLEANUP_BUF struct buf text = {0};
    const struct known_object *known = map_get(&objects->known, key);
    if (known != NULL && known->is_wanted && str_eq(object_key(object, &text), key))
        put(objects, object, key);
}

void kubernetes_objects_give_up(struct kubernetes_objects *objects, struct str key)
{
    struct known_object *known = map_get(&objects->known, key);
    if (known != NULL)
        want(objects, known, false);
}

/* ---- lists ---- */

void kubernetes_objects_begin(struct kubernetes_objects *objects)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&objects->known, &position)) != NULL)
        ((struct known_object *)entry->value)->is_seen = false;
}

void kubernetes_objects_end(struct kubernetes_objects *objects)
{
    struct list gone = {0};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&objects->known, &position)) != NULL) {
        struct known_object *known = entry->value;
        if (!known->is_seen)
            list_add(&gone, known);
    }
    for (uint32_t i = 0; i < gone.count; i++)
        drop(objects, gone.items[i]);
    list_free(&gone);
}

void kubernetes_objects_free(struct kubernetes_objects *objects)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&objects->known, &position)) != NULL)
        free(entry->value);
    map_free(&objects->known);
    map_free(&objects->renamed);
}
