/* The order in which policies are evaluated: tiers by order, then name; in a tier, policies by order, then by the text
 * NAME/NAMESPACE/KIND. What has no order comes after all that have one.
 */
#ifndef CALC_ORDER_H
#define CALC_ORDER_H

#include "calc/inventory.h"

struct ordered_tier {
    struct str name;
    bool exists;    /* a resource, or built in; else it stands after all others and denies */
    bool is_broken; /* its policies refuse, since nobody knows when they should be asked */
    bool has_order;
    double order;
    bool default_pass;
    const struct model_resource **policies; /* every kind of policy, in order */
    size_t policy_count;
};

struct ordered_tiers {
    struct ordered_tier *items;
    size_t count;
};

/* All tiers that have policies, in order; lives in the arena. */
struct ordered_tiers order_policies(const struct inventory *inventory, struct arena *arena);

#endif
