/* felix' configuration: parameters by name, each from the strongest source that sets it.
 *
 *     command line > environment (FELIX_NAME) > file > FelixConfiguration node.NAME > one that selects the node > default > built in
 *
 * as upstream has it. Names are Calico's, in any case; in a FelixConfiguration, the fields of the same names. Names that
 * this program has no use for are passed over: whoever moves here brings a page of them along.
 *
 * Values of the local sources (command line, environment, file) are checked when they are set, and a bad one is an error, so that
 * felix does not start with half of what was meant. Those of resources have been checked by their decoder.
 *
 * Source: upstream's felix/config.
 */
#ifndef CMD_FELIX_CONFIG_H
#define CMD_FELIX_CONFIG_H

#include "base/error.h"
#include "base/log.h"
#include "model/resource.h"

enum felix_source {
    FELIX_DEFAULT_RESOURCE, /* FelixConfiguration default */
    FELIX_SELECTED_RESOURCE,
    FELIX_NODE_RESOURCE,
    FELIX_FILE,
    FELIX_ENVIRONMENT,
    FELIX_COMMAND_LINE,
    FELIX_SOURCES, /* no source: what is built in */
};

enum felix_parameter {
    FELIX_HOSTNAME,
    FELIX_DATASTORE_TYPE,
    FELIX_DIRECTORY,
    FELIX_POLICY_SYNC_PATH_PREFIX,
    FELIX_DATAPLANE,
    FELIX_INTERFACE_PREFIX, /* a list; a pod's interface has the first of it */
    FELIX_LOG_SEVERITY_SCREEN,
    FELIX_HEALTH_ENABLED,
    FELIX_HEALTH_HOST,
    FELIX_HEALTH_PORT,
    FELIX_METRICS_ENABLED,
    FELIX_METRICS_HOST,
    FELIX_METRICS_PORT,
    FELIX_PARAMETERS,
};

struct felix_config;

struct felix_config *felix_config_new(void);
void felix_config_free(struct felix_config *config);

/* Sets one value of a local source; "none" is the empty value, as upstream has it. */
bool felix_config_set(struct felix_config *config, enum felix_source source,
                      enum felix_parameter parameter, struct str value, struct error *err);
/* All FELIX_… of an environment (NULL-terminated), and a file of NAME = VALUE lines, with or without [sections]; one that is not
 * there counts as empty. */
bool felix_config_read_environment(struct felix_config *config, char **environment,
                                   struct error *err);
bool felix_config_read_file(struct felix_config *config, const char *path, struct error *err);

/* What a FelixConfiguration sets (NULL: nothing any more). True: a parameter has another value now. */
bool felix_config_set_resource(struct felix_config *config, enum felix_source source,
                               const struct model_felix_configuration *resource);

/* The value in force; lives until the next change. */
struct str felix_config_get(const struct felix_config *config, enum felix_parameter parameter);
bool felix_config_get_bool(const struct felix_config *config, enum felix_parameter parameter);
enum log_level felix_config_log_level(const struct felix_config *config);

/* Where the value in force comes from. */
enum felix_source felix_config_source(const struct felix_config *config,
                                      enum felix_parameter parameter);

#endif
