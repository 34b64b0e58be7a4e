/* sha.c: SHA-256 by OpenSSL behind core's hash port. Any thread; one context per thread, freed with
 * it. Out of memory is an INVARIANT here: a hash that cannot be made leaves nothing true to say. */
#include "http/sha.h"

#include <openssl/evp.h>
#include <pthread.h>

static EVP_MD *sha256;
static pthread_key_t context_key;

static void
context_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

enum err
sha_init(void)
{
    if (sha256 != NULL)
        return OK;
    if (pthread_key_create(&context_key, context_free) != 0)
        return ERR_MEMORY;
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return sha256 != NULL ? OK : ERR_NOT_FOUND;
}

void
sha_hash(const struct span *parts, size_t count, struct hash *out)
{
    EVP_MD_CTX *ctx = pthread_getspecific(context_key);
    bool done;

    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();
        INVARIANT(ctx != NULL && pthread_setspecific(context_key, ctx) == 0);
    }
    done = EVP_DigestInit_ex2(ctx, sha256, NULL) == 1;
    for (size_t i = 0; i < count; i++)
        done = done && EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    INVARIANT(done && EVP_DigestFinal_ex(ctx, out->b, NULL) == 1);
}

void
sha_1(const struct span *parts, size_t count, uint8_t out[SHA_1_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

    for (size_t i = 0; i < count; i++)
        done = done && EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    INVARIANT(done && EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}
