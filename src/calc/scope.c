#include "calc/scope.h"

static const struct str namespace_label = STR_INIT("projectcalico.org/namespace");
static const struct str account_label = STR_INIT("projectcalico.org/serviceaccount");

/* a AND b, where NULL is no condition. */
static const struct selector *both(struct arena *arena, const struct selector *a,
                                   const struct selector *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    return selector_and(arena, a, b);
}

/* A selector over the labels of namespaces or accounts, as one over what endpoints inherit from them. */
static const struct selector *inherited(struct arena *arena, const struct model_selector *field,
                                        struct str prefix, struct str all_label)
{
    return field->parsed != NULL ? selector_relabel(arena, field->parsed, prefix, all_label) : NULL;
}

const struct selector *scope_of_policy(struct arena *arena, const struct model_resource *resource)
{
    const struct model_policy *policy = &resource->policy;
    const struct selector *s = policy->selector.parsed;
    bool is_global = resource->key.namespace.len == 0;
    s = both(arena, s,
             inherited(arena, &policy->account_selector, STR("pcsa."),
                       is_global ? account_label : STR("")));
    if (is_global)
        s = both(arena, s,
                 inherited(arena, &policy->namespace_selector, STR("pcns."), namespace_label));
    else
        s = both(arena, s, selector_eq(arena, namespace_label, resource->key.namespace));
    return s != NULL ? s : selector_all(arena);
}

static const struct selector *account_scope(struct arena *arena, const struct model_entity *entity)
{
    const struct selector *names = NULL;
    if (entity->account_names.count > 0)
        names = selector_in(arena, account_label, entity->account_names.items,
                            entity->account_names.count);
    return both(arena, names, inherited(arena, &entity->account_selector, STR("pcsa."), STR("")));
}

struct scope scope_of_entity(struct arena *arena, const struct model_entity *entity,
                             struct str namespace)
{
    const struct selector *negative = entity->not_selector.parsed;
    const struct selector *s = both(arena, account_scope(arena, entity), entity->selector.parsed);
    bool has_selector = s != NULL || negative != NULL;
    if (entity->namespace_selector.parsed != NULL)
        s = both(arena, s,
                 inherited(arena, &entity->namespace_selector, STR("pcns."), namespace_label));
    else if (namespace.len > 0 && has_selector)
        s = both(arena, s, selector_eq(arena, namespace_label, namespace));
    if (s != NULL && negative != NULL)
        return (struct scope){both(arena, s, selector_not(arena, negative)), NULL};
    return (struct scope){s, negative};
}
