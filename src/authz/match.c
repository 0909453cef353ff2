#include "authz/match.h"

#include "authz/path.h"

/* A rule's view of one side: what it says, and about whom. */
struct side {
    const struct authz_side *rule;
    const struct authz_peer *peer;
};

static struct side source_of(const struct match_context *c, const struct authz_rule *rule)
{
    return (struct side){&rule->source, &c->request->source};
}

static struct side destination_of(const struct match_context *c, const struct authz_rule *rule)
{
    return (struct side){&rule->destination, &c->request->destination};
}

static enum match truth(bool value)
{
    return value ? MATCH_TRUE : MATCH_FALSE;
}

/* "matches when the plain one would not" */
static enum match negate(enum match part)
{
    if (part == MATCH_TRUE)
        return MATCH_FALSE;
    return part == MATCH_FALSE ? MATCH_TRUE : part;
}

/* Adds a part to what is known of the whole: false ends it; a missing set counts most, then a malformed path, then the
 * first other unknown. Returns false if the whole cannot match any more. */
static bool add_part(enum match *sum, enum match part)
{
    if (part == MATCH_FALSE) {
        *sum = MATCH_FALSE;
        return false;
    }
    bool outranks =
        part == MATCH_MISSING_SET || (part == MATCH_MALFORMED_PATH && *sum != MATCH_MISSING_SET);
    if (outranks || (part != MATCH_TRUE && *sum == MATCH_TRUE))
        *sum = part;
    return true;
}

/* One of two: true wins, then a missing set, then another unknown. */
static enum match either(enum match a, enum match b)
{
    if (a == MATCH_TRUE || b == MATCH_TRUE)
        return MATCH_TRUE;
    if (a == MATCH_MISSING_SET || b == MATCH_MISSING_SET)
        return MATCH_MISSING_SET;
    return a != MATCH_FALSE ? a : b;
}

/* ---- addresses ---- */

static enum match match_family(const struct match_context *c, const struct authz_rule *rule)
{
    uint8_t family = c->request->source.addr.family;
    if (rule->family == 0)
        return MATCH_TRUE;
    return family == 0 ? MATCH_UNKNOWN_ADDRESS : truth(family == rule->family);
}

static enum match match_protocol(const struct match_context *c, const struct authz_rule *rule)
{
    return truth(rule->protocol < 0 || rule->protocol == c->request->protocol);
}

static enum match match_not_protocol(const struct match_context *c, const struct authz_rule *rule)
{
    return truth(rule->not_protocol != c->request->protocol);
}

/* A request is TCP or UDP, so "is ICMP" is false and "is not ICMP" needs no part. */
static enum match match_icmp(const struct match_context *c, const struct authz_rule *rule)
{
    (void)c;
    return truth(!rule->icmp);
}

static enum match in_nets(struct authz_nets nets, const struct authz_peer *peer)
{
    if (peer->addr.family == 0)
        return MATCH_UNKNOWN_ADDRESS;
    for (size_t i = 0; i < nets.count; i++) {
        if (ip_net_contains(&nets.items[i], &peer->addr))
            return MATCH_TRUE;
    }
    return MATCH_FALSE;
}

static enum match match_nets(struct side side)
{
    return side.rule->nets.count == 0 ? MATCH_TRUE : in_nets(side.rule->nets, side.peer);
}

static enum match match_not_nets(struct side side)
{
    return side.rule->not_nets.count == 0 ? MATCH_TRUE
                                          : negate(in_nets(side.rule->not_nets, side.peer));
}

/* ---- IP sets ---- */

static enum match in_set(const struct match_context *c, uint32_t slot,
                         const struct authz_peer *peer)
{
    const struct authz_ipset *set = c->snapshot->sets[slot];
    if (!authz_ipset_has_addresses(set))
        return MATCH_MISSING_SET;
    if (peer->addr.family == 0)
        return MATCH_UNKNOWN_ADDRESS;
    return truth(authz_ipset_contains(set, &peer->addr));
}

/* For ip+port sets; the port and the protocol count as parts of the address. */
static enum match in_port_set(const struct match_context *c, uint32_t slot,
                              const struct authz_peer *peer)
{
    const struct authz_ipset *set = c->snapshot->sets[slot];
    if (!authz_ipset_has_ports(set))
        return MATCH_MISSING_SET;
    if (!peer->port_known)
        return MATCH_UNKNOWN_ADDRESS;
    return truth(authz_ipset_contains_port(set, &peer->addr, c->request->protocol, peer->port));
}

typedef enum match set_test(const struct match_context *, uint32_t, const struct authz_peer *);

/* Whether the test holds (or, with `wanted` false, fails) for each of the sets. */
static enum match all_sets(const struct match_context *c, struct authz_sets sets,
                           const struct authz_peer *peer, set_test *test, bool wanted)
{
    enum match sum = MATCH_TRUE;
    for (size_t i = 0; i < sets.count; i++) {
        enum match part = test(c, sets.items[i], peer);
        if (!add_part(&sum, wanted ? part : negate(part)))
            break;
    }
    return sum;
}

static enum match match_sets(const struct match_context *c, struct side side)
{
    return all_sets(c, side.rule->sets, side.peer, in_set, true);
}

static enum match match_not_sets(const struct match_context *c, struct side side)
{
    return all_sets(c, side.rule->not_sets, side.peer, in_set, false);
}

static enum match match_ip_ports(const struct match_context *c, struct side side)
{
    return all_sets(c, side.rule->ip_ports, side.peer, in_port_set, true);
}

/* ---- ports ---- */

static enum match in_ranges(struct authz_ports ports, const struct authz_peer *peer)
{
    if (ports.count > 0 && !peer->port_known)
        return MATCH_UNKNOWN_ADDRESS;
    for (size_t i = 0; i < ports.count; i++) {
        if (ports.items[i].first <= peer->port && peer->port <= ports.items[i].last)
            return MATCH_TRUE;
    }
    return MATCH_FALSE;
}

/* A numeric range or a named-port set: one that holds is enough. */
static enum match in_ports(const struct match_context *c, struct authz_ports ports,
                           struct authz_sets named, const struct authz_peer *peer)
{
    enum match result = in_ranges(ports, peer);
    for (size_t i = 0; i < named.count && result != MATCH_TRUE; i++)
        result = either(result, in_port_set(c, named.items[i], peer));
    return result;
}

static enum match match_ports(const struct match_context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    if (rule->ports.count == 0 && rule->named_ports.count == 0)
        return MATCH_TRUE;
    return in_ports(c, rule->ports, rule->named_ports, side.peer);
}

static enum match match_not_ports(const struct match_context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    if (rule->not_ports.count == 0 && rule->not_named_ports.count == 0)
        return MATCH_TRUE;
    return negate(in_ports(c, rule->not_ports, rule->not_named_ports, side.peer));
}

/* ---- identity ---- */

/* Without a certificate the IP sets that the node agent derived from the same criteria decide; a rule that has none
 * leaves nothing to decide by. */
static enum match without_identity(struct side side)
{
    if (side.peer->identity.kind == IDENTITY_NONE && side.rule->has_positive_set)
        return MATCH_TRUE;
    return MATCH_UNKNOWN_IDENTITY;
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

static const struct authz_labels *find_account(const struct match_context *c,
                                               const struct identity *id)
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

static enum match match_account(const struct match_context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    const struct identity *id = &side.peer->identity;
    if (!rule->has_account)
        return MATCH_TRUE;
    if (id->kind != IDENTITY_SPIFFE)
        return without_identity(side);
    if (rule->account_names.count > 0 && !name_in(rule->account_names, id->account))
        return MATCH_FALSE;
    if (rule->account_selector == NULL)
        return MATCH_TRUE;
    struct account_labels labels = {find_account(c, id), side.peer};
    return truth(selector_matches(rule->account_selector,
                                  &(struct selector_labels){get_account_label, &labels}));
}

static enum match match_namespace(const struct match_context *c, struct side side)
{
    const struct authz_side *rule = side.rule;
    const struct identity *id = &side.peer->identity;
    if (rule->namespace_selector == NULL && !rule->own_namespace)
        return MATCH_TRUE;
    if (id->kind != IDENTITY_SPIFFE)
        return without_identity(side);
    if (rule->namespace_selector == NULL)
        return truth(str_eq(id->namespace, c->policy->namespace));
    const struct authz_labels *labels = map_get(&c->snapshot->directory->namespaces, id->namespace);
    return truth(selector_matches(rule->namespace_selector,
                                  &(struct selector_labels){get_namespace_label, labels}));
}

/* ---- HTTP ---- */

static enum match match_methods(const struct match_context *c, const struct authz_rule *rule)
{
    if (rule->methods.count == 0)
        return MATCH_TRUE;
    if (!c->request->has_http)
        return MATCH_NO_HTTP;
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

static enum match match_paths(const struct match_context *c, const struct authz_rule *rule)
{
    if (rule->path_count == 0)
        return MATCH_TRUE;
    if (!c->request->has_http)
        return MATCH_NO_HTTP;
    switch (c->request->path_state) {
    case AUTHZ_PATH_NONE:
        return MATCH_FALSE;
    case AUTHZ_PATH_MALFORMED:
        return MATCH_MALFORMED_PATH;
    case AUTHZ_PATH_NOT_NORMALISABLE:
        return MATCH_PATH_NOT_NORMALISABLE;
    case AUTHZ_PATH_NORMAL:
        break;
    }
    return truth(path_matches(rule, c->request->normal_path));
}

/* ---- rules ---- */

/* False if any part is false; else what the parts do not know, a missing set first, then a malformed path, then the first other
 * unknown; else true. */
static enum match match_rule(const struct match_context *c, const struct authz_rule *rule)
{
    struct side src = source_of(c, rule), dst = destination_of(c, rule);
    enum match sum = MATCH_TRUE;
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

size_t match_next_rule(const struct match_context *c, size_t start, enum match *match)
{
    const struct authz_policy *policy = c->policy;
    for (size_t i = start; i < policy->rule_count; i++) {
        *match = match_rule(c, &policy->rules[i]);
        if (*match != MATCH_FALSE)
            return i;
    }
    return policy->rule_count;
}
