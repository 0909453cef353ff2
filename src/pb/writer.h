/* Writing the protobuf wire format into a buffer.
 *
 * A submessage is written between pb_begin and pb_end; its length is filled in by pb_end:
 *
 *     size_t status = pb_begin(out, 1);
 *     pb_write_varint(out, 1, code);
 *     pb_write_bytes(out, 2, message);
 *     pb_end(out, status);
 *
 * As proto3 does, callers leave out fields that have their default value.
 */
#ifndef PB_WRITER_H
#define PB_WRITER_H

#include "base/mem.h"
#include "base/str.h"

void pb_write_varint(struct buf *out, uint32_t field, uint64_t value);
void pb_write_bytes(struct buf *out, uint32_t field, struct str value);
void pb_write_double(struct buf *out, uint32_t field, double value);

/* Returns a mark for pb_end. */
size_t pb_begin(struct buf *out, uint32_t field);
void pb_end(struct buf *out, size_t mark);

#endif
