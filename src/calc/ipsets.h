/* IP sets: what selectors and named ports of rules stand for, as addresses.
 *
 * Rules ask for sets; equal ones are made once. The id says what a set holds, so it is the same after a restart and
 * readable in a log:
 *
 *     s:SELECTOR                 type NET: addresses and nets of all that match
 *     n:PROTOCOL:PORT:SELECTOR   type IP_AND_PORT: that named port of all endpoints that match
 *
 * with the selector in normal form. (A hash would be shorter, but two selectors must never share a set.)
 */
#ifndef CALC_IPSETS_H
#define CALC_IPSETS_H

#include "calc/inventory.h"
#include "policysync/message.h"

struct ipset_request {
    struct str id;
    enum psync_set_type type;
    const struct selector *selector;
    struct str port; /* of IP_AND_PORT */
    int protocol;    /* of IP_AND_PORT: number, or -1: any */
};

/* The sets that were asked for in one calculation; {.arena = …} is empty. */
struct ipset_requests {
    struct arena *arena;
    struct map by_id; /* -> struct ipset_request */
};

/* The id of the set, which is noted as needed. */
struct str ipset_for_selector(struct ipset_requests *requests, const struct selector *selector);
/* `selector` NULL: of all endpoints. `protocol` -1: any. */
struct str ipset_for_named_port(struct ipset_requests *requests, const struct selector *selector,
                                int protocol, struct str port);
void ipset_requests_free(struct ipset_requests *requests);

/* What the set holds now: members sorted bytewise, none twice; in the arena. Where a network set or an endpoint that belongs to
 * it cannot be read, the type is PSYNC_SET_UNREADABLE: rules that need the set then refuse. */
struct psync_ipset_update ipset_contents(struct arena *arena, const struct inventory *inventory,
                                         const struct ipset_request *request);

#endif
