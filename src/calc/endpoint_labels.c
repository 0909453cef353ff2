#include "calc/endpoint_labels.h"

static const struct str namespace_label = STR_INIT("projectcalico.org/namespace");
static const struct str name_label = STR_INIT("projectcalico.org/name");

/* A label of a Namespace or ServiceAccount as its profile passes it on: under `prefix`, with the name as one more. */
static bool inherited(const struct model_resource *from, struct str prefix, struct str label,
                      struct str *value)
{
    if (from == NULL || !str_starts_with(label, prefix))
        return false;
    struct str own = str_from(label, prefix.len);
    if (str_eq(own, name_label)) {
        *value = from->key.name;
        return true;
    }
    return model_labels_get(&from->labels, own, value);
}

static bool namespace_gives(const struct inventory *inventory, struct str namespace,
                            struct str label, struct str *value)
{
    if (!str_starts_with(label, STR("pcns.")))
        return false; /* without looking the namespace up: this is asked for every label */
    return inherited(inventory_get(inventory, MODEL_NAMESPACE, str_make(NULL, 0), namespace),
                     STR("pcns."), label, value);
}

/* "ksa.NAMESPACE.ACCOUNT", where an account's name may hold dots and a namespace's may not. */
static bool account_gives(const struct inventory *inventory, struct str profile, struct str label,
                          struct str *value)
{
    if (!str_starts_with(label, STR("pcsa.")))
        return false;
    struct str namespace, name;
    str_cut(str_from(profile, 4), '.', &namespace, &name);
    return inherited(inventory_get(inventory, MODEL_SERVICE_ACCOUNT, namespace, name), STR("pcsa."),
                     label, value);
}

static bool profile_gives(const struct inventory *inventory, struct str profile, struct str label,
                          struct str *value)
{
    if (str_starts_with(profile, STR("kns.")) &&
        namespace_gives(inventory, str_from(profile, 4), label, value))
        return true;
    if (str_starts_with(profile, STR("ksa.")) && account_gives(inventory, profile, label, value))
        return true;
    const struct model_resource *resource =
        inventory_get(inventory, MODEL_PROFILE, str_make(NULL, 0), profile);
    return resource != NULL && model_labels_get(&resource->profile.labels_to_apply, label, value);
}

static bool endpoint_get(const struct inventory *inventory, const struct model_endpoint *endpoint,
                         struct str label, struct str *value)
{
    if (model_labels_get(&endpoint->labels, label, value))
        return true;
    for (size_t i = 0; i < endpoint->profiles.count; i++) {
        if (profile_gives(inventory, endpoint->profiles.items[i], label, value))
            return true;
    }
    return false;
}

static bool set_get(const struct inventory *inventory, const struct model_resource *set,
                    struct str label, struct str *value)
{
    bool namespaced = set->key.kind == MODEL_NETWORK_SET;
    if (namespaced && str_eq(label, namespace_label)) {
        *value = set->key.namespace;
        return true;
    }
    /* Own labels of these names would forge inherited ones. */
    bool is_inherited =
        str_starts_with(label, STR("pcns.")) || str_starts_with(label, STR("pcsa."));
    return (!is_inherited && model_labels_get(&set->labels, label, value)) ||
           (namespaced && namespace_gives(inventory, set->key.namespace, label, value));
}

static bool get(const void *ctx, struct str label, struct str *value)
{
    const struct endpoint_labels *labels = ctx;
    const struct model_resource *resource = labels->resource;
    if (resource->key.kind == MODEL_NETWORK_SET || resource->key.kind == MODEL_GLOBAL_NETWORK_SET)
        return set_get(labels->inventory, resource, label, value);
    return endpoint_get(labels->inventory, &resource->endpoint, label, value);
}

struct selector_labels endpoint_labels(const struct endpoint_labels *labels)
{
    return (struct selector_labels){get, labels};
}

bool endpoint_labels_match(const struct inventory *inventory, const struct model_resource *resource,
                           const struct selector *selector)
{
    struct endpoint_labels labels = {inventory, resource};
    struct selector_labels view = endpoint_labels(&labels);
    return selector_matches(selector, &view);
}
