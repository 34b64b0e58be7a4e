/* anchor.h: the latest checkpoint, kept beside (best: on another device than) the log. A log that
 * does not extend its anchor was rolled back. One small thread writes it at most once a second. */
#ifndef STORE_ANCHOR_H
#define STORE_ANCHOR_H

#include "store/loglmdb.h"

struct anchor;

struct anchor_config {
    const char *dir; /* NULL: STATE/anchor */
    const struct state *state;
    struct loglmdb *log;
};

/* Checks that the log extends the anchor, in size and by a consistency proof; keys: all log keys
 * there ever were. ERR_MISMATCH with the remedy otherwise. No anchor yet is fine. */
MUST_USE enum err anchor_check(const struct anchor_config *config, const struct note_key *keys,
    size_t count, struct complaint *why);

MUST_USE enum err anchor_start(
    const struct anchor_config *config, struct anchor **out, struct complaint *why);
void anchor_stop(struct anchor *a); /* writes the last head first */
void anchor_listener(struct anchor *a, struct durable_listener *out);

struct anchor_health {
    bool shares_device; /* with the log: protects against less */
    bool failing;
    char error[COMPLAINT_BYTES];
    uint64_t size; /* of the checkpoint that is anchored */
};
void anchor_health(struct anchor *a, struct anchor_health *out);

#endif
