/* Bytes that several owners share; they are freed with the last of these. Threads: one.
 */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include <stdlib.h>

#include "base/mem.h"

struct blob {
    uint32_t refs;
    size_t len;
    char bytes[];
};

/* A copy, with one reference. */
static inline struct blob *blob_new(struct str bytes)
{
    struct blob *blob = mem_alloc(sizeof(*blob) + bytes.len);
    blob->refs = 1;
    blob->len = bytes.len;
    if (bytes.len > 0)
        memcpy(blob->bytes, bytes.ptr, bytes.len);
    return blob;
}

static inline struct blob *blob_ref(struct blob *blob)
{
    blob->refs++;
    return blob;
}

/* NULL is fine. */
static inline void blob_unref(struct blob *blob)
{
    if (blob != NULL && --blob->refs == 0)
        free(blob);
}

static inline struct str blob_str(const struct blob *blob)
{
    return str_make(blob->bytes, blob->len);
}

#endif
