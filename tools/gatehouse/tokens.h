/* tokens.h: the secret of access tokens in a running server: what it was handed at its start,
 * judged by what the log says of it, and how it is replaced. Loads on the main thread; port: loops.
 */
#ifndef TOOLS_GATEHOUSE_TOKENS_H
#define TOOLS_GATEHOUSE_TOKENS_H

#include <pthread.h>

#include "http/app.h"
#include "http/jwt_secret.h"
#include "projections/secretpast.h"

struct tokens {
    const char *state_dir;
    struct jwt_keys *keys;
    struct jwt_secret secret;
    struct hash fingerprint;
    bool changed;     /* the log names another: secret.rotated is due */
    int64_t until_us; /* with changed: the end of the grace, or 0 */
    pthread_mutex_t lock;
    bool rotating;
    char *next; /* rotating: guarded */
    int64_t next_until_us;
};

struct tokens_start {
    const char *state_dir, *origin; /* borrowed; state_dir for as long as the tokens */
    const struct secret_past *past;
    int64_t eff_us;
};

/* On error `why` says what is wrong and what to do; tokens_fini is due either way. */
MUST_USE enum err tokens_load(
    const struct tokens_start *start, struct tokens *out, char *why, size_t why_len);
void tokens_fini(struct tokens *t);

struct token_secret_port tokens_port(struct tokens *t);

#endif
