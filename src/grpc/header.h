/* What gRPC says in HTTP headers: timeouts, content types, status messages.
 *
 * Source of outside facts: the public gRPC documentation, "gRPC over HTTP2".
 */
#ifndef GRPC_HEADER_H
#define GRPC_HEADER_H

#include "base/mem.h"
#include "base/str.h"

/* The value of grpc-timeout: one to eight digits and a unit of H, M, S, m, u, n. In milliseconds,
 * rounded up. False if it is anything else. */
bool grpc_header_parse_timeout(struct str value, uint64_t *milliseconds);

/* "application/grpc", alone or followed by "+FORMAT" or ";PARAMETERS". */
bool grpc_header_is_grpc(struct str content_type);

/* Appends `message` as grpc-message wants it: percent-encoded, printable ASCII. Messages over 1
 * KiB are cut, so that no peer refuses the answer for the size of its headers. */
void grpc_header_encode_message(struct buf *out, struct str message);

/* Appends the message that was encoded. What is not an escape stands for itself. */
void grpc_header_decode_message(struct buf *out, struct str encoded);

#endif
