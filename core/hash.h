/* hash.h: SHA-256 (FIPS 180-4) behind a port. core stays free of OpenSSL; a program that has a
 * faster implementation hands it in once, before any thread starts. The default is libsodium's. */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/span.h"

#define HASH_BYTES 32

struct hash {
    uint8_t b[HASH_BYTES];
};

/* Hashes the concatenation of `count` parts. */
typedef void (*hash_fn)(const struct span *parts, size_t count, struct hash *out);

void hash_use(hash_fn fn);
void hash_parts(const struct span *parts, size_t count, struct hash *out);
void hash_bytes(struct span bytes, struct hash *out);

static inline bool
hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_BYTES) == 0;
}

#endif
