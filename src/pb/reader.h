/* A pull reader of the protobuf wire format: no allocation, no copies, strict.
 *
 *     struct pb_reader r = pb_reader(bytes);
 *     struct pb_field f;
 *     while (pb_next(&r, &f)) {
 *         switch (f.number) {
 *         case 1: name = pb_bytes(&r, &f); break;
 *         case 2: port = pb_varint(&r, &f); break;
 *         }
 *     }
 *     if (r.failed) ...
 *
 * Fields that are not asked for are passed over without being looked into. What fails the reader: a truncated or
 * overlong varint, a length that leaves the message, field number 0, an unknown wire type, groups that do not
 * pair up or nest deeper than PB_GROUP_DEPTH, and a field that is asked for in another wire type than it has, a group
 * among them. Strings are pointer + length and are not required to be UTF-8.
 *
 * Source: the public protobuf documentation, "Encoding".
 */
#ifndef PB_READER_H
#define PB_READER_H

#include "base/str.h"

enum { PB_GROUP_DEPTH = 100 };

enum pb_wire {
    PB_VARINT = 0,
    PB_FIXED64 = 1,
    PB_BYTES = 2,
    PB_GROUP = 3,
    PB_GROUP_END = 4,
    PB_FIXED32 = 5
};

struct pb_reader {
    const uint8_t *at, *end;
    bool failed; /* sticky */
};

struct pb_field {
    uint32_t number;
    enum pb_wire wire; /* never GROUP_END; behind a GROUP the reader has passed over all of it */
    uint64_t value;    /* of VARINT, FIXED64, FIXED32 */
    struct str bytes;  /* of BYTES; within the message */
};

static inline struct pb_reader pb_reader(struct str message)
{
    const uint8_t *start = (const uint8_t *)message.ptr;
    return (struct pb_reader){start, message.len > 0 ? start + message.len : start, false};
}

/* The next field; false at the end of the message or on failure. */
bool pb_next(struct pb_reader *r, struct pb_field *field);

/* The value of a field in the type that the schema says; fails the reader if the wire says another. */
struct str pb_bytes(struct pb_reader *r, const struct pb_field *field);
uint64_t pb_varint(struct pb_reader *r, const struct pb_field *field);

#endif
