#include "cmd/felix_settings.h"

#include "base/log.h"

void felix_settings_put(struct felix_settings *settings, struct model_resource *resource)
{
    if (resource->key.kind == MODEL_FELIX_CONFIGURATION) {
        model_resource_free(map_set(&settings->resources, resource->key.name, resource));
    } else if (str_eq(resource->key.name, settings->node)) {
        model_resource_free(settings->node_resource);
        settings->node_resource = resource;
    } else {
        model_resource_free(resource); /* another node */
        return;
    }
    settings->is_changed = true;
}

void felix_settings_remove(struct felix_settings *settings, const struct model_key *key)
{
    if (key->kind == MODEL_FELIX_CONFIGURATION) {
        model_resource_free(map_remove(&settings->resources, key->name));
    } else if (str_eq(key->name, settings->node)) {
        model_resource_free(settings->node_resource);
        settings->node_resource = NULL;
    } else {
        return;
    }
    settings->is_changed = true;
}

static bool get_node_label(const void *ctx, struct str label, struct str *value)
{
    const struct model_resource *node = ctx;
    return node != NULL && labels_get(&node->labels, label, value);
}

static bool selects(const struct felix_settings *settings, const struct model_resource *resource)
{
    const struct selector *selector = resource->felix_configuration.node_selector.parsed;
    const struct selector_labels labels = {get_node_label, settings->node_resource};
    return selector != NULL && selector_matches(selector, &labels);
}

static bool is_older(const struct model_resource *a, const struct model_resource *b)
{
    int64_t x = a->felix_configuration.created, y = b->felix_configuration.created;
    return x != y ? x < y : str_cmp(a->key.name, b->key.name) < 0;
}

static const struct model_resource *find_selected(struct felix_settings *settings)
{
    const struct model_resource *found = NULL;
    size_t position = 0, count = 0;
    struct map_entry *entry;
    while ((entry = map_next(&settings->resources, &position)) != NULL) {
        const struct model_resource *resource = entry->value;
        if (!selects(settings, resource))
            continue;
        count++;
        if (found == NULL || is_older(resource, found))
            found = resource;
    }
    if (count > 1 && !settings->told_several)
        log_event(LOG_WARNING, "Several FelixConfigurations select this node; the oldest counts",
                  LOG_STR("name", found->key.name));
    settings->told_several = count > 1;
    return found;
}

static bool apply_one(struct felix_config *config, enum felix_source source,
                      const struct model_resource *resource)
{
    return felix_config_set_resource(config, source,
                                     resource != NULL ? &resource->felix_configuration : NULL);
}

bool felix_settings_apply(struct felix_settings *settings, struct felix_config *config)
{
    CLEANUP_BUF struct buf own = {0};
    if (!settings->is_changed)
        return false;
    settings->is_changed = false;
    buf_printf(&own, "node.%.*s", STR_ARG(settings->node));
    bool changed =
        apply_one(config, FELIX_DEFAULT_RESOURCE, map_get(&settings->resources, STR("default")));
    changed |= apply_one(config, FELIX_SELECTED_RESOURCE, find_selected(settings));
    changed |= apply_one(config, FELIX_NODE_RESOURCE, map_get(&settings->resources, buf_str(&own)));
    return changed;
}

void felix_settings_free(struct felix_settings *settings)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&settings->resources, &position)) != NULL)
        model_resource_free(entry->value);
    map_free(&settings->resources);
    model_resource_free(settings->node_resource);
    settings->node_resource = NULL;
}
