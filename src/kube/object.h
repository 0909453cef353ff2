/* An object of the API server's, from its JSON.
 *
 * What API servers store is JSON, but there are a few things in it that our reader of JSON refuses: a list of a million values, nesting
 * deeper than a hundred levels, or two names that were one but for a NUL (kube/split.h). One such object must not hold up all of its
 * kind, since whoever may write one could do that to everybody. So the fields of it that can be read are, and each of the others is
 * a text that says why it cannot: to whoever decodes the object that field is wrong, and whatever else it holds counts.
 */
#ifndef KUBE_OBJECT_H
#define KUBE_OBJECT_H

#include "base/error.h"
#include "model/doc.h"

/* An object, or the event of a watch around one. NULL: it is no JSON object, even so. The node lives as long as the arena. */
const struct doc_node *kube_object_load(struct arena *arena, struct str json, struct error *err);

#endif
