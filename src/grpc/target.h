/* Where a client connects to: a unix socket or HOST:PORT, as grpc_client_start describes it. */
#ifndef GRPC_TARGET_H
#define GRPC_TARGET_H

#include <netdb.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/str.h"

struct grpc_target {
    struct quoted name;           /* for messages */
    struct sockaddr_un path;      /* a unix socket, if sun_family is set */
    struct addrinfo *addresses;   /* else of the host, in the order to be tried */
    const struct addrinfo *first; /* of what is not yet tried; for a unix socket NULL */
    bool path_tried;
};

/* Parses and, if it is a name, resolves (which may take its time). Freed with grpc_target_free, on
 * error too. */
bool grpc_target_resolve(struct grpc_target *target, struct str text, struct error *err);
/* Whether a text can be a target at all; resolves nothing. */
bool grpc_target_check(struct str text, struct error *err);

void grpc_target_free(struct grpc_target *target);

/* A non-blocking socket that is connected or about to be (it is writable then, and SO_ERROR
 * tells) to the next address; addresses that refuse at once are skipped. -1 if none is left: *err
 * then says what was wrong with the last one, or is left alone if all had been tried before. */
int grpc_target_connect(struct grpc_target *target, struct error *err);

#endif
