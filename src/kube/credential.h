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
    unsigned version; /* grows whenever it is fetched anew */
};

/* `on_answer` is called whenever a program that was waited for has answered, or failed. */
struct kube_credential *kube_credential_new(struct loop *loop, const struct kube_config *config,
                                            void (*on_answer)(void *ctx), void *ctx);
void kube_credential_free(struct kube_credential *credential);

enum kube_credential_state {
    KUBE_CREDENTIAL_READY, /* *secret is good for a request that is made now; it lives until the loop turns */
    KUBE_CREDENTIAL_AWAITED, /* a program is asked, for a minute at most: ask again on_answer */
    KUBE_CREDENTIAL_NONE,    /* not now; err says why */
};
enum kube_credential_state kube_credential_get(struct kube_credential *credential,
                                               struct kube_secret *secret, struct error *err);

/* The server has refused the secret of that version (401): it is fetched anew before one is given again. */
void kube_credential_refused(struct kube_credential *credential, unsigned version);

#endif
