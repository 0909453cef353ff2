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
    /* Objects that must be told again, since another that meant the same resource has gone. */
    size_t wanted;
};

void kubernetes_objects_free(struct kubernetes_objects *objects);

/* An object that is there, or has gone: tells the sink. */
void kubernetes_objects_take(struct kubernetes_objects *objects, const struct doc_node *object,
                             bool is_deleted);

/* One that must be told again: "NAMESPACE/NAME", valid until the next call of another function; empty: there is none. */
struct str kubernetes_objects_wanted(const struct kubernetes_objects *objects);
/* What was asked for, because it was wanted. Tells the sink, unless what came meanwhile is newer. */
void kubernetes_objects_take_wanted(struct kubernetes_objects *objects, struct str key,
                                    const struct doc_node *object);
/* All that could be had has been taken. */
void kubernetes_objects_give_up(struct kubernetes_objects *objects, struct str key);

/* All will be told anew; those that are not, until `end`, are gone. */
void kubernetes_objects_begin(struct kubernetes_objects *objects);
void kubernetes_objects_end(struct kubernetes_objects *objects);

#endif
