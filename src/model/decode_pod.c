/* Pods as endpoints (Kubernetes v1 Pod). */
#include "base/sha1.h"
#include "model/decode_kinds.h"
#include "model/decode_values.h"

/* The named ports of one container. */
static void read_container(struct decoder *d, const struct field *container)
{
    struct field ports = field_get(container, STR("ports"));
    size_t count = field_list(d, &ports);
    for (size_t i = 0; i < count; i++) {
        struct field f = field_item(&ports, i);
        struct field name_field = field_get(&f, STR("name"));
        struct field number_field = field_get(&f, STR("containerPort"));
        struct field protocol_field = field_get_filled(&f, STR("protocol"));
        struct model_protocol protocol = {true, STR("tcp"), 6};
        struct str name;
        int64_t number;
        if (!field_string(d, &name_field, &name) || name.len == 0)
            continue;
        if (field_is_set(&protocol_field) && !value_port_protocol(d, &protocol_field, &protocol))
            continue;
        if (field_require(d, &number_field) && field_int(d, &number_field, 1, 65535, &number))
            endpoint_add_port(&d->resource->endpoint, name, protocol.number, number);
    }
}

static size_t count_ports(const struct field *containers)
{
    size_t total = 0;
    for (size_t i = 0; i < containers->node->count; i++) {
        const struct doc_node *ports = doc_get(containers->node->items[i], STR("ports"));
        total += ports != NULL ? ports->count : 0;
    }
    return total;
}

static void read_containers(struct decoder *d, const struct field *spec)
{
    struct field lists[] = {field_get(spec, STR("containers")),
                            field_get(spec, STR("initContainers"))};
    struct model_endpoint *endpoint = &d->resource->endpoint;
    size_t room = 0;
    for (size_t i = 0; i < 2; i++)
        room += field_list(d, &lists[i]) > 0 ? count_ports(&lists[i]) : 0;
    endpoint->ports = arena_array(&d->resource->arena, room, sizeof(*endpoint->ports));
    for (size_t i = 0; i < 2; i++) {
        size_t count = field_is_set(&lists[i]) ? lists[i].node->count : 0;
        for (size_t j = 0; j < count && lists[i].node->type == DOC_LIST; j++) {
            struct field container = field_item(&lists[i], j);
            read_container(d, &container);
        }
    }
}

/* Addresses in the making. `bad`: one could not be read, so that there is no looking elsewhere. */
struct addresses {
    struct ip_net *items;
    size_t count, capacity;
    bool bad;
};

static bool add_address(struct str text, struct addresses *out)
{
    struct ip_net net;
    if (!ip_parse_net_or_addr(text, &net) || net.length != ip_bits(net.addr.family))
        return false;
    MEM_GROW(out->items, out->count, out->capacity);
    out->items[out->count++] = net;
    return true;
}

static void add_status_address(struct decoder *d, const struct field *f, struct str text,
                               struct addresses *out)
{
    if (add_address(text, out))
        return;
    decode_error(d, f, "%s is not an IP address", quote(text).text);
    out->bad = true;
}

/* A string that is there and not empty. */
static bool get_text(struct decoder *d, const struct field *map, struct str key, struct field *f,
                     struct str *text)
{
    *f = field_get(map, key);
    return field_text(d, f, text) && text->len > 0;
}

static void read_status_addresses(struct decoder *d, const struct field *status,
                                  struct addresses *out)
{
    struct field list = field_get(status, STR("podIPs"));
    struct field f;
    struct str text;
    size_t count = field_list(d, &list);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        f = field_get(&item, STR("ip"));
        if (!field_require(d, &f) || !field_text(d, &f, &text))
            out->bad = true;
        else
            add_status_address(d, &f, text, out);
    }
    if (count == 0 && get_text(d, status, STR("podIP"), &f, &text))
        add_status_address(d, &f, text, out);
}

/* Whoever makes a pod may write what he likes into its annotations, and no API server looks at it. So a bad one is as good as none: a
 * broken pod would close whatever means all pods, in all namespaces. The network plug-in writes the true one. */
static void read_annotation_addresses(struct decoder *d, const struct field *annotations,
                                      struct addresses *out)
{
    static const struct str keys[] = {STR_INIT("cni.projectcalico.org/podIPs"),
                                      STR_INIT("cni.projectcalico.org/podIP"),
                                      STR_INIT("vpc.amazonaws.com/pod-ips")};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct field f;
        struct str text, part;
        bool more;
        if (!get_text(d, annotations, keys[i], &f, &text))
            continue;
        do {
            more = str_cut(text, ',', &part, &text);
            if (!add_address(part, out)) {
                decode_warning(d, &f, "%s is not an IP address; the annotation is passed over",
                               quote(part).text);
                out->count = 0;
                return;
            }
        } while (more);
        return;
    }
}

static bool is_empty_text(const struct field *map, struct str key)
{
    struct field f = field_get(map, key);
    return field_is_set(&f) && f.node->type == DOC_STRING && f.node->text.len == 0;
}

/* Whether the pod has given its addresses back. A pod that is being deleted says so by the annotation of its network
 * plug-in, emptied. */
static bool is_finished(struct decoder *d, const struct field *metadata,
                        const struct field *annotations, const struct field *status)
{
    struct field deleted = field_get(metadata, STR("deletionTimestamp"));
    struct field phase_field = field_get(status, STR("phase"));
    struct str phase = {NULL, 0};
    field_text(d, &phase_field, &phase);
    /* Completed is no phase of Kubernetes', but its API server lets it through, and upstream counts it. */
    if (str_eq(phase, STR("Succeeded")) || str_eq(phase, STR("Failed")) ||
        str_eq(phase, STR("Completed")))
        return true;
    return field_is_set(&deleted) &&
           (is_empty_text(annotations, STR("cni.projectcalico.org/podIP")) ||
            is_empty_text(annotations, STR("vpc.amazonaws.com/pod-ips")));
}

static void set_pod_profiles(struct model_resource *r)
{
    struct model_strings *profiles = &r->endpoint.profiles;
    struct str namespace = r->key.namespace, account = r->endpoint.account;
    profiles->items = arena_array(&r->arena, 2, sizeof(*profiles->items));
    profiles->items[profiles->count++] = arena_printf(&r->arena, "kns.%.*s", STR_ARG(namespace));
    if (account.len > 0)
        profiles->items[profiles->count++] =
            arena_printf(&r->arena, "ksa.%.*s.%.*s", STR_ARG(namespace), STR_ARG(account));
}

/* The beginning of a hash of "NAMESPACE.POD": with a prefix before it, what Calico's CNI plugin calls a pod's interface on the
 * node. */
static struct str pod_interface(struct model_resource *r)
{
    uint8_t digest[20];
    struct str name =
        arena_printf(&r->arena, "%.*s.%.*s", STR_ARG(r->key.namespace), STR_ARG(r->key.name));
    sha1(name, digest);
    return arena_printf(&r->arena, "%02x%02x%02x%02x%02x%x", digest[0], digest[1], digest[2],
                        digest[3], digest[4], digest[5] >> 4);
}

void decode_pod(struct decoder *d, const struct field *root)
{
    struct model_resource *r = d->resource;
    struct model_endpoint *endpoint = &r->endpoint;
    struct field metadata = field_get(root, STR("metadata"));
    struct field annotations = field_get(&metadata, STR("annotations"));
    struct field spec = field_get(root, STR("spec"));
    struct field status = field_get(root, STR("status"));
    struct field node = field_get(&spec, STR("nodeName"));
    struct field account = field_get_filled(&spec, STR("serviceAccountName"));
    struct field host_network = field_get(&spec, STR("hostNetwork"));
    struct field prefixes =
        field_get(&annotations, STR("cni.projectcalico.org/allowedSourcePrefixes"));
    bool on_host = false;
    struct addresses addresses = {0};

    field_map(d, &annotations);
    if (field_require(d, &spec))
        field_map(d, &spec);
    field_map(d, &status);
    field_string(d, &node, &endpoint->node);
    value_subdomain(d, &account, &endpoint->account);
    /* Unreadable counts as true: no endpoint. */
    if (field_is_set(&host_network) && !field_bool(d, &host_network, &on_host))
        on_host = true;
    endpoint->orchestrator = STR("k8s");
    endpoint->endpoint = STR("eth0");
    endpoint->workload = endpoint_workload_id(r, r->key.name);
    endpoint->interface = pod_interface(r);
    endpoint_set_labels(r);
    set_pod_profiles(r);
    read_containers(d, &spec);
    if (field_is_set(&prefixes) && !is_empty_text(&annotations, prefixes.name))
        decode_warning(d, &prefixes,
                       "ignored, whatever workloadSourceSpoofing says: no other addresses than the "
                       "pod's own stand for it");

    read_status_addresses(d, &status, &addresses);
    if (addresses.count == 0 && !addresses.bad)
        read_annotation_addresses(d, &annotations, &addresses);
    bool finished = is_finished(d, &metadata, &annotations, &status);
    /* Last, when everything was read: by half its labels or ports, a rule would mean it or not at random. */
    if (r->broken.len == 0)
        endpoint->presence = on_host                   ? MODEL_ON_HOST_NETWORK
                             : endpoint->node.len == 0 ? MODEL_UNSCHEDULED
                             : finished                ? MODEL_FINISHED
                             : addresses.count == 0    ? MODEL_WITHOUT_ADDRESS
                                                       : MODEL_LIVE;
    if (endpoint->presence == MODEL_LIVE) {
        endpoint->nets = arena_array(&r->arena, addresses.count, sizeof(*addresses.items));
        for (size_t i = 0; i < addresses.count; i++)
            endpoint->nets[endpoint->net_count++] = addresses.items[i];
    }
    mem_cleanup_free(&addresses.items);
}
