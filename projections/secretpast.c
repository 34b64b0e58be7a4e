/* secretpast.c: the fold over server.started and secret.rotated, and what follows from it. Pure. */
#include "projections/secretpast.h"

static void
rotated(struct secret_past *past, const struct event *ev, const struct hash *fingerprint)
{
    if (past->known && span_is(fields_span(&ev->data, FIELD_WHY), "leaked"))
        past->leaked[past->leaked_count++ % SECRETS_LEAKED_MAX] = past->now;
    past->has_before = past->known;
    past->before = past->now;
    past->now = *fingerprint;
    past->known = true;
    past->until_us = (int64_t)fields_u64(&ev->data, FIELD_EXPIRES_US);
}

void
secret_past_fold(struct secret_past *past, const struct event *ev)
{
    struct hash fingerprint;

    if ((ev->type != EV_SERVER_STARTED && ev->type != EV_SECRET_ROTATED) ||
        !fields_fixed(&ev->data, FIELD_FINGERPRINT, fingerprint.b, HASH_BYTES))
        return;
    if (ev->type == EV_SECRET_ROTATED) {
        rotated(past, ev, &fingerprint);
    } else if (!past->known) {
        past->known = true;
        past->now = fingerprint;
    }
}

enum secret_standing
secret_past_judge(const struct secret_past *past, const struct hash *fingerprint)
{
    uint64_t kept =
        past->leaked_count < SECRETS_LEAKED_MAX ? past->leaked_count : SECRETS_LEAKED_MAX;

    for (uint64_t i = 0; i < kept; i++)
        if (hash_equal(&past->leaked[i], fingerprint))
            return SECRET_LEAKED;
    if (!past->known)
        return SECRET_UNKNOWN;
    return hash_equal(&past->now, fingerprint) ? SECRET_IN_FORCE : SECRET_CHANGED;
}

bool
secret_past_preceded(
    const struct secret_past *past, enum secret_standing standing, const struct hash *before)
{
    if (standing == SECRET_CHANGED)
        return hash_equal(&past->now, before);
    return standing == SECRET_IN_FORCE && past->has_before && hash_equal(&past->before, before);
}
