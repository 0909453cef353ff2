#include "calc/ipsets.h"

#include <stdlib.h>

#include "calc/endpoint_labels.h"

static struct str note(struct ipset_requests *requests, struct ipset_request request, struct str id)
{
    struct ipset_request *known = map_get(&requests->by_id, id);
    if (known == NULL) {
        known = arena_alloc(requests->arena, sizeof(*known));
        *known = request;
        known->id = arena_copy(requests->arena, id);
        map_set(&requests->by_id, known->id, known);
    }
    return known->id;
}

struct str ipset_for_selector(struct ipset_requests *requests, const struct selector *selector)
{
    CLEANUP_BUF struct buf id = {0};
    buf_append_str(&id, STR("s:"));
    selector_format(&id, selector);
    struct ipset_request request = {.type = PSYNC_SET_NET, .selector = selector};
    return note(requests, request, buf_str(&id));
}

struct str ipset_for_named_port(struct ipset_requests *requests, const struct selector *selector,
                                int protocol, struct str port)
{
    CLEANUP_BUF struct buf id = {0};
    struct ipset_request request = {.type = PSYNC_SET_IP_AND_PORT,
                                    .selector =
                                        selector != NULL ? selector : selector_all(requests->arena),
                                    .port = arena_copy(requests->arena, port),
                                    .protocol = protocol};
    buf_printf(&id, "n:%d:%.*s:", protocol, STR_ARG(port));
    selector_format(&id, request.selector);
    return note(requests, request, buf_str(&id));
}

void ipset_requests_free(struct ipset_requests *requests)
{
    map_free(&requests->by_id);
}

/* Members while they are gathered. */
struct members {
    struct arena *arena;
    struct psync_strings list;
    size_t capacity;
    bool unreadable; /* somebody belongs to the set whose addresses are not known */
};

static void add(struct members *m, struct str member)
{
    MEM_GROW(m->list.items, m->list.count, m->capacity);
    m->list.items[m->list.count++] = member;
}

static void add_net(struct members *m, const struct ip_net *net)
{
    add(m, arena_copy(m->arena, str_from_c(ip_format_net(net).text)));
}

static struct str protocol_name(uint8_t number)
{
    switch (number) {
    case 17:
        return STR("udp");
    case 132:
        return STR("sctp");
    default:
        return STR("tcp");
    }
}

static void add_ports(struct members *m, const struct model_endpoint *endpoint,
                      const struct ipset_request *request)
{
    for (size_t i = 0; i < endpoint->port_count; i++) {
        const struct model_endpoint_port *port = &endpoint->ports[i];
        if (!str_eq(port->name, request->port) ||
            (request->protocol >= 0 && request->protocol != port->protocol))
            continue;
        for (size_t j = 0; j < endpoint->net_count; j++) {
            struct ip_text addr = ip_format_addr(&endpoint->nets[j].addr);
            add(m, arena_printf(m->arena, "%s,%.*s:%u", addr.text,
                                STR_ARG(protocol_name(port->protocol)), port->port));
        }
    }
}

static void add_endpoints(struct members *m, const struct inventory *inventory,
                          enum model_kind kind, const struct ipset_request *request)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&inventory->by_kind[kind], &position)) != NULL) {
        const struct model_resource *resource = ((struct inventory_item *)entry->value)->resource;
        const struct model_endpoint *endpoint = &resource->endpoint;
        /* Wrong and no endpoint: it may well be one, at an address that nobody knows. */
        bool is_unknown = !endpoint->live && resource->broken.len > 0;
        if ((!endpoint->live && !is_unknown) ||
            !endpoint_labels_match(inventory, resource, request->selector))
            continue;
        m->unreadable |= is_unknown;
        if (request->type == PSYNC_SET_IP_AND_PORT) {
            add_ports(m, endpoint, request);
            continue;
        }
        for (size_t i = 0; i < endpoint->net_count; i++)
            add_net(m, &endpoint->nets[i]);
    }
}

static void add_network_sets(struct members *m, const struct inventory *inventory,
                             enum model_kind kind, const struct ipset_request *request)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&inventory->by_kind[kind], &position)) != NULL) {
        const struct model_resource *resource = ((struct inventory_item *)entry->value)->resource;
        if (!endpoint_labels_match(inventory, resource, request->selector))
            continue;
        for (size_t i = 0; i < resource->network_set.net_count; i++)
            add_net(m, &resource->network_set.nets[i]);
        m->unreadable |= resource->broken.len > 0;
    }
}

static int compare_members(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct psync_ipset_update ipset_contents(struct arena *arena, const struct inventory *inventory,
                                         const struct ipset_request *request)
{
    struct members m = {.arena = arena};
    struct psync_ipset_update set = {.id = request->id, .type = (int)request->type};
    add_endpoints(&m, inventory, MODEL_POD, request);
    add_endpoints(&m, inventory, MODEL_WORKLOAD_ENDPOINT, request);
    if (request->type == PSYNC_SET_NET) {
        add_network_sets(&m, inventory, MODEL_NETWORK_SET, request);
        add_network_sets(&m, inventory, MODEL_GLOBAL_NETWORK_SET, request);
    }
    if (m.unreadable) {
        set.type = PSYNC_SET_UNREADABLE;
        m.list.count = 0;
    }
    if (m.list.count > 1)
        qsort(m.list.items, m.list.count, sizeof(*m.list.items), compare_members);
    set.members.items = arena_array(arena, m.list.count, sizeof(struct str));
    for (size_t i = 0; i < m.list.count; i++) {
        if (i == 0 || !str_eq(m.list.items[i], m.list.items[i - 1]))
            set.members.items[set.members.count++] = m.list.items[i];
    }
    free(m.list.items);
    return set;
}
