/* ledger.h: the one place where decisions become history. Takes commands in order; for each:
 * proofs, facts, decision, then numbers, times, seals, chains and folds the events and puts them
 * into the open batch. Holds no thread, clock or randomness of its own: http/ledger_thread.c drives
 * it in the server, tests/sim from a seed. */
#ifndef PROJECTIONS_LEDGER_H
#define PROJECTIONS_LEDGER_H

#include "core/ports.h"
#include "core/vault.h"
#include "core/verdict.h"
#include "projections/refusals.h"
#include "projections/world.h"

#define LEDGER_BATCH_EVENTS 4096 /* an open batch of this size takes no more commands ... */
#define LEDGER_BATCH_BYTES  (4 * 1024 * 1024) /* ... or of this one */

struct ledger;

struct ledger_start {
    const char *origin;
    struct world *world; /* folded up to the head; borrowed, and from now on only the ledger's */
    struct vault *vault; /* loaded; borrowed */
    struct keyring *keyring;
    struct journal_port journal;
    uint64_t next_seq;
    struct hash prev;   /* of the event to come; zeros for an empty log */
    uint32_t key_epoch; /* of the event key now in force */
    struct id boot;
    struct refusals *refusals; /* open; borrowed */
    const char
        *dummy_verifier; /* argon2id string proven against when there is no account; copied */
};

/* NULL: no memory. */
struct ledger *ledger_new(const struct ledger_start *start);
void ledger_free(struct ledger *l);

/* Runs one command. The verdict is the caller's (verdict_free). The command is read, not taken. */
struct verdict *ledger_step(
    struct ledger *l, const struct command *cmd, const struct moment *now, const uint8_t seed[32]);

/* Hands the open batch to the journal if it has events. False: the journal has no room for it, or
 * there is no memory for the next one; it stays open. */
bool ledger_flush(struct ledger *l);
bool ledger_has_open(const struct ledger *l); /* events that the journal was not handed yet */
/* True while no command may be stepped: the open batch is full, or a key rotation drains. */
bool ledger_blocked(const struct ledger *l);
/* The journal made events 0..size-1 durable. */
void ledger_durable(struct ledger *l, uint64_t size);

/* Earliest eff at which CMD_TIME_PASSED has something to do; INT64_MAX: never. */
int64_t ledger_deadline(const struct ledger *l);
uint64_t ledger_size(const struct ledger *l);
struct world *ledger_world(struct ledger *l); /* for the thread that drives it */
/* From now on every command that would start something is refused (REFUSE_STOPPING). */
void ledger_stop(struct ledger *l);
/* Likewise while the disk is nearly full (REFUSE_LOW_SPACE). */
void ledger_low_space(struct ledger *l, bool low);

#endif
