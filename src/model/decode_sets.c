/* Profiles, tiers and network sets. */
#include <math.h>

#include "model/decode_kinds.h"
#include "model/decode_values.h"

static const struct str profile_fields[] = {STR_INIT("ingress"), STR_INIT("egress"),
                                            STR_INIT("labelsToApply")};
static const struct str tier_fields[] = {STR_INIT("order"), STR_INIT("defaultAction")};
static const struct str set_fields[] = {STR_INIT("nets")};
static const struct str default_actions[] = {STR_INIT("Deny"), STR_INIT("Pass")};

void decode_profile(struct decoder *d, const struct field *root)
{
    struct model_profile *profile = &d->resource->profile;
    struct rule_side side = {.profile = true};
    struct field spec = field_get(root, STR("spec"));
    if (!field_map_of(d, &spec, FIELD_NAMES(profile_fields)))
        return;
    struct field ingress = field_get(&spec, STR("ingress"));
    struct field egress = field_get(&spec, STR("egress"));
    struct field labels = field_get(&spec, STR("labelsToApply"));
    value_labels(d, &labels, &d->resource->arena, 0, &profile->labels_to_apply);
    decode_rules(d, &ingress, &side, &profile->ingress);
    side.egress = true;
    decode_rules(d, &egress, &side, &profile->egress);
}

static void check_builtin_tier(struct decoder *d, const struct field *order,
                               const struct field *action, const struct model_builtin_tier *builtin)
{
    struct model_tier *tier = &d->resource->tier;
    if (field_is_set(order) &&
        (!tier->has_order || tier->order < builtin->order || tier->order > builtin->order))
        decode_error(d, order, "the order of this tier is always %.0f", builtin->order);
    if (field_is_set(action) && tier->default_pass != builtin->default_pass)
        decode_error(d, action, "the default action of this tier is always %s",
                     builtin->default_pass ? "Pass" : "Deny");
    *tier = (struct model_tier){true, builtin->order, builtin->default_pass};
}

void decode_tier(struct decoder *d, const struct field *root)
{
    struct model_tier *tier = &d->resource->tier;
    struct field spec = field_get(root, STR("spec"));
    struct field order = field_get(&spec, STR("order"));
    struct field action = field_get(&spec, STR("defaultAction"));
    size_t index = 0;
    field_map_of(d, &spec, FIELD_NAMES(tier_fields));
    tier->has_order = field_number(d, &order, &tier->order);
    tier->default_pass = field_enum(d, &action, FIELD_NAMES(default_actions), &index) && index == 1;
    const struct model_builtin_tier *builtin = model_builtin_tier(d->resource->key.name);
    if (builtin != NULL)
        check_builtin_tier(d, &order, &action, builtin);
    else if (!tier->has_order && field_is_set(&order))
        *tier = (struct model_tier){true, -INFINITY, false}; /* unknown: before all others */
}

void decode_network_set(struct decoder *d, const struct field *root)
{
    struct model_network_set *set = &d->resource->network_set;
    struct model_nets nets = {0};
    struct str namespace_label;
    struct field spec = field_get(root, STR("spec"));
    if (field_map_of(d, &spec, FIELD_NAMES(set_fields))) {
        struct field list = field_get(&spec, STR("nets"));
        value_nets(d, &list, true, false, &nets);
    }
    set->nets = nets.items;
    set->net_count = nets.count;
    if (labels_get(&d->resource->labels, STR("projectcalico.org/namespace"), &namespace_label)) {
        struct field metadata = field_get(root, STR("metadata"));
        struct field labels = field_get(&metadata, STR("labels"));
        struct field label = field_get(&labels, STR("projectcalico.org/namespace"));
        decode_error(d, &label, "this label is set by the namespace alone");
    }
}
