/* The sidecar's end of the Policy Sync API: one stream, kept up.
 *
 * It calls felix.PolicySync/Sync on the target, decodes what comes, and gives it to a sink; batches are what arrived together. When the
 * stream ends, for whatever reason, it pauses about a second and calls again; a new stream starts from nothing. A stream with a
 * message that cannot be read is ended: what follows it would be guesswork.
 *
 * Threads: the loop's.
 */
#ifndef POLICYSYNC_CLIENT_H
#define POLICYSYNC_CLIENT_H

#include "base/loop.h"
#include "policysync/message.h"

struct psync_client;

struct psync_client_events {
    void (*begin)(void *ctx); /* a stream is up; messages from nothing follow */
    void (*lost)(void *ctx);  /* it is down again */
    void *ctx;
};

/* Starts at once; never fails, but goes on trying. What keeps it from being up is logged as a warning when it changes, and
 * at each try with level debug. */
struct psync_client *psync_client_new(struct loop *loop, const char *target,
                                      const struct psync_client_events *events,
                                      const struct psync_sink *sink);
/* How many streams have come up so far. */
uint64_t psync_client_streams(const struct psync_client *client);

void psync_client_free(struct psync_client *client);

#endif
