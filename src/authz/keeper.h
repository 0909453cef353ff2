/* The keeper of the policy in force: takes streams of Policy Sync messages, hands out snapshots.
 *
 *     stream 1: ── messages ── InSync ── messages ──…            (in force from its InSync on)
 *     stream 2:                            ── messages ── InSync ──…   (built aside, then takes over)
 *
 * A new stream starts from nothing, so its messages are folded aside while the last policy stays in force, and take over
 * whole at InSync. After that each batch is in force at once, whole.
 *
 * It is a psync_sink; where the messages come from (a socket, a calculation in this process) makes no difference.
 *
 * Threads: one. Snapshots that were published are the receiver's, who releases them on this thread.
 */
#ifndef AUTHZ_KEEPER_H
#define AUTHZ_KEEPER_H

#include "authz/snapshot.h"
#include "policysync/message.h"

struct authz_keeper;

/* `publish` is given every snapshot that is to be in force from then on. */
struct authz_keeper *authz_keeper_new(void (*publish)(void *ctx, struct authz_snapshot *snapshot),
                                      void *ctx);
void authz_keeper_free(struct authz_keeper *keeper);

/* A new stream begins; no message may come before the first one does. */
void authz_keeper_begin(struct authz_keeper *keeper);

/* Where the stream's messages go. */
struct psync_sink authz_keeper_sink(struct authz_keeper *keeper);

#endif
