/* Profiles: what an endpoint has by its namespace, its service account or a Profile resource: labels and rules.
 *
 *     kns.NAMESPACE           allows all; labels of the Namespace under `pcns.`
 *     ksa.NAMESPACE.ACCOUNT   no rules; labels of the ServiceAccount under `pcsa.`
 *     any name                rules and labelsToApply of the Profile resource of that name
 *
 * A name with none of these behind it denies all. Namespaces and accounts are sent to the sidecars by themselves as well, all
 * of them; profiles only while an endpoint of this node has them.
 *
 * Of a Profile resource's labels those that begin with `pcns.` or `pcsa.` count only in a profile of that sort: elsewhere they
 * would forge what a namespace or an account gives.
 */
#ifndef CALC_PROFILES_H
#define CALC_PROFILES_H

#include "calc/ipsets.h"

struct profiles;

/* `labels_changed` is called when what a profile passes on has changed. */
struct profiles *profiles_new(struct ipsets *ipsets,
                              void (*labels_changed)(void *ctx, struct str name), void *ctx);
/* The IP sets may be gone already. */
void profiles_free(struct profiles *profiles);

/* Takes in a Namespace, ServiceAccount or Profile, which is the profiles' from now on; it replaces one with the same key. */
void profiles_put(struct profiles *profiles, struct model_resource *resource);
void profiles_remove(struct profiles *profiles, const struct model_key *key);

/* For the label index: what a profile passes on. */
struct labels profiles_labels(struct profiles *profiles, struct str name, struct str *prefix);

/* One endpoint of this node more, or less, that has the profile. */
void profiles_use(struct profiles *profiles, struct str name);
void profiles_release(struct profiles *profiles, struct str name);

/* ---- the steps of a flush, as in calc/policies.h ---- */

void profiles_prepare(struct profiles *profiles, struct arena *arena);
void profiles_send_updates(struct profiles *profiles, const struct psync_sink *sink);
/* Accounts and namespaces that are new or have other labels. */
void profiles_send_labelled(struct profiles *profiles, const struct psync_sink *sink);
/* Profiles that no endpoint has any more. */
void profiles_send_removals(struct profiles *profiles, const struct psync_sink *sink);
/* Accounts and namespaces that are gone. Ends the flush. */
void profiles_send_labelled_removals(struct profiles *profiles, const struct psync_sink *sink);

struct profiles_stats {
    size_t profiles;           /* with something behind them */
    size_t namespaces, active; /* active: an endpoint of this node has it */
};
struct profiles_stats profiles_stats(const struct profiles *profiles);

#endif
