/* clock.h: eff time, the only time that decisions and folds know. At start it continues from the
 * log; then CLOCK_BOOTTIME advances it, slewed forward to the wall clock by at most 500 ppm and
 * never back. So one false clock reading can neither freeze nor skip a limit. Pure: readings are
 * handed in. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/moment.h"

#define CLOCK_JUMP_MAX_US                                                                          \
    (7 * 86400 * US_PER_S) /* largest gap to the last event that is believed */
#define CLOCK_SLEW_PPM   500
#define CLOCK_STEPPED_US US_PER_S /* wall further away than this is clock.stepped */

struct eff_clock {
    int64_t eff_us;
    uint64_t boottime_us; /* of the last reading */
    bool unsure;          /* at start no reading could be believed: an admin must accept */
    bool away;            /* wall is further than CLOCK_STEPPED_US; reported once per episode */
};

/* What the log says about time. */
struct clock_past {
    bool any; /* there is an event at all */
    int64_t last_eff_us;
    bool same_kernel_boot; /* the mark below was made in this kernel boot */
    int64_t mark_eff_us;   /* eff and BOOTTIME of the last server.started or heartbeat */
    uint64_t mark_boottime_us;
};

void clock_start(
    struct eff_clock *c, const struct clock_past *past, int64_t wall_us, uint64_t boottime_us);
/* Advances; true when the wall clock has just gone further away than CLOCK_STEPPED_US (an event is
 * due: *wall_error_us = wall - eff). */
bool clock_advance(
    struct eff_clock *c, int64_t wall_us, uint64_t boottime_us, int64_t *wall_error_us);
/* An admin vouches for the wall clock: eff jumps forward to it, never back. */
void clock_accept(struct eff_clock *c, int64_t wall_us);

#endif
