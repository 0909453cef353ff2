/* The credentials of a client of the API server, kept fresh: a token that is given, one in a file (a pod's, which Kubernetes replaces every
 * hour), or what a program says (exec).
 *
 * Threads: the loop's.
 */
#ifndef KUBE_CREDENTIAL_H
#define KUBE_CREDENTIAL_H

#include "base/loop.h"
#include "kube/config.h"

struct kube_credential;

struct kube_secret {
    struct str token; /* empty: none */
    struct kube_pem certificate, key;
};

struct kube_credential *kube_credential_new(struct loop *loop, const struct kube_config *config);
void kube_credential_free(struct kube_credential *credential);

/* True: *secret is good for a request that is made now; it lives until the loop turns. False: not now; err says why. A program
 * that is asked takes its time, for which `err` says so. */
bool kube_credential_get(struct kube_credential *credential, struct kube_secret *secret,
                         struct error *err);

/* The server has refused what was given last (401): it is fetched anew before it is given again. */
void kube_credential_refused(struct kube_credential *credential);

#endif
