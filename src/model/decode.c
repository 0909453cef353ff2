#include "model/decode.h"

#include "model/decode_kinds.h"
#include "model/decode_values.h"

#include <stdlib.h>

/* Which fields of a resource are looked at for being unknown. */
enum strictness {
    LOOSE,  /* a Kubernetes object of which few fields count */
    STRICT, /* all; the spec is its decoder's */
};

static const struct kind {
    struct str api, name;
    enum model_kind kind;
    enum strictness strictness;
    decode_kind *decode; /* NULL: the key and the labels are all there is */
} kinds[] = {
#define V1         STR_INIT("v1")
#define NETWORKING STR_INIT("networking.k8s.io/v1")
#define DISCOVERY  STR_INIT("discovery.k8s.io/v1")
#define CALICO     STR_INIT("projectcalico.org/v3")
    {V1, STR_INIT("Namespace"), MODEL_NAMESPACE, LOOSE, NULL},
    {V1, STR_INIT("ServiceAccount"), MODEL_SERVICE_ACCOUNT, LOOSE, NULL},
    {V1, STR_INIT("Pod"), MODEL_POD, LOOSE, decode_pod},
    {NETWORKING, STR_INIT("NetworkPolicy"), MODEL_KUBERNETES_NETWORK_POLICY, STRICT,
     decode_kubernetes_policy},
    {CALICO, STR_INIT("NetworkPolicy"), MODEL_NETWORK_POLICY, STRICT, decode_policy},
    {CALICO, STR_INIT("GlobalNetworkPolicy"), MODEL_GLOBAL_NETWORK_POLICY, STRICT, decode_policy},
    {CALICO, STR_INIT("StagedNetworkPolicy"), MODEL_STAGED_NETWORK_POLICY, STRICT, decode_policy},
    {CALICO, STR_INIT("StagedGlobalNetworkPolicy"), MODEL_STAGED_GLOBAL_NETWORK_POLICY, STRICT,
     decode_policy},
    {CALICO, STR_INIT("StagedKubernetesNetworkPolicy"), MODEL_STAGED_KUBERNETES_NETWORK_POLICY,
     STRICT, decode_kubernetes_policy},
    {CALICO, STR_INIT("Tier"), MODEL_TIER, STRICT, decode_tier},
    {CALICO, STR_INIT("NetworkSet"), MODEL_NETWORK_SET, STRICT, decode_network_set},
    {CALICO, STR_INIT("GlobalNetworkSet"), MODEL_GLOBAL_NETWORK_SET, STRICT, decode_network_set},
    {CALICO, STR_INIT("Profile"), MODEL_PROFILE, STRICT, decode_profile},
    {CALICO, STR_INIT("WorkloadEndpoint"), MODEL_WORKLOAD_ENDPOINT, STRICT,
     decode_workload_endpoint},
    {CALICO, STR_INIT("HostEndpoint"), MODEL_HOST_ENDPOINT, STRICT, decode_host_endpoint},
    {V1, STR_INIT("Service"), MODEL_SERVICE, LOOSE, NULL},
    {DISCOVERY, STR_INIT("EndpointSlice"), MODEL_ENDPOINT_SLICE, LOOSE, decode_endpoint_slice},
    {V1, STR_INIT("Node"), MODEL_NODE, LOOSE, NULL},
    {CALICO, STR_INIT("FelixConfiguration"), MODEL_FELIX_CONFIGURATION, STRICT,
     decode_felix_configuration},
    {CALICO, STR_INIT("ClusterInformation"), MODEL_CLUSTER_INFORMATION, STRICT,
     decode_cluster_information},
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

/* Kinds that may well stand in a directory or a cluster's dump, but of which nothing is taken. At most 32. */
static const struct str unused_kinds[] = {
    STR_INIT("Endpoints"),   STR_INIT("ConfigMap"),
    STR_INIT("Deployment"),  STR_INIT("DaemonSet"),
    STR_INIT("StatefulSet"), STR_INIT("ReplicaSet"),
    STR_INIT("IPPool"),      STR_INIT("BGPConfiguration"),
    STR_INIT("BGPPeer"),     STR_INIT("KubeControllersConfiguration"),
};

static const struct str top_fields[] = {STR_INIT("apiVersion"), STR_INIT("kind"),
                                        STR_INIT("metadata"), STR_INIT("spec"), STR_INIT("status")};
static const struct str metadata_fields[] = {
    STR_INIT("name"),
    STR_INIT("generateName"),
    STR_INIT("namespace"),
    STR_INIT("labels"),
    STR_INIT("annotations"),
    STR_INIT("uid"),
    STR_INIT("resourceVersion"),
    STR_INIT("generation"),
    STR_INIT("selfLink"),
    STR_INIT("creationTimestamp"),
    STR_INIT("deletionTimestamp"),
    STR_INIT("deletionGracePeriodSeconds"),
    STR_INIT("ownerReferences"),
    STR_INIT("finalizers"),
    STR_INIT("managedFields"),
};

/* The annotation in which upstream keeps a resource's own metadata when it stores it as a CRD. */
#define METADATA_ANNOTATION STR("projectcalico.org/metadata")

/* What a document says that it is. */
struct type {
    struct str api, kind;
};

static bool is_dotted(struct str name, size_t most_dots)
{
    size_t dots = 0;
    for (size_t i = 0; i < name.len; i++)
        dots += name.ptr[i] == '.';
    return dots <= most_dots && name_is_subdomain(name);
}

/* Names of Calico's own policies: NAME or TIER.NAME; in a namespace also what other tools store there. */
static bool is_policy_name(enum model_kind kind, struct str name)
{
    if (is_dotted(name, 1))
        return true;
    return model_kind_is_namespaced(kind) && name_is_subdomain(name) &&
           (str_starts_with(name, STR("knp.default.")) ||
            str_starts_with(name, STR("ossg.default.")));
}

static bool is_calico_policy(enum model_kind kind)
{
    return model_kind_is_policy(kind) && kind != MODEL_KUBERNETES_NETWORK_POLICY &&
           kind != MODEL_STAGED_KUBERNETES_NETWORK_POLICY;
}

static void check_name(struct decoder *d, const struct field *f, struct str name)
{
    enum model_kind kind = d->resource->key.kind;
    bool ok = kind == MODEL_NAMESPACE || kind == MODEL_TIER ? name_is_label(name)
              : is_calico_policy(kind)                      ? is_policy_name(kind, name)
                                                            : name_is_subdomain(name);
    if (!ok)
        decode_error(d, f,
                     "%s is not a name for this kind (lower-case letters, digits and -, not at "
                     "the ends%s)",
                     quote(name).text,
                     kind == MODEL_NAMESPACE || kind == MODEL_TIER ? ", at most 63 bytes"
                     : is_calico_policy(kind)                      ? ", and one dot at most"
                                                                   : "; dots between");
}

/* In the default tier upstream used to store NAME as default.NAME. In other tiers TIER.NAME is the name: without the
 * tier two policies could have one key. What was put aside as the name says nothing more, where it is true; and it must not count where
 * it is not: who may write one policy only could take the place of another by it. */
static struct str policy_name(const struct field *root, struct str name)
{
    const struct doc_node *spec = doc_get(root->node, STR("spec"));
    const struct doc_node *tier = doc_get(spec, STR("tier"));
    bool in_default = tier == NULL || tier->type != DOC_STRING || tier->text.len == 0 ||
                      str_eq(tier->text, STR("default"));
    struct str prefix = STR("default.");
    bool cut = in_default && name.len > prefix.len && str_starts_with(name, prefix);
    return cut ? str_from(name, prefix.len) : name;
}

/* The metadata that upstream put aside when it stored the resource as a CRD; NULL if there is none, or if
 * it is not the JSON of a map (*bad). */
static const struct doc_node *stored_metadata(struct arena *arena, const struct field *metadata,
                                              bool *bad)
{
    const struct doc_node *annotations = doc_get(metadata->node, STR("annotations"));
    const struct doc_node *text = doc_get(annotations, METADATA_ANNOTATION);
    if (text == NULL || text->type != DOC_STRING)
        return NULL;
    struct doc_file file = doc_load(arena, text->text, true);
    *bad = file.count != 1 || file.entries[0].failed || file.entries[0].root->type != DOC_MAP;
    return *bad ? NULL : file.entries[0].root;
}

/* The labels; those that were put aside win. */
static void read_labels(struct decoder *d, const struct field *metadata,
                        const struct doc_node *stored)
{
    struct model_resource *r = d->resource;
    const struct doc_node *more = doc_get(stored, STR("labels"));
    size_t count = more != NULL && more->type == DOC_MAP ? more->count : 0;
    struct field labels = field_get(metadata, STR("labels"));
    value_labels(d, &labels, &r->arena, count, &r->labels);
    for (size_t i = 0; i < count; i++) {
        if (more->items[i]->type == DOC_STRING && label_key_is_valid(more->keys[i]) &&
            label_value_is_valid(more->items[i]->text))
            labels_put(&r->labels, arena_copy(&r->arena, more->keys[i]),
                       arena_copy(&r->arena, more->items[i]->text));
    }
    labels_sort(&r->labels);
}

/* A field of the metadata that is part of the key: a string with something in it. */
static bool read_key_part(struct decoder *d, const struct field *f, struct str *text)
{
    if (f->node->type != DOC_STRING || f->node->text.len == 0) {
        decode_error(d, f, "expected a name, found %.*s%s",
                     STR_ARG(doc_describe(d->messages, f->node)), field_quote_hint(f));
        return false;
    }
    *text = f->node->text;
    return true;
}

/* Finds out which resource this is, and makes it. False, with an error, if that cannot be known. */
static bool start_resource(struct decoder *d, const struct field *root, const struct kind *kind,
                           const struct field *metadata)
{
    struct field name_field = field_get(metadata, STR("name"));
    struct field namespace_field = field_get(metadata, STR("namespace"));
    bool namespaced = model_kind_is_namespaced(kind->kind);
    struct str name, namespace = namespaced ? STR("default") : str_make(NULL, 0);
    if (!field_require(d, &name_field) || !read_key_part(d, &name_field, &name) ||
        (namespaced && field_is_set(&namespace_field) &&
         !read_key_part(d, &namespace_field, &namespace)))
        return false;
    if (is_calico_policy(kind->kind))
        name = policy_name(root, name);
    struct model_resource *r = mem_zalloc(sizeof(*r));
    r->key.kind = kind->kind;
    r->key.namespace = arena_copy(&r->arena, namespace);
    r->key.name = arena_copy(&r->arena, name);
    r->line = root->node->line;
    r->digest = doc_digest(root->node);
    MEM_GROW(d->resources, d->resource_count, d->resource_capacity);
    d->resources[d->resource_count++] = r;
    d->resource = r;
    d->base = root;
    d->broken_line = 0;
    check_name(d, &name_field, name);
    if (namespaced && !name_is_label(namespace))
        decode_error(d, &namespace_field, "%s is not the name of a namespace",
                     quote(namespace).text);
    if (!namespaced && field_is_set(&namespace_field))
        decode_warning(d, &namespace_field, "this kind has no namespace");
    return true;
}

static void check_stored_name(struct decoder *d, const struct field *root,
                              const struct field *metadata, struct str stored)
{
    if (stored.len > 0 && !str_eq(policy_name(root, stored), d->resource->key.name))
        decode_warning(d, metadata,
                       "the name %s in the annotation %.*s is not that of the object; ignored",
                       quote(stored).text, STR_ARG(METADATA_ANNOTATION));
}

/* Half of the rules must never be taken for all of them. */
static void drop_rules_if_broken(struct model_resource *r)
{
    const struct model_rules none = {NULL, 0};
    if (r->broken.len == 0)
        return;
    if (model_kind_is_policy(r->key.kind))
        r->policy.ingress = r->policy.egress = none;
    else if (r->key.kind == MODEL_PROFILE)
        r->profile.ingress = r->profile.egress = none;
}

static void decode_resource(struct decoder *d, const struct field *root, const struct kind *kind,
                            bool is_crd)
{
    struct field metadata = field_get(root, STR("metadata"));
    if (!field_require(d, &metadata) || !field_map(d, &metadata))
        return;
    bool stored_bad = false;
    CLEANUP_ARENA struct arena arena = {0};
    const struct doc_node *stored = is_crd ? stored_metadata(&arena, &metadata, &stored_bad) : NULL;
    if (!start_resource(d, root, kind, &metadata))
        return;
    if (is_calico_policy(kind->kind))
        check_stored_name(d, root, &metadata, doc_get_text(stored, STR("name")));
    if (stored_bad)
        decode_error(d, &metadata, "the annotation %.*s is not the JSON of a map",
                     STR_ARG(METADATA_ANNOTATION));
    if (kind->strictness == STRICT) {
        field_map_of(d, root, FIELD_NAMES(top_fields));
        field_map_of(d, &metadata, FIELD_NAMES(metadata_fields));
        struct field annotations = field_get(&metadata, STR("annotations"));
        value_check_annotations(d, &annotations);
    }
    read_labels(d, &metadata, stored);
    if (kind->decode != NULL)
        kind->decode(d, root);
    drop_rules_if_broken(d->resource);
    d->resource = NULL;
    d->base = NULL;
}

/* apiVersion or kind: of the resource itself, or (text not empty) of the list that it is in. */
static bool read_type_part(struct decoder *d, const struct field *root, struct str key,
                           struct str *text)
{
    struct field f = field_get(root, key);
    if (!field_is_set(&f))
        return text->len > 0 || field_require(d, &f);
    return read_key_part(d, &f, text);
}

static const struct kind *find_kind(const struct type *type)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (str_eq(kinds[i].name, type->kind) && str_eq(kinds[i].api, type->api))
            return &kinds[i];
    }
    return NULL;
}

/* Says of a kind that is not used so much, once a document. */
static bool is_unused(struct decoder *d, const struct field *root, struct str kind)
{
    for (unsigned i = 0; i < sizeof(unused_kinds) / sizeof(unused_kinds[0]); i++) {
        if (!str_eq(unused_kinds[i], kind))
            continue;
        if ((d->skipped & (1u << i)) == 0)
            decode_warning(d, root, "nothing is taken from the kind %.*s; skipped", STR_ARG(kind));
        d->skipped |= 1u << i;
        return true;
    }
    return false;
}

/* Says which of the two is wrong. Of a kind that is like none of ours, nothing of ours is missing. */
static void refuse_type(struct decoder *d, const struct field *root, const struct type *type)
{
    struct str names[KIND_COUNT];
    CLEANUP_BUF struct buf versions = {0};
    for (size_t i = 0; i < KIND_COUNT; i++) {
        names[i] = kinds[i].name;
        if (str_eq(kinds[i].name, type->kind))
            buf_printf(&versions, "%s%.*s", versions.len > 0 ? " or " : "", STR_ARG(kinds[i].api));
    }
    struct field kind = field_get(root, STR("kind"));
    struct field api = field_get(root, STR("apiVersion"));
    struct quoted like = field_suggest(FIELD_NAMES(names), type->kind);
    bool was_partial = d->is_partial;
    if (versions.len > 0)
        decode_error(d, &api, "%s is not an apiVersion of the kind %.*s (expected %.*s)",
                     quote(type->api).text, STR_ARG(type->kind), STR_ARG(buf_str(&versions)));
    else
        decode_error(d, &kind, "unknown kind %s%s", quote(type->kind).text, like.text);
    d->is_partial = was_partial || versions.len > 0 || like.text[0] != '\0';
}

static void decode_any(struct decoder *d, const struct field *root, const struct type *outer);

static bool is_list(const struct type *type)
{
    return str_ends_with(type->kind, STR("List"));
}

/* What the elements of a list are if they do not say: of a plain List nobody knows. */
static struct type item_type(const struct type *list)
{
    struct type inner = {.api = list->api, .kind = str_head(list->kind, list->kind.len - 4)};
    return inner.kind.len > 0 ? inner : (struct type){0};
}

static void decode_items(struct decoder *d, const struct field *root, const struct type *type)
{
    struct type inner = item_type(type);
    struct field items = field_get(root, STR("items"));
    size_t count = field_list(d, &items), taken = root->parent == NULL ? d->taken : 0;
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&items, i);
        item.index += taken;
        decode_any(d, &item, &inner);
    }
}

/* A resource or a list. `outer` has the type of the elements of the list around it; empty texts: none. */
static void decode_any(struct decoder *d, const struct field *root, const struct type *outer)
{
    struct type type = {.api = outer->api, .kind = outer->kind};
    if (root->node->type != DOC_MAP) {
        decode_error(d, root,
                     "expected a resource (a map with apiVersion, kind and metadata), found %.*s",
                     STR_ARG(doc_describe(d->messages, root->node)));
        return;
    }
    if (!read_type_part(d, root, STR("apiVersion"), &type.api) ||
        !read_type_part(d, root, STR("kind"), &type.kind))
        return;
    if (is_list(&type)) {
        d->is_list = d->is_list || root->parent == NULL;
        decode_items(d, root, &type);
        return;
    }
    bool is_crd = str_eq(type.api, STR("crd.projectcalico.org/v1"));
    if (is_crd)
        type.api = STR("projectcalico.org/v3");
    const struct kind *kind = find_kind(&type);
    if (kind != NULL)
        decode_resource(d, root, kind, is_crd);
    else if (!is_unused(d, root, type.kind))
        refuse_type(d, root, &type);
}

static int compare_problems(const void *a, const void *b)
{
    const struct noted_problem *left = a, *right = b;
    if (left->problem.line != right->problem.line)
        return left->problem.line < right->problem.line ? -1 : 1;
    return (left->order > right->order) - (left->order < right->order);
}

/* What was found, moved into the caller's arena. */
static struct model_decoded finish(struct decoder *d)
{
    struct model_decoded out = {
        .count = d->resource_count, .problem_count = d->problem_count, .is_partial = d->is_partial};
    out.resources = arena_array(d->messages, out.count, sizeof(*out.resources));
    out.problems = arena_array(d->messages, out.problem_count, sizeof(*out.problems));
    if (out.count > 0)
        memcpy(out.resources, d->resources, out.count * sizeof(*out.resources));
    if (out.problem_count > 0)
        qsort(d->problems, d->problem_count, sizeof(*d->problems), compare_problems);
    for (size_t i = 0; i < out.problem_count; i++)
        out.problems[i] = d->problems[i].problem;
    free(d->resources);
    free(d->problems);
    return out;
}

struct model_decoded model_decode_element(struct arena *arena, const struct doc_node *document,
                                          struct str api, struct str kind)
{
    struct decoder d = {.messages = arena};
    struct field root = {.line = document->line, .node = document};
    decode_any(&d, &root, &(struct type){api, kind});
    return finish(&d);
}

struct model_decoded model_decode(struct arena *arena, const struct doc_node *document)
{
    const struct str none = {NULL, 0};
    return model_decode_element(arena, document, none, none);
}

/* ---- in parts ---- */

struct model_decoder {
    struct arena arena; /* of the messages */
    struct decoder decoder;
};

struct model_decoder *model_decoder_new(void)
{
    return mem_zalloc(sizeof(struct model_decoder));
}

static struct type type_of(const struct doc_node *node)
{
    return (struct type){doc_get_text(node, STR("apiVersion")), doc_get_text(node, STR("kind"))};
}

/* Before the first part of a document. */
static void start(struct model_decoder *decoder)
{
    if (decoder->decoder.messages != NULL)
        return;
    arena_free(&decoder->arena);
    decoder->decoder = (struct decoder){.messages = &decoder->arena};
}

bool model_decoder_take(struct model_decoder *decoder, const struct doc_node *document,
                        const struct doc_node *item, size_t index)
{
    struct type list = type_of(document), own = type_of(item), inner = {0};
    bool is_known = list.api.len > 0 && is_list(&list);
    if (is_known)
        inner = item_type(&list);
    else if (item->type == DOC_MAP && (own.api.len == 0 || own.kind.len == 0))
        return false;
    const struct field root = {.line = document->line, .node = document};
    const struct field items = {.parent = &root, .name = STR("items"), .line = item->line};
    const struct field field = {.parent = &items, .index = index, .line = item->line, .node = item};
    start(decoder);
    decode_any(&decoder->decoder, &field, &inner);
    decoder->decoder.taken = index + 1;
    return true;
}

void model_decoder_drop(struct model_decoder *decoder)
{
    struct decoder *d = &decoder->decoder;
    for (size_t i = 0; i < d->resource_count; i++)
        model_resource_free(d->resources[i]);
    free(d->resources);
    free(d->problems);
    *d = (struct decoder){0};
}

struct model_decoded model_decoder_finish(struct model_decoder *decoder,
                                          const struct doc_node *document)
{
    const struct field root = {.line = document->line, .node = document};
    struct decoder *d = &decoder->decoder;
    start(decoder);
    decode_any(d, &root, &(struct type){0});
    if (!d->is_list && d->taken > 0) {
        /* Then these were no resources, but some field of that name. */
        model_decoder_drop(decoder);
        start(decoder);
        decode_any(d, &root, &(struct type){0});
    }
    struct model_decoded decoded = finish(d);
    *d = (struct decoder){0};
    return decoded;
}

void model_decoder_free(struct model_decoder *decoder)
{
    model_decoder_drop(decoder);
    arena_free(&decoder->arena);
    free(decoder);
}
