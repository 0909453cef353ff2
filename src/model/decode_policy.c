/* Calico's policies: NetworkPolicy, GlobalNetworkPolicy and their staged kinds. */
#include <math.h>

#include "model/decode_kinds.h"
#include "model/decode_values.h"

/* The fields of each kind are a stretch of one list: first those of the staged ones, then those of all, then those
 * of the global ones. */
static const struct str policy_fields[] = {
    STR_INIT("stagedAction"),
    STR_INIT("tier"),
    STR_INIT("order"),
    STR_INIT("ingress"),
    STR_INIT("egress"),
    STR_INIT("selector"),
    STR_INIT("types"),
    STR_INIT("serviceAccountSelector"),
    STR_INIT("performanceHints"),
    STR_INIT("namespaceSelector"),
    STR_INIT("doNotTrack"),
    STR_INIT("preDNAT"),
    STR_INIT("applyOnForward"),
};
enum { STAGED_FIELDS = 1, GLOBAL_FIELDS = 4 };

static const struct str delete_fields[] = {STR_INIT("stagedAction"), STR_INIT("tier")};
/* In the order of enum model_staged_action. */
static const struct str staged_actions[] = {STR_INIT("Set"), STR_INIT("Delete"), STR_INIT("Learn"),
                                            STR_INIT("Ignore")};
static const struct str types[] = {STR_INIT("Ingress"), STR_INIT("Egress")};
static const struct str hints[] = {STR_INIT("AssumeNeededOnEveryNode")};

static struct field_names fields_of(enum model_kind kind)
{
    struct field_names names = FIELD_NAMES(policy_fields);
    if (!model_kind_is_staged(kind)) {
        names.items += STAGED_FIELDS;
        names.count -= STAGED_FIELDS;
    }
    if (model_kind_is_namespaced(kind))
        names.count -= GLOBAL_FIELDS;
    return names;
}

/* Reads a list of values from a set of names into a set of bits. `once`: none may be listed twice. */
static bool read_set(struct decoder *d, const struct field *f, struct field_names names, bool once,
                     unsigned *bits)
{
    bool ok = f->node->type == DOC_LIST;
    size_t count = field_list(d, f);
    *bits = 0;
    for (size_t i = 0; i < count; i++) {
        struct field item = field_item(f, i);
        size_t index = 0;
        if (!field_enum(d, &item, names, &index)) {
            ok = false;
            continue;
        }
        if (once && (*bits & (1u << index)) != 0)
            decode_error(d, &item, "%.*s is listed twice", STR_ARG(names.items[index]));
        *bits |= 1u << index;
    }
    return ok;
}

static bool has_rules(const struct field *spec, struct str key)
{
    struct field f = field_get(spec, key);
    return field_is_set(&f) && (f.node->type != DOC_LIST || f.node->count > 0);
}

void policy_types(struct decoder *d, const struct field *spec, struct str key, bool kubernetes)
{
    struct model_policy *policy = &d->resource->policy;
    struct field f = field_get(spec, key);
    unsigned bits = 0;
    /* Kubernetes' API takes them twice. */
    if (field_is_set(&f) && !read_set(d, &f, FIELD_NAMES(types), !kubernetes, &bits))
        bits = 3;
    if (bits == 0) {
        bool egress = has_rules(spec, STR("egress"));
        bool ingress = kubernetes || !egress || has_rules(spec, STR("ingress"));
        bits = (ingress ? 1u : 0) | (egress ? 2u : 0);
    }
    policy->applies_ingress = (bits & 1) != 0;
    policy->applies_egress = (bits & 2) != 0;
}

static bool is_one_of(struct field_names names, struct str text)
{
    for (size_t i = 0; i < names.count; i++) {
        if (str_eq(names.items[i], text))
            return true;
    }
    return false;
}

void policy_staged_action(struct decoder *d, const struct field *spec,
                          struct field_names with_delete)
{
    struct field f = field_get(spec, STR("stagedAction"));
    size_t index = MODEL_STAGED_SET;
    field_enum(d, &f, FIELD_NAMES(staged_actions), &index);
    d->resource->policy.staged_action = (enum model_staged_action)index;
    if (index != MODEL_STAGED_DELETE)
        return;
    for (size_t i = 0; i < spec->node->count; i++) {
        struct field member = field_member(spec, i);
        if (field_is_set(&member) && !is_one_of(with_delete, member.name))
            decode_error(d, &member, "may not stand next to stagedAction Delete");
    }
}

static void read_tier_and_order(struct decoder *d, const struct field *spec)
{
    struct model_policy *policy = &d->resource->policy;
    struct field tier = field_get_filled(spec, STR("tier"));
    struct field order = field_get(spec, STR("order"));
    struct str name;
    /* Where the place cannot be read, it is before all others: a refusal must not come too late. */
    bool is_readable = field_is_set(spec) && spec->node->type == DOC_MAP;
    if (value_subdomain(d, &tier, &name))
        policy->tier = name;
    else if (!is_readable || field_is_set(&tier))
        policy->tier = MODEL_TIER_UNREADABLE;
    policy->has_order = field_number(d, &order, &policy->order);
    if (!policy->has_order && (!is_readable || field_is_set(&order))) {
        policy->has_order = true;
        policy->order = -INFINITY;
    }
}

static void read_selectors(struct decoder *d, const struct field *spec)
{
    struct model_policy *policy = &d->resource->policy;
    struct field selector = field_get(spec, STR("selector"));
    struct field accounts = field_get(spec, STR("serviceAccountSelector"));
    value_selector(d, &selector, false, &policy->selector);
    value_selector(d, &accounts, false, &policy->account_selector);
    if (model_kind_is_namespaced(d->resource->key.kind))
        return;
    struct field namespaces = field_get(spec, STR("namespaceSelector"));
    value_selector(d, &namespaces, false, &policy->namespace_selector);
}

/* doNotTrack, preDNAT and applyOnForward: of global policies, for host endpoints. */
static void read_host_options(struct decoder *d, const struct field *spec)
{
    struct model_policy *policy = &d->resource->policy;
    struct field untracked = field_get(spec, STR("doNotTrack"));
    struct field pre_dnat = field_get(spec, STR("preDNAT"));
    struct field forward = field_get(spec, STR("applyOnForward"));
    field_bool(d, &untracked, &policy->do_not_track);
    field_bool(d, &pre_dnat, &policy->pre_dnat);
    field_bool(d, &forward, &policy->apply_on_forward);
    if (policy->do_not_track && policy->pre_dnat)
        decode_error(d, &pre_dnat, "may not be true next to doNotTrack");
    if ((policy->do_not_track || policy->pre_dnat) && !policy->apply_on_forward)
        decode_error(d, &forward, "must be true when doNotTrack or preDNAT is");
    if (policy->pre_dnat && (policy->applies_egress || has_rules(spec, STR("egress"))))
        decode_error(d, &pre_dnat, "cannot apply to egress");
}

static void read_rules(struct decoder *d, const struct field *spec)
{
    struct model_policy *policy = &d->resource->policy;
    struct rule_side side = {.namespaced = model_kind_is_namespaced(d->resource->key.kind)};
    struct field ingress = field_get(spec, STR("ingress"));
    struct field egress = field_get(spec, STR("egress"));
    decode_rules(d, &ingress, &side, &policy->ingress);
    side.egress = true;
    decode_rules(d, &egress, &side, &policy->egress);
}

void decode_policy(struct decoder *d, const struct field *root)
{
    struct model_policy *policy = &d->resource->policy;
    enum model_kind kind = d->resource->key.kind;
    struct field spec = field_get(root, STR("spec"));
    /* What holds if nothing else can be read: both ways, for all. */
    policy->tier = STR("default");
    policy->applies_ingress = policy->applies_egress = true;
    read_tier_and_order(d, &spec);
    if (!field_require(d, &spec) || !field_map_of(d, &spec, fields_of(kind)))
        return;
    if (model_kind_is_staged(kind))
        policy_staged_action(d, &spec, FIELD_NAMES(delete_fields));
    read_selectors(d, &spec);
    policy_types(d, &spec, STR("types"), false);
    read_rules(d, &spec);
    if (!model_kind_is_namespaced(kind))
        read_host_options(d, &spec);
    struct field hint_list = field_get(&spec, STR("performanceHints"));
    unsigned ignored;
    if (field_is_set(&hint_list))
        read_set(d, &hint_list, FIELD_NAMES(hints), true, &ignored);
}
