/* Endpoints: Kubernetes' Pods, and Calico's WorkloadEndpoints for workloads that are none. */
#include "base/sha1.h"
#include "model/decode_kinds.h"
#include "model/decode_values.h"

static const struct str endpoint_fields[] = {
    STR_INIT("orchestrator"), STR_INIT("workload"),      STR_INIT("node"),
    STR_INIT("containerID"),  STR_INIT("pod"),           STR_INIT("endpoint"),
    STR_INIT("ipNetworks"),   STR_INIT("ipNATs"),        STR_INIT("ipv4Gateway"),
    STR_INIT("ipv6Gateway"),  STR_INIT("profiles"),      STR_INIT("serviceAccountName"),
    STR_INIT("mac"),          STR_INIT("interfaceName"), STR_INIT("allowSpoofedSourcePrefixes"),
    STR_INIT("ports"),        STR_INIT("qosControls"),
};
static const struct str port_fields[] = {STR_INIT("name"), STR_INIT("protocol"), STR_INIT("port"),
                                         STR_INIT("hostPort"), STR_INIT("hostIP")};

#define LABEL_NAMESPACE    STR("projectcalico.org/namespace")
#define LABEL_ORCHESTRATOR STR("projectcalico.org/orchestrator")
#define LABEL_ACCOUNT      STR("projectcalico.org/serviceaccount")

enum { ADDED_LABELS = 3 };

/* The resource's own labels, without those that only profiles may give, and with the reserved ones set. */
static void set_labels(struct model_resource *r)
{
    struct model_endpoint *endpoint = &r->endpoint;
    struct model_labels *out = &endpoint->labels;
    out->items = arena_array(&r->arena, r->labels.count + ADDED_LABELS, sizeof(*out->items));
    for (size_t i = 0; i < r->labels.count; i++) {
        struct str key = r->labels.items[i].key;
        /* Without this a pod that names no account could claim one by a label. */
        bool forged = r->key.kind == MODEL_POD && str_eq(key, LABEL_ACCOUNT);
        if (!forged && !str_starts_with(key, STR("pcns.")) && !str_starts_with(key, STR("pcsa.")))
            out->items[out->count++] = r->labels.items[i];
    }
    labels_put(out, LABEL_NAMESPACE, r->key.namespace);
    labels_put(out, LABEL_ORCHESTRATOR, endpoint->orchestrator);
    if (endpoint->account.len > 0)
        labels_put(out, LABEL_ACCOUNT, endpoint->account);
    labels_sort(out);
}

static void add_port(struct model_endpoint *endpoint, struct str name, uint8_t protocol,
                     int64_t port)
{
    endpoint->ports[endpoint->port_count++] =
        (struct model_endpoint_port){name, protocol, (uint16_t)port};
}

/* --- Pods --- */

/* The named ports of one container. */
static void read_container(struct decoder *d, const struct field *container)
{
    struct field ports = field_get(container, STR("ports"));
    size_t count = field_list(d, &ports);
    for (size_t i = 0; i < count; i++) {
        struct field f = field_item(&ports, i);
        struct field name_field = field_get(&f, STR("name"));
        struct field number_field = field_get(&f, STR("containerPort"));
        struct field protocol_field = field_get(&f, STR("protocol"));
        struct model_protocol protocol = {true, STR("tcp"), 6};
        struct str name;
        int64_t number;
        if (!field_string(d, &name_field, &name) || name.len == 0)
            continue;
        if (field_is_set(&protocol_field) && !value_port_protocol(d, &protocol_field, &protocol))
            continue;
        if (field_require(d, &number_field) && field_int(d, &number_field, 1, 65535, &number))
            add_port(&d->resource->endpoint, name, protocol.number, number);
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

/* Addresses in the making. `bad`: one could not be read, by which the pod is no endpoint. */
struct addresses {
    struct ip_net *items;
    size_t count, capacity;
    bool bad;
};

static void add_address(struct decoder *d, const struct field *f, struct str text,
                        struct addresses *out)
{
    struct ip_net net;
    if (!ip_parse_net_or_addr(text, &net) || net.length != ip_bits(net.addr.family)) {
        decode_error(d, f, "%s is not an IP address", quote(text).text);
        out->bad = true;
        return;
    }
    MEM_GROW(out->items, out->count, out->capacity);
    out->items[out->count++] = net;
}

/* A string that is there and not empty. */
static bool get_text(struct decoder *d, const struct field *map, struct str key, struct field *f,
                     struct str *text)
{
    *f = field_get(map, key);
    return field_string(d, f, text) && text->len > 0;
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
        if (!field_require(d, &f) || !field_string(d, &f, &text))
            out->bad = true;
        else
            add_address(d, &f, text, out);
    }
    if (count == 0 && get_text(d, status, STR("podIP"), &f, &text))
        add_address(d, &f, text, out);
}

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
            add_address(d, &f, part, out);
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
    field_string(d, &phase_field, &phase);
    if (str_eq(phase, STR("Succeeded")) || str_eq(phase, STR("Failed")))
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

static struct str workload_id(struct model_resource *r, struct str name)
{
    return arena_printf(&r->arena, "%.*s/%.*s", STR_ARG(r->key.namespace), STR_ARG(name));
}

/* "cali" and the beginning of a hash of "NAMESPACE.POD": what Calico's CNI plugin calls a pod's interface on the node. */
static struct str pod_interface(struct model_resource *r)
{
    uint8_t digest[20];
    struct str name =
        arena_printf(&r->arena, "%.*s.%.*s", STR_ARG(r->key.namespace), STR_ARG(r->key.name));
    sha1(name, digest);
    return arena_printf(&r->arena, "cali%02x%02x%02x%02x%02x%x", digest[0], digest[1], digest[2],
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
    struct field account = field_get(&spec, STR("serviceAccountName"));
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
    endpoint->workload = workload_id(r, r->key.name);
    endpoint->interface = pod_interface(r);
    set_labels(r);
    set_pod_profiles(r);
    read_containers(d, &spec);
    if (field_is_set(&prefixes) && !is_empty_text(&annotations, prefixes.name))
        decode_warning(d, &prefixes, "ignored: the pod stays bound to its own addresses");

    read_status_addresses(d, &status, &addresses);
    if (addresses.count == 0 && !addresses.bad)
        read_annotation_addresses(d, &annotations, &addresses);
    endpoint->live = !on_host && endpoint->node.len > 0 && addresses.count > 0 && !addresses.bad &&
                     !is_finished(d, &metadata, &annotations, &status);
    if (endpoint->live) {
        endpoint->nets = arena_array(&r->arena, addresses.count, sizeof(*addresses.items));
        endpoint->net_count = addresses.count;
        memcpy(endpoint->nets, addresses.items, addresses.count * sizeof(*addresses.items));
    }
    mem_cleanup_free(&addresses.items);
}

/* --- WorkloadEndpoints --- */

static void read_endpoint_port(struct decoder *d, const struct field *f)
{
    if (!field_map_of(d, f, FIELD_NAMES(port_fields)))
        return;
    struct field name_field = field_get(f, STR("name"));
    struct field protocol_field = field_get(f, STR("protocol"));
    struct field port_field = field_get(f, STR("port"));
    struct field host_field = field_get(f, STR("hostPort"));
    struct model_protocol protocol = {0};
    struct str name = {NULL, 0};
    int64_t port = 0, host_port = 0;
    field_string(d, &name_field, &name);
    field_int(d, &host_field, 0, 65535, &host_port);
    if (field_require(d, &protocol_field) && value_protocol(d, &protocol_field, &protocol) &&
        !protocol_has_ports(protocol.number))
        decode_error(d, &protocol_field, "this protocol has no ports");
    if (!field_require(d, &port_field) || !field_int(d, &port_field, 1, 65535, &port))
        return;
    if (name.len > 0 && !port_name_is_valid(name))
        decode_error(d, &name_field, "%s is not the name of a port", quote(name).text);
    else if (name.len > 0 && protocol.present)
        add_port(&d->resource->endpoint, name, protocol.number, port);
    else if (name.len == 0 && host_port == 0)
        decode_error(d, &name_field, "missing");
}

static void read_endpoint_ports(struct decoder *d, const struct field *spec)
{
    struct model_endpoint *endpoint = &d->resource->endpoint;
    struct field list = field_get(spec, STR("ports"));
    size_t count = field_list(d, &list);
    endpoint->ports = arena_array(&d->resource->arena, count, sizeof(*endpoint->ports));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        read_endpoint_port(d, &item);
    }
}

/* A name that must be there. */
static void require_name(struct decoder *d, const struct field *spec, struct str key,
                         struct str *out)
{
    struct field f = field_get(spec, key);
    if (field_require(d, &f))
        value_subdomain(d, &f, out);
}

void decode_workload_endpoint(struct decoder *d, const struct field *root)
{
    struct model_resource *r = d->resource;
    struct model_endpoint *endpoint = &r->endpoint;
    struct field spec = field_get(root, STR("spec"));
    struct field account = field_get(&spec, STR("serviceAccountName"));
    struct field profiles = field_get(&spec, STR("profiles"));
    struct field interface = field_get(&spec, STR("interfaceName"));
    struct field networks = field_get(&spec, STR("ipNetworks"));
    struct field mac = field_get(&spec, STR("mac"));
    struct str workload = {NULL, 0}, ignored;
    struct model_nets nets = {0};
    size_t errors = d->errors;
    if (field_require(d, &spec))
        field_map_of(d, &spec, FIELD_NAMES(endpoint_fields));
    require_name(d, &spec, STR("orchestrator"), &endpoint->orchestrator);
    bool is_pod = str_eq(endpoint->orchestrator, STR("k8s"));
    require_name(d, &spec, is_pod ? STR("pod") : STR("workload"), &workload);
    require_name(d, &spec, STR("node"), &endpoint->node);
    require_name(d, &spec, STR("endpoint"), &endpoint->endpoint);
    endpoint->workload = workload_id(r, workload);
    value_subdomain(d, &account, &endpoint->account);
    endpoint->profiles = value_names(d, &profiles);
    field_string(d, &interface, &endpoint->interface);
    field_string(d, &mac, &ignored);
    value_nets(d, &networks, true, false, &nets);
    read_endpoint_ports(d, &spec);
    set_labels(r);
    endpoint->live = nets.count > 0 && d->errors == errors;
    if (endpoint->live) {
        endpoint->nets = nets.items;
        endpoint->net_count = nets.count;
    }
}
