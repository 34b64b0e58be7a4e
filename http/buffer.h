/* buffer.h: a growing run of bytes, taken from the front and added at the back. Holds no memory
 * while empty (idle connections cost nothing here). Owned by one loop's thread. */
#ifndef HTTP_BUFFER_H
#define HTTP_BUFFER_H

#include "core/err.h"
#include "core/span.h"

struct buffer {
    uint8_t *ptr;
    size_t start, end, cap; /* the bytes are ptr[start..end) */
    bool wipes;             /* may hold passwords and tokens: nothing is left in freed memory */
};

static inline size_t
buffer_len(const struct buffer *buffer)
{
    return buffer->end - buffer->start;
}

static inline uint8_t *
buffer_bytes(const struct buffer *buffer)
{
    return buffer->ptr + buffer->start;
}

/* Room for `more` bytes at the end, to be written at the returned place and then claimed by adding
 * to end. NULL: no memory; nothing has changed. */
uint8_t *buffer_room(struct buffer *buffer, size_t more) MUST_USE;
enum err buffer_add(struct buffer *buffer, const void *bytes, size_t len) MUST_USE;
/* Forgets `len` bytes at the front; the memory goes with the last one. */
void buffer_take(struct buffer *buffer, size_t len);
void buffer_fini(struct buffer *buffer);

#endif
