/* The directory datastore: a folder of YAML and JSON files with ordinary resources, watched with inotify.
 *
 * All files *.yaml, *.yml, *.json directly in the folder count; hidden ones and subfolders do not. When a file is read, when again,
 * and what happens if the folder goes away, base/folder_watch.h says.
 *
 * What is bad is reported by file, line and field, and harms nothing else:
 *   - a file that cannot be read, and a document that is no YAML or JSON: what the file said before stays in force (at the
 *     start there is no before: nobody knows what it would have said);
 *   - a policy, profile, network set or EndpointSlice that is wrong is passed on as broken, and refuses (closed);
 *   - a Tier, Pod, WorkloadEndpoint or HostEndpoint: its last good version stays in force; if it has none, it is passed on as
 *     broken;
 *   - a Namespace, ServiceAccount, Service, Node, FelixConfiguration or ClusterInformation: its last good version stays in
 *     force, if it has one.
 * A file that cannot be read for a reason that passes (no descriptors left): what it said stays in force until it can.
 *
 * A resource in two files: the later change counts; when it leaves one file the other's takes its place. A version that is good
 * in any file is its last good version. If what is to take the place cannot be read, it is passed on as broken, with nothing but its
 * key, if its kind ever is; else it is removed. What the removed file said does not stay.
 */
#ifndef DATASTORE_DIRECTORY_H
#define DATASTORE_DIRECTORY_H

#include "base/loop.h"
#include "datastore/datastore.h"

struct directory;

/* Reads the whole folder, tells the sink all of it, in_sync with it, and watches from then on. As long as a file cannot be read for
 * a reason that passes, in_sync waits. NULL if the folder cannot be opened, watched or listed. */
struct directory *directory_open(struct loop *loop, const char *path,
                                 const struct datastore_sink *sink, struct error *err);
void directory_close(struct directory *directory);

#endif
