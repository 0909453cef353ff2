#include "pb/writer.h"

#include "pb/reader.h"

static void append_varint(struct buf *out, uint64_t value)
{
    while (value >= 0x80) {
        buf_append_byte(out, (char)(value | 0x80));
        value >>= 7;
    }
    buf_append_byte(out, (char)value);
}

static void append_tag(struct buf *out, uint32_t field, enum pb_wire wire)
{
    append_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

void pb_write_varint(struct buf *out, uint32_t field, uint64_t value)
{
    append_tag(out, field, PB_VARINT);
    append_varint(out, value);
}

void pb_write_bytes(struct buf *out, uint32_t field, struct str value)
{
    append_tag(out, field, PB_BYTES);
    append_varint(out, value.len);
    buf_append_str(out, value);
}

void pb_write_double(struct buf *out, uint32_t field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    append_tag(out, field, PB_FIXED64);
    for (int i = 0; i < 8; i++)
        buf_append_byte(out, (char)(bits >> (8 * i)));
}

size_t pb_begin(struct buf *out, uint32_t field)
{
    append_tag(out, field, PB_BYTES);
    return out->len;
}

void pb_end(struct buf *out, size_t mark)
{
    size_t length = out->len - mark;
    size_t size = 1;
    for (size_t rest = length >> 7; rest > 0; rest >>= 7)
        size++;
    /* The length stands before what it counts: make room for it. */
    buf_reserve(out, size);
    memmove(out->data + mark + size, out->data + mark, length);
    out->len = mark;
    append_varint(out, length);
    out->len = mark + size + length;
}
