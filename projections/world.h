/* world.h: all that the server decides from, folded from events, in memory. Total and
 * deterministic: whatever was once written folds; what fits nowhere is counted in `strays`, never
 * fatal. No clock, no store, no secret: time is the event's own eff, people are ids and tags.
 * Owned by one thread (the ledger's; the historian and the verifier have worlds of their own). */
#ifndef PROJECTIONS_WORLD_H
#define PROJECTIONS_WORLD_H

#include "projections/accounts.h"
#include "projections/alerts.h"
#include "projections/budget.h"
#include "projections/fleet.h"
#include "projections/limits.h"
#include "projections/ownership.h"

/* Kinds of struct deadline, for both heaps. */
enum world_timer {
    TIMER_CODE = 1, /* due */
    TIMER_SESSION,  /* due while live, reap once ended */
    TIMER_GUEST,    /* due */
    TIMER_FAMILY,   /* reap */
    TIMER_INVITE,   /* reap */
    TIMER_KEY,      /* reap */
    TIMER_CHANNEL,  /* reap */
};

struct world {
    uint64_t size;   /* events folded */
    int64_t eff_us;  /* of the newest; never goes back */
    uint64_t strays; /* events, or parts of them, that fit nowhere */

    struct policy policy;
    struct hash policy_hash;
    bool policy_adopted;
    bool clock_unsure;  /* started with a wall clock that cannot be; until it is accepted */
    bool clock_stepped; /* that, or it ran away later: eff does not heed it, and may be told to */
    struct id boot;
    uint32_t key_epoch, log_epoch;

    struct limits limits;
    struct budget budget;
    struct accounts accounts;
    struct fleet fleet;
    struct ownership ownership;
    struct alerts alerts;

    struct timers due;  /* ends that are events: by CMD_TIME_PASSED */
    struct timers reap; /* ends that are not: expired things leave memory */
};

struct world *world_new(void);
void world_free(struct world *w);

/* ev (and what it borrows from) is not kept. */
void world_fold(struct world *w, const struct event *ev);
uint64_t world_size(const struct world *w);
/* eff at which something ends by itself; INT64_MAX: nothing does. CMD_TIME_PASSED at or after it
 * finds facts.due_count > 0. */
int64_t world_next_deadline(const struct world *w);
/* The technician sent a payload byte at eff_us. Not in the log, in no digest. */
void world_touch_session(struct world *w, const struct id *session, int64_t eff_us);

/* For the folds. Times out of the log are clamped, so that adding a window cannot overflow. */
#define WORLD_TIME_MAX (INT64_MAX / 4)
int64_t world_field_us(const struct event *ev, enum field field); /* absent: TIMER_NEVER */
int64_t world_after(int64_t at_us, uint32_t seconds);
void world_stray(struct world *w);

#endif
