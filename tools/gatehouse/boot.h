/* boot.h: from a state folder to a ledger that continues it: the log is read once from its first
 * event, and everything that decides comes out of that (and the keystore). Used by `serve`, by
 * `init` and by nobody else: other commands speak to the running server. */
#ifndef TOOLS_GATEHOUSE_BOOT_H
#define TOOLS_GATEHOUSE_BOOT_H

#include "core/clock.h"
#include "core/keyring.h"
#include "core/vault.h"
#include "projections/ledger.h"
#include "projections/secretpast.h"
#include "store/anchor.h"
#include "store/journal.h"
#include "store/sharedfile.h"

struct boot {
    struct state state;
    struct loglmdb *log;
    struct keystore *keystore;
    struct keys keys;
    struct keyring *keyring;
    struct vault *vault;
    struct world *world;
    struct journal *journal;
    struct ledger *ledger;
    struct eff_clock clock;
    int64_t wall_error_us; /* wall - eff when it was opened */
    struct id boot_id;
    struct tag kernel_boot;
    struct hash prev; /* of the event to come */
    struct clock_past past;
    struct keys_in_force keys_now;
    struct secret_past secrets;   /* of access tokens */
    struct note_key log_keys[64]; /* all that there ever were, oldest first */
    size_t log_key_count;
    struct sharedfile refusals_file;
    struct refusals refusals;
    uint64_t refusals_logged; /* generation of the last refusals.counted */
    enum refusals_found refusals_found;
    bool state_held, keys_held;
};

/* Opens, locks and replays; changes nothing. The caller then has the anchor judge the log, and only
 * after that calls boot_load: a rolled-back log names neither the newer keys nor the newer
 * verifiers, and what no event names is discarded. */
MUST_USE enum err boot_open(
    const char *state_dir, uint64_t log_map_bytes, struct boot *out, struct complaint *why);
/* Loads keys and secrets, and discards those that no event names. The journal is not started and
 * there is no ledger yet. */
MUST_USE enum err boot_load(struct boot *b, struct complaint *why);
/* A fresh state folder with keys and an empty log; opening receives what log.opened carries. */
MUST_USE enum err boot_create(const char *state_dir, const char *origin, struct boot *out,
    struct keys_opening *opening, struct complaint *why);
/* Starts the journal with these listeners, and makes the ledger. */
MUST_USE enum err boot_start(struct boot *b, const struct durable_listener *listeners,
    uint32_t count, struct complaint *why);
/* Everything that was opened, in reverse; waits for what was submitted to become durable. */
void boot_close(struct boot *b);

/* One step outside the ledger's thread (before it starts, or where there is none). The caller
 * frees. */
struct verdict *boot_step(struct boot *b, const struct command *cmd);
/* Then hands over what is open, and waits while the journal has no room. */
void boot_flush(struct boot *b);

#endif
