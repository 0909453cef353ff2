#include "authz/verdict.h"

struct str authz_reason_name(enum authz_reason reason)
{
    static const struct str names[] = {
        [AUTHZ_ALLOWED_BY_RULE] = STR_INIT("allowed_by_rule"),
        [AUTHZ_ALLOWED_BY_PROFILE] = STR_INIT("allowed_by_profile"),
        [AUTHZ_DENIED_BY_RULE] = STR_INIT("denied_by_rule"),
        [AUTHZ_DENIED_BY_TIER_DEFAULT] = STR_INIT("denied_by_tier_default"),
        [AUTHZ_DENIED_BY_PROFILE] = STR_INIT("denied_by_profile"),
        [AUTHZ_DENIED_BY_DEFAULT] = STR_INIT("denied_by_default"),
        [AUTHZ_UNKNOWN_IDENTITY] = STR_INIT("unknown_identity"),
        [AUTHZ_UNKNOWN_ADDRESS] = STR_INIT("unknown_address"),
        [AUTHZ_PATH_UNNORMALISABLE] = STR_INIT("path_not_normalisable"),
        [AUTHZ_NO_HTTP] = STR_INIT("no_http"),
        [AUTHZ_MALFORMED_PATH] = STR_INIT("malformed_path"),
        [AUTHZ_TOO_MANY_LABELS] = STR_INIT("too_many_labels"),
        [AUTHZ_NOT_IN_SYNC] = STR_INIT("not_in_sync"),
        [AUTHZ_NO_ENDPOINT] = STR_INIT("no_endpoint"),
        [AUTHZ_MISSING_POLICY] = STR_INIT("missing_policy"),
        [AUTHZ_MISSING_PROFILE] = STR_INIT("missing_profile"),
        [AUTHZ_MALFORMED_POLICY] = STR_INIT("malformed_policy"),
        [AUTHZ_MALFORMED_PROFILE] = STR_INIT("malformed_profile"),
        [AUTHZ_MISSING_IP_SET] = STR_INIT("missing_ip_set"),
    };
    return names[reason];
}

struct str authz_verdict_action(const struct authz_verdict *verdict)
{
    return verdict->code == AUTHZ_OK ? STR("allow") : STR("deny");
}
