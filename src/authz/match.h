/* Private to interpreter.c: which rules of a policy match a request. One function a part of a rule, in the order of the specification.
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
    const struct authz_policy *policy; /* whose rules are looked at */
};

/* The index of the policy's first rule from `start` on that does not fail to match, or the number of its rules: there is none. *match
 * is not MATCH_FALSE then. (The walk stands here, since a call for each rule cost a tenth of it.) */
size_t match_next_rule(const struct match_context *c, size_t start, enum match *match);

#endif
