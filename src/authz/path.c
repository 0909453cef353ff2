#include "authz/path.h"

/* Steps 1 and 2. Returns the length of what was written, or -1. */
static ptrdiff_t decode(struct str raw, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < raw.len && raw.ptr[i] != '?' && raw.ptr[i] != '#'; i++) {
        char c = raw.ptr[i];
        if (c == '%') {
            if (raw.len - i < 3)
                return -1;
            int high = str_hex_value(raw.ptr[i + 1]), low = str_hex_value(raw.ptr[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    return (ptrdiff_t)n;
}

/* Step 3. */
static bool is_encoded_twice(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\0')
            return true;
        if (s.ptr[i] != '%' || s.len - i < 3)
            continue;
        int high = str_hex_value(s.ptr[i + 1]), low = str_hex_value(s.ptr[i + 2]);
        int value = high < 0 || low < 0 ? -1 : high * 16 + low;
        if (value == '.' || value == '/' || value == '\\')
            return true;
    }
    return false;
}

/* Steps 4 to 6, in place: what is written never overtakes what is read. `out` holds "/a/b" without a final slash while
 * it grows; the root is the empty string until the end. */
static size_t resolve(char *out, size_t len)
{
    size_t written = 0;
    size_t at = 0;
    while (at < len) {
        /* out[at] is a slash: the segment stands behind it. */
        size_t start = ++at;
        while (at < len && out[at] != '/' && out[at] != '\\')
            at++;
        struct str segment = str_make(out + start, at - start);
        segment.len = str_find(segment, ';');
        if (segment.len == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR(".."))) {
            while (written > 0 && out[--written] != '/')
                ;
            continue;
        }
        out[written++] = '/';
        memmove(out + written, segment.ptr, segment.len);
        written += segment.len;
    }
    if (written == 0)
        out[written++] = '/';
    return written;
}

static bool normalise(struct str raw, char *out, struct str *normal)
{
    ptrdiff_t len = decode(raw, out);
    if (len <= 0 || is_encoded_twice(str_make(out, (size_t)len)) ||
        (out[0] != '/' && out[0] != '\\'))
        return false;
    *normal = str_make(out, resolve(out, (size_t)len));
    return true;
}

static bool is_scheme_byte(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return !first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.');
}

/* "http://host/a?b" -> "/a?b"; other texts come back as they are. */
static struct str without_authority(struct str raw)
{
    size_t i = 0;
    while (i < raw.len && is_scheme_byte(raw.ptr[i], i == 0))
        i++;
    if (i == 0 || !str_starts_with(str_from(raw, i), STR("://")))
        return raw;
    for (i += 3; i < raw.len; i++) {
        if (raw.ptr[i] == '/')
            return str_from(raw, i);
        if (raw.ptr[i] == '?' || raw.ptr[i] == '#')
            break;
    }
    return STR("/");
}

enum path_result path_normalise_request(struct str raw, char *out, struct str *normal)
{
    struct str path = without_authority(raw);
    if (path.len == 0 || path.ptr[0] != '/')
        return PATH_NO_SLASH;
    return normalise(path, out, normal) ? PATH_OK : PATH_NOT_NORMALISABLE;
}

bool path_normalise_rule(struct str raw, char *out, struct str *normal)
{
    return raw.len > 0 && raw.ptr[0] == '/' && normalise(raw, out, normal);
}

bool path_has_prefix(struct str path, struct str prefix)
{
    if (!str_starts_with(path, prefix))
        return false;
    return path.len == prefix.len || path.ptr[prefix.len] == '/' || str_eq(prefix, STR("/"));
}
