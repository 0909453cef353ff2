/* From the several selector fields of a policy or a rule to the one selector that they mean together.
 */
#ifndef CALC_SCOPE_H
#define CALC_SCOPE_H

#include "model/resource.h"

/* Which endpoints a policy applies to: its selector, its service account selector, and its own namespace or its namespace
 * selector. Never NULL; a field that could not be parsed counts as all(), so that a broken policy closes what it may have meant. */
const struct selector *scope_of_policy(struct arena *arena, const struct model_resource *resource);

/* Which peers one side of a rule means. */
struct scope {
    const struct selector *positive; /* NULL: no condition */
    const struct selector
        *negative; /* NULL: none; else the members to leave out, where `positive` is NULL */
};

/* `namespace`: the policy's own, empty for global policies and profiles. */
struct scope scope_of_entity(struct arena *arena, const struct model_entity *entity,
                             struct str namespace);

#endif
