/* views_key.c: building keys of the views, and walking those with a common beginning. Pure; any
 * thread that holds a struct rows. */
#include "projections/views_key.h"

#include "core/text.h"

#define REST_MAX 48 /* no part behind a prefix is longer, but for texts, which are never walked */

void
key_bytes(struct key *k, const void *bytes, size_t n)
{
    INVARIANT(n <= sizeof(k->b) - k->len);
    if (n > 0)
        memcpy(k->b + k->len, bytes, n);
    k->len += n;
}

void
key_u8(struct key *k, unsigned u)
{
    uint8_t b = (uint8_t)u;

    key_bytes(k, &b, 1);
}

void
key_u32(struct key *k, uint32_t u)
{
    uint8_t b[4];

    for (unsigned i = 0; i < 4; i++)
        b[i] = (uint8_t)(u >> (24 - 8 * i));
    key_bytes(k, b, sizeof(b));
}

void
key_u64(struct key *k, uint64_t u)
{
    uint8_t b[8];

    for (unsigned i = 0; i < 8; i++)
        b[i] = (uint8_t)(u >> (56 - 8 * i));
    key_bytes(k, b, sizeof(b));
}

void
key_id(struct key *k, const struct id *id)
{
    key_bytes(k, id->b, ID_BYTES);
}

#define SIGN ((uint64_t)1 << 63)

void
key_time(struct key *k, int64_t us)
{
    key_u64(k, (uint64_t)us ^ SIGN);
}

struct span
key_span(const struct key *k)
{
    return span_of(k->b, k->len);
}

uint64_t
key_read_u64(const uint8_t *p)
{
    uint64_t u = 0;

    for (unsigned i = 0; i < 8; i++)
        u = u << 8 | p[i];
    return u;
}

int64_t
key_read_time(const uint8_t *p)
{
    return (int64_t)(key_read_u64(p) ^ SIGN);
}

struct key
key_all(enum table t)
{
    struct key k = {.len = 0};

    key_u8(&k, LOOKUP_ALL);
    key_u8(&k, t);
    return k;
}

struct key
key_of(enum table t, const struct id *owner)
{
    struct key k = {.len = 0};

    key_u8(&k, LOOKUP_OF);
    key_u8(&k, t);
    key_id(&k, owner);
    return k;
}

bool
key_name(struct span name, struct key *out)
{
    char folded[ACCOUNT_BYTES_MAX];

    out->len = 0;
    if (name.len == 0 || name.len > sizeof(folded))
        return false;
    text_fold(name, folded);
    key_u8(out, LOOKUP_NAME);
    key_bytes(out, folded, name.len);
    return true;
}

struct walking {
    const struct key *prefix;
    bool (*each)(void *arg, struct span rest, struct span value);
    void *arg;
};

static bool
walk_each(void *arg, struct span key, struct span value)
{
    const struct walking *w = arg;
    size_t n = w->prefix->len;

    if (key.len < n || memcmp(key.ptr, w->prefix->b, n) != 0)
        return false;
    return w->each(w->arg, span_of(key.ptr + n, key.len - n), value);
}

enum err
key_walk(const struct rows *r, enum table t, const struct key *prefix, struct span from,
    bool reverse, bool (*each)(void *arg, struct span rest, struct span value), void *arg)
{
    struct walking w = {prefix, each, arg};
    struct key start = *prefix;
    uint8_t last[REST_MAX];

    if (from.ptr != NULL) {
        key_bytes(&start, from.ptr, from.len);
    } else if (reverse) {
        memset(last, 0xFF, sizeof(last));
        key_bytes(&start, last, sizeof(last));
    }
    return r->scan(r->ctx, t, key_span(&start), reverse, walk_each, &w);
}
