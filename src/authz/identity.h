/* The peer's cryptographic identity: who its certificate says it is.
 *
 *     spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT
 *
 * Exactly this form, each piece non-empty and without `/`; names are compared as bytes. Anything else that is not
 * empty names somebody whom we do not know.
 */
#ifndef AUTHZ_IDENTITY_H
#define AUTHZ_IDENTITY_H

#include "base/str.h"

enum identity_kind {
    IDENTITY_NONE,    /* plain text: no certificate, so IP sets decide */
    IDENTITY_UNKNOWN, /* a name, but not of the form, or of a trust domain that is not believed */
    IDENTITY_SPIFFE,
};

struct identity {
    enum identity_kind kind;
    struct str trust_domain, namespace,
        account; /* slices of the principal; only of IDENTITY_SPIFFE */
};

/* The trust domains that are believed; none: all are. */
struct identity_domains {
    const struct str *items;
    size_t count;
};

struct identity identity_parse(struct str principal, const struct identity_domains *believed);

#endif
