#include "authz/interpreter.h"

#include "authz/match.h"

/* How the walk over a rule, a policy or a tier ended. UNDECIDED: it goes on with the next one. */
enum outcome { UNDECIDED, ALLOWED, DENIED, PASSED, REFUSED };

struct walk {
    struct match_context context;
    const struct authz_observer *observer;
    bool with_staged; /* as if staged policies were enforced */
    struct authz_verdict verdict;
    const struct authz_place
        *staged; /* the staged policy that decided, or the last one of the tier; NULL: none */
};

static enum outcome refuse(struct walk *w, enum authz_code code, enum authz_reason reason)
{
    w->verdict.code = code;
    w->verdict.reason = reason;
    return REFUSED;
}

/* What an unknown part of a rule means, given the rule's action. */
static enum outcome judge_unknown(struct walk *w, enum match match, enum authz_action action)
{
    if (match == MATCH_MALFORMED_PATH)
        return refuse(w, AUTHZ_INVALID_ARGUMENT, AUTHZ_MALFORMED_PATH);
    if (action == AUTHZ_LOG)
        return UNDECIDED;
    if (match == MATCH_MISSING_SET)
        return refuse(w, AUTHZ_INTERNAL, AUTHZ_MISSING_IP_SET);
    if (action == AUTHZ_ALLOW)
        return UNDECIDED;
    switch (match) {
    case MATCH_UNKNOWN_ADDRESS:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_UNKNOWN_ADDRESS);
    case MATCH_PATH_NOT_NORMALISABLE:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_PATH_UNNORMALISABLE);
    case MATCH_NO_HTTP:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_NO_HTTP);
    default:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_UNKNOWN_IDENTITY);
    }
}

static enum outcome judge_match(struct walk *w, enum authz_action action)
{
    switch (action) {
    case AUTHZ_ALLOW:
        return ALLOWED;
    case AUTHZ_DENY:
        return DENIED;
    case AUTHZ_PASS:
        return PASSED;
    case AUTHZ_LOG:
        if (w->observer != NULL)
            w->observer->logged(w->observer->ctx, w->verdict.tier, w->verdict.policy,
                                w->verdict.rule);
        return UNDECIDED;
    }
    return REFUSED;
}

/* `log` rules ignore missing sets, so there a malformed path must be seen behind one. */
static bool is_path_malformed(const struct walk *w, const struct authz_rule *rule)
{
    return rule->path_count > 0 && w->context.request->has_http &&
           w->context.request->path_state == AUTHZ_PATH_MALFORMED;
}

static enum outcome walk_rules(struct walk *w, const struct authz_policy *policy)
{
    w->context.policy = policy;
    enum match match;
    for (size_t i = match_next_rule(&w->context, 0, &match); i < policy->rule_count;
         i = match_next_rule(&w->context, i + 1, &match)) {
        const struct authz_rule *rule = &policy->rules[i];
        w->verdict.rule = (int)i;
        if (match == MATCH_MISSING_SET && rule->action == AUTHZ_LOG && is_path_malformed(w, rule))
            match = MATCH_MALFORMED_PATH;
        enum outcome outcome = match == MATCH_TRUE ? judge_match(w, rule->action)
                                                   : judge_unknown(w, match, rule->action);
        if (outcome != UNDECIDED)
            return outcome;
    }
    w->verdict.rule = -1;
    return UNDECIDED;
}

/* From here on no policy has a part in the verdict. */
static void leave_policies(struct walk *w)
{
    w->verdict.policy = NULL;
    w->verdict.rule = -1;
}

static enum outcome walk_place(struct walk *w, const struct authz_place *place, bool is_profile)
{
    w->verdict.policy = &place->id;
    w->verdict.rule = -1;
    if (place->policy == NULL)
        return refuse(w, AUTHZ_INTERNAL, is_profile ? AUTHZ_MISSING_PROFILE : AUTHZ_MISSING_POLICY);
    if (place->policy->malformed.len > 0)
        return refuse(w, AUTHZ_INTERNAL,
                      is_profile ? AUTHZ_MALFORMED_PROFILE : AUTHZ_MALFORMED_POLICY);
    return walk_rules(w, place->policy);
}

/* A tier that is passed leaves it to the next one. */
static enum outcome walk_tier(struct walk *w, const struct authz_tier *tier)
{
    const struct authz_place *last_staged = NULL;
    w->verdict.tier = tier->name;
    for (size_t i = 0; i < tier->policy_count; i++) {
        const struct authz_place *place = &tier->policies[i];
        if (place->is_staged && !w->with_staged)
            continue;
        w->staged = place->is_staged ? place : NULL;
        last_staged = place->is_staged ? place : last_staged;
        enum outcome outcome = walk_place(w, place, false);
        if (outcome == PASSED)
            return UNDECIDED;
        if (outcome != UNDECIDED)
            return outcome;
    }
    leave_policies(w);
    w->staged = NULL;
    if (tier->default_pass)
        return UNDECIDED;
    w->staged = last_staged;
    return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_DENIED_BY_TIER_DEFAULT);
}

static enum outcome walk_profiles(struct walk *w)
{
    const struct authz_snapshot *snapshot = w->context.snapshot;
    w->verdict.tier = str_make(NULL, 0);
    w->staged = NULL;
    for (size_t i = 0; i < snapshot->profile_count; i++) {
        enum outcome outcome = walk_place(w, &snapshot->profiles[i], true);
        if (outcome == PASSED || outcome == DENIED)
            return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_DENIED_BY_PROFILE);
        if (outcome == ALLOWED)
            w->verdict.reason = AUTHZ_ALLOWED_BY_PROFILE;
        if (outcome != UNDECIDED)
            return outcome;
    }
    leave_policies(w);
    return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_DENIED_BY_DEFAULT);
}

static void walk_all(struct walk *w)
{
    const struct authz_snapshot *snapshot = w->context.snapshot;
    for (size_t i = 0; i < snapshot->tier_count; i++) {
        const struct authz_tier *tier = &snapshot->tiers[i];
        if (!tier->is_enforced && !(w->with_staged && tier->has_staged))
            continue;
        enum outcome outcome = walk_tier(w, tier);
        if (outcome == ALLOWED)
            return;
        if (outcome == DENIED)
            refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_DENIED_BY_RULE);
        if (outcome != UNDECIDED)
            return;
    }
    walk_profiles(w);
}

static void judge(struct walk *w)
{
    w->verdict =
        (struct authz_verdict){.code = AUTHZ_OK, .reason = AUTHZ_ALLOWED_BY_RULE, .rule = -1};
    if (!w->context.snapshot->in_sync)
        refuse(w, AUTHZ_INTERNAL, AUTHZ_NOT_IN_SYNC);
    else if (!w->context.snapshot->has_endpoint)
        refuse(w, AUTHZ_INTERNAL, AUTHZ_NO_ENDPOINT);
    else if (w->context.request->has_too_many_labels)
        refuse(w, AUTHZ_INVALID_ARGUMENT, AUTHZ_TOO_MANY_LABELS);
    else
        walk_all(w);
}

struct authz_verdict authz_interpret(const struct authz_snapshot *snapshot,
                                     const struct authz_request *request,
                                     const struct authz_observer *observer)
{
    struct walk w = {.context = {.snapshot = snapshot, .request = request}, .observer = observer};
    judge(&w);
    return w.verdict;
}

struct authz_verdict authz_interpret_staged(const struct authz_snapshot *snapshot,
                                            const struct authz_request *request,
                                            const struct authz_place **place)
{
    struct walk w = {.context = {.snapshot = snapshot, .request = request}, .with_staged = true};
    judge(&w);
    *place = w.staged;
    return w.verdict;
}
