/* keystore.h: verifiers (passwords, codes, API keys, invitations) and subject keys, outside the
 * log, in fixed slots of 512 bytes written in place, so that dropping one really overwrites it (a
 * deleted LMDB value stays in the file). Each slot carries its own checksum: a torn one counts as
 * empty. Events name id and version; what none names is discarded at start.
 * Any thread may call (one lock); in the server only the journal writes. */
#ifndef STORE_KEYSTORE_H
#define STORE_KEYSTORE_H

#include "core/ports.h"
#include "store/state.h"

#define KEYSTORE_SLOT_BYTES 512

struct keystore;

/* Creates the file if there is none. */
MUST_USE enum err keystore_open(
    const struct state *st, struct keystore **out, struct complaint *why);
void keystore_close(struct keystore *ks);

/* Stores the secrets that are not drops, and syncs. A (kind, id, version) that is there already is
 * replaced. After an error nothing may be acknowledged; errno tells. */
MUST_USE enum err keystore_apply(
    struct keystore *ks, const struct batch_secret *secrets, uint32_t count);
/* Overwrites the slots of those that are drops, and syncs. Version 0 means all versions. What is
 * not there is gone already. */
MUST_USE enum err keystore_drop(
    struct keystore *ks, const struct batch_secret *secrets, uint32_t count);

/* Each secret, in no order; `keep` false overwrites it (one sync at the end). The bytes are
 * borrowed for the call, from guarded memory. */
MUST_USE enum err keystore_each(
    struct keystore *ks, bool (*keep)(void *arg, const struct batch_secret *secret), void *arg);

uint64_t keystore_count(struct keystore *ks);
uint64_t keystore_damaged(struct keystore *ks); /* torn slots found (and cleared) at open */

#endif
