/* views_query_events.c: which events fit all that is asked. Every condition is a sorted stream of
 * seqs in an index; the streams leap over each other to the next seq that all have, so that the
 * rarest leads whichever it is. Bounded work in one read transaction. Loops. */
#include "projections/views_key.h"

#define TYPES_MAX      16
#define CONDITIONS_MAX 5

/* One index under one prefix, at its first seq that was not below what was asked last. */
struct stream {
    enum table table;
    struct key prefix;
    bool known, over;
    uint64_t at;
};

/* Holds where one of its streams has the seq: more than one for types. */
struct condition {
    uint32_t count;
    struct stream streams[TYPES_MAX];
};

struct search {
    const struct rows *rows;
    uint32_t looked;
    enum err err;
    uint32_t count;
    struct condition conditions[CONDITIONS_MAX];
    bool none;            /* nothing can fit */
    uint64_t first, last; /* seqs to look at, both included */
};

static bool
take_seq(void *arg, struct span rest, struct span value)
{
    struct stream *s = arg;

    (void)value;
    if (rest.len == 8) {
        s->over = false;
        s->at = key_read_u64(rest.ptr);
    }
    return false;
}

static void
stream_seek(struct search *q, struct stream *s, uint64_t seq)
{
    struct key from = {.len = 0};

    if (s->over || (s->known && s->at >= seq) || q->err != OK)
        return;
    key_u64(&from, seq);
    s->known = s->over = true;
    q->looked++;
    q->err = key_walk(q->rows, s->table, &s->prefix, key_span(&from), false, take_seq, s);
}

/* The first seq of the condition that is not below; false: there is none. */
static bool
condition_seek(struct search *q, struct condition *c, uint64_t seq, uint64_t *at)
{
    bool found = false;

    for (uint32_t i = 0; i < c->count; i++) {
        struct stream *s = &c->streams[i];

        stream_seek(q, s, seq);
        if (!s->over && (!found || s->at < *at)) {
            *at = s->at;
            found = true;
        }
    }
    return found;
}

static struct stream *
stream_add(struct condition *c, enum table t, const void *part, size_t n)
{
    struct stream *s;

    INVARIANT(c->count < TYPES_MAX);
    s = &c->streams[c->count++];
    *s = (struct stream){.table = t};
    key_bytes(&s->prefix, part, n);
    return s;
}

static void
condition_add(struct search *q, enum table t, const void *part, size_t n)
{
    struct condition *c = &q->conditions[q->count++];

    c->count = 0;
    (void)stream_add(c, t, part, n);
}

static void
types_add(struct search *q, const struct events_query *query)
{
    struct condition *c = &q->conditions[q->count++];

    c->count = 0;
    for (uint32_t i = 0; i < query->type_count && i < TYPES_MAX; i++) {
        struct key type = {.len = 0};

        key_u32(&type, query->types[i]);
        (void)stream_add(c, TABLE_BY_TYPE, type.b, type.len);
    }
}

/* --- from when to when, as seqs: time never goes back --- */

struct moment_at {
    bool found;
    uint64_t seq;
};

static bool
take_moment(void *arg, struct span rest, struct span value)
{
    struct moment_at *at = arg;

    (void)value;
    if (rest.len == 16) {
        at->found = true;
        at->seq = key_read_u64(rest.ptr + 8);
    }
    return false;
}

/* The first event of eff >= us, or (reverse) the last of eff <= us. */
static struct moment_at
moment_find(struct search *q, int64_t us, bool reverse)
{
    const struct key all = {.len = 0};
    struct moment_at at = {.found = false};
    struct key from = {.len = 0};

    key_time(&from, us);
    key_u64(&from, reverse ? UINT64_MAX : 0);
    q->looked++;
    if (q->err == OK)
        q->err = key_walk(q->rows, TABLE_BY_TIME, &all, key_span(&from), reverse, take_moment, &at);
    return at;
}

static void
bounds(struct search *q, const struct events_query *query)
{
    struct moment_at last, first = {.found = true, .seq = 0};

    if (query->to_us == INT64_MIN)
        q->none = true;
    last = moment_find(q, query->to_us == 0 || q->none ? INT64_MAX : query->to_us - 1, true);
    if (query->from_us != 0)
        first = moment_find(q, query->from_us, false);
    q->none |= !last.found || !first.found || (query->has_after && query->after == UINT64_MAX);
    q->last = last.seq;
    q->first = first.seq;
    if (query->has_after && !q->none && q->first <= query->after)
        q->first = query->after + 1;
    q->none |= q->first > q->last;
}

/* --- the search --- */

/* The next seq that all conditions have, from *seq on; false: none up to the last, or the work for
 * one call is done (then *seq is where to go on). */
static bool
next_match(struct search *q, uint64_t *seq, bool *more)
{
    uint32_t agreed = 0;

    *more = false;
    q->looked += q->count == 0;
    for (uint32_t i = 0; agreed < q->count; i = (i + 1) % q->count) {
        uint64_t at = *seq;

        if (q->looked >= VIEWS_LOOKED_MAX) {
            *more = true;
            return false;
        }
        if (!condition_seek(q, &q->conditions[i], *seq, &at) || at > q->last || q->err != OK)
            return false;
        agreed = at == *seq ? agreed + 1 : 1;
        *seq = at;
    }
    *more = q->looked > VIEWS_LOOKED_MAX;
    return *seq <= q->last && !*more;
}

static void
search_init(struct search *q, const struct rows *r, const struct events_query *query)
{
    q->rows = r;
    q->looked = 0;
    q->err = OK;
    q->count = 0;
    q->none = false;
    if (query->has_session)
        condition_add(q, TABLE_BY_SESSION, query->session.b, ID_BYTES);
    if (query->has_machine)
        condition_add(q, TABLE_BY_MACHINE, query->machine.b, ID_BYTES);
    if (query->has_user)
        condition_add(q, TABLE_BY_USER, query->user.b, ID_BYTES);
    if (query->has_address)
        condition_add(q, TABLE_BY_ADDRESS, query->address, sizeof(query->address));
    if (query->has_type)
        types_add(q, query);
    bounds(q, query);
}

enum err
views_events(const struct rows *r, const struct events_query *query,
    bool (*each)(void *arg, uint64_t seq), void *arg, uint64_t *next, bool *more)
{
    struct search q;
    uint32_t shown = 0;
    uint64_t seq;

    *next = query->has_after ? query->after : 0;
    *more = false;
    search_init(&q, r, query);
    if (q.none || q.err != OK)
        return q.err;
    for (seq = q.first; next_match(&q, &seq, more); seq++) {
        if (shown == query->limit) {
            *more = true;
            break;
        }
        shown++;
        *next = seq;
        if (!each(arg, seq)) {
            *more = true;
            return q.err;
        }
        if (seq == q.last)
            break;
    }
    /* All below seq is decided; at the end, all there is. */
    if (!*more)
        *next = q.last;
    else if (seq > q.first)
        *next = seq - 1;
    return q.err;
}
