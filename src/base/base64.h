/* Base64 (RFC 4648, section 4): strict, with padding; line breaks are passed over, as they stand in files.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/mem.h"

/* Appends the bytes; false if the text is not base64. */
bool base64_decode(struct buf *out, struct str text);

#endif
