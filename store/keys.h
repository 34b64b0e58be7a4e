/* keys.h: the origin's signing keys: root certifies, log signs heads and nothing else (but the
 * rotation of the event key), event signs events. Each secret is a 0600 file of its own; in memory
 * it is in guarded pages. Epochs count from 1, log and event apart; the log says which is in force.
 *
 * Signed texts (Ed25519):
 *   root_sig of log.opened:        "gatehouse-keys-v1\n" || origin || "\n" || log pk || event pk
 *   possession_sig, other_sig (and root_sig of key.compromised):
 *     "gatehouse-rotate-v1\n" || origin || "\n" || role || "\n" || epoch in decimal || "\n" || pk
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "core/note.h"
#include "core/verify.h"
#include "store/state.h"

struct keypair {
    uint32_t epoch;
    uint8_t pk[32];
    uint8_t *sk; /* 64 bytes, sodium_malloc, read-only; NULL: not loaded */
};

struct keys {
    char origin[ORIGIN_BYTES_MAX + 1];
    uint8_t root_pk[32];
    struct keypair log, event;
    struct keypair next; /* during a rotation: on disk, and not in force */
    enum key_role next_role;
};

/* What the drafts of log.opened and key.rotated carry. */
struct keys_opening {
    uint8_t root_pk[32], log_pk[32], event_pk[32];
    uint8_t root_sig[64];
};
struct keys_rotation {
    enum key_role role;
    uint32_t epoch;
    uint8_t new_pk[32];
    uint8_t possession_sig[64], other_sig[64];
};

/* init: makes root, log and event keys, writes and syncs them. */
MUST_USE enum err keys_create(
    const struct state *st, struct keys *out, struct keys_opening *opening, struct complaint *why);

/* Loads the keys in force: epochs and public keys as the log names them. Secrets that no event
 * names, and those of epochs gone by, are wiped. ERR_NOT_FOUND: one is missing; ERR_MISMATCH: not
 * the one that the log names. */
struct keys_in_force {
    uint8_t root_pk[32];
    uint32_t log_epoch, event_epoch;
    uint8_t log_pk[32], event_pk[32];
};
MUST_USE enum err keys_load(const struct state *st, const struct keys_in_force *now,
    struct keys *out, struct complaint *why);
/* The same without touching anything: are they there, and the ones that the log names? */
MUST_USE enum err keys_check(
    const struct state *st, const struct keys_in_force *now, struct complaint *why);
void keys_close(struct keys *k); /* wipes memory, not files */

/* Makes the next secret of a role, syncs it to disk, and signs what key.rotated must carry.
 * ERR_EXISTS: a rotation is under way. */
MUST_USE enum err keys_rotate_begin(const struct state *st, struct keys *k, enum key_role role,
    struct keys_rotation *out, struct complaint *why);
/* When key.rotated is durable: the next key is the key. keys_rotate_end: the old secret goes. */
void keys_rotate_switch(struct keys *k, struct keypair *old);
MUST_USE enum err keys_rotate_end(
    const struct state *st, enum key_role role, struct keypair *old, struct complaint *why);
/* When key.rotated was never submitted: the next secret goes. */
MUST_USE enum err keys_rotate_cancel(const struct state *st, struct keys *k, struct complaint *why);

/* Verifier keys as C2SP vkey text: root's is named ORIGIN/root, the log's ORIGIN. */
MUST_USE enum err keys_root_vkey(const struct keys *k, char *out, size_t cap);
MUST_USE enum err keys_log_vkey(const struct keys *k, char *out, size_t cap);
/* From STATE/keys/root.pub: there also when the root key is offline. */
MUST_USE enum err keys_root_public(
    const struct state *st, struct note_key *out, struct complaint *why);

#endif
