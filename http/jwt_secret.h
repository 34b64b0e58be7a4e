/* jwt_secret.h: where the secret of access tokens comes from, and why a bad one is refused.
 * The first source that is there decides; one that is there but unfit is an error, never skipped:
 *     JWT_SECRET                                environment, wiped after reading
 *     JWT_SECRET_FILE                           a file, mode 0600 or stricter
 *     $CREDENTIALS_DIRECTORY/jwt_secret         systemd LoadCredential=
 *     STATE/jwt.env                             written by `gatehouse init`, mode 0600 or stricter
 * jwt.env has lines JWT_SECRET=..., and after a rotation with grace JWT_SECRET_PREVIOUS=... and
 * JWT_SECRET_PREVIOUS_END=<eff seconds>. */
#ifndef HTTP_JWT_SECRET_H
#define HTTP_JWT_SECRET_H

#include "core/err.h"
#include "core/limits.h"
#include "core/span.h"

#define JWT_SECRET_GENERATED 72 /* characters, from 54 random bytes */

struct jwt_secret {
    char *text; /* sodium_malloc */
    size_t len;
    char *previous; /* sodium_malloc, or NULL */
    size_t previous_len;
    int64_t previous_end_s;
    char source[4096]; /* for messages: "environment JWT_SECRET", or a path */
};

/* Reads and judges; `why` names the source and the remedy on error. Call before threads start: it
 * wipes and removes JWT_SECRET from the environment. */
enum err jwt_secret_load(
    const char *state_dir, struct jwt_secret *out, char *why, size_t why_len) MUST_USE;
void jwt_secret_fini(struct jwt_secret *secret);

/* NULL, or what is wrong with it: "is shorter than 64 characters". */
const char *jwt_secret_weakness(struct span secret);

/* A fresh one, URL-safe characters and a NUL; the caller wipes it. */
void jwt_secret_generate(char out[JWT_SECRET_GENERATED + 1]);

/* Creates STATE/jwt.env with mode 0600, synced; ERR_EXISTS if it is there. `previous` may be NULL.
 * With `replace` it is written anew beside the old one and renamed over it (rotation). */
enum err jwt_secret_write(const char *state_dir, const char *secret, const char *previous,
    int64_t previous_end_s, bool replace) MUST_USE;

#endif
