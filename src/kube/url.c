#include "kube/url.h"

void kube_url_append(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (is_plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}
