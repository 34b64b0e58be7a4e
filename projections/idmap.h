/* idmap.h: a map from 16-byte keys (ids, tags) to pointers. Open addressing under SipHash with a
 * random key, so that nobody outside can choose keys that collide. The order of a walk is therefore
 * random too: nothing that is decided or digested may depend on it.
 * Values belong to the caller. No memory: INVARIANT (a fold has no error path). */
#ifndef PROJECTIONS_IDMAP_H
#define PROJECTIONS_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDMAP_KEY_BYTES 16

struct idmap_slot {
    uint8_t key[IDMAP_KEY_BYTES];
    void *value; /* NULL: free */
};

struct idmap {
    struct idmap_slot *slots;
    uint32_t cap; /* 0 or a power of two */
    uint32_t count;
    uint8_t hash_key[16];
};

void idmap_init(struct idmap *t);
void idmap_fini(struct idmap *t); /* not the values */
void *idmap_find(const struct idmap *t, const uint8_t *key);
void idmap_fini_all(struct idmap *t); /* frees the values too */
/* Adds, or replaces; returns the value that was replaced, or NULL. */
void *idmap_put(struct idmap *t, const uint8_t *key, void *value);
void *idmap_drop(struct idmap *t, const uint8_t *key); /* the value that was there, or NULL */
/* *at from 0; NULL at the end. Neither put nor drop while walking. */
void *idmap_next(const struct idmap *t, uint32_t *at);

#endif
