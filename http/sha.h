/* sha.h: SHA-256 by OpenSSL, several times libsodium's speed on CPUs with SHA extensions. For
 * hash_use() (core/hash.h), before any thread starts. */
#ifndef HTTP_SHA_H
#define HTTP_SHA_H

#include "core/err.h"
#include "core/hash.h"

/* Fetches the algorithm once. Call before sha_hash is used. */
enum err sha_init(void) MUST_USE;
void sha_hash(const struct span *parts, size_t count, struct hash *out);

#endif
