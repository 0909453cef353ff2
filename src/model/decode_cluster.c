/* Where the pods of services are (discovery.k8s.io/v1 EndpointSlice), and what is known of the cluster as a whole. */
#include "model/decode_kinds.h"
#include "model/decode_values.h"

/* In the order of `address_types`. */
enum address_type { ADDRESS_IPV4, ADDRESS_IPV6, ADDRESS_FQDN };
static const struct str address_types[] = {STR_INIT("IPv4"), STR_INIT("IPv6"), STR_INIT("FQDN")};
static const struct str information_fields[] = {STR_INIT("clusterGUID"), STR_INIT("clusterType"),
                                                STR_INIT("calicoVersion"),
                                                STR_INIT("datastoreReady"), STR_INIT("variant")};

static size_t count_addresses(const struct field *endpoints, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const struct doc_node *list = doc_get(endpoints->node->items[i], STR("addresses"));
        total += list != NULL ? list->count : 0;
    }
    return total;
}

/* A slice may hold names where others hold addresses; they are left out, as all that is no address is. */
static void read_addresses(struct decoder *d, const struct field *endpoint, bool are_names)
{
    struct model_endpoint_slice *slice = &d->resource->endpoint_slice;
    struct field list = field_get(endpoint, STR("addresses"));
    size_t count = field_list(d, &list);
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        struct str text;
        if (field_text(d, &item, &text) && !are_names &&
            ip_parse_addr(text, &slice->addresses[slice->address_count]))
            slice->address_count++;
    }
}

static void read_endpoints(struct decoder *d, const struct field *root, bool are_names)
{
    struct model_endpoint_slice *slice = &d->resource->endpoint_slice;
    struct field list = field_get(root, STR("endpoints"));
    size_t count = field_list(d, &list);
    slice->addresses =
        arena_array(&d->resource->arena, count_addresses(&list, count), sizeof(*slice->addresses));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        if (field_map(d, &item))
            read_addresses(d, &item, are_names);
    }
}

static void read_port(struct decoder *d, const struct field *f)
{
    struct model_endpoint_slice *slice = &d->resource->endpoint_slice;
    struct model_protocol protocol = {.present = true, .number = 6};
    int64_t number;
    if (!field_map(d, f))
        return;
    struct field protocol_field = field_get(f, STR("protocol"));
    struct field number_field = field_get(f, STR("port"));
    bool protocol_ok =
        !field_is_set(&protocol_field) || value_port_protocol(d, &protocol_field, &protocol);
    if (field_int(d, &number_field, 1, 65535, &number) && protocol_ok)
        slice->ports[slice->port_count++] =
            (struct model_slice_port){protocol.number, (uint16_t)number};
}

static void read_ports(struct decoder *d, const struct field *root)
{
    struct model_endpoint_slice *slice = &d->resource->endpoint_slice;
    struct field list = field_get(root, STR("ports"));
    size_t count = field_list(d, &list);
    slice->ports = arena_array(&d->resource->arena, count, sizeof(*slice->ports));
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(&list, i);
        read_port(d, &item);
    }
}

void decode_endpoint_slice(struct decoder *d, const struct field *root)
{
    struct model_resource *r = d->resource;
    struct field type_field = field_get(root, STR("addressType"));
    size_t type = ADDRESS_IPV4;
    labels_get(&r->labels, STR("kubernetes.io/service-name"), &r->endpoint_slice.service);
    field_enum(d, &type_field, FIELD_NAMES(address_types), &type);
    read_endpoints(d, root, type == ADDRESS_FQDN);
    read_ports(d, root);
}

void decode_cluster_information(struct decoder *d, const struct field *root)
{
    static const struct str texts[] = {STR_INIT("clusterGUID"), STR_INIT("clusterType"),
                                       STR_INIT("calicoVersion"), STR_INIT("variant")};
    struct model_cluster_information *information = &d->resource->cluster_information;
    struct field spec = field_get(root, STR("spec"));
    information->datastore_ready = true;
    if (!field_map_of(d, &spec, FIELD_NAMES(information_fields)))
        return;
    struct field ready = field_get(&spec, STR("datastoreReady"));
    field_bool(d, &ready, &information->datastore_ready);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct field f = field_get(&spec, texts[i]);
        struct str ignored;
        field_text(d, &f, &ignored);
    }
}
