/* journal.h: makes events durable: group commit of signed records, tiles, frontier and checkpoint.
 * Two threads: the signer signs batch k+1 (and syncs its secrets) while the writer syncs batch k.
 * Any failure ends the process (state_failstop): no acknowledgement ever follows it. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/keys.h"
#include "store/keystore.h"
#include "store/loglmdb.h"

#define JOURNAL_LISTENERS_MAX 8

struct journal;

/* All borrowed until journal_stop. The journal owns writing to log, keystore and keys. */
struct journal_config {
    struct state *state;
    struct loglmdb *log;
    struct keystore *keystore;
    struct keys *keys;
    uint32_t listener_count;
    struct durable_listener listeners[JOURNAL_LISTENERS_MAX]; /* called on the writer thread */
};

/* Loads frontier and tiles (ERR_MISMATCH: they contradict each other), starts the threads. */
MUST_USE enum err journal_start(
    const struct journal_config *config, struct journal **out, struct complaint *why);
/* Finishes what was submitted, then ends the threads. */
void journal_stop(struct journal *j);

void journal_port(struct journal *j, struct journal_port *out);
uint64_t journal_durable(struct journal *j); /* any thread */
/* Batches submitted and not yet durable (0 to 2). projections/batching.h says when the open one
 * closes. */
unsigned journal_under_way(struct journal *j);
uint32_t journal_event_epoch(struct journal *j); /* for the next batch */

/* First half of a rotation: what key.rotated must carry (keys_rotate_begin). The batch that ends
 * with it has `rotates`; nothing may be submitted after it until it is durable. */
MUST_USE enum err journal_rotate(
    struct journal *j, enum key_role role, struct keys_rotation *out, struct complaint *why);
/* When that event was refused instead. */
MUST_USE enum err journal_rotate_cancel(struct journal *j, struct complaint *why);

#endif
