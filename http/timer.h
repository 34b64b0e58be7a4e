/* timer.h: a hashed timer wheel (Varghese and Lauck). Setting and stopping a timer costs a few
 * pointer writes and no memory, so each connection may keep one. Owned by one loop's thread. */
#ifndef HTTP_TIMER_H
#define HTTP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS 64   /* resolution */
#define TIMER_SLOTS   1024 /* one turn of the wheel is 65.5 s; longer waits go round */

struct loop;

struct timer {
    void (*fn)(struct loop *loop, struct timer *timer); /* set by the owner; runs on the loop */
    struct timer *next, *prev;                          /* next == NULL: not set */
    uint64_t due_tick;
};

struct timer_wheel {
    struct timer slots[TIMER_SLOTS]; /* heads of circular lists */
    uint64_t tick;                   /* all ticks before this one have run */
    uint32_t count;                  /* timers set */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Runs at the first tick that is no earlier than now_ms + after_ms. A set timer is moved. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t now_ms, uint64_t after_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);

static inline bool
timer_is_set(const struct timer *timer)
{
    return timer->next != 0;
}

/* Runs all that is due at now_ms. Timers may be set and stopped from within. */
void timer_wheel_run(struct timer_wheel *wheel, struct loop *loop, uint64_t now_ms);

#endif
