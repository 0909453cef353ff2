/* IP addresses and nets as numbers.
 *
 * One address has one value here: an IPv4-mapped IPv6 address (::ffff:a.b.c.d) is its IPv4 address, and
 * ::ffff:a.b.c.d/N with N >= 96 is the IPv4 net a.b.c.d/(N-96). A shorter IPv6 net holds no IPv4 address,
 * even if its bits would cover the mapped range. Text is read strictly: no zone, no leading zeros in
 * an IPv4 byte, no blanks.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/str.h"

/* Unused bytes are 0, so that two equal addresses are equal as memory. */
struct ip_addr {
    uint8_t family;    /* 4 or 6; 0: no address */
    uint8_t bytes[16]; /* network order; IPv4 uses the first 4 */
};

struct ip_net {
    struct ip_addr addr; /* bits behind the prefix are 0 */
    uint8_t length;      /* of the prefix: 0-32 or 0-128 */
};

/* Bits in an address of this family: 32 or 128. */
static inline unsigned ip_bits(uint8_t family)
{
    return family == 4 ? 32 : 128;
}

bool ip_parse_addr(struct str text, struct ip_addr *addr);

/* "ADDRESS/LENGTH". Bits behind the prefix are masked off. A bare address is refused. */
bool ip_parse_net(struct str text, struct ip_net *net);

/* The same, but a bare address is its /32 or /128. */
bool ip_parse_net_or_addr(struct str text, struct ip_net *net);

/* The net of `length` bits that addr is in. */
struct ip_net ip_mask(struct ip_addr addr, unsigned length);

bool ip_net_contains(const struct ip_net *net, const struct ip_addr *addr);

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The usual text; by value, so that it can stand in an argument list. */
struct ip_text {
    char text[64];
};
struct ip_text ip_format_addr(const struct ip_addr *addr);
struct ip_text ip_format_net(const struct ip_net *net);

/* The number of an IP protocol that Calico knows by name (icmp, tcp, udp, icmpv6, sctp, udplite; any
 * case), or -1. */
int ip_protocol_number(struct str name);

#endif
