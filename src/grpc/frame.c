#include "grpc/frame.h"

#include "grpc/status.h"

/* Moves up to `want` bytes off the head of *input. */
static struct str take(struct str *input, size_t want)
{
    struct str head = str_head(*input, want);
    *input = str_from(*input, head.len);
    return head;
}

static size_t message_length(const struct grpc_frame_reader *reader)
{
    const uint8_t *p = reader->prefix;
    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

enum grpc_frame_result grpc_frame_read(struct grpc_frame_reader *reader, struct str *input,
                                       struct str *message)
{
    if (reader->given) {
        reader->held.len = 0;
        reader->prefix_len = 0;
        reader->given = false;
    }
    struct str part = take(input, (size_t)(GRPC_FRAME_PREFIX - reader->prefix_len));
    if (part.len > 0)
        memcpy(reader->prefix + reader->prefix_len, part.ptr, part.len);
    reader->prefix_len = (uint8_t)(reader->prefix_len + part.len);
    if (reader->prefix_len < GRPC_FRAME_PREFIX)
        return GRPC_FRAME_PARTIAL;

    size_t length = message_length(reader);
    if (reader->prefix[0] > 1)
        return GRPC_FRAME_BAD_FLAG;
    if (length > GRPC_MESSAGE_LIMIT)
        return GRPC_FRAME_TOO_LARGE;
    if (reader->prefix[0] == 1)
        return GRPC_FRAME_COMPRESSED;

    if (reader->held.len == 0 && input->len >= length) {
        *message = take(input, length);
    } else {
        /* Grows with what really comes: the length alone is only a claim. */
        buf_append_str(&reader->held, take(input, length - reader->held.len));
        if (reader->held.len < length)
            return GRPC_FRAME_PARTIAL;
        *message = buf_str(&reader->held);
    }
    reader->given = true;
    return GRPC_FRAME_MESSAGE;
}

bool grpc_frame_is_partial(const struct grpc_frame_reader *reader)
{
    return reader->prefix_len > 0 && !reader->given;
}

void grpc_frame_append_prefix(struct buf *out, size_t len)
{
    const char prefix[GRPC_FRAME_PREFIX] = {0, (char)(len >> 24), (char)(len >> 16),
                                            (char)(len >> 8), (char)len};
    buf_append(out, prefix, sizeof(prefix));
}

void grpc_frame_append(struct buf *out, struct str message)
{
    buf_reserve(out, GRPC_FRAME_PREFIX + message.len);
    grpc_frame_append_prefix(out, message.len);
    buf_append_str(out, message);
}
