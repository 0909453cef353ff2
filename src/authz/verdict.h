/* What was decided about a request, and by what.
 *
 * The words of `reason` are part of the product's interface: they stand in the log, in the response's dynamic metadata and
 * in docs/reasons.md.
 */
#ifndef AUTHZ_VERDICT_H
#define AUTHZ_VERDICT_H

#include "policysync/message.h"

/* google.rpc.Code, as far as a verdict has them: CheckResponse.status.code. */
enum authz_code {
    AUTHZ_OK = 0,
    AUTHZ_INVALID_ARGUMENT = 3,
    AUTHZ_PERMISSION_DENIED = 7,
    AUTHZ_INTERNAL = 13,
};

enum authz_reason {
    AUTHZ_ALLOWED_BY_RULE,
    AUTHZ_ALLOWED_BY_PROFILE,
    AUTHZ_DENIED_BY_RULE,
    AUTHZ_DENIED_BY_TIER_DEFAULT,
    AUTHZ_DENIED_BY_PROFILE,
    AUTHZ_DENIED_BY_DEFAULT, /* no profile decided either */
    /* Something is unknown: PERMISSION_DENIED. */
    AUTHZ_UNKNOWN_IDENTITY,
    AUTHZ_UNKNOWN_ADDRESS,
    AUTHZ_PATH_UNNORMALISABLE,
    AUTHZ_NO_HTTP,
    /* The request is malformed: INVALID_ARGUMENT. */
    AUTHZ_MALFORMED_PATH,
    AUTHZ_TOO_MANY_LABELS,
    /* The policy is not known well enough: INTERNAL. */
    AUTHZ_NOT_IN_SYNC,
    AUTHZ_NO_ENDPOINT,
    AUTHZ_MISSING_POLICY,
    AUTHZ_MISSING_PROFILE,
    AUTHZ_MALFORMED_POLICY,
    AUTHZ_MALFORMED_PROFILE,
    AUTHZ_MISSING_IP_SET,
    AUTHZ_REASON_COUNT,
};

/* Everything that it points to belongs to the snapshot that was asked. */
struct authz_verdict {
    enum authz_code code;
    enum authz_reason reason;
    struct str tier;                      /* empty: no tier decided */
    const struct psync_policy_id *policy; /* NULL: no policy or profile decided */
    int rule; /* index in the policy's inbound rules; -1: no rule decided */
};

/* "denied_by_rule", … */
struct str authz_reason_name(enum authz_reason reason);

/* "allow" or "deny": what was done, whatever the reason. */
struct str authz_verdict_action(const struct authz_verdict *verdict);

#endif
