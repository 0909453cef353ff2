/* What the sidecars of a node are told, each at its own pace.
 *
 *     calculation ──messages──► feed ──────► reader ──────────────────────► a sidecar's stream
 *                               (the state)  (what it has, what it needs)
 *
 * The feed takes the node's messages (it is a psync_sink), and keeps the last state of each thing, encoded once. A reader does not
 * have a queue of messages: it knows which version of each thing its sidecar has, and feed_read works out the next message when
 * the sidecar can take one. So a slow reader holds up nobody, costs no memory but for its own bookkeeping, and skips states that
 * were overtaken.
 *
 * A reader is told of what its endpoint needs: at first
 *
 *     IP sets, policies, profiles, the endpoint, service accounts and namespaces, InSync
 *
 * and then of each thing that changes, first come first served: one that changes again keeps its place, and is told of as it is when
 * its turn comes, so that nothing waits for what never comes to rest. What an update needs is there before it, and what is not
 * needed any more goes after it. IP sets are told whole, in messages of at most FEED_MEMBERS members, then by their changes. Where
 * there is no endpoint: accounts, namespaces and InSync. An endpoint that goes is told of, and ends the stream.
 *
 * A reader that falls so far behind that the changes it lacks outgrow these bounds is told small IP sets whole again, at once; if
 * that would take several messages, between which its sidecar would judge by half a set, its stream is ended instead, so
 * that the sidecar starts anew beside its old policy.
 *
 * Threads: one.
 */
#ifndef POLICYSYNC_FEED_H
#define POLICYSYNC_FEED_H

#include "base/blob.h"
#include "policysync/message.h"

enum {
    /* Members in one message, and bytes that these and the set's id take there, so that it stays under gRPC's 4 MiB. The number is
     * upstream's, and does for all but IPv6 addresses with ports of SCTP. */
    FEED_MEMBERS = 82200,
    FEED_MEMBER_BYTES = 4 * 1024 * 1024 - 64 * 1024,
    /* Bytes of changes to one thing that wait for a reader, but for those of the last batch. */
    FEED_LAG = 1024 * 1024,
    /* Of all things and readers together; then whoever lags at all behind a set is to be told the whole of it. */
    FEED_LAG_OF_ALL = 16 * 1024 * 1024,
};

struct feed;
struct feed_reader;

struct feed_source {
    /* The members of an IP set of which the feed was told, as of the end of the last batch: what came after it will be told, or
     * not at all if it was undone before. In the arena. False: there is no such set. */
    bool (*set_members)(void *ctx, struct str id, struct arena *arena, int *type,
                        struct psync_strings *members);
    void *ctx;
};

struct feed *feed_new(const struct feed_source *source);
/* All readers must have left. */
void feed_free(struct feed *feed);

/* Where the node's messages go. Readers hear of them at the end of the batch. */
struct psync_sink feed_sink(struct feed *feed);

struct feed_events {
    /* There is something to read, after feed_read had nothing; or the reader fell too far behind, whether it reads or not, and
     * what is kept for it ought to be given back. Not called from within feed_join and feed_read. */
    void (*ready)(void *ctx);
    void *ctx;
};

/* A reader for the endpoint of this id; the id is copied. */
struct feed_reader *feed_join(struct feed *feed, const struct psync_endpoint_id *id,
                              const struct feed_events *events);
void feed_leave(struct feed_reader *reader);

enum feed_result {
    FEED_MESSAGE, /* *message is the next one, encoded; it lives until anything else is done with the feed */
    FEED_NOTHING, /* wait for `ready` */
    FEED_ENDED,   /* the endpoint is gone, and that was said: end the stream */
    FEED_BEHIND,  /* the reader fell too far behind: end the stream, so that it starts anew */
};
enum feed_result feed_read(struct feed_reader *reader, struct str *message);
/* The blob whose bytes the message is that was read last, for owners who want to keep it; NULL: it is in none. */
struct blob *feed_shared(const struct feed_reader *reader);
/* Whether feed_read will say so (FEED_BEHIND): for an owner that does not read at the moment. */
bool feed_is_behind(const struct feed_reader *reader);

/* Whether whole IP sets are kept, to be read by others soon; and gives them back. */
bool feed_keeps_sets(const struct feed *feed);
void feed_trim(struct feed *feed);

struct feed_stats {
    size_t readers, sets, policies, profiles, endpoints, accounts_and_namespaces;
    bool in_sync;
};
struct feed_stats feed_stats(const struct feed *feed);

#endif
