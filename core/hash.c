/* hash.c: the SHA-256 port and its default. Pure; any thread, once hash_use was called (if at all).
 */
#include "core/hash.h"

#include <sodium.h>

static void
hash_sodium(const struct span *parts, size_t count, struct hash *out)
{
    crypto_hash_sha256_state st;

    crypto_hash_sha256_init(&st);
    for (size_t i = 0; i < count; i++)
        crypto_hash_sha256_update(&st, parts[i].ptr, parts[i].len);
    crypto_hash_sha256_final(&st, out->b);
}

static hash_fn current = hash_sodium;

void
hash_use(hash_fn fn)
{
    current = fn;
}

void
hash_parts(const struct span *parts, size_t count, struct hash *out)
{
    current(parts, count, out);
}

void
hash_bytes(struct span bytes, struct hash *out)
{
    current(&bytes, 1, out);
}
