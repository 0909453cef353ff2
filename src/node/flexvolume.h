/* The FlexVolume driver nodeagent/uds: what kubelet asks of it, and what it answers.
 *
 * kubelet starts the driver once a call, `uds CALL ARGUMENTS`, and reads one JSON object from it:
 *
 *     init                  {"status":"Success","message":…,"capabilities":{"attach":false,"fsGroup":false}}
 *     mount DIR OPTIONS     } {"status":"Success","message":…}, exit status 0; or
 *     unmount DIR           } {"status":"Failure","message":…}, exit status 1
 *     anything else         {"status":"Not supported","message":…}, exit status 1, and kubelet does without
 *
 * It reads standard output and standard error as one (so a log line would spoil the answer), and it does not call mount if
 * something is mounted at DIR already. OPTIONS is a JSON object of strings, of which these count: kubernetes.io/pod.uid,
 * kubernetes.io/pod.name, kubernetes.io/pod.namespace, kubernetes.io/serviceAccount.name. The UID must be the one in DIR as well:
 * unmount has nothing else to go by.
 *
 * Capabilities: nothing is attached; and kubelet must not give the node agent's folder to the pod's fsGroup.
 *
 * Sources: Kubernetes' FlexVolume documentation and kubelet's pkg/volume/flexvolume; upstream's pod2daemon/pkg/flexvol.
 */
#ifndef NODE_FLEXVOLUME_H
#define NODE_FLEXVOLUME_H

#include "node/config.h"

#define FLEXVOLUME_CONFIG "/etc/flexvolume/nodeagent.json"

enum flexvolume_status { FLEXVOLUME_SUCCESS, FLEXVOLUME_FAILURE, FLEXVOLUME_NOT_SUPPORTED };

/* Appends an answer, with a line break. The message may hold anything. */
void flexvolume_answer(struct buf *out, enum flexvolume_status status, const char *message);
/* The answer to init. */
void flexvolume_answer_init(struct buf *out);

/* Takes the credentials out of mount's OPTIONS. They live in the arena. */
bool flexvolume_parse_options(struct arena *arena, struct str options,
                              struct credentials *credentials, struct error *err);

/* The calls themselves. */
bool flexvolume_mount(const struct node_config *config, struct str dir, struct str options,
                      struct error *err);
bool flexvolume_unmount(const struct node_config *config, struct str dir, struct error *err);

#endif
