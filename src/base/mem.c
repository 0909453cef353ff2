#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *check(void *ptr)
{
    if (ptr == NULL) {
        static const char message[] = "out of memory\n";
        ssize_t ignored = write(STDERR_FILENO, message, sizeof(message) - 1);
        (void)ignored;
        abort();
    }
    return ptr;
}

void *mem_alloc(size_t size)
{
    return check(malloc(size > 0 ? size : 1));
}

void *mem_zalloc(size_t size)
{
    return check(calloc(1, size > 0 ? size : 1));
}

void *mem_realloc(void *ptr, size_t size)
{
    return check(realloc(ptr, size > 0 ? size : 1));
}

void *mem_realloc_array(void *ptr, size_t count, size_t size)
{
    return check(reallocarray(ptr, count > 0 ? count : 1, size));
}

char *mem_strndup(struct str s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

void buf_grow(struct buf *b, size_t len)
{
    size_t capacity = b->capacity > 0 ? b->capacity : 64;
    while (capacity - b->len < len)
        capacity *= 2;
    b->data = mem_realloc(b->data, capacity);
    b->capacity = capacity;
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        char *place = buf_reserve(b, (size_t)len + 1);
        vsnprintf(place, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b)
{
    if (b->capacity > 0)
        explicit_bzero(b->data, b->capacity);
    buf_free(b);
}

/* Small chunks first, so that an arena of a few strings stays small; then each adds half of what there is, so that at most a
 * third lies idle. */
enum { ARENA_FIRST = 256, ARENA_LARGEST = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes of data */
    size_t used;
    size_t total; /* bytes of data of this chunk and of all that are older */
    _Alignas(max_align_t) char data[];
};

static struct arena_chunk *new_chunk(size_t size, size_t total, struct arena_chunk *next)
{
    struct arena_chunk *chunk =
        size <= SIZE_MAX - sizeof(*chunk) ? mem_alloc(sizeof(*chunk) + size) : check(NULL);
    *chunk = (struct arena_chunk){.next = next, .size = size, .total = total + size};
    return chunk;
}

/* A chunk with room for `size` more bytes, that begin at chunk->used. What is larger than a new chunk would be gets one of
 * its own behind the newest, which goes on being filled. */
static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
    struct arena_chunk *newest = a->chunks;
    size_t total = newest != NULL ? newest->total : 0, wanted = total / 2;
    if (wanted < ARENA_FIRST)
        wanted = ARENA_FIRST;
    if (wanted > ARENA_LARGEST)
        wanted = ARENA_LARGEST;
    if (newest == NULL || size <= wanted)
        return a->chunks = new_chunk(size > wanted ? size : wanted, total, newest);
    newest->total += size;
    newest->next = new_chunk(size, total - newest->size, newest->next);
    return newest->next;
}

/* `align`: a power of two. */
static void *alloc(struct arena *a, size_t size, size_t align)
{
    struct arena_chunk *chunk = a->chunks;
    size_t start = chunk != NULL ? (chunk->used + align - 1) & ~(align - 1) : 0;
    if (chunk == NULL || start > chunk->size || chunk->size - start < size) {
        chunk = add_chunk(a, size);
        start = 0;
    }
    chunk->used = start + size;
    return memset(chunk->data + start, 0, size);
}

void *arena_alloc(struct arena *a, size_t size)
{
    return alloc(a, size, _Alignof(max_align_t));
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        check(NULL);
    return arena_alloc(a, total);
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *place = alloc(a, s.len + 1, 1);
    if (s.len > 0)
        memcpy(place, s.ptr, s.len);
    return str_make(place, s.len);
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    size_t size = len > 0 ? (size_t)len : 0;
    char *place = alloc(a, size + 1, 1);
    vsnprintf(place, size + 1, format, again);
    va_end(again);
    va_end(args);
    return str_make(place, size);
}

void arena_adopt(struct arena *to, struct arena *from)
{
    struct arena_chunk *newest = to->chunks, *oldest = from->chunks;
    if (newest == NULL || oldest == NULL) {
        to->chunks = newest != NULL ? newest : oldest;
        from->chunks = NULL;
        return;
    }
    /* Behind the newest chunk, which goes on being filled. */
    newest->total += from->chunks->total;
    while (oldest->next != NULL)
        oldest = oldest->next;
    oldest->next = newest->next;
    newest->next = from->chunks;
    from->chunks = NULL;
}

void arena_free(struct arena *a)
{
    struct arena_chunk *chunk = a->chunks;
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    a->chunks = NULL;
}

void arena_wipe(struct arena *a)
{
    for (struct arena_chunk *chunk = a->chunks; chunk != NULL; chunk = chunk->next)
        explicit_bzero(chunk->data, chunk->size);
    arena_free(a);
}

void mem_cleanup_free(void *ptr)
{
    free(*(void **)ptr);
}

// NOLINTNEXTLINE(readability-non-const-parameter): the attribute wants it so
void mem_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
