#include "base/map.h"
#include "model/doc.h"

/* Seven bits a byte, the lowest first; the last byte has the highest bit clear. */
static void append_size(struct buf *out, size_t size)
{
    for (; size >= 0x80; size >>= 7)
        buf_append_byte(out, (char)(0x80 | (size & 0x7f)));
    buf_append_byte(out, (char)size);
}

static void append_text(struct buf *out, struct str text)
{
    append_size(out, text.len);
    buf_append_str(out, text);
}

/* The tree as one text that no other tree has: lengths before all strings, counts before all children. */
static void flatten(struct buf *out, const struct doc_node *node)
{
    buf_append_byte(out, (char)node->type);
    append_text(out, node->text);
    append_size(out, node->count);
    for (size_t i = 0; i < node->count; i++) {
        if (node->type == DOC_MAP)
            append_text(out, node->keys[i]);
        flatten(out, node->items[i]);
    }
}

uint64_t doc_digest(const struct doc_node *node)
{
    CLEANUP_BUF struct buf flat = {0};
    flatten(&flat, node);
    return map_hash(buf_str(&flat));
}
