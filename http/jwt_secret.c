/* jwt_secret.c: judges, makes and names secrets of access tokens. Any thread. Never prints one. */
#include "http/jwt_secret.h"

#include <ctype.h>
#include <sodium.h>

#define DISTINCT_MIN 16

/* Parts of secrets that stand in examples, tutorials and lists of bad passwords. Eight letters and
 * more, so that a random secret holds one by chance less than once in 10^9. */
static const char *const samples[] = {"changeme", "change-me", "change_me", "password", "passw0rd",
    "your-256-bit", "your_jwt_secret", "your-secret", "yoursecret", "mysecret", "my-secret",
    "my_secret", "supersecret", "super-secret", "super_secret", "topsecret", "secretkey",
    "secret-key", "secret_key", "jwtsecret", "jwt-secret", "jwt_secret", "secretsecret",
    "gatehouse", "12345678", "87654321", "abcdefgh", "qwertyui", "placeholder", "replace-me",
    "replace_me", "replaceme", "deadbeef", "letmein1", "insecure"};

static bool
holds(struct span text, const char *sample)
{
    size_t n = strlen(sample);

    for (size_t i = 0; i + n <= text.len; i++) {
        size_t k = 0;

        while (k < n && tolower(text.ptr[i + k]) == sample[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

static unsigned
distinct(struct span text)
{
    bool seen[256] = {false};
    unsigned n = 0;

    for (size_t i = 0; i < text.len; i++) {
        n += !seen[text.ptr[i]];
        seen[text.ptr[i]] = true;
    }
    return n;
}

/* True if the text is one piece of at most half its length, repeated. */
static bool
periodic(struct span text)
{
    for (size_t period = 1; period <= text.len / 2; period++)
        if (memcmp(text.ptr, text.ptr + period, text.len - period) == 0)
            return true;
    return false;
}

const char *
jwt_secret_weakness(struct span secret)
{
    if (secret.len == 0)
        return "is empty";
    if (secret.len < JWT_SECRET_CHARS_MIN)
        return "is shorter than 64 characters";
    if (secret.len > JWT_SECRET_CHARS_MAX)
        return "is longer than 1024 characters";
    for (size_t i = 0; i < secret.len; i++)
        if (secret.ptr[i] <= 0x20 || secret.ptr[i] >= 0x7F)
            return "holds a space, a control or a non-ASCII character";
    if (periodic(secret))
        return "repeats itself";
    if (distinct(secret) < DISTINCT_MIN)
        return "has too few different characters";
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        if (holds(secret, samples[i]))
            return "is a known sample or built around one";
    return NULL;
}

void
jwt_secret_generate(char out[JWT_SECRET_GENERATED + 1])
{
    uint8_t random[JWT_SECRET_GENERATED / 4 * 3];

    do {
        randombytes_buf(random, sizeof(random));
        sodium_bin2base64(out, JWT_SECRET_GENERATED + 1, random, sizeof(random),
            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    } while (jwt_secret_weakness(span_str(out)) != NULL);
    sodium_memzero(random, sizeof(random));
}

void
jwt_secret_fini(struct jwt_secret *secret)
{
    sodium_free(secret->text);
    sodium_free(secret->previous);
    secret->text = secret->previous = NULL;
}

void
jwt_secret_fingerprint(struct span secret, struct hash *out)
{
    static const uint8_t context[] = "gatehouse-jwt-fingerprint-v1";
    uint8_t digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, secret.ptr, secret.len);
    crypto_generichash(out->b, HASH_BYTES, context, sizeof(context) - 1, digest, sizeof(digest));
    sodium_memzero(digest, sizeof(digest));
}

enum err
jwt_secret_grace(const char *text, int64_t *seconds)
{
    int64_t n = 0, unit = 1;
    size_t len = strlen(text);

    if (len > 1 && (text[len - 1] == 's' || text[len - 1] == 'm'))
        unit = text[--len] == 'm' ? 60 : 1;
    if (len == 0 || len > 4)
        return ERR_MALFORMED;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return ERR_MALFORMED;
        n = n * 10 + (text[i] - '0');
    }
    if (n * unit < 1 || n * unit > SECRET_GRACE_S_MAX)
        return ERR_MALFORMED;
    *seconds = n * unit;
    return OK;
}
