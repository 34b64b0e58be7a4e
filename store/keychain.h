/* keychain.h: which keys the log names, read from its key events: what the server needs at start.
 * It takes the store's word for it; core/verify.h does not. */
#ifndef STORE_KEYCHAIN_H
#define STORE_KEYCHAIN_H

#include "store/keys.h"
#include "store/loglmdb.h"

struct keychain {
    struct keys_in_force now;
    size_t log_count; /* all log keys there ever were, oldest first: heads are by one of them */
    struct note_key *log;
};

/* ERR_NOT_FOUND: no log.opened. ERR_MISMATCH: another origin or root than the state folder's. */
MUST_USE enum err keychain_read(
    const struct state *st, struct loglmdb *log, struct keychain *out, struct complaint *why);
void keychain_fini(struct keychain *k);

#endif
