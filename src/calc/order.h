/* The order in which policies are evaluated: tiers by order, then name; in a tier, policies by order, then by the text
 * NAME/NAMESPACE/KIND, bytewise as one string. What has no order comes after all that have one.
 *
 * Tiers live as long as a resource or a policy names them. One that does not exist stands after all others and denies.
 */
#ifndef CALC_ORDER_H
#define CALC_ORDER_H

#include "base/list.h"
#include "base/map.h"
#include "model/resource.h"

struct tier {
    struct str name;
    bool has_resource;
    bool exists;    /* a resource, or built in */
    bool is_broken; /* its policies refuse, since nobody knows when they should be asked */
    bool has_order;
    double order;
    bool default_pass;
    bool was_missing_told;
    struct list policies; /* struct policy: those that name it */
    char text[];
};

/* {0} is empty and valid. */
struct tiers {
    struct map by_name; /* -> struct tier */
};

void tiers_free(struct tiers *tiers);

/* Takes in a Tier resource (NULL: there is none any more); returns the tier if anybody is to be told that it differs. */
struct tier *tiers_set(struct tiers *tiers, struct str name, const struct model_resource *resource);

/* The tier that a policy names. */
struct tier *tiers_use(struct tiers *tiers, struct str name);
/* Frees it if nobody names it any more. */
void tiers_release(struct tiers *tiers, struct tier *tier);

/* Whoever names a tier may have meant another: one that is not there is told of in the log, once. */
void tiers_tell_missing(struct tier *tier);

/* <0, 0, >0: which is evaluated first. The policies are of one tier. */
int order_compare_tiers(const struct tier *a, const struct tier *b);
int order_compare_policies(const struct model_resource *a, const struct model_resource *b);

#endif
