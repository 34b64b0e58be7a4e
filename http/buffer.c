/* buffer.c: bytes waiting to go out, or for the rest of a message. Owned by one loop's thread. */
#include "http/buffer.h"

#include <sodium.h>

#define BUFFER_LEAST 512

static void
memory_free(struct buffer *buffer)
{
    if (buffer->wipes && buffer->ptr != NULL)
        sodium_memzero(buffer->ptr, buffer->cap);
    free(buffer->ptr);
}

uint8_t *
buffer_room(struct buffer *buffer, size_t more)
{
    size_t len = buffer_len(buffer), cap = buffer->cap;
    uint8_t *fresh;

    if (buffer->ptr != NULL && buffer->cap - buffer->end >= more)
        return buffer->ptr + buffer->end;
    if (more > SIZE_MAX / 4 || len > SIZE_MAX / 4)
        return NULL;
    /* Moving to the front pays only while what moves is small beside what was taken already. */
    if (buffer->ptr != NULL && cap - len >= more && len <= buffer->start) {
        memmove(buffer->ptr, buffer_bytes(buffer), len);
    } else {
        cap = cap < BUFFER_LEAST ? BUFFER_LEAST : cap;
        while (cap - len < more)
            cap = cap < BUFFER_LEAST * 2 && len + more > BUFFER_LEAST ? len + more : cap * 2;
        if ((fresh = malloc(cap)) == NULL)
            return NULL;
        if (len > 0)
            memcpy(fresh, buffer_bytes(buffer), len);
        memory_free(buffer);
        buffer->ptr = fresh;
        buffer->cap = cap;
    }
    buffer->start = 0;
    buffer->end = len;
    return buffer->ptr + len;
}

enum err
buffer_add(struct buffer *buffer, const void *bytes, size_t len)
{
    uint8_t *room;

    if (len == 0)
        return OK;
    if ((room = buffer_room(buffer, len)) == NULL)
        return ERR_MEMORY;
    memcpy(room, bytes, len);
    buffer->end += len;
    return OK;
}

void
buffer_take(struct buffer *buffer, size_t len)
{
    INVARIANT(len <= buffer_len(buffer));
    buffer->start += len;
    if (buffer->start == buffer->end)
        buffer_fini(buffer);
}

void
buffer_fini(struct buffer *buffer)
{
    memory_free(buffer);
    *buffer = (struct buffer){.wipes = buffer->wipes};
}
