#include "base/str.h"

#include <stdio.h>

int str_cmp(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common > 0 ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

char str_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (str_lower(a.ptr[i]) != str_lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_contains(struct str s, struct str part)
{
    return part.len == 0 || (s.len > 0 && memmem(s.ptr, s.len, part.ptr, part.len) != NULL);
}

size_t str_find(struct str s, char byte)
{
    const char *found = s.len > 0 ? memchr(s.ptr, byte, s.len) : NULL;
    return found != NULL ? (size_t)(found - s.ptr) : s.len;
}

bool str_cut(struct str s, char separator, struct str *head, struct str *rest)
{
    size_t at = str_find(s, separator);
    *head = str_head(s, at);
    *rest = str_from(s, at + 1);
    return at < s.len;
}

bool str_parse_uint(struct str s, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;
    if (s.len == 0 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (digit > max || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

int str_hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

struct quoted quote(struct str s)
{
    struct quoted q;
    size_t used = 0;
    q.text[used++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        /* The longest escape, the mark of a cut, the closing quote and the NUL must still fit. */
        if (used + 4 + 3 + 2 > sizeof(q.text)) {
            memcpy(q.text + used, "...", 3);
            used += 3;
            break;
        }
        if (c == '"' || c == '\\') {
            q.text[used++] = '\\';
            q.text[used++] = (char)c;
        } else if (c >= 0x20 && c < 0x7f) {
            q.text[used++] = (char)c;
        } else {
            used += (size_t)snprintf(q.text + used, 5, "\\x%02x", c);
        }
    }
    q.text[used++] = '"';
    q.text[used] = '\0';
    return q;
}
