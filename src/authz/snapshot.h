/* Everything that is known about the endpoint at one moment: what an evaluator is asked against.
 *
 * A snapshot never changes. The store (store.h) makes the next one beside it and swaps it in whole, so a request sees one
 * state of the policy from start to end and takes no lock.
 *
 *     snapshot ──► tiers ──► policies ──► rules ──(slot)──► sets[] ──► IP set
 *            ├───► profiles ──► rules
 *            └───► accounts, namespaces ──► labels
 *
 * Policies, sets and labels are shared with the store and with the snapshots before and after.
 *
 * Ownership: authz_snapshot_unref gives it back; on the main thread only. Reading is free for all.
 */
#ifndef AUTHZ_SNAPSHOT_H
#define AUTHZ_SNAPSHOT_H

#include "authz/labels.h"
#include "authz/policy.h"
#include "base/map.h"

/* A place in a tier or in the list of profiles. */
struct authz_place {
    struct psync_policy_id id;
    struct authz_policy *policy; /* NULL: named, but not there */
    bool is_staged;
};

struct authz_tier {
    struct str name;
    bool default_pass; /* else deny */
    struct authz_place *policies;
    size_t policy_count;
    bool is_enforced; /* some policy in it is not staged */
    bool has_staged;
};

/* Labels by name; immutable, shared between snapshots until an account or a namespace changes. */
struct authz_directory {
    unsigned references;
    struct map accounts;   /* "NAMESPACE/ACCOUNT" -> struct authz_labels */
    struct map namespaces; /* "NAMESPACE" -> struct authz_labels */
};

struct authz_snapshot {
    unsigned references;
    bool in_sync;
    bool has_endpoint; /* and it could be read */
    bool has_staged;   /* some tier has staged policies */
    /* Set by the keeper: */
    uint64_t version;           /* 1, 2, … */
    uint64_t build_nanoseconds; /* what making it took */
    struct arena arena;
    struct authz_tier *tiers;
    size_t tier_count;
    struct authz_place *profiles;
    size_t profile_count;
    struct authz_ipset **sets; /* by slot; NULL: missing */
    size_t set_count;
    struct authz_directory *directory;
};

void authz_snapshot_unref(struct authz_snapshot *snapshot);
void authz_directory_unref(struct authz_directory *directory);

#endif
