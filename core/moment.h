/* moment.h: time and randomness as values. Decisions get them handed in, so that a seed replays a
 * run. */
#ifndef CORE_MOMENT_H
#define CORE_MOMENT_H

#include "core/id.h"

#define US_PER_S INT64_C(1000000)

struct moment {
    int64_t eff_us;       /* the log's time: windows, expiries, token times */
    int64_t wall_us;      /* the wall clock, recorded only */
    uint64_t boottime_us; /* CLOCK_BOOTTIME */
};

/* A deterministic byte stream (ChaCha20 over a seed). Real seeds come from the kernel once per
 * command; simulated ones from the run's seed. */
struct entropy {
    uint8_t seed[32];
    uint64_t used;
};

void entropy_init(struct entropy *e, const uint8_t seed[32]);
void entropy_bytes(struct entropy *e, void *out, size_t n);
struct id entropy_id(struct entropy *e);
/* Uniform in [0, bound). */
uint64_t entropy_below(struct entropy *e, uint64_t bound);

#endif
