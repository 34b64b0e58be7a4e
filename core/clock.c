/* clock.c: eff time. Pure; ledger thread. */
#include "core/clock.h"

void
clock_start(
    struct eff_clock *c, const struct clock_past *past, int64_t wall_us, uint64_t boottime_us)
{
    *c = (struct eff_clock){.boottime_us = boottime_us, .eff_us = wall_us < 0 ? 0 : wall_us};
    if (!past->any)
        return;
    if (past->same_kernel_boot && boottime_us >= past->mark_boottime_us) {
        c->eff_us = past->mark_eff_us + (int64_t)(boottime_us - past->mark_boottime_us);
    } else if (wall_us < past->last_eff_us || wall_us - past->last_eff_us > CLOCK_JUMP_MAX_US) {
        c->eff_us = past->last_eff_us;
        c->unsure = c->away = true; /* whoever starts reports it */
    }
    if (c->eff_us < past->last_eff_us)
        c->eff_us = past->last_eff_us;
}

bool
clock_advance(struct eff_clock *c, int64_t wall_us, uint64_t boottime_us, int64_t *wall_error_us)
{
    int64_t elapsed, error;
    bool was_away = c->away;

    /* BOOTTIME cannot go back; a reading that does is worth nothing. */
    elapsed = boottime_us > c->boottime_us ? (int64_t)(boottime_us - c->boottime_us) : 0;
    c->boottime_us += (uint64_t)elapsed;
    c->eff_us += elapsed;
    error = wall_us - c->eff_us;
    if (error > 0 && !c->unsure) {
        int64_t slew = elapsed / (1000000 / CLOCK_SLEW_PPM);

        c->eff_us += error < slew ? error : slew;
    }
    *wall_error_us = error;
    c->away = error > CLOCK_STEPPED_US || error < -CLOCK_STEPPED_US;
    return c->away && !was_away;
}

void
clock_accept(struct eff_clock *c, int64_t wall_us)
{
    if (wall_us > c->eff_us)
        c->eff_us = wall_us;
    c->unsure = false;
    c->away = wall_us < c->eff_us - CLOCK_STEPPED_US; /* still so, and known */
}
