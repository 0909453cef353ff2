/* Base64 (RFC 4648, section 4), with padding. Reading is strict, but for line breaks, which are passed over, as they stand in files.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/mem.h"

/* Appends the bytes; false if the text is not base64. */
bool base64_decode(struct buf *out, struct str text);

/* Appends the text of bytes, in one line. */
void base64_encode(struct buf *out, struct str bytes);

#endif
