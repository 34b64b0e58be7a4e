/* arena.c: guarded slots. A chunk is one sodium_malloc; free slots are chained through themselves.
 */
#include "core/arena.h"

#include <sodium.h>

#define CHUNK_SLOTS 512

struct chunk {
    uint8_t *slots; /* guarded */
    struct chunk *next;
};

struct arena {
    struct chunk *chunks;
    uint8_t *free;
};

struct arena *
arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

void
arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    while (a->chunks != NULL) {
        struct chunk *next = a->chunks->next;

        sodium_free(a->chunks->slots);
        free(a->chunks);
        a->chunks = next;
    }
    free(a);
}

static bool
arena_grow(struct arena *a)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));

    if (chunk == NULL)
        return false;
    chunk->slots = sodium_malloc((size_t)CHUNK_SLOTS * ARENA_SLOT_BYTES);
    if (chunk->slots == NULL) {
        free(chunk);
        return false;
    }
    chunk->next = a->chunks;
    a->chunks = chunk;
    for (size_t i = 0; i < CHUNK_SLOTS; i++)
        arena_give(a, chunk->slots + i * ARENA_SLOT_BYTES);
    return true;
}

uint8_t *
arena_take(struct arena *a)
{
    uint8_t *slot;

    if (a->free == NULL && !arena_grow(a))
        return NULL;
    slot = a->free;
    memcpy(&a->free, slot, sizeof(a->free));
    sodium_memzero(slot, sizeof(uint8_t *));
    return slot;
}

void
arena_give(struct arena *a, uint8_t *slot)
{
    sodium_memzero(slot, ARENA_SLOT_BYTES);
    memcpy(slot, &a->free, sizeof(a->free));
    a->free = slot;
}
