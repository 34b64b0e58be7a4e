/* sim.h: decisions, folds and ledger driven from one seed through crashes, torn batches, jumping
 * clocks, late disks and blocked batches. Everything random comes from sim->dice, so that a seed
 * replays a run; a broken promise prints the seed and the step, and aborts. */
#ifndef SIM_H
#define SIM_H

#include "core/clock.h"
#include "projections/ledger.h"

#define SIM_ORIGIN "gatehouse.sim"

/* ---- disk.c: a journal and keystore that crash well ---- */

struct disk {
    /* durable */
    struct span *records; /* bodies, in order */
    uint64_t size, cap;
    struct batch_secret *secrets;
    uint32_t secret_count, secret_cap;
    /* under way: submitted, not yet durable */
    struct batch *under_way[2];
    uint32_t under_way_count;
};

struct journal_port disk_port(struct disk *d);
/* The oldest batch under way becomes durable; false: there was none. */
bool disk_sync(struct disk *d);
/* Power fails: none, one or both batches under way turn out to be whole on disk (a commit is
 * atomic); their secrets, synced before, may be there even when the records are not. */
void disk_crash(struct disk *d, struct entropy *dice);
void disk_free(struct disk *d);

/* ---- actors.c: what may happen next ---- */

#define POOL 64
struct pool {
    uint32_t count;
    struct thing {
        struct id id, other, third; /* what these are depends on the pool */
        uint64_t n;
        char text[192];
        uint8_t bytes[192];
        size_t len;
    } things[POOL];
};

struct actors {
    struct pool users, logins, families, invites, codes, keys, machines, connections, sessions,
        tickets, dials, channels;
};

struct sim {
    uint64_t seed, step, steps;
    struct entropy dice;
    struct disk disk;
    struct keyring *keyring;
    struct vault *vault;
    struct world *world;
    struct ledger *ledger;
    void *refusals_memory; /* outlives a crash, as a mapped file does */
    struct refusals refusals;
    struct eff_clock clock;
    int64_t wall_us;
    uint64_t boottime_us;
    struct actors actors;
    struct verdict *(*run)(struct sim *sim, struct command *cmd);
    uint64_t granted, refused, crashes;
};

uint64_t sim_below(struct sim *s, uint64_t bound);
/* One random command, stepped, and what it gave kept for later ones. */
void actors_act(struct sim *s);
/* What a crash takes: connections, tickets, dials. */
void actors_crashed(struct actors *a);

/* ---- invariants.c: promises, checked from outside the world ---- */

/* Called with every verdict before the sim moves on. */
void invariants_verdict(struct sim *s, const struct command *cmd, const struct verdict *v);
/* After a restart: what was acknowledged is there; a replay of the disk gives the same digest. */
void invariants_restarted(struct sim *s);
/* Refusals in the log and those still to be written are all that were ever counted. */
void invariants_refusals(struct sim *s);
void invariants_reset(void);
void invariants_acked(uint64_t size); /* grants up to here may have left the server */

#define PROMISE(sim, cond)                                                                         \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr,                                                                        \
                "broken at %s:%d: %s\nreplay: gatehouse-sim --seed %llu --steps %llu\n", __FILE__, \
                __LINE__, #cond, (unsigned long long)(sim)->seed,                                  \
                (unsigned long long)(sim)->step + 1);                                              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
