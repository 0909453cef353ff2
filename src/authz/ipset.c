#include "authz/ipset.h"

#include <stdlib.h>

#include "base/mem.h"

enum { KEY_LIMIT = 19 }; /* protocol, port, IPv6 address */

/* The key of a member, and which of the two key sets it belongs to. */
struct member {
    uint8_t key[KEY_LIMIT];
    uint8_t length; /* prefix length of an address member */
    bool is_v6;
};

static size_t key_width(int type, bool is_v6)
{
    size_t prefix = type == PSYNC_SET_IP_AND_PORT ? 3 : 1;
    return prefix + (is_v6 ? 16 : 4);
}

static struct member net_member(const struct ip_net *net)
{
    struct member m = {.length = net->length, .is_v6 = net->addr.family == 6};
    m.key[0] = net->length;
    memcpy(m.key + 1, net->addr.bytes, m.is_v6 ? 16 : 4);
    return m;
}

static struct member port_member(const struct ip_addr *addr, uint8_t protocol, uint16_t port)
{
    struct member m = {.is_v6 = addr->family == 6};
    m.key[0] = protocol;
    m.key[1] = (uint8_t)(port >> 8);
    m.key[2] = (uint8_t)port;
    memcpy(m.key + 3, addr->bytes, m.is_v6 ? 16 : 4);
    return m;
}

/* "ip,proto:port" */
static bool parse_port_member(struct str text, struct member *m)
{
    struct str addr_text, rest, name, port_text;
    struct ip_addr addr;
    uint64_t port;
    if (!str_cut(text, ',', &addr_text, &rest) || !str_cut(rest, ':', &name, &port_text) ||
        !ip_parse_addr(addr_text, &addr) || !str_parse_uint(port_text, UINT16_MAX, &port))
        return false;
    int protocol = ip_protocol_number(name);
    if (protocol < 0)
        return false;
    *m = port_member(&addr, (uint8_t)protocol, (uint16_t)port);
    return true;
}

static bool parse_member(int type, struct str text, struct member *m)
{
    struct ip_net net;
    switch (type) {
    case PSYNC_SET_IP_AND_PORT:
        return parse_port_member(text, m);
    case PSYNC_SET_NET:
        if (!ip_parse_net_or_addr(text, &net))
            return false;
        break;
    case PSYNC_SET_IP: {
        struct ip_addr addr;
        if (!ip_parse_addr(text, &addr))
            return false;
        net = ip_mask(addr, ip_bits(addr.family));
        break;
    }
    default:
        return false;
    }
    *m = net_member(&net);
    return true;
}

/* Keys of one width in a row. */
struct keys {
    struct buf bytes;
    size_t count;
};

/* Members as keys, apart by family: keys[0] IPv4, keys[1] IPv6. Notes prefix lengths in `set` and marks it unusable if a member
 * cannot be read. */
static void read_members(struct authz_ipset *set, struct psync_strings members, struct keys keys[2],
                         struct str *bad_member)
{
    for (size_t i = 0; i < members.count; i++) {
        struct member m;
        if (!parse_member(set->type, members.items[i], &m)) {
            if (!set->unusable)
                *bad_member = members.items[i];
            set->unusable = true;
            return;
        }
        buf_append(&keys[m.is_v6].bytes, m.key, key_width(set->type, m.is_v6));
        keys[m.is_v6].count++;
        set->lengths[m.is_v6][m.length / 64] |= UINT64_C(1) << (m.length % 64);
    }
}

static uint8_t *key_bytes(struct keys *keys)
{
    return (uint8_t *)keys->bytes.data;
}

static void free_keys(struct keys keys[2])
{
    buf_free(&keys[0].bytes);
    buf_free(&keys[1].bytes);
}

struct authz_ipset *authz_ipset_new(const struct psync_ipset_update *update, struct str *bad_member)
{
    struct authz_ipset *set = mem_zalloc(sizeof(*set));
    struct keys keys[2] = {0};
    *bad_member = str_make(NULL, 0);
    set->references = 1;
    set->type = update->type;
    read_members(set, update->members, keys, bad_member);
    if (!set->unusable) {
        set->v4 = keyset_build(key_width(set->type, false), key_bytes(&keys[0]), keys[0].count);
        set->v6 = keyset_build(key_width(set->type, true), key_bytes(&keys[1]), keys[1].count);
    }
    free_keys(keys);
    return set;
}

struct authz_ipset *authz_ipset_apply(const struct authz_ipset *old,
                                      const struct psync_ipset_delta *delta, struct str *bad_member)
{
    struct authz_ipset *set = mem_zalloc(sizeof(*set));
    *bad_member = str_make(NULL, 0);
    if (old == NULL || old->unusable) {
        *set = (struct authz_ipset){
            .references = 1, .type = old != NULL ? old->type : -1, .unusable = true};
        return set;
    }
    struct keys added[2] = {0}, removed[2] = {0};
    *set = *old;
    set->references = 1;
    set->v4 = set->v6 = NULL;
    read_members(set, delta->added, added, bad_member);
    read_members(set, delta->removed, removed, bad_member);
    if (!set->unusable) {
        set->v4 = keyset_apply(old->v4, key_bytes(&added[0]), added[0].count,
                               key_bytes(&removed[0]), removed[0].count);
        set->v6 = keyset_apply(old->v6, key_bytes(&added[1]), added[1].count,
                               key_bytes(&removed[1]), removed[1].count);
    }
    free_keys(added);
    free_keys(removed);
    return set;
}

void authz_ipset_ref(struct authz_ipset *set)
{
    if (set != NULL)
        set->references++;
}

void authz_ipset_unref(struct authz_ipset *set)
{
    if (set == NULL || --set->references > 0)
        return;
    keyset_release(set->v4);
    keyset_release(set->v6);
    free(set);
}

bool authz_ipset_has_addresses(const struct authz_ipset *set)
{
    return set != NULL && !set->unusable &&
           (set->type == PSYNC_SET_IP || set->type == PSYNC_SET_NET);
}

bool authz_ipset_has_ports(const struct authz_ipset *set)
{
    return set != NULL && !set->unusable && set->type == PSYNC_SET_IP_AND_PORT;
}

bool authz_ipset_contains(const struct authz_ipset *set, const struct ip_addr *addr)
{
    bool is_v6 = addr->family == 6;
    const struct keyset *keys = is_v6 ? set->v6 : set->v4;
    for (unsigned word = 0; word < 3; word++) {
        for (uint64_t bits = set->lengths[is_v6][word]; bits != 0; bits &= bits - 1) {
            unsigned length = word * 64 + (unsigned)__builtin_ctzll(bits);
            struct ip_net net = ip_mask(*addr, length);
            struct member m = net_member(&net);
            if (keyset_contains(keys, m.key))
                return true;
        }
    }
    return false;
}

bool authz_ipset_contains_port(const struct authz_ipset *set, const struct ip_addr *addr,
                               uint8_t protocol, uint16_t port)
{
    struct member m = port_member(addr, protocol, port);
    return keyset_contains(m.is_v6 ? set->v6 : set->v4, m.key);
}
