/* From rules as users write them to rules of the Policy Sync API: selectors become IP sets, names become what the
 * wire calls them, and the user's own selectors go along for the sidecars.
 */
#ifndef CALC_RULES_H
#define CALC_RULES_H

#include "calc/ipsets.h"

/* `namespace`: the policy's own, empty for global policies and profiles. The result lives in the requests' arena. */
struct psync_rules rules_convert(struct ipset_requests *requests, const struct model_rules *rules,
                                 struct str namespace);

/* One rule that no sidecar can understand: how a policy that could not be understood is sent, so that it refuses. */
struct psync_rules rules_malformed(struct arena *arena);

/* One rule with this action that matches everything. */
struct psync_rules rules_always(struct arena *arena, struct str action);

#endif
