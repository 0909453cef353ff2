/* The labels of one service account or namespace, as synced: immutable, sorted, counted (not atomically).
 */
#ifndef AUTHZ_LABELS_H
#define AUTHZ_LABELS_H

#include "base/labels.h"
#include "base/mem.h"

struct authz_labels {
    unsigned references;
    struct str key; /* "NAMESPACE/ACCOUNT" or "NAMESPACE": its place in a map */
    struct arena arena;
    struct labels sorted;
};

/* Copies; of doubled keys the last counts. */
struct authz_labels *authz_labels_new(struct str key, struct labels labels);
void authz_labels_unref(struct authz_labels *labels);

/* NULL has no labels. */
bool authz_labels_get(const struct authz_labels *labels, struct str key, struct str *value);

#endif
