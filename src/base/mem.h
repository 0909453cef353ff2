/* Memory: allocation that cannot fail, buffers that grow, arenas.
 *
 * Running out of memory ends the process with a message: a policy engine that goes on without its
 * policy is worse than one that is restarted, and Envoy refuses while it is away.
 *
 * Threads: none of these may be shared between threads without a lock.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

/* malloc, calloc, realloc that never return NULL. Freed with free(). */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *ptr, size_t size);
/* count * size bytes; ends the process on overflow. */
void *mem_realloc_array(void *ptr, size_t count, size_t size);
char *mem_strndup(struct str s);

/* Makes room for one more element in an array that doubles: `array` (T *), `count` and `capacity`
 * (size_t) are lvalues; the new place is array[count]. */
#define MEM_GROW(array, count, capacity)                                                           \
    do {                                                                                           \
        if ((count) == (capacity)) {                                                               \
            (capacity) = (capacity) > 0 ? (capacity)*2 : 8;                                        \
            (array) = mem_realloc_array((array), (capacity), sizeof(*(array)));                    \
        }                                                                                          \
    } while (0)

/* A buffer of bytes that grows. {0} is empty and valid. */
struct buf {
    char *data;
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes allocated */
};

void buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0), nonnull(2)));
/* Makes the buffer at least `len` bytes larger than its contents. */
void buf_grow(struct buf *b, size_t len);

/* Room for `len` more bytes; the caller writes them at the returned place and adds to b->len. */
static inline char *buf_reserve(struct buf *b, size_t len)
{
    if (b->capacity - b->len < len)
        buf_grow(b, len);
    return b->data + b->len;
}

static inline void buf_append(struct buf *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(buf_reserve(b, len), data, len);
    b->len += len;
}

static inline void buf_append_str(struct buf *b, struct str s)
{
    buf_append(b, s.ptr, s.len);
}

static inline void buf_append_byte(struct buf *b, char byte)
{
    *buf_reserve(b, 1) = byte;
    b->len++;
}

void buf_free(struct buf *b);
/* For secrets, which must not stay in memory that others get. What the buffer held before it grew is not reached. */
void buf_wipe(struct buf *b);

static inline struct str buf_str(const struct buf *b)
{
    return str_make(b->data, b->len);
}

/* An arena: what is allocated from it lives until the arena is freed, all at once. {0} is
 * empty and valid, and so is an arena that was freed. */
struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
};

/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size);
/* count * size, checked. */
void *arena_array(struct arena *a, size_t count, size_t size);
/* A copy of the bytes of s, with a NUL behind them that does not count. Strings lie close together: only what arena_alloc
 * and arena_array return is aligned. */
struct str arena_copy(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3), nonnull(2)));
/* Makes what was allocated from `from` live as long as what `to` has; `from` is empty then. */
void arena_adopt(struct arena *to, struct arena *from);
void arena_free(struct arena *a);
/* As buf_wipe, of all that it holds. */
void arena_wipe(struct arena *a);

/* Cleanup attributes: the variable is released when it leaves scope. */
void mem_cleanup_free(void *ptr);
void mem_cleanup_close(int *fd);
#define CLEANUP_FREE  __attribute__((cleanup(mem_cleanup_free)))
#define CLEANUP_CLOSE __attribute__((cleanup(mem_cleanup_close)))
#define CLEANUP_BUF   __attribute__((cleanup(buf_free)))
#define CLEANUP_ARENA __attribute__((cleanup(arena_free)))
#define WIPE_BUF      __attribute__((cleanup(buf_wipe)))
#define WIPE_ARENA    __attribute__((cleanup(arena_wipe)))

#endif
