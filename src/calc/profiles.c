#include "calc/profiles.h"

#include <stdlib.h>

#include "base/log.h"
#include "calc/rules.h"
#include "policysync/encode.h"

enum { PREFIX = 5 }; /* bytes of "pcns." and "pcsa." */

/* Lives while something is behind it, an endpoint has it, or the receiver knows of it. */
struct profile {
    struct str name;
    uint32_t users; /* endpoints of this node */
    bool is_changed;
    bool is_sent;                     /* as a profile */
    bool is_labelled_sent;            /* as a namespace or account */
    bool was_denying_told;            /* it was logged that nothing is behind it */
    uint64_t digest, labelled_digest; /* of the messages that were sent */
    /* Of the Namespace or ServiceAccount: */
    bool has_source;
    struct labels source_labels; /* as passed on: with the prefix, and the name as one more */
    struct arena source_arena;
    /* Of the Profile resource: */
    struct model_resource *resource;
    struct list sets; /* struct ipset: used by its rules as prepared last */
    struct psync_message *prepared;
    char text[];
};

struct profiles {
    struct ipsets *ipsets;
    void (*labels_changed)(void *ctx, struct str name);
    void *ctx;
    struct map by_name;
    struct list changed;  /* struct profile */
    struct arena scratch; /* what profiles_labels handed out last */
};

struct profiles *profiles_new(struct ipsets *ipsets,
                              void (*labels_changed)(void *ctx, struct str name), void *ctx)
{
    struct profiles *profiles = mem_zalloc(sizeof(*profiles));
    profiles->ipsets = ipsets;
    profiles->labels_changed = labels_changed;
    profiles->ctx = ctx;
    return profiles;
}

/* ---- names ---- */

static bool is_namespace(struct str name)
{
    return str_starts_with(name, STR("kns."));
}

static bool is_account(struct str name)
{
    return str_starts_with(name, STR("ksa."));
}

/* What labels from a profile of this sort begin with; empty: of no sort. */
static struct str label_prefix(struct str name)
{
    if (is_namespace(name))
        return STR("pcns.");
    return is_account(name) ? STR("pcsa.") : STR("");
}

static struct str name_of_key(struct arena *arena, const struct model_key *key)
{
    if (key->kind == MODEL_NAMESPACE)
        return arena_printf(arena, "kns.%.*s", STR_ARG(key->name));
    if (key->kind == MODEL_SERVICE_ACCOUNT)
        return arena_printf(arena, "ksa.%.*s.%.*s", STR_ARG(key->namespace), STR_ARG(key->name));
    return key->name;
}

static struct profile *find_or_make(struct profiles *profiles, struct str name)
{
    struct profile *profile = map_get(&profiles->by_name, name);
    if (profile != NULL)
        return profile;
    profile = mem_zalloc(sizeof(*profile) + name.len);
    memcpy(profile->text, name.ptr, name.len);
    profile->name = str_make(profile->text, name.len);
    map_set(&profiles->by_name, profile->name, profile);
    return profile;
}

static void note_change(struct profiles *profiles, struct profile *profile)
{
    if (profile->is_changed)
        return;
    profile->is_changed = true;
    list_add(&profiles->changed, profile);
}

/* ---- changes come in ---- */

/* Keeps a Namespace's or an account's labels as they are passed on. */
static void set_source(struct profile *profile, const struct model_resource *resource)
{
    struct arena *arena = &profile->source_arena;
    struct str prefix = label_prefix(profile->name);
    const struct str name_label = STR("projectcalico.org/name");
    arena_free(arena);
    profile->has_source = resource != NULL;
    profile->source_labels = (struct labels){0};
    if (resource == NULL)
        return;
    struct labels *to = &profile->source_labels;
    to->items = arena_array(arena, resource->labels.count + 1, sizeof(*to->items));
    for (size_t i = 0; i < resource->labels.count; i++) {
        const struct label *label = &resource->labels.items[i];
        if (str_eq(label->key, name_label))
            continue;
        to->items[to->count++] =
            (struct label){arena_printf(arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(label->key)),
                           arena_copy(arena, label->value)};
    }
    to->items[to->count++] =
        (struct label){arena_printf(arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(name_label)),
                       arena_copy(arena, resource->key.name)};
}

static void set_resource(struct profile *profile, struct model_resource *resource)
{
    model_resource_free(profile->resource);
    profile->resource = resource;
}

void profiles_put(struct profiles *profiles, struct model_resource *resource)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct profile *profile = find_or_make(profiles, name_of_key(&arena, &resource->key));
    if (resource->key.kind == MODEL_PROFILE) {
        set_resource(profile, resource);
    } else {
        set_source(profile, resource);
        model_resource_free(resource);
    }
    note_change(profiles, profile);
    profiles->labels_changed(profiles->ctx, profile->name);
}

void profiles_remove(struct profiles *profiles, const struct model_key *key)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct profile *profile = map_get(&profiles->by_name, name_of_key(&arena, key));
    if (profile == NULL)
        return;
    if (key->kind == MODEL_PROFILE)
        set_resource(profile, NULL);
    else
        set_source(profile, NULL);
    note_change(profiles, profile);
    profiles->labels_changed(profiles->ctx, profile->name);
}

void profiles_use(struct profiles *profiles, struct str name)
{
    struct profile *profile = find_or_make(profiles, name);
    if (profile->users++ == 0)
        note_change(profiles, profile);
}

void profiles_release(struct profiles *profiles, struct str name)
{
    struct profile *profile = find_or_make(profiles, name);
    if (--profile->users == 0)
        note_change(profiles, profile);
}

/* ---- labels ---- */

static bool is_forged(struct str label, struct str prefix)
{
    return (str_starts_with(label, STR("pcns.")) || str_starts_with(label, STR("pcsa."))) &&
           (prefix.len == 0 || !str_starts_with(label, prefix));
}

static bool has_label(const struct labels *labels, struct str key)
{
    for (size_t i = 0; i < labels->count; i++) {
        if (str_eq(labels->items[i].key, key))
            return true;
    }
    return false;
}

struct labels profiles_labels(struct profiles *profiles, struct str name, struct str *prefix)
{
    const struct profile *profile = map_get(&profiles->by_name, name);
    *prefix = label_prefix(name);
    if (profile == NULL)
        return (struct labels){0};
    if (profile->resource == NULL)
        return profile->source_labels;
    const struct labels *own = &profile->resource->profile.labels_to_apply;
    struct labels labels = {0};
    arena_free(&profiles->scratch);
    labels.items = arena_array(&profiles->scratch, profile->source_labels.count + own->count,
                               sizeof(*labels.items));
    for (size_t i = 0; i < profile->source_labels.count; i++)
        labels.items[labels.count++] = profile->source_labels.items[i];
    for (size_t i = 0; i < own->count; i++) {
        if (!is_forged(own->items[i].key, *prefix) &&
            !has_label(&profile->source_labels, own->items[i].key))
            labels.items[labels.count++] = own->items[i];
    }
    return labels;
}

/* ---- prepare ---- */

/* Once for each profile: a hand-written directory often lacks the service accounts that its pods name. */
static void tell_denying(struct profile *profile)
{
    if (profile->was_denying_told)
        return;
    profile->was_denying_told = true;
    log_event(LOG_WARNING,
              "Profile denies, since its namespace or service account is not in the datastore",
              LOG_STR("profile", profile->name));
}

static void convert(const struct rules_context *context, struct profile *profile,
                    struct psync_profile *to)
{
    const struct model_resource *resource = profile->resource;
    to->name = profile->name;
    if (profile->has_source && is_namespace(profile->name)) {
        to->inbound = to->outbound = rules_always(context->arena, STR("allow"));
    } else if (profile->has_source) {
        return; /* an account's passes labels on, and that is all */
    } else if (resource == NULL) {
        tell_denying(profile);
        to->inbound = to->outbound = rules_always(context->arena, STR("deny"));
    } else if (resource->broken.len > 0) {
        to->inbound = to->outbound = rules_malformed(context->arena);
    } else {
        to->inbound = rules_convert(context, &resource->profile.ingress);
        to->outbound = rules_convert(context, &resource->profile.egress);
    }
}

static uint64_t digest_of(const struct psync_message *message)
{
    CLEANUP_BUF struct buf bytes = {0};
    psync_encode(&bytes, message);
    return map_hash(buf_str(&bytes));
}

/* Sets profile->prepared if the receiver has another version, or none. */
static void prepare(struct profiles *profiles, struct arena *arena, struct profile *profile)
{
    CLEANUP_BUF struct buf bytes = {0};
    const struct model_key key = {.kind = MODEL_PROFILE, .name = profile->name};
    struct list old_sets = profile->sets;
    struct psync_message *message = arena_alloc(arena, sizeof(*message));
    const struct rules_context context = {arena, profiles->ipsets, &profile->sets, {NULL, 0}};
    profile->sets = (struct list){0};
    message->kind = PSYNC_PROFILE_UPDATE;
    convert(&context, profile, &message->profile);
    rules_encode(&context, message, &key, &bytes);
    ipsets_release_all(profiles->ipsets, &old_sets);
    uint64_t digest = map_hash(buf_str(&bytes));
    if (profile->is_sent && digest == profile->digest)
        return;
    profile->digest = digest;
    profile->prepared = message;
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp((*(struct profile *const *)a)->name, (*(struct profile *const *)b)->name);
}

void profiles_prepare(struct profiles *profiles, struct arena *arena)
{
    struct list *changed = &profiles->changed;
    if (changed->count > 1)
        qsort(changed->items, changed->count, sizeof(*changed->items), compare_names);
    for (uint32_t i = 0; i < changed->count; i++) {
        struct profile *profile = changed->items[i];
        if (profile->users > 0)
            prepare(profiles, arena, profile);
        else
            ipsets_release_all(profiles->ipsets, &profile->sets);
    }
}

/* ---- send ---- */

void profiles_send_updates(struct profiles *profiles, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < profiles->changed.count; i++) {
        struct profile *profile = profiles->changed.items[i];
        if (profile->prepared == NULL)
            continue;
        sink->message(sink->ctx, profile->prepared);
        profile->prepared = NULL;
        profile->is_sent = true;
    }
}

/* A namespace or account as the sidecars see it: its labels without the prefix. */
static struct psync_message labelled_message(struct arena *arena, const struct profile *profile)
{
    const struct labels *from = &profile->source_labels;
    struct psync_labelled item = {0};
    item.labels.items = arena_array(arena, from->count, sizeof(*item.labels.items));
    for (size_t i = 0; i < from->count; i++)
        item.labels.items[item.labels.count++] =
            (struct label){str_from(from->items[i].key, PREFIX), from->items[i].value};
    if (is_namespace(profile->name)) {
        item.name = str_from(profile->name, 4);
        return (struct psync_message){.kind = PSYNC_NAMESPACE_UPDATE, .namespace = item};
    }
    /* "ksa.NAMESPACE.ACCOUNT", where an account's name may hold dots and a namespace's may not. */
    str_cut(str_from(profile->name, 4), '.', &item.namespace, &item.name);
    return (struct psync_message){.kind = PSYNC_ACCOUNT_UPDATE, .account = item};
}

void profiles_send_labelled(struct profiles *profiles, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < profiles->changed.count; i++) {
        struct profile *profile = profiles->changed.items[i];
        CLEANUP_ARENA struct arena arena = {0};
        if (!profile->has_source)
            continue;
        struct psync_message message = labelled_message(&arena, profile);
        uint64_t digest = digest_of(&message);
        if (profile->is_labelled_sent && digest == profile->labelled_digest)
            continue;
        profile->labelled_digest = digest;
        profile->is_labelled_sent = true;
        sink->message(sink->ctx, &message);
    }
}

void profiles_send_removals(struct profiles *profiles, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < profiles->changed.count; i++) {
        struct profile *profile = profiles->changed.items[i];
        if (!profile->is_sent || profile->users > 0)
            continue;
        profile->is_sent = false;
        sink->message(sink->ctx, &(struct psync_message){.kind = PSYNC_PROFILE_REMOVE,
                                                         .profile_remove = profile->name});
    }
}

static void free_profile(struct profile *profile)
{
    model_resource_free(profile->resource);
    arena_free(&profile->source_arena);
    list_free(&profile->sets);
    free(profile);
}

void profiles_send_labelled_removals(struct profiles *profiles, const struct psync_sink *sink)
{
    for (uint32_t i = 0; i < profiles->changed.count; i++) {
        struct profile *profile = profiles->changed.items[i];
        CLEANUP_ARENA struct arena arena = {0};
        profile->is_changed = false;
        if (profile->is_labelled_sent && !profile->has_source) {
            struct psync_message message = labelled_message(&arena, profile);
            message.kind = message.kind == PSYNC_NAMESPACE_UPDATE ? PSYNC_NAMESPACE_REMOVE
                                                                  : PSYNC_ACCOUNT_REMOVE;
            profile->is_labelled_sent = false;
            sink->message(sink->ctx, &message);
        }
        if (profile->users == 0 && !profile->has_source && profile->resource == NULL) {
            map_remove(&profiles->by_name, profile->name);
            free_profile(profile);
        }
    }
    profiles->changed.count = 0;
}

/* ---- the whole ---- */

struct profiles_stats profiles_stats(const struct profiles *profiles)
{
    struct profiles_stats stats = {0};
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&profiles->by_name, &position)) != NULL) {
        const struct profile *profile = entry->value;
        stats.profiles += profile->has_source || profile->resource != NULL;
        stats.namespaces += profile->has_source && is_namespace(profile->name);
        stats.active += profile->users > 0;
    }
    return stats;
}

void profiles_free(struct profiles *profiles)
{
    size_t position = 0;
    struct map_entry *entry;
    if (profiles == NULL)
        return;
    while ((entry = map_next(&profiles->by_name, &position)) != NULL)
        free_profile(entry->value);
    map_free(&profiles->by_name);
    list_free(&profiles->changed);
    arena_free(&profiles->scratch);
    free(profiles);
}
