/* From rules as users write them to rules of the Policy Sync API: selectors become IP sets, names become what the
 * wire calls them, and the user's own selectors go along for the sidecars.
 */
#ifndef CALC_RULES_H
#define CALC_RULES_H

#include "calc/ipsets.h"

/* What conversion takes besides the rules. */
struct rules_context {
    struct arena
        *arena; /* of the result; ids of sets are the sets' own, and live while these are used */
    struct ipsets *ipsets;
    struct list *uses; /* struct ipset: each use of a set is appended; the caller releases them */
    struct str namespace; /* the policy's own, empty for global policies and profiles */
};

struct psync_rules rules_convert(const struct rules_context *context,
                                 const struct model_rules *rules);

/* One rule that no sidecar can understand: how a policy that could not be understood is sent, so that it refuses. */
struct psync_rules rules_malformed(struct arena *arena);

/* Encodes the message of a policy or profile, whose key this is, into `bytes` (empty before). If no stream could carry it, its
 * rules become ones that refuse (the pods that it is about must not go without it), which is logged, and the uses of sets are
 * released. */
void rules_encode(const struct rules_context *context, struct psync_message *message,
                  const struct model_key *key, struct buf *bytes);

/* One rule with this action that matches everything. */
struct psync_rules rules_always(struct arena *arena, struct str action);

#endif
