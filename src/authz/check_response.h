/* Encoding Envoy's CheckResponse: the status, and why, as dynamic metadata.
 *
 * Keys of the metadata (a google.protobuf.Struct; Envoy puts it under the filter's name, where its access log finds it):
 *
 *     action   "allow" or "deny"
 *     reason   docs/reasons.md
 *     tier     name                                  } left out where
 *     policy   "NetworkPolicy default/web"           } nothing of the kind
 *     rule     index of the inbound rule, a number   } decided
 *
 * The body of a refusal is Envoy's own and says nothing: who is refused must not learn the policy from it.
 */
#ifndef AUTHZ_CHECK_RESPONSE_H
#define AUTHZ_CHECK_RESPONSE_H

#include "authz/verdict.h"
#include "base/mem.h"

/* Appends the message. */
void check_response_encode(struct buf *out, const struct authz_verdict *verdict);

/* For clients: reads status.code, status.message and the metadata's texts back. False: it does not decode. */
struct check_answer {
    int code;
    struct str message, action, reason, tier, policy;
    int rule; /* -1: none */
};
bool check_response_decode(struct str message, struct check_answer *answer);

#endif
