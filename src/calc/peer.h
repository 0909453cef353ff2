/* A peer: somebody who can be in IP sets, cut down to what that takes. There is one for each endpoint and each network set of the
 * whole cluster, so it is one small block of memory.
 */
#ifndef CALC_PEER_H
#define CALC_PEER_H

#include "calc/ipset.h"
#include "model/resource.h"

/* The longest name that a rule can give a port. */
enum { PEER_PORT_NAME = 15 };

struct peer_port {
    uint32_t name; /* where it begins in the peer's text */
    uint16_t port;
    uint8_t name_len, protocol;
};

struct peer {
    struct label_member labels;
    uint32_t net_count, port_count;
    bool has_ports;     /* an endpoint, which is asked for named ports; else a network set */
    bool is_unreadable; /* it is wrong: nobody knows all its addresses */
    uint32_t key_len;   /* its place in the map of all peers: the beginning of the text */
    /* Nets, ports, text: in this order in one block. */
    struct ip_net nets[];
};

/* NULL: the resource is nobody's address (a finished pod, say). */
struct peer *peer_new(const struct model_resource *resource);

/* What it is known by: the text of its resource's key. */
struct str peer_key(const struct peer *peer);

/* Counts the peer in or out of a set whose selector it matches. */
void peer_count(const struct peer *peer, struct ipset *set, bool comes);

#endif
