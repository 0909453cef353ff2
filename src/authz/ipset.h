/* One version of one IP set: what the Policy Sync API calls IPSet, ready to be asked.
 *
 * Members are values, not texts: "10.0.0.1", "10.0.0.1/32" and "::ffff:10.0.0.1" are one member of a NET set. A member
 * that cannot be read makes the whole set unusable until its next whole update, since nobody knows what it would
 * have matched; rules that need the set then refuse.
 *
 * Addresses and nets are keys of [prefix length][address]; a look-up tries each length that occurs. ip+port members are
 * keys of [protocol][port][address].
 *
 * Ownership: counted, not atomically (see keyset.h). Reading is free for all threads.
 */
#ifndef AUTHZ_IPSET_H
#define AUTHZ_IPSET_H

#include "authz/keyset.h"
#include "base/ip.h"
#include "policysync/message.h"

struct authz_ipset {
    unsigned references;
    int type;      /* enum psync_set_type, or unknown */
    bool unusable; /* a member could not be read, or the set is known only from a delta */
    struct keyset *v4, *v6;
    uint64_t lengths[2][3]; /* prefix lengths that may occur, a bit each: of v4 [0] and v6 [1] */
};

/* *bad_member gets the first member that could not be read, for a message; `unusable` says whether there was one. */
struct authz_ipset *authz_ipset_new(const struct psync_ipset_update *update,
                                    struct str *bad_member);
/* The version after a delta: additions, then removals. `old` may be NULL: the set is known only from a delta. */
struct authz_ipset *authz_ipset_apply(const struct authz_ipset *old,
                                      const struct psync_ipset_delta *delta,
                                      struct str *bad_member);
void authz_ipset_ref(struct authz_ipset *set);
void authz_ipset_unref(struct authz_ipset *set);

/* Whether the set can be asked for addresses (types IP, NET) or for ip+port (type IP_AND_PORT). NULL: no set. */
bool authz_ipset_has_addresses(const struct authz_ipset *set);
bool authz_ipset_has_ports(const struct authz_ipset *set);

bool authz_ipset_contains(const struct authz_ipset *set, const struct ip_addr *addr);
bool authz_ipset_contains_port(const struct authz_ipset *set, const struct ip_addr *addr,
                               uint8_t protocol, uint16_t port);

#endif
