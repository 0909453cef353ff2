/* A request as the evaluators see it.
 *
 * Filled by the decoder of CheckRequest (or by hand, in tools and tests), then completed once by authz_request_prepare,
 * which works out what every rule would otherwise work out again: identities and the normal path.
 *
 * Ownership: all strings are borrowed from the message. The structure may be used again for the next request: its growing
 * parts (labels, scratch) keep their memory, so that a server in its stride allocates nothing here.
 */
#ifndef AUTHZ_REQUEST_H
#define AUTHZ_REQUEST_H

#include "authz/identity.h"
#include "base/ip.h"
#include "base/mem.h"
#include "policysync/message.h"

struct authz_peer {
    struct str address_text;
    uint32_t port_value;
    bool port_is_named; /* the message gives the port by name: as a number it is unknown */
    struct str principal;
    struct label *labels; /* as sent; of doubled keys the last counts */
    size_t label_count, label_capacity;
    /* Set by authz_request_prepare: */
    struct ip_addr addr; /* family 0: unknown */
    bool port_known;
    uint16_t port;
    struct identity identity;
};

struct authz_request {
    struct authz_peer source, destination;
    int32_t protocol_value; /* SocketAddress.protocol of the destination: 1 is UDP, all else TCP */
    bool has_http;          /* false: a call of the TCP filter */
    struct str method, path, host;
    bool has_too_many_labels; /* more than are looked at: it is refused */
    /* Set by authz_request_prepare: */
    uint8_t protocol; /* IP protocol number */
    enum {
        AUTHZ_PATH_NORMAL,
        AUTHZ_PATH_NONE,
        AUTHZ_PATH_MALFORMED,
        AUTHZ_PATH_NOT_NORMALISABLE
    } path_state;
    struct str normal_path; /* if NORMAL; in scratch */
    struct buf scratch;
};

/* Forgets the last request, keeps the memory. */
void authz_request_reset(struct authz_request *request);
void authz_request_prepare(struct authz_request *request, const struct identity_domains *believed);
void authz_request_free(struct authz_request *request);

#endif
