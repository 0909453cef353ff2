#include "model/resource.h"

#include <math.h>
#include <stdlib.h>

enum { NAMESPACED = 1, POLICY = 2, STAGED = 4 };

static const struct {
    struct str name;
    unsigned traits;
} kinds[MODEL_KIND_COUNT] = {
    [MODEL_NAMESPACE] = {STR_INIT("Namespace"), 0},
    [MODEL_SERVICE_ACCOUNT] = {STR_INIT("ServiceAccount"), NAMESPACED},
    [MODEL_POD] = {STR_INIT("Pod"), NAMESPACED},
    [MODEL_WORKLOAD_ENDPOINT] = {STR_INIT("WorkloadEndpoint"), NAMESPACED},
    [MODEL_PROFILE] = {STR_INIT("Profile"), 0},
    [MODEL_TIER] = {STR_INIT("Tier"), 0},
    [MODEL_NETWORK_SET] = {STR_INIT("NetworkSet"), NAMESPACED},
    [MODEL_GLOBAL_NETWORK_SET] = {STR_INIT("GlobalNetworkSet"), 0},
    [MODEL_NETWORK_POLICY] = {STR_INIT("NetworkPolicy"), NAMESPACED | POLICY},
    [MODEL_GLOBAL_NETWORK_POLICY] = {STR_INIT("GlobalNetworkPolicy"), POLICY},
    [MODEL_KUBERNETES_NETWORK_POLICY] = {STR_INIT("KubernetesNetworkPolicy"), NAMESPACED | POLICY},
    [MODEL_STAGED_NETWORK_POLICY] = {STR_INIT("StagedNetworkPolicy"), NAMESPACED | POLICY | STAGED},
    [MODEL_STAGED_GLOBAL_NETWORK_POLICY] = {STR_INIT("StagedGlobalNetworkPolicy"), POLICY | STAGED},
    [MODEL_STAGED_KUBERNETES_NETWORK_POLICY] = {STR_INIT("StagedKubernetesNetworkPolicy"),
                                                NAMESPACED | POLICY | STAGED},
    [MODEL_HOST_ENDPOINT] = {STR_INIT("HostEndpoint"), 0},
    [MODEL_SERVICE] = {STR_INIT("Service"), NAMESPACED},
    [MODEL_ENDPOINT_SLICE] = {STR_INIT("EndpointSlice"), NAMESPACED},
    [MODEL_NODE] = {STR_INIT("Node"), 0},
    [MODEL_FELIX_CONFIGURATION] = {STR_INIT("FelixConfiguration"), 0},
    [MODEL_CLUSTER_INFORMATION] = {STR_INIT("ClusterInformation"), 0},
};

struct model_resource *model_resource_new_unreadable(const struct model_key *key, struct str why)
{
    struct model_resource *r = mem_zalloc(sizeof(*r));
    r->key.kind = key->kind;
    r->key.namespace = arena_copy(&r->arena, key->namespace);
    r->key.name = arena_copy(&r->arena, key->name);
    r->broken = arena_copy(&r->arena, why);
    if (model_kind_is_policy(key->kind))
        r->policy = (struct model_policy){.tier = MODEL_TIER_UNREADABLE,
                                          .has_order = true,
                                          .order = -INFINITY,
                                          .applies_ingress = true,
                                          .applies_egress = true};
    else if (key->kind == MODEL_TIER)
        r->tier = (struct model_tier){.has_order = true, .order = -INFINITY};
    return r;
}

void model_resource_free(struct model_resource *resource)
{
    if (resource == NULL)
        return;
    arena_free(&resource->arena);
    free(resource);
}

struct str model_kind_name(enum model_kind kind)
{
    return kinds[kind].name;
}

bool model_kind_is_namespaced(enum model_kind kind)
{
    return (kinds[kind].traits & NAMESPACED) != 0;
}

bool model_kind_is_policy(enum model_kind kind)
{
    return (kinds[kind].traits & POLICY) != 0;
}

bool model_kind_is_staged(enum model_kind kind)
{
    return (kinds[kind].traits & STAGED) != 0;
}

bool model_kind_is_network_set(enum model_kind kind)
{
    return kind == MODEL_NETWORK_SET || kind == MODEL_GLOBAL_NETWORK_SET;
}

/* A name as it is, if it could not be mistaken for anything else in a message; else in quotes. */
static void append_name(struct buf *out, struct str name)
{
    bool plain = name.len > 0;
    for (size_t i = 0; plain && i < name.len; i++)
        plain = (name.ptr[i] >= '-' && name.ptr[i] <= ':' && name.ptr[i] != '/') ||
                (name.ptr[i] >= 'a' && name.ptr[i] <= 'z') ||
                (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z') || name.ptr[i] == '_';
    if (plain)
        buf_append_str(out, name);
    else
        buf_printf(out, "%s", quote(name).text);
}

struct str model_key_format(struct arena *arena, const struct model_key *key)
{
    CLEANUP_BUF struct buf out = {0};
    buf_append_str(&out, model_kind_name(key->kind));
    buf_append_byte(&out, ' ');
    if (model_kind_is_namespaced(key->kind)) {
        append_name(&out, key->namespace);
        buf_append_byte(&out, '/');
    }
    append_name(&out, key->name);
    return arena_copy(arena, buf_str(&out));
}

bool model_key_eq(const struct model_key *a, const struct model_key *b)
{
    return a->kind == b->kind && str_eq(a->namespace, b->namespace) && str_eq(a->name, b->name);
}

struct str model_key_text(struct buf *out, const struct model_key *key)
{
    buf_printf(out, "%d%c", (int)key->kind, '\0');
    buf_append_str(out, key->namespace);
    buf_append_byte(out, '\0');
    buf_append_str(out, key->name);
    return buf_str(out);
}

struct model_key model_key_of_text(struct str text)
{
    struct model_key key;
    struct str kind;
    uint64_t number = 0;
    str_cut(text, '\0', &kind, &text);
    str_cut(text, '\0', &key.namespace, &key.name);
    str_parse_uint(kind, MODEL_KIND_COUNT - 1, &number);
    key.kind = (enum model_kind)number;
    return key;
}

const struct model_builtin_tier *model_builtin_tier(struct str name)
{
    static const struct model_builtin_tier tiers[] = {
        {STR_INIT("default"), 1000 * 1000, false},
        {STR_INIT("kube-admin"), 1000, true},
        {STR_INIT("kube-baseline"), 10 * 1000 * 1000, true},
        /* Their names before the Kubernetes API was renamed. */
        {STR_INIT("adminnetworkpolicy"), 1000, true},
        {STR_INIT("baselineadminnetworkpolicy"), 10 * 1000 * 1000, true},
    };
    for (size_t i = 0; i < sizeof(tiers) / sizeof(tiers[0]); i++) {
        if (str_eq(tiers[i].name, name))
            return &tiers[i];
    }
    return NULL;
}
