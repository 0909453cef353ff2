/* The store: folds the messages of the Policy Sync API and makes snapshots of what they add up to.
 *
 *     messages ──► store (policies, profiles, sets, labels, endpoint) ──commit──► snapshot
 *
 * Each message costs what it changes: a policy is compiled when it comes, a set's delta touches the chunks it changes, and a
 * commit only gathers pointers.
 *
 * Before the first InSync the committed snapshot is not in sync and refuses everything.
 *
 * Threads: one, its owner's. Snapshots are read-only and may be read anywhere, but must be released on this thread.
 */
#ifndef AUTHZ_STORE_H
#define AUTHZ_STORE_H

#include "authz/snapshot.h"
#include "policysync/message.h"

struct authz_store;

/* `previous`: the store whose tallies of staged policies go on, or NULL; borrowed until authz_store_forget_previous. */
struct authz_store *authz_store_new(const struct authz_store *previous);
void authz_store_forget_previous(struct authz_store *store);
void authz_store_free(struct authz_store *store);

/* Folds one message; copies what it keeps. Logs what cannot be understood. */
void authz_store_apply(struct authz_store *store, const struct psync_message *message);

/* A snapshot of the present state; the caller releases it. It may outlive the store. */
struct authz_snapshot *authz_store_commit(struct authz_store *store);

#endif
