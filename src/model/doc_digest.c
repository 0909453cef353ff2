#include "base/map.h"
#include "model/doc.h"

/* The tree as one text that no other tree has: lengths before all strings, counts before all children. */
static void flatten(struct buf *out, const struct doc_node *node)
{
    buf_printf(out, "%d,%zu,%zu:", node->type, node->text.len, node->count);
    buf_append_str(out, node->text);
    for (size_t i = 0; i < node->count; i++) {
        if (node->type == DOC_MAP) {
            buf_printf(out, "%zu:", node->keys[i].len);
            buf_append_str(out, node->keys[i]);
        }
        flatten(out, node->items[i]);
    }
}

uint64_t doc_digest(const struct doc_node *node)
{
    CLEANUP_BUF struct buf flat = {0};
    flatten(&flat, node);
    return map_hash(buf_str(&flat));
}
