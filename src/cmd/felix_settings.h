/* The FelixConfigurations and Nodes of the datastore, and what they mean for this node.
 *
 * Of those that are neither `default` nor `node.NAME`, the one whose nodeSelector selects this node counts; of several the oldest,
 * then the first by name, as upstream has it.
 */
#ifndef CMD_FELIX_SETTINGS_H
#define CMD_FELIX_SETTINGS_H

#include "base/map.h"
#include "cmd/felix_config.h"

struct felix_settings {
    struct str node;                      /* this node's name; borrowed */
    struct map resources;                 /* FelixConfigurations: name -> struct model_resource */
    struct model_resource *node_resource; /* NULL: there is none */
    bool is_changed;                      /* since felix_settings_apply */
    bool told_several;                    /* it was logged that several select this node */
};

/* Whether resources of a kind are settings, and no matter of the calculation. */
static inline bool felix_settings_are(enum model_kind kind)
{
    return kind == MODEL_FELIX_CONFIGURATION || kind == MODEL_NODE;
}

/* Takes in a FelixConfiguration or a Node, which is the settings' from now on. */
void felix_settings_put(struct felix_settings *settings, struct model_resource *resource);
void felix_settings_remove(struct felix_settings *settings, const struct model_key *key);

/* Hands what counts to the configuration; true: something is in force that was not before. */
bool felix_settings_apply(struct felix_settings *settings, struct felix_config *config);

void felix_settings_free(struct felix_settings *settings);

#endif
