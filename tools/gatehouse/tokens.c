/* tokens.c: which secret signs access tokens, from start to stop. The log knows it by fingerprint:
 * so a secret that was exchanged is told apart from one that was not, a grace ends when the log
 * says so and not a restart later, and one that was given up as leaked is not taken again. */
#include "tools/gatehouse/tokens.h"

#include <sodium.h>

#include "http/logline.h"

/* A rotation that was cut short: the log says whether its event came to be. */
static enum err
finish_rotation(const struct tokens_start *start, char *why, size_t why_len)
{
    struct hash next;
    enum err err = jwt_secret_proposed(start->state_dir, &next, why, why_len);

    if (err == ERR_NOT_FOUND)
        return OK;
    if (err == OK && secret_past_judge(start->past, &next) == SECRET_IN_FORCE) {
        if (jwt_secret_adopt(start->state_dir) == OK)
            return OK;
    } else if (err == OK || err == ERR_MALFORMED || err == ERR_DENIED) {
        if (jwt_secret_discard(start->state_dir) == OK)
            return OK;
    }
    snprintf(why, why_len, "%s/jwt.env.next cannot be put in its place: check the disk",
        start->state_dir);
    return ERR_IO;
}

/* Until when tokens of the secret before are taken. */
static enum err
judge_before(const struct tokens_start *start, enum secret_standing standing, struct tokens *t,
    char *why, size_t why_len)
{
    const struct jwt_secret *s = &t->secret;
    struct hash before;

    if (s->previous == NULL || s->in_state)
        return OK;
    jwt_secret_fingerprint(span_of(s->previous, s->previous_len), &before);
    if (secret_past_judge(start->past, &before) == SECRET_LEAKED) {
        snprintf(why, why_len,
            "the previous JWT secret was given up as leaked: take JWT_SECRET_PREVIOUS away");
        return ERR_DENIED;
    }
    if (standing == SECRET_UNKNOWN)
        return OK; /* this log has issued no token yet that it could know */
    if (!secret_past_preceded(start->past, standing, &before)) {
        snprintf(why, why_len,
            "the previous JWT secret is not the one that was in force before %s: correct or take "
            "away JWT_SECRET_PREVIOUS (or its file or credential)",
            s->source);
        return ERR_MISMATCH;
    }
    t->until_us = standing == SECRET_CHANGED ? (start->eff_us / US_PER_S + s->grace_s) * US_PER_S
                                             : start->past->until_us;
    return OK;
}

static enum err
judge(const struct tokens_start *start, struct tokens *t, char *why, size_t why_len)
{
    enum secret_standing standing;

    jwt_secret_fingerprint(span_of(t->secret.text, t->secret.len), &t->fingerprint);
    standing = secret_past_judge(start->past, &t->fingerprint);
    if (standing == SECRET_LEAKED) {
        snprintf(why, why_len,
            "the JWT secret from %s was given up as leaked: `gatehouse key jwt` makes another",
            t->secret.source);
        return ERR_DENIED;
    }
    t->changed = standing == SECRET_CHANGED;
    return judge_before(start, standing, t, why, why_len);
}

enum err
tokens_load(const struct tokens_start *start, struct tokens *t, char *why, size_t why_len)
{
    struct span before = {NULL, 0};
    int64_t end_s;
    enum err err;

    *t = (struct tokens){.state_dir = start->state_dir};
    INVARIANT(pthread_mutex_init(&t->lock, NULL) == 0);
    if ((err = finish_rotation(start, why, why_len)) != OK ||
        (err = jwt_secret_load(start->state_dir, &t->secret, why, why_len)) != OK ||
        (err = judge(start, t, why, why_len)) != OK)
        return err;
    end_s = t->secret.in_state ? t->secret.previous_end_s : t->until_us / US_PER_S;
    if (end_s > start->eff_us / US_PER_S)
        before = span_of(t->secret.previous, t->secret.previous_len);
    err = jwt_keys_new(
        span_of(t->secret.text, t->secret.len), before, end_s, start->origin, &t->keys);
    if (err != OK)
        snprintf(why, why_len, "the JWT secret cannot be kept: no guarded memory");
    sodium_free(t->secret.previous);
    t->secret.previous = NULL;
    return err;
}

void
tokens_fini(struct tokens *t)
{
    if (t->state_dir == NULL)
        return;
    sodium_free(t->next);
    jwt_secret_fini(&t->secret);
    jwt_keys_free(t->keys);
    pthread_mutex_destroy(&t->lock);
    *t = (struct tokens){0};
}

/* ---- replacing it ---- */

static const char *
tokens_fixed(void *ctx)
{
    const struct tokens *t = ctx;

    return t->secret.in_state
               ? NULL
               : "The secret does not come from the state folder: hand the server another and "
                 "start "
                 "it again (docs/secrets.md). Only a leaked one can be given up here.";
}

static enum err
propose(struct tokens *t)
{
    struct span before = {NULL, 0};

    if (!t->secret.in_state)
        return OK; /* until the restart that brings one from elsewhere */
    if (t->next_until_us != 0)
        before = span_of(t->secret.text, t->secret.len);
    return jwt_secret_propose(t->state_dir, span_str(t->next), before, t->next_until_us / US_PER_S);
}

static enum err
tokens_begin(void *ctx, struct rotate_secret *rotate)
{
    struct tokens *t = ctx;
    enum err err = ERR_EXISTS;

    pthread_mutex_lock(&t->lock);
    if (t->rotating)
        goto out;
    err = ERR_MEMORY;
    if ((t->next = sodium_malloc(JWT_SECRET_GENERATED + 1)) == NULL)
        goto out;
    jwt_secret_generate(t->next);
    jwt_secret_fingerprint(span_str(t->next), &rotate->fingerprint);
    t->next_until_us = rotate->until_us;
    err = propose(t);
    t->rotating = err == OK;
    if (err != OK) {
        logline(
            LOGLINE_ERROR, "rotation_failed", logline_str("why", "jwt.env.next cannot be written"));
        sodium_free(t->next);
        t->next = NULL;
    }
out:
    pthread_mutex_unlock(&t->lock);
    return err;
}

static void
take_over(struct tokens *t)
{
    if (jwt_keys_rotate(t->keys, span_str(t->next), t->next_until_us / US_PER_S) != OK) {
        /* The log has spoken: whoever still takes the old tokens lies. */
        logline(LOGLINE_ERROR, "rotation_failed", logline_str("why", "no guarded memory"));
        INVARIANT(!"a secret that the log names cannot be kept");
    }
    if (t->secret.in_state && jwt_secret_adopt(t->state_dir) != OK)
        logline(LOGLINE_ERROR, "rotation_unfinished",
            logline_str("why", "jwt.env cannot be replaced: the next start tries again"));
    sodium_free(t->secret.text);
    t->secret.text = t->next;
    t->secret.len = strlen(t->next);
    t->next = NULL;
}

static void
tokens_settle(void *ctx, bool durable)
{
    struct tokens *t = ctx;

    pthread_mutex_lock(&t->lock);
    INVARIANT(t->rotating);
    if (durable)
        take_over(t); /* else the file waits: the next start asks the log what became of it */
    sodium_free(t->next);
    t->next = NULL;
    t->rotating = false;
    pthread_mutex_unlock(&t->lock);
}

struct token_secret_port
tokens_port(struct tokens *t)
{
    return (struct token_secret_port){
        .ctx = t, .fixed = tokens_fixed, .begin = tokens_begin, .settle = tokens_settle};
}
