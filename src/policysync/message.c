#include "policysync/message.h"

void psync_policy_id_format(struct buf *out, const struct psync_policy_id *id)
{
    if (id->kind.len > 0) {
        buf_append_str(out, id->kind);
        buf_append_byte(out, ' ');
    }
    if (id->namespace.len > 0) {
        buf_append_str(out, id->namespace);
        buf_append_byte(out, '/');
    }
    buf_append_str(out, id->name);
}
