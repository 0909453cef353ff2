/* Decoding Envoy's CheckRequest: zero copies, only the fields that are used.
 *
 * The three packages envoy.service.auth.v3, v2 and v2alpha have the same numbers for these fields, so one decoder serves all.
 * Strict: see pb/reader.h. As protobuf wants it, a submessage that comes in pieces is merged, of a scalar and of a map's
 * key the last one counts, and of a oneof only the last member.
 *
 * Everything else, request headers above all, is passed over in one step, however much of it there is.
 *
 * Source of the numbers: Envoy's public API, proto/ext_authz_v3.proto.
 */
#ifndef AUTHZ_CHECK_REQUEST_H
#define AUTHZ_CHECK_REQUEST_H

#include "authz/request.h"

/* Labels that a peer may send. Envoy sends none; a bound keeps look-ups short. */
enum { CHECK_LABEL_LIMIT = 1024 };

/* Resets and fills `request`, which then points into `message`; authz_request_prepare comes next. False: the bytes are no
 * CheckRequest. Labels over the limit are not kept, and the request says so. */
bool check_request_decode(struct str message, struct authz_request *request);

#endif
