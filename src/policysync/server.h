/* The node agent's end of the Policy Sync API: a socket for each volume, a stream for each sidecar.
 *
 *     P/creds/NAME.json ──folder──► P/mount/NAME/socket ──grpc──► Sync ──► feed_reader
 *
 * Who calls is known by the socket that the call comes in on. One stream a workload is live: a newer one ends the older. Each socket
 * is a gRPC server with small limits of its own, and begins only so many streams a second, so whoever floods it harms the sidecar
 * behind it alone. A stream that is ended because its sidecar does not read is reset, and what waited for it is dropped.
 *
 * A volume that was unmounted and mounted again may say the same as before: whenever its file was written, it is looked whether its
 * socket can still be reached, and if not it is made anew.
 *
 * Threads: the loop's.
 */
#ifndef POLICYSYNC_SERVER_H
#define POLICYSYNC_SERVER_H

#include "base/loop.h"
#include "policysync/feed.h"

struct psync_server;

/* Serves under the prefix P. NULL: the credentials folder cannot be had. A socket that cannot be made is reported, and tried
 * again. */
struct psync_server *psync_server_new(struct loop *loop, struct feed *feed, const char *prefix,
                                      struct error *err);
/* Ends all streams and removes the sockets. NULL is fine. */
void psync_server_free(struct psync_server *server);

struct psync_server_stats {
    size_t sockets; /* that listen */
    size_t waiting; /* that could not be made so far */
    size_t streams; /* live */
    size_t connections;
    uint64_t joins; /* streams so far */
};
struct psync_server_stats psync_server_stats(const struct psync_server *server);

#endif
