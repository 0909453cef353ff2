/* The objects of one kind that are there, as far as a datastore needs to know them: to skip what it has told already, and to notice what
 * is gone when all are listed anew.
 */
#ifndef DATASTORE_KUBERNETES_OBJECTS_H
#define DATASTORE_KUBERNETES_OBJECTS_H

#include "base/map.h"
#include "datastore/datastore.h"
#include "model/doc.h"

struct kubernetes_objects {
    const struct datastore_sink *sink;
    struct str api, kind; /* of the objects */
    struct map known;     /* "NAMESPACE/NAME" -> struct known_object */
    struct map renamed;   /* those that mean a resource of another name, by that */
    /* One of two objects that mean the same resource has gone: the other must be told again. */
    bool needs_relist;
};

void kubernetes_objects_free(struct kubernetes_objects *objects);

/* An object that is there, or has gone: tells the sink. */
void kubernetes_objects_take(struct kubernetes_objects *objects, const struct doc_node *object,
                             bool is_deleted);

/* All will be told anew; those that are not, until `end`, are gone. */
void kubernetes_objects_begin(struct kubernetes_objects *objects);
void kubernetes_objects_end(struct kubernetes_objects *objects);

#endif
