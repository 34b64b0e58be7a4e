/* keystore.c: the slots file. Never keeps a secret in memory of its own, never moves a live slot,
 * and clears a slot before it is used again. Any thread; one lock.
 *
 * Slot (512 bytes, one sector on most disks; numbers big-endian):
 *   0 magic "GHS1"   4 kind u8   5 len u8   6 zero u16   8 version u64   16 id[16]
 *   32 bytes[192]    224 zero[272]          496 checksum[16] = BLAKE2b-128 of what is before it
 * An empty slot is all zeros. A slot that is neither is torn: it was being written when the power
 * went, so nothing acknowledged can rest on it. */
#include "store/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT         KEYSTORE_SLOT_BYTES
#define SLOT_SUM_AT  496
#define SLOT_SUM     16
#define SLOTS_GROW   128 /* the file grows by 64 KiB */
#define KEYSTORE_MAX (4U << 20)

static const char magic[4] = {'G', 'H', 'S', '1'};

/* What is in a slot, without the secret. */
struct slot {
    uint8_t kind; /* 0: empty */
    struct id id;
    uint64_t version;
    uint32_t next; /* in its bucket, or in the list of empty ones; slot number + 1 */
};

struct keystore {
    pthread_mutex_t lock;
    int fd;
    struct slot *slots;
    uint32_t count;    /* slots in the file */
    uint32_t *buckets; /* slot number + 1 */
    uint32_t bucket_count;
    uint32_t empty; /* head of the list of empty slots; slot number + 1 */
    uint64_t used, damaged;
    uint8_t hash_key[crypto_shorthash_KEYBYTES];
    uint8_t *buffer; /* one slot, guarded */
};

static uint32_t *
bucket_of(struct keystore *ks, uint8_t kind, const struct id *id)
{
    uint8_t key[1 + ID_BYTES];
    uint64_t h;

    key[0] = kind;
    memcpy(key + 1, id->b, ID_BYTES);
    crypto_shorthash((uint8_t *)&h, key, sizeof(key), ks->hash_key);
    return &ks->buckets[h & (ks->bucket_count - 1)];
}

static void
link_used(struct keystore *ks, uint32_t n)
{
    uint32_t *bucket = bucket_of(ks, ks->slots[n].kind, &ks->slots[n].id);

    ks->slots[n].next = *bucket;
    *bucket = n + 1;
    ks->used++;
}

static void
link_empty(struct keystore *ks, uint32_t n)
{
    ks->slots[n] = (struct slot){.next = ks->empty};
    ks->empty = n + 1;
}

static void
unlink_used(struct keystore *ks, uint32_t n)
{
    uint32_t *at = bucket_of(ks, ks->slots[n].kind, &ks->slots[n].id);

    while (*at != n + 1)
        at = &ks->slots[*at - 1].next;
    *at = ks->slots[n].next;
    ks->used--;
}

/* Room in memory for `count` slots; everything is linked anew. */
static enum err
resize(struct keystore *ks, uint32_t count)
{
    uint32_t buckets = 256;
    struct slot *slots;
    uint32_t *table;

    if (count > KEYSTORE_MAX)
        return ERR_LIMIT;
    while (buckets < count)
        buckets *= 2;
    table = calloc(buckets, sizeof(*table));
    slots = table == NULL ? NULL : reallocarray(ks->slots, count, sizeof(*slots));
    if (slots == NULL) {
        free(table);
        return ERR_MEMORY;
    }
    memset(slots + ks->count, 0, (count - ks->count) * sizeof(*slots));
    free(ks->buckets);
    ks->slots = slots;
    ks->buckets = table;
    ks->bucket_count = buckets;
    ks->count = count;
    ks->empty = 0;
    ks->used = 0;
    for (uint32_t n = count; n-- > 0;) {
        if (slots[n].kind != 0)
            link_used(ks, n);
        else
            link_empty(ks, n);
    }
    return OK;
}

static bool
slot_write(struct keystore *ks, uint32_t n)
{
    for (size_t at = 0; at < SLOT;) {
        ssize_t put = pwrite(ks->fd, ks->buffer + at, SLOT - at, (off_t)n * SLOT + (off_t)at);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += (size_t)put;
    }
    return true;
}

static bool
slot_read(struct keystore *ks, uint32_t n)
{
    for (size_t at = 0; at < SLOT;) {
        ssize_t got = pread(ks->fd, ks->buffer + at, SLOT - at, (off_t)n * SLOT + (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO; /* the file shrank under us */
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool
slot_clear(struct keystore *ks, uint32_t n)
{
    sodium_memzero(ks->buffer, SLOT);
    return slot_write(ks, n);
}

static void
slot_sum(const uint8_t *slot, uint8_t out[SLOT_SUM])
{
    crypto_generichash(out, SLOT_SUM, slot, SLOT_SUM_AT, NULL, 0);
}

static void
slot_encode(uint8_t *slot, const struct batch_secret *s)
{
    INVARIANT(s->kind > 0 && s->kind <= UINT8_MAX && s->len <= sizeof(s->bytes));
    sodium_memzero(slot, SLOT);
    memcpy(slot, magic, 4);
    slot[4] = (uint8_t)s->kind;
    slot[5] = (uint8_t)s->len;
    for (unsigned i = 0; i < 8; i++)
        slot[8 + i] = (uint8_t)(s->version >> (56 - 8 * i));
    memcpy(slot + 16, s->id.b, ID_BYTES);
    memcpy(slot + 32, s->bytes, s->len);
    slot_sum(slot, slot + SLOT_SUM_AT);
}

static enum err
slot_decode(const uint8_t *slot, struct batch_secret *s)
{
    uint8_t sum[SLOT_SUM];

    memset(s, 0, sizeof(*s));
    if (sodium_is_zero(slot, SLOT))
        return ERR_NOT_FOUND;
    slot_sum(slot, sum);
    if (memcmp(sum, slot + SLOT_SUM_AT, SLOT_SUM) != 0 || memcmp(slot, magic, 4) != 0 ||
        slot[4] == 0 || slot[5] > sizeof(s->bytes))
        return ERR_MISMATCH;
    s->kind = (enum secret_kind)slot[4];
    s->len = slot[5];
    for (unsigned i = 0; i < 8; i++)
        s->version = s->version << 8 | slot[8 + i];
    memcpy(s->id.b, slot + 16, ID_BYTES);
    memcpy(s->bytes, slot + 32, s->len);
    return OK;
}

/* Zeros are written, not just a longer size set, so that a slot's place on the disk is fixed before
 * a secret goes there. */
static enum err
grow(struct keystore *ks)
{
    uint32_t from = ks->count;
    enum err err = resize(ks, from + SLOTS_GROW);

    for (uint32_t n = from; err == OK && n < from + SLOTS_GROW; n++)
        err = slot_clear(ks, n) ? OK : ERR_IO;
    return err;
}

static enum err
load(struct keystore *ks, struct batch_secret *secret, off_t bytes)
{
    uint32_t count = (uint32_t)((bytes + SLOT - 1) / SLOT);
    enum err err = OK;

    /* A file cut inside a slot (the last growth was torn) is filled up first. */
    if (bytes % SLOT != 0 && ftruncate(ks->fd, (off_t)count * SLOT) != 0)
        return ERR_IO;
    if (count == 0)
        return grow(ks);
    if ((err = resize(ks, count)) != OK)
        return err;
    for (uint32_t n = 0; n < count; n++) {
        if (!slot_read(ks, n))
            return ERR_IO;
        err = slot_decode(ks->buffer, secret);
        if (err == ERR_MISMATCH) {
            ks->damaged++;
            if (!slot_clear(ks, n))
                return ERR_IO;
        } else if (err == OK) {
            ks->slots[n].kind = (uint8_t)secret->kind;
            ks->slots[n].id = secret->id;
            ks->slots[n].version = secret->version;
        }
    }
    return resize(ks, count);
}

static enum err
open_file(const struct state *st, struct keystore *ks, off_t *bytes, struct complaint *why)
{
    struct stat sb;
    enum err err = state_file_open(st, "keystore", O_RDWR | O_CREAT, &ks->fd, why);

    if (err != OK)
        return err;
    if (fstat(ks->fd, &sb) != 0 || fsync(st->dir_fd) != 0) {
        complain(why, "cannot look at %s/keystore: %s", st->path, strerror(errno));
        return ERR_IO;
    }
    if (sb.st_size > (off_t)KEYSTORE_MAX * SLOT) {
        complain(why, "%s/keystore is too large to be one: restore it from a backup", st->path);
        return ERR_LIMIT;
    }
    *bytes = sb.st_size;
    return OK;
}

enum err
keystore_open(const struct state *st, struct keystore **out, struct complaint *why)
{
    struct keystore *ks = calloc(1, sizeof(*ks));
    struct batch_secret *secret = NULL;
    off_t bytes = 0;
    enum err err = ERR_MEMORY;

    if (ks == NULL)
        return ERR_MEMORY;
    ks->fd = -1;
    pthread_mutex_init(&ks->lock, NULL);
    crypto_shorthash_keygen(ks->hash_key);
    ks->buffer = sodium_malloc(SLOT);
    secret = sodium_malloc(sizeof(*secret));
    if (ks->buffer == NULL || secret == NULL)
        goto out;
    if ((err = open_file(st, ks, &bytes, why)) != OK)
        goto out;
    if ((err = load(ks, secret, bytes)) == OK && fdatasync(ks->fd) != 0)
        err = ERR_IO;
    if (err != OK)
        complain(why, "cannot take up %s/keystore: %s; check the disk", st->path,
            err == ERR_IO ? strerror(errno) : err_name(err));
out:
    sodium_free(secret);
    if (err == OK)
        *out = ks;
    else
        keystore_close(ks);
    return err;
}

void
keystore_close(struct keystore *ks)
{
    if (ks == NULL)
        return;
    if (ks->fd >= 0)
        close(ks->fd);
    sodium_free(ks->buffer);
    free(ks->slots);
    free(ks->buckets);
    pthread_mutex_destroy(&ks->lock);
    free(ks);
}

/* The first slot of this kind and id (and version, unless any) at or after *at in its bucket. */
static bool
find(struct keystore *ks, const struct batch_secret *s, bool any, uint32_t *n)
{
    uint32_t at = *bucket_of(ks, (uint8_t)s->kind, &s->id);

    for (; at != 0; at = ks->slots[at - 1].next) {
        const struct slot *slot = &ks->slots[at - 1];

        if (slot->kind == (uint8_t)s->kind && id_equal(&slot->id, &s->id) &&
            (any || slot->version == s->version)) {
            *n = at - 1;
            return true;
        }
    }
    return false;
}

static enum err
put(struct keystore *ks, const struct batch_secret *s)
{
    uint32_t n;
    enum err err = OK;

    /* Replacing in place could tear the old and the new: the old one is cleared first, since
     * nothing acknowledged rests on either (a put is only ever repeated before its event). */
    if (find(ks, s, false, &n)) {
        if (!slot_clear(ks, n))
            return ERR_IO;
        unlink_used(ks, n);
        link_empty(ks, n);
    }
    if (ks->empty == 0 && (err = grow(ks)) != OK)
        return err;
    n = ks->empty - 1;
    slot_encode(ks->buffer, s);
    if (!slot_write(ks, n))
        return ERR_IO;
    ks->empty = ks->slots[n].next;
    ks->slots[n].kind = (uint8_t)s->kind;
    ks->slots[n].id = s->id;
    ks->slots[n].version = s->version;
    link_used(ks, n);
    return OK;
}

enum err
keystore_apply(struct keystore *ks, const struct batch_secret *secrets, uint32_t count)
{
    uint32_t stored = 0;
    enum err err = OK;

    pthread_mutex_lock(&ks->lock);
    for (uint32_t i = 0; i < count && err == OK; i++) {
        if (secrets[i].drop)
            continue;
        err = put(ks, &secrets[i]);
        stored++;
    }
    sodium_memzero(ks->buffer, SLOT);
    if (err == OK && stored > 0 && fdatasync(ks->fd) != 0)
        err = ERR_IO;
    pthread_mutex_unlock(&ks->lock);
    return err;
}

enum err
keystore_drop(struct keystore *ks, const struct batch_secret *secrets, uint32_t count)
{
    uint32_t dropped = 0;
    enum err err = OK;
    uint32_t n;

    pthread_mutex_lock(&ks->lock);
    for (uint32_t i = 0; i < count && err == OK; i++) {
        if (!secrets[i].drop)
            continue;
        while (err == OK && find(ks, &secrets[i], secrets[i].version == 0, &n)) {
            if (slot_clear(ks, n)) {
                unlink_used(ks, n);
                link_empty(ks, n);
                dropped++;
            } else {
                err = ERR_IO;
            }
        }
    }
    if (err == OK && dropped > 0 && fdatasync(ks->fd) != 0)
        err = ERR_IO;
    pthread_mutex_unlock(&ks->lock);
    return err;
}

static enum err
each_slot(struct keystore *ks, struct batch_secret *secret,
    bool (*keep)(void *arg, const struct batch_secret *secret), void *arg)
{
    bool dropped = false;

    for (uint32_t n = 0; n < ks->count; n++) {
        if (ks->slots[n].kind == 0)
            continue;
        if (!slot_read(ks, n))
            return ERR_IO;
        if (slot_decode(ks->buffer, secret) != OK)
            return ERR_MISMATCH;
        if (keep(arg, secret))
            continue;
        if (!slot_clear(ks, n))
            return ERR_IO;
        unlink_used(ks, n);
        link_empty(ks, n);
        dropped = true;
    }
    return !dropped || fdatasync(ks->fd) == 0 ? OK : ERR_IO;
}

enum err
keystore_each(
    struct keystore *ks, bool (*keep)(void *arg, const struct batch_secret *secret), void *arg)
{
    struct batch_secret *secret = sodium_malloc(sizeof(*secret));
    enum err err;

    if (secret == NULL)
        return ERR_MEMORY;
    pthread_mutex_lock(&ks->lock);
    err = each_slot(ks, secret, keep, arg);
    sodium_memzero(ks->buffer, SLOT);
    pthread_mutex_unlock(&ks->lock);
    sodium_free(secret);
    return err;
}

uint64_t
keystore_count(struct keystore *ks)
{
    uint64_t count;

    pthread_mutex_lock(&ks->lock);
    count = ks->used;
    pthread_mutex_unlock(&ks->lock);
    return count;
}

uint64_t
keystore_damaged(struct keystore *ks)
{
    return ks->damaged;
}
