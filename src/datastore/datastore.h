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

/* Something that is wrong with what the datastore holds. Borrowed. */
struct datastore_problem {
    const char *what;  /* "Bad resource", "File cannot be read; …" */
    const char *place; /* a file's name, or (`is_object`) which object of the cluster */
    bool is_object;
    unsigned line; /* 0: not about a line */
    bool is_warning;
    struct str message;
};

struct datastore_sink {
    void (*update)(void *ctx, struct model_resource *resource); /* the receiver owns it */
    void (*remove)(void *ctx, const struct model_key *key);     /* borrowed */
    void (*batch_end)(void *ctx);
    void (*in_sync)(void *ctx);
    /* NULL: problems are logged. */
    void (*problem)(void *ctx, const struct datastore_problem *problem);
    void *ctx;
};

/* For datastores: whether a version is passed on, given whether there was one before that was. A sound one is. A wrong one is passed
 * on as broken, and refuses; of some kinds only if there is none before it, which stays in force; of some not at all. */
bool datastore_is_used(const struct model_resource *resource, bool had_one);

void datastore_log_problem(const struct datastore_problem *problem);

/* For datastores: tells the sink, or the log. */
void datastore_report(const struct datastore_sink *sink, const struct datastore_problem *problem);
/* The same of a resource in a file that is bad, or (`is_warning`) questionable. */
void datastore_report_resource(const struct datastore_sink *sink, const char *file, unsigned line,
                               bool is_warning, struct str message);
/* The same of an object of a cluster: "KIND NAMESPACE/NAME". */
void datastore_report_object(const struct datastore_sink *sink, const char *object, bool is_warning,
                             struct str message);

#endif
