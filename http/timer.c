/* timer.c: the timer wheel. Each slot is a circular list; a timer further away than one turn stays
 * in its slot and is passed over until its tick. Owned by one loop's thread. */
#include "http/timer.h"

#include "core/err.h"

void
timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    wheel->tick = now_ms / TIMER_TICK_MS;
    wheel->count = 0;
    for (size_t i = 0; i < TIMER_SLOTS; i++)
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
}

void
timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t now_ms, uint64_t after_ms)
{
    struct timer *head;

    timer_stop(wheel, timer);
    timer->due_tick = (now_ms + after_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
    if (timer->due_tick < wheel->tick)
        timer->due_tick = wheel->tick;
    head = &wheel->slots[timer->due_tick % TIMER_SLOTS];
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
    wheel->count++;
}

void
timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer_is_set(timer))
        return;
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
    wheel->count--;
}

/* Moves what is due in one slot to a list of its own, so that callbacks may set and stop any timer.
 */
static void
slot_run(struct timer_wheel *wheel, struct loop *loop, struct timer *head, uint64_t tick)
{
    struct timer due = {.next = &due, .prev = &due}, *timer, *next;

    for (timer = head->next; timer != head; timer = next) {
        next = timer->next;
        if (timer->due_tick > tick)
            continue;
        timer->prev->next = timer->next;
        timer->next->prev = timer->prev;
        timer->next = &due;
        timer->prev = due.prev;
        due.prev->next = timer;
        due.prev = timer;
    }
    while ((timer = due.next) != &due) {
        timer_stop(wheel, timer);
        timer->fn(loop, timer);
    }
}

void
timer_wheel_run(struct timer_wheel *wheel, struct loop *loop, uint64_t now_ms)
{
    uint64_t now = now_ms / TIMER_TICK_MS, tick = wheel->tick;

    if (now < tick)
        return;
    /* After a long sleep one full turn sees every slot once; due_tick decides. */
    if (now - tick >= TIMER_SLOTS)
        tick = now - TIMER_SLOTS + 1;
    wheel->tick = now + 1; /* timers set from within run at the next tick at the earliest */
    for (; tick <= now && wheel->count > 0; tick++)
        slot_run(wheel, loop, &wheel->slots[tick % TIMER_SLOTS], now);
}
