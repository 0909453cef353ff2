/* The labels that selectors see: own ones and those inherited from profiles.
 *
 * An endpoint has its own labels and, where it has none of that name, those of its profiles: of its namespace with `pcns.` before
 * the name, of its service account with `pcsa.`, of a Profile resource its labelsToApply. A network set in a namespace inherits
 * from that namespace.
 *
 * Nothing is copied: a label is looked for where it stands.
 */
#ifndef CALC_ENDPOINT_LABELS_H
#define CALC_ENDPOINT_LABELS_H

#include "calc/inventory.h"
#include "selector/selector.h"

struct endpoint_labels {
    const struct inventory *inventory;
    const struct model_resource
        *resource; /* a Pod, WorkloadEndpoint, NetworkSet or GlobalNetworkSet */
};

/* For selector_matches; `labels` must outlive the result. */
struct selector_labels endpoint_labels(const struct endpoint_labels *labels);

bool endpoint_labels_match(const struct inventory *inventory, const struct model_resource *resource,
                           const struct selector *selector);

#endif
