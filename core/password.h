/* password.h: which passwords are taken, and how they are kept and compared. Policy after NIST SP
 * 800-63B: length and guessability, no composition rules, no truncation. Argon2id (RFC 9106) with
 * 64 MiB and 3 passes: about 7 a second per core here, so only the proof pool calls hash and
 * verify. The only user of zxcvbn. Verifiers live in the keystore, never in a record. */
#ifndef CORE_PASSWORD_H
#define CORE_PASSWORD_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

#define PASSWORD_VERIFIER_BYTES 128 /* with the NUL; "$argon2id$v=19$m=65536,t=3,p=1$..." */
#define PASSWORD_MEMORY_BYTES   (64u * 1024 * 1024)
#define PASSWORD_PASSES         3

enum password_fault {
    PASSWORD_FINE = 0,
    PASSWORD_SHORT,     /* fewer than PASSWORD_BYTES_MIN bytes */
    PASSWORD_LONG,      /* more than PASSWORD_BYTES_MAX bytes */
    PASSWORD_NUL,       /* holds a NUL, which some systems would cut it at */
    PASSWORD_GUESSABLE, /* zxcvbn: fewer than 10^10 guesses (score below 4) */
    PASSWORD_ACCOUNT,   /* built around the account's name or ours */
};

/* For a new password. A few ms at worst: on the proof pool, or the command line. */
enum password_fault password_judge(struct span password, struct span account) MUST_USE;
/* Goes after "the password": "is too easy to guess: ...". Static storage. */
const char *password_fault_name(enum password_fault fault);

/* About 150 ms and 64 MiB. ERR_LIMIT outside the length limits, ERR_MEMORY. */
enum err password_hash(struct span password, char out[PASSWORD_VERIFIER_BYTES]) MUST_USE;

/* With `verifier` NULL (no such account) it takes the same time and is false. Passwords over the
 * limit are false, after the same time. */
bool password_verify(const char *verifier, struct span password) MUST_USE;
/* True if the verifier was made at another cost than today's: hash anew at the next login. */
bool password_outdated(const char *verifier);

#endif
