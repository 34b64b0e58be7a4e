/* keyring.c: subject keys in guarded memory behind a read-write lock. Any thread. */
#include "core/keyring.h"

#include <pthread.h>
#include <sodium.h>
#include <uthash.h>

#include "core/arena.h"
#include "core/seal.h"

struct key_entry {
    struct id key_id;
    uint8_t *key; /* arena slot */
    UT_hash_handle hh;
};

struct keyring {
    pthread_rwlock_t lock;
    struct arena *arena;
    struct key_entry *by_id;
    char origin[ORIGIN_BYTES_MAX + 1];
};

struct keyring *
keyring_new(const char *origin)
{
    struct keyring *k = calloc(1, sizeof(*k));

    if (k == NULL)
        return NULL;
    if ((k->arena = arena_new()) == NULL) {
        free(k);
        return NULL;
    }
    INVARIANT(strlen(origin) <= ORIGIN_BYTES_MAX);
    memcpy(k->origin, origin, strlen(origin) + 1);
    INVARIANT(pthread_rwlock_init(&k->lock, NULL) == 0);
    return k;
}

void
keyring_free(struct keyring *k)
{
    struct key_entry *e, *next;

    if (k == NULL)
        return;
    HASH_ITER (hh, k->by_id, e, next) {
        HASH_DEL(k->by_id, e);
        free(e);
    }
    arena_free(k->arena);
    pthread_rwlock_destroy(&k->lock);
    free(k);
}

static struct key_entry *
keyring_find(struct keyring *k, const struct id *key_id)
{
    struct key_entry *e;

    HASH_FIND(hh, k->by_id, key_id->b, ID_BYTES, e);
    return e;
}

bool
keyring_get(struct keyring *k, const struct id *key_id, uint8_t out[32])
{
    struct key_entry *e;

    pthread_rwlock_rdlock(&k->lock);
    if ((e = keyring_find(k, key_id)) != NULL)
        memcpy(out, e->key, SEAL_KEY_BYTES);
    pthread_rwlock_unlock(&k->lock);
    return e != NULL;
}

bool
keyring_has(struct keyring *k, const struct id *key_id)
{
    bool has;

    pthread_rwlock_rdlock(&k->lock);
    has = keyring_find(k, key_id) != NULL;
    pthread_rwlock_unlock(&k->lock);
    return has;
}

enum err
keyring_put(struct keyring *k, const struct id *key_id, const uint8_t key[32])
{
    struct key_entry *e = calloc(1, sizeof(*e));
    enum err err = OK;

    if (e == NULL)
        return ERR_MEMORY;
    pthread_rwlock_wrlock(&k->lock);
    if (keyring_find(k, key_id) != NULL)
        err = ERR_EXISTS;
    else if ((e->key = arena_take(k->arena)) == NULL)
        err = ERR_MEMORY;
    else {
        e->key_id = *key_id;
        memcpy(e->key, key, SEAL_KEY_BYTES);
        HASH_ADD(hh, k->by_id, key_id, ID_BYTES, e);
    }
    pthread_rwlock_unlock(&k->lock);
    if (err != OK)
        free(e);
    return err;
}

void
keyring_drop(struct keyring *k, const struct id *key_id)
{
    struct key_entry *e;

    pthread_rwlock_wrlock(&k->lock);
    if ((e = keyring_find(k, key_id)) != NULL) {
        HASH_DEL(k->by_id, e);
        arena_give(k->arena, e->key);
        free(e);
    }
    pthread_rwlock_unlock(&k->lock);
}

static enum err
keyring_open(void *ctx, const struct event *ev, const struct sealed_box *box, uint8_t *out,
    size_t cap, size_t *len)
{
    struct keyring *k = ctx;
    uint8_t key[SEAL_KEY_BYTES];
    enum err err;

    if (!keyring_get(k, &box->key_id, key))
        return ERR_NOT_FOUND;
    err = seal_open(k->origin, &ev->id, key, box->nonce, box->ciphertext, out, cap, len);
    sodium_memzero(key, sizeof(key));
    return err;
}

struct opener_port
keyring_opener(struct keyring *k)
{
    return (struct opener_port){.ctx = k, .open = keyring_open};
}
