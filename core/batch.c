/* batch.c: a group commit in the making. Owned by one thread at a time. */
#include "core/ports.h"

#include <sodium.h>

struct batch *
batch_new(uint64_t first_seq, uint32_t key_epoch)
{
    struct batch *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return NULL;
    b->first_seq = first_seq;
    b->key_epoch = key_epoch;
    b->cap = 64;
    b->bytes_cap = 64 * 512;
    b->offset = calloc((size_t)b->cap + 1, sizeof(*b->offset));
    b->bytes = malloc(b->bytes_cap);
    if (b->offset == NULL || b->bytes == NULL) {
        batch_free(b);
        return NULL;
    }
    return b;
}

void
batch_free(struct batch *b)
{
    if (b == NULL)
        return;
    if (b->secrets != NULL)
        sodium_memzero(b->secrets, b->secret_cap * sizeof(*b->secrets));
    free(b->secrets);
    free(b->offset);
    free(b->bytes);
    free(b);
}

static enum err
batch_grow(struct batch *b, size_t more)
{
    if (b->count == b->cap) {
        uint32_t *offset = realloc(b->offset, ((size_t)b->cap * 2 + 1) * sizeof(*offset));

        if (offset == NULL)
            return ERR_MEMORY;
        b->offset = offset;
        b->cap *= 2;
    }
    if (more > b->bytes_cap - b->bytes_len) {
        size_t cap = b->bytes_cap * 2 + more;
        uint8_t *bytes = realloc(b->bytes, cap);

        if (bytes == NULL)
            return ERR_MEMORY;
        b->bytes = bytes;
        b->bytes_cap = cap;
    }
    return OK;
}

enum err
batch_add(struct batch *b, struct span body)
{
    enum err err = batch_grow(b, body.len);

    if (err != OK)
        return err;
    memcpy(b->bytes + b->bytes_len, body.ptr, body.len);
    b->bytes_len += body.len;
    b->count++;
    b->offset[b->count] = (uint32_t)b->bytes_len;
    return OK;
}

enum err
batch_add_secret(struct batch *b, const struct batch_secret *secret)
{
    if (b->secret_count == b->secret_cap) {
        uint32_t cap = b->secret_cap == 0 ? 4 : b->secret_cap * 2;
        struct batch_secret *secrets = calloc(cap, sizeof(*secrets));

        if (secrets == NULL)
            return ERR_MEMORY;
        if (b->secret_count > 0) {
            memcpy(secrets, b->secrets, b->secret_count * sizeof(*secrets));
            sodium_memzero(b->secrets, b->secret_cap * sizeof(*secrets));
        }
        free(b->secrets);
        b->secrets = secrets;
        b->secret_cap = cap;
    }
    b->secrets[b->secret_count++] = *secret;
    return OK;
}
