/* secretpast.h: what the log says about the secret of access tokens: which one is in force, until
 * when the one before it is still taken, and which were given up as leaked. Known by fingerprint
 * only. A total fold, outside the world: no decision on requests reads it; the server does at its
 * start, when it is handed a secret, and when it rotates one. */
#ifndef PROJECTIONS_SECRETPAST_H
#define PROJECTIONS_SECRETPAST_H

#include "core/event.h"

struct secret_past {
    bool known; /* the log names the one in force */
    bool has_before;
    struct hash now, before;
    int64_t until_us;      /* eff: tokens of `before` are taken until then; 0: not at all */
    uint64_t leaked_count; /* the last SECRETS_LEAKED_MAX are kept */
    struct hash leaked[SECRETS_LEAKED_MAX];
};

void secret_past_fold(struct secret_past *past, const struct event *ev);

/* What a secret is that the server is handed at its start. */
enum secret_standing {
    SECRET_UNKNOWN,  /* the log names none yet */
    SECRET_IN_FORCE, /* the one it names */
    SECRET_CHANGED,  /* another: it was exchanged while the server was down */
    SECRET_LEAKED,   /* given up as leaked: never again */
};
enum secret_standing secret_past_judge(
    const struct secret_past *past, const struct hash *fingerprint) MUST_USE;

/* Is `before` the one that came before the secret of this standing? */
bool secret_past_preceded(const struct secret_past *past, enum secret_standing standing,
    const struct hash *before) MUST_USE;

#endif
