#include "pb/reader.h"

static bool fail(struct pb_reader *r)
{
    r->failed = true;
    return false;
}

static bool read_long_varint(struct pb_reader *r, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end)
            return fail(r);
        uint8_t byte = *r->at++;
        /* The tenth byte has room for one bit of a 64-bit number. */
        if (shift == 63 && byte > 1)
            return fail(r);
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return fail(r);
}

/* Nearly all varints of real messages (tags, short lengths) are of one byte. */
static inline bool read_varint(struct pb_reader *r, uint64_t *value)
{
    if (r->at < r->end && *r->at < 0x80) {
        *value = *r->at++;
        return true;
    }
    return read_long_varint(r, value);
}

static bool read_fixed(struct pb_reader *r, size_t size, uint64_t *value)
{
    if ((size_t)(r->end - r->at) < size)
        return fail(r);
    uint64_t result = 0;
    for (size_t i = 0; i < size; i++)
        result |= (uint64_t)r->at[i] << (8 * i);
    r->at += size;
    *value = result;
    return true;
}

static bool read_tag(struct pb_reader *r, struct pb_field *field)
{
    uint64_t tag;
    if (!read_varint(r, &tag))
        return false;
    if (tag > UINT32_MAX || tag >> 3 == 0)
        return fail(r);
    field->number = (uint32_t)(tag >> 3);
    field->wire = (enum pb_wire)(tag & 7);
    return true;
}

static bool read_value(struct pb_reader *r, struct pb_field *field)
{
    switch (field->wire) {
    case PB_VARINT:
        return read_varint(r, &field->value);
    case PB_FIXED64:
        return read_fixed(r, 8, &field->value);
    case PB_FIXED32:
        return read_fixed(r, 4, &field->value);
    case PB_BYTES:
        if (!read_varint(r, &field->value))
            return false;
        if (field->value > (uint64_t)(r->end - r->at))
            return fail(r);
        field->bytes = str_make((const char *)r->at, (size_t)field->value);
        r->at += field->value;
        return true;
    default:
        return fail(r);
    }
}

/* Behind the start of a group: passes over all up to its end. The open groups' numbers are kept, so that only the
 * right end closes one. */
static bool skip_group(struct pb_reader *r, uint32_t number)
{
    uint32_t open[PB_GROUP_DEPTH] = {number};
    size_t depth = 1;
    struct pb_field field;
    while (depth > 0) {
        if (!read_tag(r, &field))
            return false;
        if (field.wire == PB_GROUP) {
            if (depth == PB_GROUP_DEPTH)
                return fail(r);
            open[depth++] = field.number;
        } else if (field.wire == PB_GROUP_END) {
            if (open[--depth] != field.number)
                return fail(r);
        } else if (!read_value(r, &field)) {
            return false;
        }
    }
    return true;
}

bool pb_next(struct pb_reader *r, struct pb_field *field)
{
    if (r->failed || r->at == r->end || !read_tag(r, field))
        return false;
    return field->wire == PB_GROUP ? skip_group(r, field->number) : read_value(r, field);
}

struct str pb_bytes(struct pb_reader *r, const struct pb_field *field)
{
    if (field->wire != PB_BYTES) {
        fail(r);
        return str_make(NULL, 0);
    }
    return field->bytes;
}

uint64_t pb_varint(struct pb_reader *r, const struct pb_field *field)
{
    if (field->wire != PB_VARINT) {
        fail(r);
        return 0;
    }
    return field->value;
}
