/* jwt_secret.h: where the secret of access tokens comes from, and why a bad one is refused.
 * The first source that is there decides; one that is there but unfit is an error, never skipped:
 *     JWT_SECRET                                environment, wiped after reading
 *     JWT_SECRET_FILE                           a file, mode 0600 or stricter
 *     $CREDENTIALS_DIRECTORY/jwt_secret         systemd LoadCredential=
 *     STATE/jwt.env                             written by `gatehouse init`, mode 0600 or stricter
 * The one before it, whose tokens are taken for a while, comes from the same place: from
 * JWT_SECRET_PREVIOUS, JWT_SECRET_PREVIOUS_FILE, the credential jwt_secret_previous, with
 * JWT_SECRET_GRACE (90s, 15m) to say for how long; or from lines of jwt.env, which has
 * JWT_SECRET=..., and after a rotation with grace JWT_SECRET_PREVIOUS=... and
 * JWT_SECRET_PREVIOUS_END=<eff seconds>. */
#ifndef HTTP_JWT_SECRET_H
#define HTTP_JWT_SECRET_H

#include "core/err.h"
#include "core/hash.h"
#include "core/limits.h"
#include "core/span.h"

#define JWT_SECRET_GENERATED 72 /* characters, from 54 random bytes */

struct jwt_secret {
    char *text; /* sodium_malloc */
    size_t len;
    char *previous; /* sodium_malloc, or NULL */
    size_t previous_len;
    bool in_state;          /* from STATE/jwt.env: the server itself can replace it */
    int64_t previous_end_s; /* in_state; else 0, and ... */
    int64_t grace_s;        /* ... how long `previous` is to be taken after it was replaced */
    char source[4096];      /* for messages: "environment JWT_SECRET", or a path */
};

/* Reads and judges; `why` names the source and the remedy on error. Call before threads start: it
 * wipes and removes JWT_SECRET and JWT_SECRET_PREVIOUS from the environment. */
enum err jwt_secret_load(
    const char *state_dir, struct jwt_secret *out, char *why, size_t why_len) MUST_USE;
void jwt_secret_fini(struct jwt_secret *secret);

/* NULL, or what is wrong with it: "is shorter than 64 characters". */
const char *jwt_secret_weakness(struct span secret);

/* What the log calls it by; tells nothing about a secret that is fit to be one. */
void jwt_secret_fingerprint(struct span secret, struct hash *out);

/* A fresh one, URL-safe characters and a NUL; the caller wipes it. */
void jwt_secret_generate(char out[JWT_SECRET_GENERATED + 1]);

/* "90s", "15m" or "90": 1 to SECRET_GRACE_S_MAX seconds. ERR_MALFORMED. */
enum err jwt_secret_grace(const char *text, int64_t *seconds) MUST_USE;

/* Creates STATE/jwt.env with mode 0600, synced; ERR_EXISTS if it is there. */
enum err jwt_secret_write(const char *state_dir, struct span secret) MUST_USE;

/* A rotation: the next file is written and synced beside the one in force, as jwt.env.next; the
 * event that names the secret becomes durable; then the next takes the first one's place, and the
 * old bytes are overwritten. `previous` may be empty. After a crash in between, the log says
 * whether to adopt or to discard: jwt_secret_proposed is ERR_NOT_FOUND when there is nothing. */
enum err jwt_secret_propose(const char *state_dir, struct span secret, struct span previous,
    int64_t previous_end_s) MUST_USE;
enum err jwt_secret_proposed(
    const char *state_dir, struct hash *fingerprint, char *why, size_t why_len) MUST_USE;
enum err jwt_secret_adopt(const char *state_dir) MUST_USE;
enum err jwt_secret_discard(const char *state_dir) MUST_USE;

/* A new file of mode 0600 with the secret and a newline, synced. ERR_EXISTS, ERR_IO (errno). */
enum err jwt_secret_export(const char *path, struct span secret) MUST_USE;

#endif
