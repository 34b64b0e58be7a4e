/* sha.h: SHA-256 by OpenSSL, several times libsodium's speed on CPUs with SHA extensions. For
 * hash_use() (core/hash.h), before any thread starts. */
#ifndef HTTP_SHA_H
#define HTTP_SHA_H

#include "core/err.h"
#include "core/hash.h"

/* Fetches the algorithm once. Call before sha_hash is used. */
enum err sha_init(void) MUST_USE;
void sha_hash(const struct span *parts, size_t count, struct hash *out);

/* SHA-1, for the WebSocket handshake only (RFC 6455 section 1.3): it proves nothing but that we
 * read the request. */
#define SHA_1_BYTES 20
void sha_1(const struct span *parts, size_t count, uint8_t out[SHA_1_BYTES]);

#endif
