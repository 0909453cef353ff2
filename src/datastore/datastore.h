/* Datastores: where resources come from. Each kind of datastore is one stream of changes:
 *
 *     update(resource) …  remove(key) …  batch_end   in_sync   update … batch_end   …
 *
 * `in_sync` comes once, when all that was there at the start has been told. Changes between two batch_ends belong together; those
 * of one file, or of several files that changed at once, come in one batch.
 */
#ifndef DATASTORE_DATASTORE_H
#define DATASTORE_DATASTORE_H

#include "model/resource.h"

struct datastore_sink {
    void (*update)(void *ctx, struct model_resource *resource); /* the receiver owns it */
    void (*remove)(void *ctx, const struct model_key *key);     /* borrowed */
    void (*batch_end)(void *ctx);
    void (*in_sync)(void *ctx);
    void *ctx;
};

#endif
