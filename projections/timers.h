/* timers.h: things that have a time, earliest first: a binary heap that knows where each timer
 * sits, so that a time moves in O(log n) and no stale entry is ever left. Ties are broken by kind
 * and id: the order is the same in every process. A timer lives inside the thing it times. */
#ifndef PROJECTIONS_TIMERS_H
#define PROJECTIONS_TIMERS_H

#include "core/id.h"

#define TIMER_NEVER INT64_MAX

struct deadline {
    int64_t at_us;
    uint32_t pos; /* place in the heap, from 1; 0: not set */
    uint32_t kind;
    struct id id;
};

struct timers {
    struct deadline **heap; /* heap[1] is the earliest */
    uint32_t count, cap;
};

void timers_init(struct timers *ts);
void timers_fini(struct timers *ts); /* not the timers */
/* Sets or moves; TIMER_NEVER takes it out. */
void timers_set(struct timers *ts, struct deadline *t, int64_t at_us);
void timers_off(struct timers *ts, struct deadline *t);
struct deadline *timers_first(const struct timers *ts); /* NULL: none */
/* The earliest up to `max` timers with at_us <= now_us, in order; max at most TIMERS_LIST_MAX.
 * *more: there are others. */
#define TIMERS_LIST_MAX 64
uint32_t timers_list(
    const struct timers *ts, int64_t now_us, uint32_t max, struct deadline **out, bool *more);

#endif
