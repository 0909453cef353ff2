/* From a struct psync_message to the bytes of a ToDataplane message: the reverse of policysync/decode.h.
 *
 * The same value always gives the same bytes, so two messages are equal if their encodings are; the calculation finds out
 * what changed that way.
 */
#ifndef POLICYSYNC_ENCODE_H
#define POLICYSYNC_ENCODE_H

#include "base/mem.h"
#include "policysync/message.h"

/* Appends the message. */
void psync_encode(struct buf *out, const struct psync_message *message);

#endif
