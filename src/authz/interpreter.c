#include "authz/interpreter.h"

#include "authz/path.h"

/* What a part of a rule says about a request. All below PART_TRUE in this list are ways not to know; judge_unknown says what each
 * of them means. */
enum part {
    PART_FALSE,
    PART_TRUE,
    PART_UNKNOWN_IDENTITY,
    PART_UNKNOWN_ADDRESS,
    PART_PATH_NOT_NORMALISABLE,
    PART_NO_HTTP,
    PART_MALFORMED_PATH,
    PART_MISSING_SET,
};

struct context {
    const struct authz_snapshot *snapshot;
    const struct authz_request *request;
    const struct authz_policy *policy; /* whose rule is looked at */
};

/* A rule's view of one side: what it says, and about whom. */
struct side {
    const struct authz_side *rule;
    const struct authz_peer *peer;
};

static struct side source_of(const struct context *c, const struct authz_rule *rule)
{
    return (struct side){&rule->source, &c->request->source};
}

static struct side destination_of(const struct context *c, const struct authz_rule *rule)
{
    return (struct side){&rule->destination, &c->request->destination};
}

static enum part truth(bool value)
{
    return value ? PART_TRUE : PART_FALSE;
}

/* "matches when the plain one would not" */
static enum part negate(enum part part)
{
    if (part == PART_TRUE)
        return PART_FALSE;
    return part == PART_FALSE ? PART_TRUE : part;
}

/* Adds a part to what is known of the whole: false ends it; a missing set counts most, then a malformed path, then the
 * first other unknown. Returns false if the whole cannot match any more. */
static bool add_part(enum part *sum, enum part part)
{
    if (part == PART_FALSE) {
        *sum = PART_FALSE;
        return false;
    }
    bool outranks =
        part == PART_MISSING_SET || (part == PART_MALFORMED_PATH && *sum != PART_MISSING_SET);
    if (outranks || (part != PART_TRUE && *sum == PART_TRUE))
        *sum = part;
    return true;
}

/* One of two: true wins, then a missing set, then another unknown. */
static enum part either(enum part a, enum part b)
{
    if (a == PART_TRUE || b == PART_TRUE)
        return PART_TRUE;
    if (a == PART_MISSING_SET || b == PART_MISSING_SET)
        return PART_MISSING_SET;
    return a != PART_FALSE ? a : b;
}

/* ---- addresses ---- */

static enum part match_family(const struct context *c, const struct authz_rule *rule)
{
    uint8_t family = c->request->source.addr.family;
    if (rule->family == 0)
        return PART_TRUE;
    return family == 0 ? PART_UNKNOWN_ADDRESS : truth(family == rule->family);
}

static enum part match_protocol(const struct context *c, const struct authz_rule *rule)
{
    return truth(rule->protocol < 0 || rule->protocol == c->request->protocol);
}

static enum part match_not_protocol(const struct context *c, const struct authz_rule *rule)
{
    return truth(rule->not_protocol != c->request->protocol);
}

/* A request is TCP or UDP, so "is ICMP" is false and "is not ICMP" needs no part. */
static enum part match_icmp(const struct context *c, const struct authz_rule *rule)
{
    (void)c;
    return truth(!rule->icmp);
}

static enum part in_nets(struct authz_nets nets, const struct authz_peer *peer)
{
    if (peer->addr.family == 0)
        return PART_UNKNOWN_ADDRESS;
    for (size_t i = 0; i < nets.count; i++) {
        if (ip_net_contains(&nets.items[i], &peer->addr))
            return PART_TRUE;
    }
    return PART_FALSE;
}

static enum part match_nets(struct side side)
{
    return side.rule->nets.count == 0 ? PART_TRUE : in_nets(side.rule->nets, side.peer);
}

static enum part match_not_nets(struct side side)
{
    return side.rule->not_nets.count == 0 ? PART_TRUE
                                          : negate(in_nets(side.rule->not_nets, side.peer));
}

/* ---- IP sets ---- */

static enum part in_set(const struct context *c, uint32_t slot, const struct authz_peer *peer)
{
    const struct authz_ipset *set = c->snapshot->sets[slot];
    if (!authz_ipset_has_addresses(set))
        return PART_MISSING_SET;
    if (peer->addr.family == 0)
        return PART_UNKNOWN_ADDRESS;
    return truth(authz_ipset_contains(set, &peer->addr));
}

/* For ip+port sets; the port and the protocol count as parts of the address. */
static enum part in_port_set(const struct context *c, uint32_t slot, const struct authz_peer *peer)
{
    const struct authz_ipset *set = c->snapshot->sets[slot];
    if (!authz_ipset_has_ports(set))
        return PART_MISSING_SET;
    if (!peer->port_known)
        return PART_UNKNOWN_ADDRESS;
    return truth(authz_ipset_contains_port(set, &peer->addr, c->request->protocol, peer->port));
}

typedef enum part set_test(const struct context *, uint32_t, const struct authz_peer *);

/* Whether the test holds (or, with `wanted` false, fails) for each of the sets. */
static enum part all_sets(const struct context *c, struct authz_sets sets,
                          const struct authz_peer *peer, set_test *test, bool wanted)
{
    enum part sum = PART_TRUE;
    for (size_t i = 0; i < sets.count; i++) {
        enum part part = test(c, sets.items[i], peer);
        if (!add_part(&sum, wanted ? part : negate(part)))
            break;
    }
    return sum;
}

static enum part match_sets(const struct context *c, struct side side)
{
    return all_sets(c, side.rule->sets, side.peer, in_set, true);
}

static enum part match_not_sets(const struct context *c, struct side side)
{
    return all_sets(c, side.rule->not_sets, side.peer, in_set, false);
}

static enum part match_ip_ports(const struct context *c, struct side side)
{
    return all_sets(c, side.rule->ip_ports, side.peer, in_port_set, true);
}

/* ---- ports ---- */

static enum part in_ranges(struct authz_ports ports, const struct authz_peer *peer)
{
    if (ports.count > 0 && !peer->port_known)
        return PART_UNKNOWN_ADDRESS;
    for (size_t i = 0; i < ports.count; i++) {
        if (ports.items[i].first <= peer->port && peer->port <= ports.items[i].last)
            return PART_TRUE;
    }
    return PART_FALSE;
}

/* A numeric range or a named-port set: one that holds is enough. */
static enum part in_ports(const struct context *c, struct authz_ports ports,
                          struct authz_sets named, const struct authz_peer *peer)
{
    enum part result = in_ranges(ports, peer);
    for (size_t i = 0; i < named.count && result != PART_TRUE; i++)
        result = either(result, in_port_set(c, named.items[i], peer));
    return result;
}

static enum part match_ports(const struct context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    if (rule->ports.count == 0 && rule->named_ports.count == 0)
        return PART_TRUE;
    return in_ports(c, rule->ports, rule->named_ports, side.peer);
}

static enum part match_not_ports(const struct context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    if (rule->not_ports.count == 0 && rule->not_named_ports.count == 0)
        return PART_TRUE;
    return negate(in_ports(c, rule->not_ports, rule->not_named_ports, side.peer));
}

/* ---- identity ---- */

/* Without a certificate the IP sets that the node agent derived from the same criteria decide; a rule that has none
 * leaves nothing to decide by. */
static enum part without_identity(struct side side)
{
    if (side.peer->identity.kind == IDENTITY_NONE && side.rule->has_positive_set)
        return PART_TRUE;
    return PART_UNKNOWN_IDENTITY;
}

struct account_labels {
    const struct authz_labels *synced; /* win */
    const struct authz_peer *peer;     /* as sent in the request */
};

static bool get_account_label(const void *ctx, struct str key, struct str *value)
{
    const struct account_labels *labels = ctx;
    if (authz_labels_get(labels->synced, key, value))
        return true;
    for (size_t i = labels->peer->label_count; i > 0; i--) {
        const struct label *label = &labels->peer->labels[i - 1];
        if (str_eq(label->key, key)) {
            *value = label->value;
            return true;
        }
    }
    return false;
}

static bool get_namespace_label(const void *ctx, struct str key, struct str *value)
{
    return authz_labels_get(ctx, key, value);
}

static bool name_in(struct psync_strings names, struct str name)
{
    for (size_t i = 0; i < names.count; i++) {
        if (str_eq(names.items[i], name))
            return true;
    }
    return false;
}

static const struct authz_labels *find_account(const struct context *c, const struct identity *id)
{
    /* The namespace and the account stand apart in the principal, so their key "NAMESPACE/ACCOUNT" has to be put
     * together. Names that do not fit here fit nothing that Kubernetes knows. */
    char key[2 * 256];
    if (id->namespace.len + 1 + id->account.len > sizeof(key))
        return NULL;
    memcpy(key, id->namespace.ptr, id->namespace.len);
    key[id->namespace.len] = '/';
    memcpy(key + id->namespace.len + 1, id->account.ptr, id->account.len);
    return map_get(&c->snapshot->directory->accounts,
                   str_make(key, id->namespace.len + 1 + id->account.len));
}

static enum part match_account(const struct context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    const struct identity *id = &side.peer->identity;
    if (!rule->has_account)
        return PART_TRUE;
    if (id->kind != IDENTITY_SPIFFE)
        return without_identity(side);
    if (rule->account_names.count > 0 && !name_in(rule->account_names, id->account))
        return PART_FALSE;
    if (rule->account_selector == NULL)
        return PART_TRUE;
    struct account_labels labels = {find_account(c, id), side.peer};
    return truth(selector_matches(rule->account_selector,
                                  &(struct selector_labels){get_account_label, &labels}));
}

static enum part match_namespace(const struct context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    const struct identity *id = &side.peer->identity;
    if (rule->namespace_selector == NULL && !rule->own_namespace)
        return PART_TRUE;
    if (id->kind != IDENTITY_SPIFFE)
        return without_identity(side);
    if (rule->namespace_selector == NULL)
        return truth(str_eq(id->namespace, c->policy->namespace));
    const struct authz_labels *labels = map_get(&c->snapshot->directory->namespaces, id->namespace);
    return truth(selector_matches(rule->namespace_selector,
                                  &(struct selector_labels){get_namespace_label, labels}));
}

/* ---- HTTP ---- */

static enum part match_methods(const struct context *c, const struct authz_rule *rule)
{
    if (rule->methods.count == 0)
        return PART_TRUE;
    if (!c->request->has_http)
        return PART_NO_HTTP;
    return truth(name_in(rule->methods, c->request->method) || name_in(rule->methods, STR("*")));
}

static bool path_matches(const struct authz_rule *rule, struct str path)
{
    for (size_t i = 0; i < rule->path_count; i++) {
        const struct authz_path *p = &rule->paths[i];
        if (p->prefix ? path_has_prefix(path, p->normal) : str_eq(path, p->normal))
            return true;
    }
    return false;
}

static enum part match_paths(const struct context *c, const struct authz_rule *rule)
{
    if (rule->path_count == 0)
        return PART_TRUE;
    if (!c->request->has_http)
        return PART_NO_HTTP;
    switch (c->request->path_state) {
    case AUTHZ_PATH_NONE:
        return PART_FALSE;
    case AUTHZ_PATH_MALFORMED:
        return PART_MALFORMED_PATH;
    case AUTHZ_PATH_NOT_NORMALISABLE:
        return PART_PATH_NOT_NORMALISABLE;
    case AUTHZ_PATH_NORMAL:
        break;
    }
    return truth(path_matches(rule, c->request->normal_path));
}

/* ---- rules ---- */

/* All parts of a rule, in the order of the specification. */
static enum part match_rule(const struct context *c, const struct authz_rule *rule)
{
    struct side src = source_of(c, rule), dst = destination_of(c, rule);
    enum part sum = PART_TRUE;
    (void)(add_part(&sum, match_family(c, rule)) && add_part(&sum, match_protocol(c, rule)) &&
           add_part(&sum, match_not_protocol(c, rule)) && add_part(&sum, match_icmp(c, rule)) &&
           add_part(&sum, match_nets(src)) && add_part(&sum, match_nets(dst)) &&
           add_part(&sum, match_not_nets(src)) && add_part(&sum, match_not_nets(dst)) &&
           add_part(&sum, match_sets(c, src)) && add_part(&sum, match_sets(c, dst)) &&
           add_part(&sum, match_not_sets(c, src)) && add_part(&sum, match_not_sets(c, dst)) &&
           add_part(&sum, match_ip_ports(c, dst)) && add_part(&sum, match_ports(c, src)) &&
           add_part(&sum, match_ports(c, dst)) && add_part(&sum, match_not_ports(c, src)) &&
           add_part(&sum, match_not_ports(c, dst)) && add_part(&sum, match_account(c, src)) &&
           add_part(&sum, match_account(c, dst)) && add_part(&sum, match_namespace(c, src)) &&
           add_part(&sum, match_namespace(c, dst)) && add_part(&sum, match_methods(c, rule)) &&
           add_part(&sum, match_paths(c, rule)));
    return sum;
}

/* ---- policies ---- */

/* How the walk over a rule, a policy or a tier ended. UNDECIDED: it goes on with the next one. */
enum outcome { UNDECIDED, ALLOWED, DENIED, PASSED, REFUSED };

struct walk {
    struct context context;
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
static enum outcome judge_unknown(struct walk *w, enum part part, enum authz_action action)
{
    if (part == PART_MALFORMED_PATH)
        return refuse(w, AUTHZ_INVALID_ARGUMENT, AUTHZ_MALFORMED_PATH);
    if (action == AUTHZ_LOG)
        return UNDECIDED;
    if (part == PART_MISSING_SET)
        return refuse(w, AUTHZ_INTERNAL, AUTHZ_MISSING_IP_SET);
    if (action == AUTHZ_ALLOW)
        return UNDECIDED;
    switch (part) {
    case PART_UNKNOWN_ADDRESS:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_UNKNOWN_ADDRESS);
    case PART_PATH_NOT_NORMALISABLE:
        return refuse(w, AUTHZ_PERMISSION_DENIED, AUTHZ_PATH_UNNORMALISABLE);
    case PART_NO_HTTP:
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
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct authz_rule *rule = &policy->rules[i];
        enum part part = match_rule(&w->context, rule);
        if (part == PART_FALSE)
            continue;
        w->verdict.rule = (int)i;
        if (part == PART_MISSING_SET && rule->action == AUTHZ_LOG && is_path_malformed(w, rule))
            part = PART_MALFORMED_PATH;
        enum outcome outcome =
            part == PART_TRUE ? judge_match(w, rule->action) : judge_unknown(w, part, rule->action);
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
