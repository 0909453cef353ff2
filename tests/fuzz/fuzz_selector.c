/* Any text: parses or is refused; what parses has a normal form that parses to itself and means the same. */
#include <assert.h>

#include "fuzz.h"
#include "selector/selector.h"

/* Every second label is there, so that both ways through a test are taken. */
static bool get_label(const void *ctx, struct str label, struct str *value)
{
    (void)ctx;
    *value = label;
    return label.len % 2 == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf normal = {0};
    CLEANUP_BUF struct buf again = {0};
    struct error err;
    const struct selector_labels labels = {get_label, NULL};
    const struct selector *s =
        selector_parse(&arena, str_make((const char *)data, size), NULL, &err);
    if (s == NULL)
        return 0;
    selector_format(&normal, s);
    const struct selector *t = selector_parse(&arena, buf_str(&normal), NULL, &err);
    /* The normal form puts chains in parentheses, so text at the limit of depth may go over it. */
    if (t == NULL)
        return 0;
    selector_format(&again, t);
    assert(str_eq(buf_str(&normal), buf_str(&again)));
    assert(selector_matches(s, &labels) == selector_matches(t, &labels));
    return 0;
}
