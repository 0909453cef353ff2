/* gRPC's framing of messages: a flag byte, the length as four bytes (big end first), the message.
 *
 * A reader is fed with the bytes of one stream as they come, in pieces of any size, and gives out
 * the messages. A message that lies whole in one piece is given as a slice of it, without a copy.
 *
 * Source of outside facts: the public gRPC documentation, "gRPC over HTTP2".
 */
#ifndef GRPC_FRAME_H
#define GRPC_FRAME_H

#include "base/mem.h"
#include "base/str.h"

enum { GRPC_FRAME_PREFIX = 5 };

/* {0} is a reader at the start of a stream. */
struct grpc_frame_reader {
    struct buf held; /* the bytes so far of a message that comes in pieces */
    uint8_t prefix[GRPC_FRAME_PREFIX];
    uint8_t prefix_len; /* bytes of the prefix that are here */
    bool given;         /* the message of this prefix was given out */
};

enum grpc_frame_result {
    GRPC_FRAME_PARTIAL, /* the input is used up, the message is not complete */
    GRPC_FRAME_MESSAGE,
    /* From here on errors; nothing that follows in the stream can be understood. */
    GRPC_FRAME_COMPRESSED, /* flag 1; no compression is ever agreed upon */
    GRPC_FRAME_BAD_FLAG,
    GRPC_FRAME_TOO_LARGE, /* the prefix says more than GRPC_MESSAGE_LIMIT */
};

/* Takes bytes from the head of *input up to the end of a message. *message is then a slice of the
 * input, or of the reader (living until its next use). */
enum grpc_frame_result grpc_frame_read(struct grpc_frame_reader *reader, struct str *input,
                                       struct str *message);

/* Whether the stream would be cut within a message if it ended here. */
bool grpc_frame_is_partial(const struct grpc_frame_reader *reader);

/* Appends the prefix and the message (at most GRPC_MESSAGE_LIMIT bytes). */
void grpc_frame_append(struct buf *out, struct str message);
/* What stands before a message of so many bytes. */
void grpc_frame_append_prefix(struct buf *out, size_t len);

#endif
