/* timers.c: binary heap over pointers, positions kept in the timers. Any thread that owns it. */
#include "projections/timers.h"

#define TIMERS_CAP_MIN 64

void
timers_init(struct timers *ts)
{
    memset(ts, 0, sizeof(*ts));
}

void
timers_fini(struct timers *ts)
{
    free(ts->heap);
    memset(ts, 0, sizeof(*ts));
}

static bool
before(const struct deadline *a, const struct deadline *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    if (a->kind != b->kind)
        return a->kind < b->kind;
    return memcmp(a->id.b, b->id.b, ID_BYTES) < 0;
}

static void
place(struct timers *ts, struct deadline *t, uint32_t pos)
{
    ts->heap[pos] = t;
    t->pos = pos;
}

static void
settle(struct timers *ts, struct deadline *t)
{
    uint32_t pos = t->pos, child;

    for (; pos > 1 && before(t, ts->heap[pos / 2]); pos /= 2)
        place(ts, ts->heap[pos / 2], pos);
    for (; (child = pos * 2) <= ts->count; pos = child) {
        if (child < ts->count && before(ts->heap[child + 1], ts->heap[child]))
            child++;
        if (!before(ts->heap[child], t))
            break;
        place(ts, ts->heap[child], pos);
    }
    place(ts, t, pos);
}

void
timers_set(struct timers *ts, struct deadline *t, int64_t at_us)
{
    if (at_us == TIMER_NEVER) {
        timers_off(ts, t);
        return;
    }
    t->at_us = at_us;
    if (t->pos == 0) {
        if (ts->count + 2 > ts->cap) {
            ts->cap = ts->cap == 0 ? TIMERS_CAP_MIN : ts->cap * 2;
            ts->heap = realloc(ts->heap, ts->cap * sizeof(void *));
            INVARIANT(ts->heap != NULL);
        }
        place(ts, t, ++ts->count);
    }
    settle(ts, t);
}

void
timers_off(struct timers *ts, struct deadline *t)
{
    struct deadline *last;

    if (t->pos == 0)
        return;
    INVARIANT(t->pos <= ts->count && ts->heap[t->pos] == t);
    last = ts->heap[ts->count--];
    if (last != t) {
        place(ts, last, t->pos);
        settle(ts, last);
    }
    t->pos = 0;
}

struct deadline *
timers_first(const struct timers *ts)
{
    return ts->count == 0 ? NULL : ts->heap[1];
}

/* Those that are due form a tree at the heap's top; its rim is kept sorted by insertion. Each one
 * taken adds at most two to the rim, so the rim stays within max + 1. */
uint32_t
timers_list(
    const struct timers *ts, int64_t now_us, uint32_t max, struct deadline **out, bool *more)
{
    struct deadline *rim[TIMERS_LIST_MAX + 2];
    uint32_t rim_count = 0, n = 0, next = 1;

    INVARIANT(max <= TIMERS_LIST_MAX);
    if (ts->count > 0 && ts->heap[1]->at_us <= now_us)
        rim[rim_count++] = ts->heap[1]; /* descending: the earliest is last */
    while (rim_count > 0 && n < max) {
        out[n] = rim[--rim_count];
        next = out[n++]->pos * 2;
        for (uint32_t child = next; child <= next + 1 && child <= ts->count; child++) {
            struct deadline *t = ts->heap[child];
            uint32_t i = rim_count;

            if (t->at_us > now_us)
                continue;
            for (; i > 0 && before(rim[i - 1], t); i--)
                rim[i] = rim[i - 1];
            rim[i] = t;
            rim_count++;
        }
    }
    *more = rim_count > 0;
    return n;
}
