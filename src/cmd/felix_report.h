/* What `felix check` found, as one JSON value, and that value as text for people.
 *
 *     {"problems":  [{"file", "line", "severity", "message"}],
 *      "endpoints": {"k8s/NAMESPACE/POD/eth0": {"interface", "addresses", "profiles", "tiers": [{"name", "default",
 *                                               "ingress": [policy], "egress": [policy]}]}},
 *      "noEndpoints": {"Pod NAMESPACE/NAME": why},
 *      "policies":  {"KIND [NAMESPACE/]NAME": {"tier", "selector", "ingress": [rule], "egress": [rule]}},
 *      "profiles":  {"NAME": {"ingress", "egress"}},
 *      "ipSets":    {"ID": {"type", "members"}}}
 *
 * A rule has only the fields that it says something by.
 */
#ifndef CMD_FELIX_REPORT_H
#define CMD_FELIX_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "datastore/datastore.h"
#include "model/resource.h"
#include "policysync/message.h"

json_t *felix_report_new(void);

/* Takes in that a Pod or WorkloadEndpoint can be read and is no endpoint, so that nobody looks for it in vain. */
void felix_report_no_endpoint(json_t *report, const struct model_resource *resource);
void felix_report_problem(json_t *report, const struct datastore_problem *problem);
/* Takes in a message of the first flush. */
void felix_report_message(json_t *report, const struct psync_message *message);

/* Problems that are no warnings. */
size_t felix_report_errors(const json_t *report);

void felix_report_print(const json_t *report, FILE *out);

#endif
