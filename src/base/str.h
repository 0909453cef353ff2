/* Strings as pointer + length.
 *
 * Everything that comes from a wire, a file or a command line is a `struct str`: bytes that may hold
 * NUL, need not be UTF-8, and are compared as bytes. A C string would be cut at the first NUL, and in
 * a program that decides about paths and names that cut is a hole.
 *
 * Ownership: a str never owns its bytes; whoever made it says how long they live.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr; /* may be NULL only if len is 0 */
    size_t len;      /* bytes */
};

/* A str of a string literal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* The same where a constant expression is needed (tables). */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* For printf's "%.*s". Only for trusted text: what comes from outside goes through quote(). */
#define STR_ARG(s) (int)(s).len, (s).len > 0 ? (s).ptr : ""

static inline struct str str_make(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

/* The str of a C string; NULL gives the empty one. */
static inline struct str str_from_c(const char *text)
{
    return (struct str){text, text != NULL ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The bytes from `start` on; empty if start is behind the end. */
static inline struct str str_from(struct str s, size_t start)
{
    return start < s.len ? str_make(s.ptr + start, s.len - start) : str_make(NULL, 0);
}

/* The first `len` bytes (all, if there are fewer). */
static inline struct str str_head(struct str s, size_t len)
{
    return str_make(s.ptr, len < s.len ? len : s.len);
}

static inline bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_head(s, prefix.len), prefix);
}

static inline bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

/* Bytewise order, a prefix first: <0, 0, >0. */
int str_cmp(struct str a, struct str b);

/* Equality where A-Z and a-z count as the same (ASCII only, whatever the locale). */
bool str_eq_nocase(struct str a, struct str b);

/* Whether `part` occurs in s; the empty string occurs everywhere. */
bool str_contains(struct str s, struct str part);

/* The index of the first `byte` in s, or s.len. */
size_t str_find(struct str s, char byte);

/* Cuts s at the first `separator`: *head gets what stands before it, *rest what stands behind.
 * False, with *head = s and *rest empty, if there is none. */
bool str_cut(struct str s, char separator, struct str *head, struct str *rest);

/* A decimal number without sign, blanks or leading zeros, at most `max`. False if it is anything else. */
bool str_parse_uint(struct str s, uint64_t max, uint64_t *value);

/* A to Z as a to z, all other bytes as they are. */
char str_lower(char c);

/* The value of a hexadecimal digit, of either case; -1: it is none. */
int str_hex_value(char digit);

/* Text from outside made fit to be shown in a message: in double quotes, everything that is not
 * printable ASCII (and `"`, `\`) as an escape, cut with "..." if it is long. Returned by value, so
 * that it can be used inside of an argument list: error_set(err, "bad CIDR %s", quote(s).text). */
struct quoted {
    char text[160];
};
struct quoted quote(struct str s);

#endif
