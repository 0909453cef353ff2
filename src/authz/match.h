/* Private to interpreter.c: whether one rule matches one request. One function a part of a rule, in the order of the specification.
 *
 * Pure, as interpreter.h is.
 */
#ifndef AUTHZ_MATCH_H
#define AUTHZ_MATCH_H

#include "authz/request.h"
#include "authz/snapshot.h"

/* What a rule, or a part of one, says about a request. All below MATCH_TRUE in this list are ways not to know; the interpreter says
 * what each of them means. */
enum match {
    MATCH_FALSE,
    MATCH_TRUE,
    MATCH_UNKNOWN_IDENTITY,
    MATCH_UNKNOWN_ADDRESS,
    MATCH_PATH_NOT_NORMALISABLE,
    MATCH_NO_HTTP,
    MATCH_MALFORMED_PATH,
    MATCH_MISSING_SET,
};

struct match_context {
    const struct authz_snapshot *snapshot;
    const struct authz_request *request;
    const struct authz_policy *policy; /* whose rule is looked at */
};

/* False if any part is false; else what the parts do not know, a missing set first, then a malformed path, then the first other
 * unknown; else true. */
enum match match_rule(const struct match_context *c, const struct authz_rule *rule);

#endif
