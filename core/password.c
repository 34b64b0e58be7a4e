/* password.c: policy, Argon2id, and the dummy for accounts that are not there. Proof pool and
 * command line only; pure apart from memory and the random salt. Never keeps or prints a password.
 */
#include "core/password.h"

#include <sodium.h>
#include <zxcvbn.h>

_Static_assert(PASSWORD_VERIFIER_BYTES == crypto_pwhash_STRBYTES, "libsodium's own size");

#define GUESSABLE_BITS 33.2 /* log2(10^10): zxcvbn's score 4 */

/* Same cost as every real one; its outcome is never looked at. */
static const char dummy[PASSWORD_VERIFIER_BYTES] =
    "$argon2id$v=19$m=65536,t=3,p=1$Z2F0ZWhvdXNlLWR1bW15IQ$"
    "kZ2t4p1m0qYd7XhZcVb3nL8sQwErTyUiOpAsDfGhJkI";

const char *
password_fault_name(enum password_fault fault)
{
    switch (fault) {
    case PASSWORD_FINE: return "is fine";
    case PASSWORD_SHORT: return "is shorter than 12 bytes";
    case PASSWORD_LONG: return "is longer than 128 bytes";
    case PASSWORD_NUL: return "holds a NUL character";
    case PASSWORD_GUESSABLE:
        return "is too easy to guess: take more words, or let a password manager make one";
    case PASSWORD_ACCOUNT: return "is built around the account's name or the product's";
    }
    return "is not valid";
}

static double
bits(const char *text, const char *words[])
{
    return ZxcvbnMatch(text, words, NULL);
}

enum password_fault
password_judge(struct span password, struct span account)
{
    char text[PASSWORD_BYTES_MAX + 1] = {0}, name[ACCOUNT_BYTES_MAX + 1] = {0};
    const char *none[] = {NULL}, *words[] = {"gatehouse", name, NULL};
    enum password_fault fault = PASSWORD_FINE;

    if (password.len < PASSWORD_BYTES_MIN)
        return PASSWORD_SHORT;
    if (password.len > PASSWORD_BYTES_MAX)
        return PASSWORD_LONG;
    if (memchr(password.ptr, 0, password.len) != NULL)
        return PASSWORD_NUL;
    memcpy(text, password.ptr, password.len);
    for (size_t i = 0; i < account.len && i < ACCOUNT_BYTES_MAX; i++) {
        uint8_t c = account.ptr[i];

        name[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); /* zxcvbn wants its words so */
    }
    if (name[0] == '\0')
        words[1] = NULL;
    if (bits(text, none) < GUESSABLE_BITS)
        fault = PASSWORD_GUESSABLE;
    else if (bits(text, words) < GUESSABLE_BITS)
        fault = PASSWORD_ACCOUNT;
    sodium_memzero(text, sizeof(text));
    return fault;
}

enum err
password_hash(struct span password, char out[PASSWORD_VERIFIER_BYTES])
{
    if (password.len < PASSWORD_BYTES_MIN || password.len > PASSWORD_BYTES_MAX)
        return ERR_LIMIT;
    if (crypto_pwhash_str_alg(out, (const char *)password.ptr, password.len, PASSWORD_PASSES,
            PASSWORD_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return ERR_MEMORY;
    return OK;
}

bool
password_verify(const char *verifier, struct span password)
{
    bool real = verifier != NULL && password.len <= PASSWORD_BYTES_MAX;
    int rc = crypto_pwhash_str_verify(real ? verifier : dummy, (const char *)password.ptr,
        password.len <= PASSWORD_BYTES_MAX ? password.len : PASSWORD_BYTES_MAX);

    return real && rc == 0;
}

bool
password_outdated(const char *verifier)
{
    return crypto_pwhash_str_needs_rehash(
               verifier != NULL ? verifier : dummy, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES) != 0;
}
