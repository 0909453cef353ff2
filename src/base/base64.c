#include "base/base64.h"

/* -1: no digit. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct buf *out, struct str text)
{
    uint32_t bits = 0;
    unsigned digits = 0, padding = 0; /* of the group of four that is being read */
    bool has_ended = false;           /* a padded group is the last */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int value = digit(c);
        if (c == '\n' || c == '\r')
            continue;
        if (c == '=' && digits >= 2)
            padding++;
        else if (value < 0 || padding > 0 || has_ended)
            return false;
        bits = bits << 6 | (uint32_t)(value > 0 ? value : 0);
        if (++digits < 4)
            continue;
        for (unsigned byte = 0; byte + padding < 3; byte++)
            buf_append_byte(out, (char)(bits >> (16 - 8 * byte)));
        has_ended = padding > 0;
        bits = digits = padding = 0;
    }
    return digits == 0;
}

void base64_encode(struct buf *out, struct str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (i + j < bytes.len ? (unsigned char)bytes.ptr[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            buf_append_byte(out, i + j <= bytes.len ? digits[group >> (18 - 6 * j) & 63] : '=');
    }
}
