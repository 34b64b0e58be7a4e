/* views_kit.h: for tests of the query views: rows in memory (a sorted array per table), events with
 * personal fields, and the history of both, so that it can be folded again. */
#ifndef TESTS_VIEWS_KIT_H
#define TESTS_VIEWS_KIT_H

#include "tests/unit/story.h"

#include "core/addr.h"
#include "projections/views_row.h"

/* --- rows in memory --- */

struct mem_entry {
    size_t key_len, value_len;
    uint8_t *key, *value;
};

struct mem {
    struct {
        struct mem_entry *e;
        size_t count, cap;
    } t[TABLE_COUNT];
    bool writing_is_wrong; /* during a scan: a cursor must not be written under */
    uint64_t scanned;      /* entries shown to scans, and gets: the work */
};

/* The first entry >= key; *same: it is that key. */
static inline size_t
mem_at(const struct mem *m, enum table t, struct span key, bool *same)
{
    size_t lo = 0, hi = m->t[t].count;

    *same = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct mem_entry *e = &m->t[t].e[mid];
        size_t n = e->key_len < key.len ? e->key_len : key.len;
        int c = n == 0 ? 0 : memcmp(e->key, key.ptr, n);

        if (c == 0)
            c = (e->key_len > key.len) - (e->key_len < key.len);
        if (c == 0) {
            *same = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static inline enum err
mem_get(void *ctx, enum table t, struct span key, struct span *value)
{
    struct mem *m = ctx;
    bool same;
    size_t at = mem_at(m, t, key, &same);

    assert_true(key.len > 0);
    m->scanned++;
    if (!same)
        return ERR_NOT_FOUND;
    *value = span_of(m->t[t].e[at].value, m->t[t].e[at].value_len);
    return OK;
}

static inline void *
mem_copy(struct span s)
{
    void *at = malloc(s.len + 1);

    assert_non_null(at);
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at;
}

static inline enum err
mem_put(void *ctx, enum table t, struct span key, struct span value)
{
    struct mem *m = ctx;
    bool same;
    size_t at = mem_at(m, t, key, &same);

    assert_false(m->writing_is_wrong);
    assert_true(key.len > 0 && key.len <= ROWS_KEY_MAX);
    if (same) {
        uint8_t *copy = mem_copy(value);

        free(m->t[t].e[at].value);
        m->t[t].e[at].value = copy;
        m->t[t].e[at].value_len = value.len;
        return OK;
    }
    if (m->t[t].count == m->t[t].cap) {
        m->t[t].cap = m->t[t].cap * 2 + 64;
        m->t[t].e = realloc(m->t[t].e, m->t[t].cap * sizeof(*m->t[t].e));
        assert_non_null(m->t[t].e);
    }
    memmove(&m->t[t].e[at + 1], &m->t[t].e[at], (m->t[t].count - at) * sizeof(*m->t[t].e));
    m->t[t].e[at] = (struct mem_entry){key.len, value.len, mem_copy(key), mem_copy(value)};
    m->t[t].count++;
    return OK;
}

static inline enum err
mem_del(void *ctx, enum table t, struct span key)
{
    struct mem *m = ctx;
    bool same;
    size_t at = mem_at(m, t, key, &same);

    assert_false(m->writing_is_wrong);
    if (!same)
        return ERR_NOT_FOUND;
    free(m->t[t].e[at].key);
    free(m->t[t].e[at].value);
    m->t[t].count--;
    memmove(&m->t[t].e[at], &m->t[t].e[at + 1], (m->t[t].count - at) * sizeof(*m->t[t].e));
    return OK;
}

static inline enum err
mem_scan(void *ctx, enum table t, struct span from, bool reverse,
    bool (*each)(void *arg, struct span key, struct span value), void *arg)
{
    struct mem *m = ctx;
    bool same, before = m->writing_is_wrong;
    size_t at = mem_at(m, t, from, &same);

    m->writing_is_wrong = true;
    if (reverse)
        at = same ? at + 1 : at; /* one behind the first to show */
    while (reverse ? at > 0 : at < m->t[t].count) {
        const struct mem_entry *e = &m->t[t].e[reverse ? at - 1 : at];

        m->scanned++;
        if (!each(arg, span_of(e->key, e->key_len), span_of(e->value, e->value_len)))
            break;
        at = reverse ? at - 1 : at + 1;
    }
    m->writing_is_wrong = before;
    return OK;
}

static inline struct rows
mem_rows(struct mem *m)
{
    return (struct rows){m, mem_get, mem_put, mem_del, mem_scan};
}

static inline void
mem_fini(struct mem *m)
{
    for (unsigned t = 0; t < TABLE_COUNT; t++) {
        for (size_t i = 0; i < m->t[t].count; i++) {
            free(m->t[t].e[i].key);
            free(m->t[t].e[i].value);
        }
        free(m->t[t].e);
    }
    memset(m, 0, sizeof(*m));
}

static inline void
assert_same_rows(const struct mem *a, const struct mem *b)
{
    for (unsigned t = 0; t < TABLE_COUNT; t++) {
        assert_int_equal(a->t[t].count, b->t[t].count);
        for (size_t i = 0; i < a->t[t].count; i++) {
            const struct mem_entry *x = &a->t[t].e[i], *y = &b->t[t].e[i];

            assert_int_equal(x->key_len, y->key_len);
            assert_memory_equal(x->key, y->key, x->key_len);
            assert_int_equal(x->value_len, y->value_len);
            assert_memory_equal(x->value, y->value, x->value_len);
        }
    }
}

/* --- histories --- */

struct told_box {
    struct id subject; /* whose key sealed it */
    size_t len;
    uint8_t *bytes;
};

struct told_event {
    size_t len;
    uint8_t *body;
    uint32_t boxes;
    struct told_box box[SEALED_MAX];
};

struct tale {
    struct story *s; /* builds events; folds them into worlds too */
    struct mem mem;
    struct told_event *told;
    size_t count, cap;
    uint32_t boxes; /* of the event in hand */
    struct id subject[SEALED_MAX];
    struct fields personal[SEALED_MAX];
};

static inline struct tale *
tale_new(void)
{
    struct tale *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    t->s = story_new();
    return t;
}

static inline void
tale_free(struct tale *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->told[i].body);
        for (uint32_t b = 0; b < t->told[i].boxes; b++)
            free(t->told[i].box[b].bytes);
    }
    free(t->told);
    mem_fini(&t->mem);
    world_free(t->s->w);
    world_free(t->s->copy);
    free(t->s);
    free(t);
}

static inline void
tale_say(struct tale *t, enum event_type type)
{
    say(t->s, type);
    t->boxes = 0;
}

/* A personal field, in the box of `subject`. */
static inline void
tale_personal(struct tale *t, uint64_t subject, enum field field, const void *bytes, size_t len)
{
    struct id id = id_n(subject);
    uint32_t b = 0;

    while (b < t->boxes && !id_equal(&t->subject[b], &id))
        b++;
    if (b == t->boxes) {
        assert_true(b < SEALED_MAX);
        t->subject[b] = id;
        t->personal[b].count = 0;
        t->boxes++;
    }
    fields_add_span(&t->personal[b], field, span_of(story_keep(t->s, bytes, len), len));
}

static inline void
tale_text(struct tale *t, uint64_t subject, enum field field, const char *text)
{
    tale_personal(t, subject, field, text, strlen(text));
}

/* Folds an event as the projector does: from its bytes; boxes of `shut` (nil: none) do not open. */
static inline void
tale_fold(const struct told_event *e, struct mem *m, const struct id *shut)
{
    static struct fields personal[SEALED_MAX];
    const struct view_fold port = views_fold_port();
    struct rows rows = mem_rows(m);
    struct event ev;
    uint32_t n = 0;

    assert_int_equal(event_decode(span_of(e->body, e->len), &ev), OK);
    for (uint32_t b = 0; b < e->boxes; b++) {
        if (shut != NULL && id_equal(&e->box[b].subject, shut))
            continue;
        assert_int_equal(
            fields_decode(span_of(e->box[b].bytes, e->box[b].len), &personal[n++]), OK);
    }
    assert_int_equal(port.fold(port.ctx, &rows, &ev, personal, n), OK);
}

static inline void
tale_told(struct tale *t)
{
    struct told_event *e;
    uint8_t bytes[RECORD_BYTES_MAX];

    if (t->count == t->cap) {
        t->cap = t->cap * 2 + 64;
        t->told = realloc(t->told, t->cap * sizeof(*t->told));
        assert_non_null(t->told);
    }
    e = &t->told[t->count++];
    assert_int_equal(event_encode(&t->s->ev, bytes, sizeof(bytes), &e->len), OK);
    e->body = mem_copy(span_of(bytes, e->len));
    e->boxes = t->boxes;
    for (uint32_t b = 0; b < t->boxes; b++) {
        e->box[b].subject = t->subject[b];
        assert_int_equal(fields_encode(&t->personal[b], bytes, sizeof(bytes), &e->box[b].len), OK);
        e->box[b].bytes = mem_copy(span_of(bytes, e->box[b].len));
    }
    tale_fold(e, &t->mem, NULL);
    told(t->s);
}

/* The same history, folded from nothing. */
static inline void
tale_again(const struct tale *t, struct mem *out, const struct id *shut)
{
    for (size_t i = 0; i < t->count; i++)
        tale_fold(&t->told[i], out, shut);
}

#endif
