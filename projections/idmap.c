/* idmap.c: linear probing, at most three quarters full, deletion by shifting back (no tombstones,
 * so that a table that is long in use stays as fast as a new one). Any thread that owns the map. */
#include "projections/idmap.h"

#include "core/err.h"

#include <sodium.h>
#include <string.h>

#define IDMAP_CAP_MIN 16

void
idmap_init(struct idmap *t)
{
    memset(t, 0, sizeof(*t));
    randombytes_buf(t->hash_key, sizeof(t->hash_key));
}

void
idmap_fini(struct idmap *t)
{
    free(t->slots);
    memset(t, 0, sizeof(*t));
}

static uint32_t
home(const struct idmap *t, const uint8_t *key)
{
    uint8_t h[crypto_shorthash_BYTES];
    uint32_t n;

    crypto_shorthash(h, key, IDMAP_KEY_BYTES, t->hash_key);
    memcpy(&n, h, sizeof(n));
    return n & (t->cap - 1);
}

/* Where the key is, or the free slot where it would go. */
static uint32_t
seek(const struct idmap *t, const uint8_t *key)
{
    uint32_t i = home(t, key);

    while (t->slots[i].value != NULL && memcmp(t->slots[i].key, key, IDMAP_KEY_BYTES) != 0)
        i = (i + 1) & (t->cap - 1);
    return i;
}

void *
idmap_find(const struct idmap *t, const uint8_t *key)
{
    return t->count == 0 ? NULL : t->slots[seek(t, key)].value;
}

static void
grow(struct idmap *t)
{
    struct idmap_slot *old = t->slots;
    uint32_t old_cap = t->cap;

    INVARIANT(old_cap <= UINT32_MAX / 4);
    t->cap = old_cap == 0 ? IDMAP_CAP_MIN : old_cap * 2;
    t->slots = calloc(t->cap, sizeof(*t->slots));
    INVARIANT(t->slots != NULL);
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].value != NULL)
            t->slots[seek(t, old[i].key)] = old[i];
    free(old);
}

void *
idmap_put(struct idmap *t, const uint8_t *key, void *value)
{
    struct idmap_slot *s;
    void *was;

    INVARIANT(value != NULL);
    if (t->count + 1 > t->cap / 4 * 3)
        grow(t);
    s = &t->slots[seek(t, key)];
    was = s->value;
    if (was == NULL) {
        memcpy(s->key, key, IDMAP_KEY_BYTES);
        t->count++;
    }
    s->value = value;
    return was;
}

void *
idmap_drop(struct idmap *t, const uint8_t *key)
{
    uint32_t mask, hole, i;
    void *was;

    if (t->count == 0)
        return NULL;
    mask = t->cap - 1;
    hole = seek(t, key);
    was = t->slots[hole].value;
    if (was == NULL)
        return NULL;
    t->count--;
    for (i = (hole + 1) & mask; t->slots[i].value != NULL; i = (i + 1) & mask) {
        uint32_t h = home(t, t->slots[i].key);

        if (((i - h) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole: it must stay */
        t->slots[hole] = t->slots[i];
        hole = i;
    }
    t->slots[hole].value = NULL;
    return was;
}

void *
idmap_next(const struct idmap *t, uint32_t *at)
{
    while (*at < t->cap) {
        void *value = t->slots[(*at)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}

void
idmap_fini_all(struct idmap *t)
{
    uint32_t at = 0;

    for (void *value; (value = idmap_next(t, &at)) != NULL;)
        free(value);
    idmap_fini(t);
}
