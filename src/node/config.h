/* The configuration of a volume driver: a file that holds a JSON object of strings, all optional.
 *
 *     nodeagent_management_home    the prefix P, an absolute path; /var/run/nodeagent
 *     nodeagent_workload_home      of workloads' folders, a path under P; /mount
 *     nodeagent_credentials_home   of credentials files, a path under P; /creds
 *     log_level                    see base/log.h; WARNING
 *     endpoint, node_id            of the CSI driver; see node/csi.h
 *     k8s_version                  of upstream's FlexVolume driver; of no effect, since every version understands our answers
 *
 * Each driver passes over what is the other's.
 *
 * Source: upstream's pod2daemon/pkg/flexvol and pod2daemon/csidriver.
 */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/log.h"
#include "node/volume.h"

struct node_config {
    struct volume_homes homes; /* in the arena, as the strings below */
    enum log_level log_level;
    struct str endpoint; /* empty: not set */
    struct str node_id;
};

/* `text` is the file's contents. */
bool node_config_parse(struct arena *arena, struct str text, struct node_config *config,
                       struct error *err);

/* Reads the file. One that is not there gives the defaults, unless it `must_exist`. */
bool node_config_read(const char *path, bool must_exist, struct arena *arena,
                      struct node_config *config, struct error *err);

#endif
