#include "grpc/header.h"

enum { MESSAGE_LIMIT = 1024 };

bool grpc_header_parse_timeout(struct str value, uint64_t *milliseconds)
{
    if (value.len < 2 || value.len > 9)
        return false;
    uint64_t number = 0;
    for (size_t i = 0; i < value.len - 1; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    switch (value.ptr[value.len - 1]) {
    case 'H':
        *milliseconds = number * 3600 * 1000;
        return true;
    case 'M':
        *milliseconds = number * 60 * 1000;
        return true;
    case 'S':
        *milliseconds = number * 1000;
        return true;
    case 'm':
        *milliseconds = number;
        return true;
    case 'u':
        *milliseconds = (number + 999) / 1000;
        return true;
    case 'n':
        *milliseconds = (number + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

bool grpc_header_is_grpc(struct str content_type)
{
    const struct str base = STR("application/grpc");
    if (!str_starts_with(content_type, base))
        return false;
    struct str rest = str_from(content_type, base.len);
    return rest.len == 0 || rest.ptr[0] == '+' || rest.ptr[0] == ';';
}

void grpc_header_encode_message(struct buf *out, struct str message)
{
    static const char hex[] = "0123456789ABCDEF";
    struct str shown = str_head(message, MESSAGE_LIMIT);
    for (size_t i = 0; i < shown.len; i++) {
        unsigned char c = (unsigned char)shown.ptr[i];
        /* A field value with blanks at its ends would be malformed HTTP (RFC 9113, 8.2.1). */
        bool outer_blank = c == ' ' && (i == 0 || i == shown.len - 1);
        if (c >= 0x20 && c < 0x7f && c != '%' && !outer_blank) {
            buf_append_byte(out, (char)c);
        } else {
            const char escape[] = {'%', hex[c >> 4], hex[c & 15]};
            buf_append(out, escape, sizeof(escape));
        }
    }
}

void grpc_header_decode_message(struct buf *out, struct str encoded)
{
    for (size_t i = 0; i < encoded.len; i++) {
        int high = -1, low = -1;
        if (encoded.ptr[i] == '%' && encoded.len - i > 2) {
            high = str_hex_value(encoded.ptr[i + 1]);
            low = str_hex_value(encoded.ptr[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            buf_append_byte(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_append_byte(out, encoded.ptr[i]);
        }
    }
}
