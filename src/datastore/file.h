/* One file of a directory: read, decoded, its problems reported.
 */
#ifndef DATASTORE_FILE_H
#define DATASTORE_FILE_H

#include "base/disk.h"
#include "datastore/datastore.h"

/* A file larger than this is refused: it is surely not policy. */
#define FILE_LIMIT ((size_t)1 << 31)

struct file_contents {
    struct model_resource **resources; /* the caller frees or passes on each, then the array */
    size_t count;
    /* Some part of the text could not be read at all, or does not say which resource it is: so nobody knows what it holds. */
    bool is_partial;
};

/* Whether a name is one of a data file: .yaml, .yml, .json, not hidden. */
bool file_is_data(const char *name);

/* Reads `name` in the folder `directory_fd`, and reports to the sink what is wrong in it, each thing with file and line. Only with
 * DISK_READ there are contents. */
enum disk_result file_read(int directory_fd, const char *name, const struct datastore_sink *sink,
                           struct file_contents *contents, struct error *err);

#endif
