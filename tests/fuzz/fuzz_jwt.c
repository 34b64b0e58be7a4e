/* fuzz_jwt.c: tokens from strangers, and payloads with a right MAC (what a thief of the secret
 * could send). Nothing but a whole, current, well-typed token is ever fine. */
#include "http/jwt.h"

#include <sodium.h>
#include <stdlib.h>

#define SECRET "4pQmZ7vL2xRk9sTnW3bHc8YdJf6GaEu1oXiVrKq5NyMwPzBtUgSjDhClFeA0_-Q7kRz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jwt_keys *keys;
static char good[JWT_BYTES_MAX];
static size_t good_len, header_len;

static void
prepare(void)
{
    struct jwt_claims claims = {.issued_s = 1000, .expires_s = 1900};

    if (keys != NULL)
        return;
    INVARIANT(jwt_keys_new(span_str(SECRET), span_of(NULL, 0), 0, "gatehouse.fuzz", &keys) == OK);
    INVARIANT(jwt_issue(keys, &claims, good, &good_len) == OK);
    header_len = (size_t)(strchr(good, '.') - good) + 1;
}

/* Our header, the input as payload, a right MAC. */
static void
signed_payload(struct span payload)
{
    char token[JWT_BYTES_MAX * 2];
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    struct jwt_claims claims;
    size_t n = header_len;

    if (payload.len > JWT_BYTES_MAX / 2)
        return;
    memcpy(token, good, n);
    sodium_bin2base64(token + n, sizeof(token) - n, payload.ptr, payload.len,
        sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    n = strlen(token);
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)SECRET, strlen(SECRET));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)token, n);
    crypto_auth_hmacsha256_final(&state, mac);
    token[n++] = '.';
    sodium_bin2base64(
        token + n, sizeof(token) - n, mac, sizeof(mac), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    if (jwt_check(keys, span_str(token), 1000, &claims) == JWT_FINE)
        INVARIANT(claims.issued_s <= 1000 && claims.expires_s > 1000 && claims.expires_s <= 1900);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size);
    struct jwt_claims claims;

    prepare();
    if (jwt_check(keys, input, 1000, &claims) == JWT_FINE)
        INVARIANT(size == good_len); /* it cannot be made without the secret */
    signed_payload(input);
    return 0;
}
