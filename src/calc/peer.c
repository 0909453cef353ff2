#include "calc/peer.h"

static struct peer_port *ports_of(const struct peer *peer)
{
    /* Behind the nets, whose size may leave it unaligned. */
    size_t end = sizeof(*peer) + peer->net_count * sizeof(struct ip_net);
    const size_t align = _Alignof(struct peer_port);
    return (struct peer_port *)(void *)((char *)peer + (end + align - 1) / align * align);
}

static char *text_of(const struct peer *peer)
{
    return (char *)(ports_of(peer) + peer->port_count);
}

struct str peer_key(const struct peer *peer)
{
    return str_make(text_of(peer), peer->key_len);
}

/* ---- making one ---- */

struct contents {
    const struct ip_net *nets;
    size_t net_count;
    const struct model_endpoint_port *ports;
    size_t port_count;
    bool has_ports, is_unreadable;
};

/* False: nobody. */
static bool find_contents(const struct model_resource *resource, struct contents *contents)
{
    bool is_broken = resource->broken.len > 0;
    if (model_kind_is_network_set(resource->key.kind)) {
        *contents = (struct contents){.nets = resource->network_set.nets,
                                      .net_count = resource->network_set.net_count,
                                      .is_unreadable = is_broken};
        return true;
    }
    const struct model_endpoint *endpoint = &resource->endpoint;
    bool is_live = endpoint->presence == MODEL_LIVE;
    /* Wrong and no endpoint: it may well be one, at an address that nobody knows. */
    *contents = (struct contents){.has_ports = true, .is_unreadable = is_broken && !is_live};
    if (is_live) {
        contents->nets = endpoint->nets;
        contents->net_count = endpoint->net_count;
        contents->ports = endpoint->ports;
        contents->port_count = endpoint->port_count;
    }
    return is_live || is_broken;
}

/* Pods may call a port what no rule can. */
static bool can_be_named(const struct model_endpoint_port *port)
{
    return port->name.len > 0 && port->name.len <= PEER_PORT_NAME;
}

static void copy_ports(struct peer *peer, const struct contents *contents)
{
    uint32_t at = peer->key_len;
    struct peer_port *to = ports_of(peer);
    for (size_t i = 0; i < contents->port_count; i++) {
        const struct model_endpoint_port *from = &contents->ports[i];
        if (!can_be_named(from))
            continue;
        *to++ = (struct peer_port){
            .name = at,
            .port = from->port,
            .name_len = (uint8_t)from->name.len,
            .protocol = from->protocol,
        };
        memcpy(text_of(peer) + at, from->name.ptr, from->name.len);
        at += (uint32_t)from->name.len;
    }
}

struct peer *peer_new(const struct model_resource *resource)
{
    struct contents contents;
    if (!find_contents(resource, &contents))
        return NULL;
    CLEANUP_BUF struct buf key = {0};
    model_key_text(&key, &resource->key);
    size_t text = key.len, port_count = 0;
    for (size_t i = 0; i < contents.port_count; i++) {
        if (!can_be_named(&contents.ports[i]))
            continue;
        text += contents.ports[i].name.len;
        port_count++;
    }
    struct peer *peer =
        mem_zalloc(sizeof(*peer) + contents.net_count * sizeof(struct ip_net) +
                   _Alignof(struct peer_port) + port_count * sizeof(struct peer_port) + text);
    peer->net_count = (uint32_t)contents.net_count;
    peer->port_count = (uint32_t)port_count;
    peer->has_ports = contents.has_ports;
    peer->is_unreadable = contents.is_unreadable;
    peer->key_len = (uint32_t)key.len;
    if (contents.net_count > 0)
        memcpy(peer->nets, contents.nets, contents.net_count * sizeof(struct ip_net));
    memcpy(text_of(peer), key.data, key.len);
    copy_ports(peer, &contents);
    return peer;
}

/* ---- in IP sets ---- */

static void count_port(const struct peer *peer, struct ipset *set, const struct peer_port *port,
                       bool comes)
{
    for (uint32_t i = 0; i < peer->net_count; i++) {
        struct member member = {.addr = peer->nets[i].addr,
                                .has_port = true,
                                .protocol = port->protocol,
                                .port = port->port};
        ipset_count_member(set, &member, comes);
    }
}

static void count_ports(const struct peer *peer, struct ipset *set, bool comes)
{
    for (uint32_t i = 0; i < peer->port_count; i++) {
        const struct peer_port *port = &ports_of(peer)[i];
        struct str name = str_make(text_of(peer) + port->name, port->name_len);
        if (str_eq(name, set->port) && (set->protocol < 0 || set->protocol == port->protocol))
            count_port(peer, set, port, comes);
    }
}

static void count_nets(const struct peer *peer, struct ipset *set, bool comes)
{
    for (uint32_t i = 0; i < peer->net_count; i++) {
        struct member member = {.addr = peer->nets[i].addr, .prefix = peer->nets[i].length};
        ipset_count_member(set, &member, comes);
    }
}

void peer_count(const struct peer *peer, struct ipset *set, bool comes)
{
    bool by_port = set->type == PSYNC_SET_IP_AND_PORT;
    if (by_port && !peer->has_ports)
        return;
    if (peer->is_unreadable)
        ipset_count_unreadable(set, comes);
    if (by_port)
        count_ports(peer, set, comes);
    else
        count_nets(peer, set, comes);
}
