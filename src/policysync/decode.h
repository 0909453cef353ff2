/* From the bytes of a ToDataplane message to a struct psync_message.
 *
 * Strict about the wire format, lenient about what it does not know: unknown fields and messages are
 * passed over. What a sidecar does not judge is not decoded at all: outbound rules, egress policies.
 *
 * A part that cannot be read closes only what it belongs to: a policy, profile or endpoint whose id is readable comes
 * out as `malformed`. Otherwise the function fails, and the stream is worth nothing any more.
 */
#ifndef POLICYSYNC_DECODE_H
#define POLICYSYNC_DECODE_H

#include "base/error.h"
#include "base/mem.h"
#include "policysync/message.h"

/* Strings point into `bytes`; arrays come from the arena. */
bool psync_decode(struct arena *arena, struct str bytes, struct psync_message *message,
                  struct error *err);

#endif
