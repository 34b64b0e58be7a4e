/* arena.h: guarded memory for secrets that come in numbers. sodium_malloc fails near its 16,000th
 * allocation, so slots of one size share guarded chunks: locked, left out of dumps, wiped when
 * given back. One owner at a time; lock around it when threads share. */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/err.h"
#include "core/span.h"

#define ARENA_SLOT_BYTES 192

struct arena;

struct arena *arena_new(void); /* NULL: no memory */
void arena_free(struct arena *a);
/* A zeroed slot, or NULL without memory. */
uint8_t *arena_take(struct arena *a);
void arena_give(struct arena *a, uint8_t *slot);

#endif
