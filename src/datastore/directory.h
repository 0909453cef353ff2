/* The directory datastore: a folder of YAML and JSON files with ordinary resources, watched with inotify.
 *
 * All files *.yaml, *.yml, *.json directly in the folder count; hidden ones and subfolders do not. A file is read again when a
 * writer closes it or when it is moved in, so half-written files are never seen if writers write in place without
 * pausing, and never at all if they write beside and rename.
 *
 * What is bad is reported by file, line and field, and harms nothing else:
 *   - a file that cannot be read, and a document that is no YAML or JSON: what the file said before stays in force (at the
 *     start there is no before: nobody knows what it would have said);
 *   - a policy, profile, network set or EndpointSlice that is wrong is passed on as broken, and refuses (closed);
 *   - a Tier, Pod, WorkloadEndpoint or HostEndpoint: its last good version stays in force; if it has none, it is passed on as
 *     broken;
 *   - a Namespace, ServiceAccount, Service, Node, FelixConfiguration or ClusterInformation: its last good version stays in
 *     force, if it has one.
 * The folder removed or renamed away: all stays in force; it is picked up again when it comes back.
 *
 * A resource in two files: the later change counts; when it leaves one file the other's takes its place.
 */
#ifndef DATASTORE_DIRECTORY_H
#define DATASTORE_DIRECTORY_H

#include "base/loop.h"
#include "datastore/datastore.h"

struct directory;

/* Reads the whole folder, tells the sink all of it, in_sync with it, and watches from then on. NULL if the folder cannot be
 * opened or watched. */
struct directory *directory_open(struct loop *loop, const char *path,
                                 const struct datastore_sink *sink, struct error *err);
void directory_close(struct directory *directory);

#endif
