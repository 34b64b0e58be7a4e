/* idempotency.c: the table of answered POSTs. Any loop; a look-up walks the whole table under the
 * lock, which is microseconds and only for requests that carry a key. */
#include "http/idempotency.h"

#include <pthread.h>
#include <sodium.h>

#include "core/err.h"
#include "http/loop.h"

enum entry_state { ENTRY_FREE, ENTRY_PENDING, ENTRY_DONE };

struct entry {
    enum entry_state state;
    uint64_t generation;
    uint64_t begun_ms;
    struct id owner;
    struct hash request;
    uint16_t status;
    uint16_t key_len, body_len;
    uint8_t key[IDEMPOTENCY_KEY_MAX];
    uint8_t body[IDEMPOTENCY_BODY_MAX];
};

struct idempotency {
    pthread_mutex_t lock;
    uint64_t generation;
    struct entry *entries; /* sodium_malloc, made at the first use */
};

struct idempotency *
idempotency_new(void)
{
    struct idempotency *t = calloc(1, sizeof(*t));

    if (t != NULL)
        INVARIANT(pthread_mutex_init(&t->lock, NULL) == 0);
    return t;
}

void
idempotency_free(struct idempotency *t)
{
    if (t == NULL)
        return;
    sodium_free(t->entries);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

bool
idempotency_key_valid(struct span key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] <= 0x20 || key.ptr[i] >= 0x7f)
            return false;
    return key.len >= 1 && key.len <= IDEMPOTENCY_KEY_MAX;
}

static bool
entry_is(const struct entry *e, const struct id *owner, struct span key)
{
    return e->state != ENTRY_FREE && id_equal(&e->owner, owner) && e->key_len == key.len &&
           memcmp(e->key, key.ptr, key.len) == 0;
}

/* The place for a new entry: a free one; the owner's oldest when it has its share; NULL: none. */
static struct entry *
table_place(struct idempotency *t, const struct id *owner)
{
    struct entry *free_one = NULL, *oldest = NULL;
    uint32_t owned = 0;

    for (uint32_t i = 0; i < IDEMPOTENCY_ENTRIES; i++) {
        struct entry *e = &t->entries[i];

        if (e->state == ENTRY_FREE) {
            free_one = free_one == NULL ? e : free_one;
            continue;
        }
        if (!id_equal(&e->owner, owner))
            continue;
        owned++;
        if (e->state == ENTRY_DONE && (oldest == NULL || e->begun_ms < oldest->begun_ms))
            oldest = e;
    }
    return owned >= IDEMPOTENCY_PER_OWNER || free_one == NULL ? oldest : free_one;
}

static bool
entry_is_over(const struct entry *e, uint64_t now_ms)
{
    return loop_since_ms(e->begun_ms, now_ms) >= IDEMPOTENCY_MS;
}

static void
table_expire(struct idempotency *t, uint64_t now_ms)
{
    for (uint32_t i = 0; i < IDEMPOTENCY_ENTRIES; i++)
        if (t->entries[i].state != ENTRY_FREE && entry_is_over(&t->entries[i], now_ms))
            sodium_memzero(&t->entries[i], sizeof(t->entries[i]));
}

static bool
table_ready(struct idempotency *t)
{
    size_t size = IDEMPOTENCY_ENTRIES * sizeof(struct entry);

    if (t->entries == NULL && (t->entries = sodium_malloc(size)) != NULL)
        memset(t->entries, 0, size);
    return t->entries != NULL;
}

static enum idempotency_found
table_begin(struct idempotency *t, const struct id *owner, struct span key,
    const struct hash *request, uint64_t now_ms, struct idempotency_claim *claim)
{
    struct entry *e = NULL;

    table_expire(t, now_ms);
    for (uint32_t i = 0; i < IDEMPOTENCY_ENTRIES && e == NULL; i++)
        if (entry_is(&t->entries[i], owner, key))
            e = &t->entries[i];
    if (e != NULL) {
        *claim = (struct idempotency_claim){(uint32_t)(e - t->entries), e->generation};
        if (!hash_equal(&e->request, request))
            return IDEMPOTENCY_OTHER;
        return e->state == ENTRY_DONE ? IDEMPOTENCY_REPLAY : IDEMPOTENCY_PENDING;
    }
    if ((e = table_place(t, owner)) == NULL)
        return IDEMPOTENCY_FULL;
    sodium_memzero(e, sizeof(*e));
    e->state = ENTRY_PENDING;
    e->generation = ++t->generation;
    e->begun_ms = now_ms;
    e->owner = *owner;
    e->request = *request;
    e->key_len = (uint16_t)key.len;
    memcpy(e->key, key.ptr, key.len);
    *claim = (struct idempotency_claim){(uint32_t)(e - t->entries), e->generation};
    return IDEMPOTENCY_FRESH;
}

enum idempotency_found
idempotency_begin(struct idempotency *t, const struct id *owner, struct span key,
    const struct hash *request, uint64_t now_ms, struct idempotency_claim *claim)
{
    enum idempotency_found found = IDEMPOTENCY_FULL;

    INVARIANT(idempotency_key_valid(key));
    *claim = (struct idempotency_claim){0};
    pthread_mutex_lock(&t->lock);
    if (table_ready(t))
        found = table_begin(t, owner, key, request, now_ms, claim);
    pthread_mutex_unlock(&t->lock);
    return found;
}

/* Locked. NULL: ended meanwhile. */
static struct entry *
table_claimed(struct idempotency *t, const struct idempotency_claim *claim)
{
    struct entry *e;

    if (claim->generation == 0 || t->entries == NULL)
        return NULL;
    e = &t->entries[claim->slot];
    return e->generation == claim->generation ? e : NULL;
}

void
idempotency_finish(
    struct idempotency *t, const struct idempotency_claim *claim, uint16_t status, struct span body)
{
    struct entry *e;

    pthread_mutex_lock(&t->lock);
    e = table_claimed(t, claim);
    if (e != NULL && body.len > IDEMPOTENCY_BODY_MAX) {
        sodium_memzero(e, sizeof(*e));
    } else if (e != NULL) {
        e->state = ENTRY_DONE;
        e->status = status;
        e->body_len = (uint16_t)body.len;
        if (body.len > 0)
            memcpy(e->body, body.ptr, body.len);
    }
    pthread_mutex_unlock(&t->lock);
}

void
idempotency_release(struct idempotency *t, const struct idempotency_claim *claim)
{
    struct entry *e;

    pthread_mutex_lock(&t->lock);
    if ((e = table_claimed(t, claim)) != NULL)
        sodium_memzero(e, sizeof(*e));
    pthread_mutex_unlock(&t->lock);
}

bool
idempotency_answer(struct idempotency *t, const struct idempotency_claim *claim, uint64_t now_ms,
    uint16_t *status, uint8_t body[IDEMPOTENCY_BODY_MAX], size_t *len)
{
    struct entry *e;

    pthread_mutex_lock(&t->lock);
    e = table_claimed(t, claim);
    if (e != NULL && (e->state != ENTRY_DONE || entry_is_over(e, now_ms)))
        e = NULL;
    if (e != NULL) {
        *status = e->status;
        *len = e->body_len;
        memcpy(body, e->body, e->body_len);
    }
    pthread_mutex_unlock(&t->lock);
    return e != NULL;
}
