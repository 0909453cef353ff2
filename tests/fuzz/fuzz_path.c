/* Any path: has no normal form, or one that starts with "/", has no "//", "." or ".." segments, and is its own normal form once it is
 * encoded again. */
#include <assert.h>

#include "authz/path.h"
#include "base/mem.h"
#include "fuzz.h"

static void check_form(struct str normal)
{
    struct str rest = str_from(normal, 1), segment;
    assert(normal.len > 0 && normal.ptr[0] == '/');
    while (rest.len > 0) {
        str_cut(rest, '/', &segment, &rest);
        assert(segment.len > 0 && !str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
        assert(str_find(segment, ';') == segment.len && str_find(segment, '\\') == segment.len);
    }
    assert(normal.len == 1 || normal.ptr[normal.len - 1] != '/');
}

static void encode(struct buf *out, struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '%' || c == '?' || c == '#')
            buf_printf(out, "%%%02x", (unsigned char)c);
        else
            buf_append_byte(out, c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str raw = str_make((const char *)data, size), normal, again;
    CLEANUP_FREE char *out = mem_alloc(size + 1);
    if (path_normalise_request(raw, out, &normal) != PATH_OK)
        return 0;
    check_form(normal);
    CLEANUP_BUF struct buf encoded = {0};
    encode(&encoded, normal);
    CLEANUP_FREE char *out_again = mem_alloc(encoded.len + 1);
    assert(path_normalise_request(buf_str(&encoded), out_again, &again) == PATH_OK);
    assert(str_eq(normal, again));
    return 0;
}
