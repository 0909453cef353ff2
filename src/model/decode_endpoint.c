/* Calico's endpoints: WorkloadEndpoints, for workloads that are no pods, and HostEndpoints, a host's own interfaces. */
#include <ctype.h>

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
static const struct str host_fields[] = {STR_INIT("node"), STR_INIT("interfaceName"),
                                         STR_INIT("expectedIPs"), STR_INIT("profiles"),
                                         STR_INIT("ports")};
/* Those of a host's ports come first. */
static const struct str port_fields[] = {STR_INIT("name"), STR_INIT("protocol"), STR_INIT("port"),
                                         STR_INIT("hostPort"), STR_INIT("hostIP")};
enum { HOST_PORT_FIELDS = 3 };
static const struct str nat_fields[] = {STR_INIT("internalIP"), STR_INIT("externalIP")};

#define LABEL_NAMESPACE    STR("projectcalico.org/namespace")
#define LABEL_ORCHESTRATOR STR("projectcalico.org/orchestrator")
#define LABEL_ACCOUNT      STR("projectcalico.org/serviceaccount")

enum { ADDED_LABELS = 3 };

/* The resource's own labels, without those that only profiles may give. There is room for those that are added. */
static void copy_labels(struct model_resource *r)
{
    struct labels *out = &r->endpoint.labels;
    out->items = arena_array(&r->arena, r->labels.count + ADDED_LABELS, sizeof(*out->items));
    for (size_t i = 0; i < r->labels.count; i++) {
        struct str key = r->labels.items[i].key;
        /* Without this a pod that names no account could claim one by a label. */
        bool forged = r->key.kind == MODEL_POD && str_eq(key, LABEL_ACCOUNT);
        if (!forged && !str_starts_with(key, STR("pcns.")) && !str_starts_with(key, STR("pcsa.")))
            out->items[out->count++] = r->labels.items[i];
    }
}

void endpoint_set_labels(struct model_resource *r)
{
    struct model_endpoint *endpoint = &r->endpoint;
    struct labels *out = &endpoint->labels;
    copy_labels(r);
    labels_put(out, LABEL_NAMESPACE, r->key.namespace);
    labels_put(out, LABEL_ORCHESTRATOR, endpoint->orchestrator);
    if (endpoint->account.len > 0)
        labels_put(out, LABEL_ACCOUNT, endpoint->account);
    labels_sort(out);
}

void endpoint_add_port(struct model_endpoint *endpoint, struct str name, uint8_t protocol,
                       int64_t port)
{
    endpoint->ports[endpoint->port_count++] =
        (struct model_endpoint_port){name, protocol, (uint16_t)port};
}

struct str endpoint_workload_id(struct model_resource *r, struct str name)
{
    return arena_printf(&r->arena, "%.*s/%.*s", STR_ARG(r->key.namespace), STR_ARG(name));
}

/* --- what both kinds have --- */

static void read_interface(struct decoder *d, const struct field *spec)
{
    struct str *name = &d->resource->endpoint.interface;
    struct field f = field_get(spec, STR("interfaceName"));
    /* To upstream an empty string is the same as none. */
    if (!field_string(d, &f, name) || name->len == 0 || str_eq(*name, STR("*")))
        return;
    if (name->len > 15 || !name_is_of(*name, "_.-"))
        decode_error(d, &f,
                     "%s is not the name of an interface (at most 15 letters, digits, _, . and -)",
                     quote(*name).text);
}

static void read_profiles(struct decoder *d, const struct field *spec)
{
    struct field f = field_get(spec, STR("profiles"));
    d->resource->endpoint.profiles = value_names(d, &f);
}

/* The address of a host's port is only looked at. */
static void check_host_address(struct decoder *d, const struct field *port)
{
    struct field f = field_get(port, STR("hostIP"));
    struct str text;
    struct ip_net ignored;
    if (field_text(d, &f, &text) && text.len > 0 && !ip_parse_net_or_addr(text, &ignored))
        decode_error(d, &f, "%s is not an IP address", quote(text).text);
}

static void read_port(struct decoder *d, const struct field *f, bool of_host)
{
    struct field_names names = FIELD_NAMES(port_fields);
    if (of_host)
        names.count = HOST_PORT_FIELDS;
    if (!field_map_of(d, f, names))
        return;
    struct field name_field = field_get(f, STR("name"));
    struct field protocol_field = field_get(f, STR("protocol"));
    struct field port_field = field_get(f, STR("port"));
    struct model_protocol protocol = {0};
    struct str name = {NULL, 0};
    int64_t port = 0, host_port = 0;
    field_string(d, &name_field, &name);
    if (!of_host) {
        struct field host_field = field_get(f, STR("hostPort"));
        field_int(d, &host_field, 0, 65535, &host_port);
        check_host_address(d, f);
    }
    if (field_require(d, &protocol_field) && value_protocol(d, &protocol_field, &protocol) &&
        !protocol_has_ports(protocol.number))
        decode_error(d, &protocol_field, "this protocol has no ports");
    if (!field_require(d, &port_field) || !field_int(d, &port_field, 1, 65535, &port))
        return;
    if (name.len > 0 && !port_name_is_valid(name))
        decode_error(d, &name_field, "%s is not the name of a port", quote(name).text);
    else if (name.len > 0 && protocol.present)
        endpoint_add_port(&d->resource->endpoint, name, protocol.number, port);
    else if (name.len == 0 && host_port == 0)
        decode_error(d, &name_field, "missing");
}

static void read_ports(struct decoder *d, const struct field *spec, bool of_host)
{
    struct model_endpoint *endpoint = &d->resource->endpoint;
    struct field list = field_get(spec, STR("ports"));
    size_t count = field_list(d, &list);
    endpoint->ports = arena_array(&d->resource->arena, count, sizeof(*endpoint->ports));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        read_port(d, &item, of_host);
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

/* An IP address without a prefix; false without a word if the field is absent. */
static bool read_address(struct decoder *d, const struct field *f, struct ip_addr *out)
{
    struct str text;
    if (!field_text(d, f, &text))
        return false;
    if (ip_parse_addr(text, out))
        return true;
    decode_error(d, f, "%s is not an IP address", quote(text).text);
    return false;
}

/* --- WorkloadEndpoints --- */

/* Hexadecimal digits in pairs between : or -, or in fours between dots; 6, 8 or 20 bytes. */
static bool is_mac(struct str text)
{
    size_t group = text.len > 4 && text.ptr[4] == '.' ? 4 : 2, digits = 0;
    char mark = text.len > group ? text.ptr[group] : '\0';
    if (mark != ':' && mark != '-' && mark != '.')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_mark = i % (group + 1) == group;
        if (is_mark ? text.ptr[i] != mark : !isxdigit((unsigned char)text.ptr[i]))
            return false;
        digits += !is_mark;
    }
    return text.len % (group + 1) == group && (digits == 12 || digits == 16 || digits == 40);
}

static bool is_container_id(struct str text)
{
    return name_is_of(text, "-") && text.ptr[0] != '-' && text.ptr[text.len - 1] != '-';
}

/* Says of a text that is set whether it is what it should be. */
static void check_text(struct decoder *d, const struct field *spec, struct str key,
                       bool is_ok(struct str), const char *what)
{
    struct field f = field_get(spec, key);
    struct str text;
    if (field_text(d, &f, &text) && text.len > 0 && !is_ok(text))
        decode_error(d, &f, "%s is not %s", quote(text).text, what);
}

static void check_gateway(struct decoder *d, const struct field *spec, struct str key,
                          uint8_t family)
{
    struct field f = field_get(spec, key);
    struct ip_addr addr;
    bool empty = field_is_set(&f) && f.node->type == DOC_STRING && f.node->text.len == 0;
    if (!empty && read_address(d, &f, &addr) && addr.family != family)
        decode_error(d, &f, "%s is not an IPv%u address", quote(f.node->text).text, family);
}

static void check_nat(struct decoder *d, const struct field *f, const struct model_nets *nets)
{
    if (!field_map_of(d, f, FIELD_NAMES(nat_fields)))
        return;
    struct field internal_field = field_get(f, STR("internalIP"));
    struct field external_field = field_get(f, STR("externalIP"));
    struct ip_addr internal, external;
    if (!field_require(d, &internal_field) || !read_address(d, &internal_field, &internal) ||
        !field_require(d, &external_field) || !read_address(d, &external_field, &external))
        return;
    if (internal.family != external.family)
        decode_error(d, &external_field, "is of another IP version than internalIP");
    for (size_t i = 0; i < nets->count; i++) {
        if (ip_net_contains(&nets->items[i], &internal))
            return;
    }
    decode_error(d, &internal_field, "is none of the endpoint's ipNetworks");
}

/* What is of no use here, and must be right all the same. */
static void check_details(struct decoder *d, const struct field *spec,
                          const struct model_nets *nets)
{
    struct model_nets ignored = {0};
    struct field prefixes = field_get(spec, STR("allowSpoofedSourcePrefixes"));
    struct field qos = field_get(spec, STR("qosControls"));
    struct field nats = field_get(spec, STR("ipNATs"));
    check_text(d, spec, STR("containerID"), is_container_id, "the id of a container");
    check_text(d, spec, STR("mac"), is_mac, "a MAC address");
    check_gateway(d, spec, STR("ipv4Gateway"), 4);
    check_gateway(d, spec, STR("ipv6Gateway"), 6);
    value_nets(d, &prefixes, true, false, &ignored);
    field_map(d, &qos);
    size_t count = field_list(d, &nats);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&nats, i);
        check_nat(d, &item, nets);
    }
}

void decode_workload_endpoint(struct decoder *d, const struct field *root)
{
    struct model_resource *r = d->resource;
    struct model_endpoint *endpoint = &r->endpoint;
    struct field spec = field_get(root, STR("spec"));
    struct field account = field_get_filled(&spec, STR("serviceAccountName"));
    struct field networks = field_get(&spec, STR("ipNetworks"));
    struct str workload = {NULL, 0};
    struct model_nets nets = {0};
    size_t errors = d->errors;
    if (field_require(d, &spec))
        field_map_of(d, &spec, FIELD_NAMES(endpoint_fields));
    require_name(d, &spec, STR("orchestrator"), &endpoint->orchestrator);
    bool is_pod = str_eq(endpoint->orchestrator, STR("k8s"));
    require_name(d, &spec, is_pod ? STR("pod") : STR("workload"), &workload);
    require_name(d, &spec, STR("node"), &endpoint->node);
    require_name(d, &spec, STR("endpoint"), &endpoint->endpoint);
    endpoint->workload = endpoint_workload_id(r, workload);
    value_subdomain(d, &account, &endpoint->account);
    read_profiles(d, &spec);
    read_interface(d, &spec);
    value_nets(d, &networks, true, false, &nets);
    read_ports(d, &spec, false);
    check_details(d, &spec, &nets);
    endpoint_set_labels(r);
    if (d->errors == errors)
        endpoint->presence = nets.count > 0 ? MODEL_LIVE : MODEL_WITHOUT_ADDRESS;
    if (endpoint->presence == MODEL_LIVE) {
        endpoint->nets = nets.items;
        endpoint->net_count = nets.count;
    }
}

/* --- HostEndpoints --- */

static void read_expected_addresses(struct decoder *d, const struct field *list)
{
    struct model_endpoint *endpoint = &d->resource->endpoint;
    size_t count = field_list(d, list);
    endpoint->nets = arena_array(&d->resource->arena, count, sizeof(*endpoint->nets));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(list, i);
        struct ip_addr addr;
        if (read_address(d, &item, &addr))
            endpoint->nets[endpoint->net_count++] = ip_mask(addr, ip_bits(addr.family));
    }
}

void decode_host_endpoint(struct decoder *d, const struct field *root)
{
    struct model_endpoint *endpoint = &d->resource->endpoint;
    struct field spec = field_get(root, STR("spec"));
    struct field interface = field_get(&spec, STR("interfaceName"));
    struct field addresses = field_get(&spec, STR("expectedIPs"));
    bool is_readable = field_require(d, &spec) && field_map_of(d, &spec, FIELD_NAMES(host_fields));
    copy_labels(d->resource);
    if (!is_readable)
        return;
    require_name(d, &spec, STR("node"), &endpoint->node);
    read_interface(d, &spec);
    read_expected_addresses(d, &addresses);
    if ((!field_is_set(&interface) || interface.node->text.len == 0) &&
        (!field_is_set(&addresses) ||
         (addresses.node->type == DOC_LIST && addresses.node->count == 0)))
        decode_error(d, &spec, "one of interfaceName and expectedIPs is needed");
    read_profiles(d, &spec);
    read_ports(d, &spec, true);
    endpoint->presence = d->resource->broken.len == 0 ? MODEL_LIVE : MODEL_UNREADABLE;
    if (endpoint->presence != MODEL_LIVE)
        endpoint->net_count = 0;
}
