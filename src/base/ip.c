#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_v4(struct str text, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        struct str part;
        bool more = str_cut(text, '.', &part, &text);
        uint64_t value;
        if (more != (i < 3) || !str_parse_uint(part, 255, &value))
            return false;
        bytes[i] = (uint8_t)value;
    }
    return true;
}

static bool parse_v6(struct str text, uint8_t bytes[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof(copy) || str_find(text, '\0') < text.len)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, bytes) == 1;
}

/* Reads an address without folding mapped ones. */
static bool parse_raw(struct str text, struct ip_addr *addr)
{
    *addr = (struct ip_addr){0};
    if (text.len == 0)
        return false;
    if (str_find(text, ':') < text.len) {
        addr->family = 6;
        return parse_v6(text, addr->bytes);
    }
    addr->family = 4;
    return parse_v4(text, addr->bytes);
}

static bool is_mapped(const struct ip_addr *addr)
{
    return addr->family == 6 && memcmp(addr->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static struct ip_addr unmap(const struct ip_addr *addr)
{
    struct ip_addr v4 = {.family = 4};
    memcpy(v4.bytes, addr->bytes + 12, 4);
    return v4;
}

bool ip_parse_addr(struct str text, struct ip_addr *addr)
{
    if (!parse_raw(text, addr))
        return false;
    if (is_mapped(addr))
        *addr = unmap(addr);
    return true;
}

struct ip_net ip_mask(struct ip_addr addr, unsigned length)
{
    unsigned size = ip_bits(addr.family) / 8;
    unsigned whole = length / 8;
    if (whole < size) {
        addr.bytes[whole] &= (uint8_t)(0xff00u >> (length % 8));
        memset(addr.bytes + whole + 1, 0, sizeof(addr.bytes) - whole - 1);
    }
    return (struct ip_net){addr, (uint8_t)length};
}

bool ip_parse_net(struct str text, struct ip_net *net)
{
    struct str head, rest;
    struct ip_addr addr;
    uint64_t length;
    if (!str_cut(text, '/', &head, &rest) || !parse_raw(head, &addr) ||
        !str_parse_uint(rest, ip_bits(addr.family), &length))
        return false;
    if (is_mapped(&addr) && length >= 96) {
        addr = unmap(&addr);
        length -= 96;
    }
    *net = ip_mask(addr, (unsigned)length);
    return true;
}

bool ip_parse_net_or_addr(struct str text, struct ip_net *net)
{
    struct ip_addr addr;
    if (!ip_parse_addr(text, &addr))
        return ip_parse_net(text, net);
    *net = ip_mask(addr, ip_bits(addr.family));
    return true;
}

bool ip_net_contains(const struct ip_net *net, const struct ip_addr *addr)
{
    if (addr->family != net->addr.family)
        return false;
    struct ip_net other = ip_mask(*addr, net->length);
    return ip_addr_eq(&other.addr, &net->addr);
}

struct ip_text ip_format_addr(const struct ip_addr *addr)
{
    struct ip_text t = {""};
    if (addr->family != 0)
        inet_ntop(addr->family == 4 ? AF_INET : AF_INET6, addr->bytes, t.text, sizeof(t.text));
    return t;
}

struct ip_text ip_format_net(const struct ip_net *net)
{
    struct ip_text t = ip_format_addr(&net->addr);
    size_t used = strlen(t.text);
    snprintf(t.text + used, sizeof(t.text) - used, "/%u", net->length);
    return t;
}

int ip_protocol_number(struct str name)
{
    static const struct {
        struct str name;
        int number;
    } protocols[] = {
        {STR_INIT("icmp"), 1},    {STR_INIT("tcp"), 6},    {STR_INIT("udp"), 17},
        {STR_INIT("icmpv6"), 58}, {STR_INIT("sctp"), 132}, {STR_INIT("udplite"), 136},
    };
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (str_eq_nocase(name, protocols[i].name))
            return protocols[i].number;
    }
    return -1;
}
