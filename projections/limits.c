/* limits.c: one ring of slot times per key, the keys of a rule in order of last use. Pure, total:
 * time is handed in and never goes back (world_fold sees to that). Ledger thread. */
#include "projections/limits.h"

#define BUCKET_CAP_MIN 4
#define REAP_PER_TAKE  8 /* each take adds one key at most, so the dead never pile up */

bool
limits_key(enum rule rule, const struct tags *tags, const struct id *user, struct tag *key)
{
    memset(key, 0, sizeof(*key));
    switch (rule) {
    case RULE_LOGIN_ALL:
    case RULE_REGISTER_ALL:
    case RULE_CODE_FAIL_ALL: return true;
    case RULE_LOGIN_NET:
    case RULE_REGISTER_NET:
    case RULE_CODE_NET:
    case RULE_CODE_FAIL_NET:
    case RULE_REFRESH_NET:
    case RULE_AGENT_REFUSED_NET: *key = tags->net; break;
    case RULE_LOGIN_WIDE:
    case RULE_CODE_WIDE: *key = tags->wide; break;
    case RULE_LOGIN_ACCOUNT: *key = tags->account; break;
    case RULE_LOGIN_DEVICE: /* a device, in the user's place */
    case RULE_PASSWORD_USER:
    case RULE_SESSION_USER: memcpy(key->b, user->b, TAG_BYTES); break;
    case RULE_NONE:
    case RULE_COUNT: break;
    }
    return !tag_is_nil(key);
}

static int64_t
window_us(uint32_t window_s)
{
    return (int64_t)window_s * US_PER_S;
}

int64_t
bucket_at(const struct bucket *b, uint32_t i)
{
    return b->at[(b->head + i) % b->cap];
}

bool
bucket_live(const struct bucket *b, uint32_t window_s, int64_t eff_us)
{
    return b->touched_us + window_us(window_s) > eff_us;
}

uint32_t
bucket_held(const struct bucket *b, uint32_t window_s, int64_t eff_us, uint32_t *first)
{
    uint32_t lo = 0, hi = b->count;

    while (lo < hi) { /* times ascend: the first that is still inside the window */
        uint32_t mid = lo + (hi - lo) / 2;

        if (bucket_at(b, mid) + window_us(window_s) > eff_us)
            hi = mid;
        else
            lo = mid + 1;
    }
    *first = lo;
    return b->count - lo;
}

static void
bucket_forget(struct bucket *b, uint32_t oldest)
{
    if (oldest == 0)
        return;
    INVARIANT(b->cap > 0 && oldest <= b->count);
    b->head = (b->head + oldest) % b->cap;
    b->count -= oldest;
}

static void
bucket_grow(struct bucket *b, uint32_t limit)
{
    uint32_t cap = b->cap < BUCKET_CAP_MIN / 2 ? BUCKET_CAP_MIN : b->cap * 2;
    int64_t *at;

    if (cap > limit)
        cap = limit;
    at = malloc(cap * sizeof(*at));
    INVARIANT(at != NULL);
    for (uint32_t i = 0; i < b->count; i++)
        at[i] = bucket_at(b, i);
    free(b->at);
    b->at = at;
    b->cap = cap;
    b->head = 0;
}

/* More slots than the limit can only come from events that were decided under another policy; the
 * newest ones decide when the next attempt is free. */
static void
bucket_push(struct bucket *b, const struct window *w, int64_t eff_us)
{
    uint32_t expired, held = bucket_held(b, w->window_s, eff_us, &expired);

    if (held >= w->limit)
        expired += held - w->limit + 1;
    bucket_forget(b, expired);
    if (b->count == b->cap)
        bucket_grow(b, w->limit);
    b->at[(b->head + b->count++) % b->cap] = eff_us;
    b->touched_us = eff_us;
}

static void
window_unlink(struct window *w, struct bucket *b)
{
    *(b->older != NULL ? &b->older->newer : &w->oldest) = b->newer;
    *(b->newer != NULL ? &b->newer->older : &w->newest) = b->older;
    b->older = b->newer = NULL;
}

static void
window_append(struct window *w, struct bucket *b)
{
    b->older = w->newest;
    *(w->newest != NULL ? &w->newest->newer : &w->oldest) = b;
    w->newest = b;
}

static void
window_drop(struct window *w, struct bucket *b)
{
    window_unlink(w, b);
    idmap_drop(&w->keys, b->key.b);
    free(b->at);
    free(b);
}

/* A key that had to share may have slots in the shared bucket, so its own begins with all that is
 * held there: it may be refused too early for a while, but never too late. */
static struct bucket *
window_add(struct window *w, const struct tag *key, int64_t eff_us)
{
    struct bucket *b = calloc(1, sizeof(*b));
    uint32_t first, held = bucket_held(&w->shared, w->window_s, eff_us, &first);

    INVARIANT(b != NULL);
    b->key = *key;
    for (uint32_t i = 0; i < held; i++) {
        if (b->count == b->cap)
            bucket_grow(b, w->limit);
        b->at[b->count++] = bucket_at(&w->shared, first + i);
    }
    idmap_put(&w->keys, key->b, b);
    window_append(w, b);
    return b;
}

void
limits_take(struct limits *l, enum rule rule, const struct tag *key, int64_t eff_us)
{
    struct window *w = &l->windows[rule];
    struct bucket *b;

    if (w->limit == 0)
        return;
    for (int i = 0;
         i < REAP_PER_TAKE && w->oldest != NULL && !bucket_live(w->oldest, w->window_s, eff_us);
         i++)
        window_drop(w, w->oldest);
    b = idmap_find(&w->keys, key->b);
    if (b == NULL && w->keys.count >= LIMITS_KEYS_MAX) {
        w->shared_events++;
        bucket_push(&w->shared, w, eff_us);
        return;
    }
    if (b == NULL)
        b = window_add(w, key, eff_us);
    bucket_push(b, w, eff_us);
    window_unlink(w, b);
    window_append(w, b);
}

/* Where the slots of a key are, known or not. */
static const struct bucket *
bucket_of(const struct window *w, const struct tag *key)
{
    const struct bucket *b = idmap_find(&w->keys, key->b);

    return b != NULL ? b : &w->shared;
}

void
limits_give_back(struct limits *l, enum rule rule, const struct tag *key, int64_t at_us)
{
    struct window *w = &l->windows[rule];
    struct bucket *b = idmap_find(&w->keys, key->b);
    uint32_t i;

    if (b == NULL)
        b = &w->shared;
    for (i = b->count; i > 0 && bucket_at(b, i - 1) > at_us; i--)
        continue;
    if (i == 0 || bucket_at(b, i - 1) != at_us)
        return;
    for (; i < b->count; i++)
        b->at[(b->head + i - 1) % b->cap] = bucket_at(b, i);
    b->count--;
}

void
limits_fact(const struct limits *l, enum rule rule, const struct tag *key, int64_t eff_us,
    struct limit_fact *out)
{
    const struct window *w = &l->windows[rule];
    const struct bucket *b = bucket_of(w, key);
    uint32_t first, held = bucket_held(b, w->window_s, eff_us, &first);

    *out = (struct limit_fact){.count = held, .limit = w->limit, .window_s = w->window_s};
    if (w->limit > 0 && held >= w->limit)
        out->frees_us = bucket_at(b, first + held - w->limit) + window_us(w->window_s);
}

void
limits_init(struct limits *l, const struct policy *policy)
{
    memset(l, 0, sizeof(*l));
    for (int r = 0; r < RULE_COUNT; r++) {
        struct window *w = &l->windows[r];

        idmap_init(&w->keys);
        w->shared.touched_us = INT64_MIN / 2;
        w->limit = policy->rules[r].count;
        w->window_s = policy->rules[r].window_s;
    }
}

static void
window_clear(struct window *w)
{
    while (w->oldest != NULL)
        window_drop(w, w->oldest);
    free(w->shared.at);
    w->shared = (struct bucket){.touched_us = INT64_MIN / 2};
}

void
limits_fini(struct limits *l)
{
    for (int r = 0; r < RULE_COUNT; r++) {
        window_clear(&l->windows[r]);
        idmap_fini(&l->windows[r].keys);
    }
}

static void
bucket_adopt(
    struct bucket *b, const struct window *was, const struct rule_limit *now, int64_t eff_us)
{
    uint32_t expired, held = bucket_held(b, was->window_s, eff_us, &expired);

    if (held > now->count)
        expired += held - now->count;
    bucket_forget(b, expired);
}

void
limits_adopt(struct limits *l, const struct policy *policy, int64_t eff_us)
{
    for (int r = 0; r < RULE_COUNT; r++) {
        struct window *w = &l->windows[r];
        const struct rule_limit *now = &policy->rules[r];
        struct bucket *b, *newer;

        if (now->count == 0)
            window_clear(w);
        for (b = w->oldest; b != NULL; b = newer) {
            newer = b->newer;
            if (bucket_live(b, w->window_s, eff_us))
                bucket_adopt(b, w, now, eff_us);
            else
                window_drop(w, b);
        }
        bucket_adopt(&w->shared, w, now, eff_us);
        if (!bucket_live(&w->shared, w->window_s, eff_us))
            w->shared.touched_us = INT64_MIN / 2;
        w->limit = now->count;
        w->window_s = now->window_s;
    }
}
