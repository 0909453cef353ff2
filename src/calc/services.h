/* Services: the addresses and ports behind them, from EndpointSlices, for rules that name a service.
 *
 * A set of a service holds what all its slices say: with ports (destinations) each address with each port, without (sources) the
 * addresses. A slice that cannot be read makes the sets of its service unreadable.
 */
#ifndef CALC_SERVICES_H
#define CALC_SERVICES_H

#include "calc/ipset.h"
#include "model/resource.h"

/* {0} is empty and valid. */
struct services {
    struct map services; /* namespace and name -> struct service */
    struct map slices;   /* namespace and name -> struct slice */
};

void services_free(struct services *services);

/* Takes in an EndpointSlice; it replaces one with the same key. */
void services_put(struct services *services, const struct model_resource *resource);
void services_remove(struct services *services, const struct model_key *key);

/* Fills a set with what the service has, and keeps it up to date from then on. */
void services_attach(struct services *services, struct str namespace, struct str name,
                     struct ipset *set);
/* The set is about to go. */
void services_detach(struct services *services, struct str namespace, struct str name,
                     const struct ipset *set);

#endif
