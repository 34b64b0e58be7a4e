/* upkeep.h: what has to be looked at while the server runs, and is nobody's command: how much room
 * the log has left, and readers of the log whose process died (they keep old pages from being used
 * again, so that the file grows). One thread; never blocks on a lock that the log's writer holds.
 */
#ifndef STORE_UPKEEP_H
#define STORE_UPKEEP_H

#include "store/loglmdb.h"

struct upkeep {
    const struct state *state;
    struct loglmdb *log;
    /* results */
    bool low;            /* below LOW_SPACE_BYTES, or nobody can tell */
    uint64_t free_bytes; /* on the log's file system, or in its map, whichever is less */
    unsigned readers_cleared;
    /* own */
    int64_t readers_checked_s;
};

void upkeep_init(struct upkeep *u, const struct state *state, struct loglmdb *log);
/* Each second. now_s: any clock that goes on. */
void upkeep_look(struct upkeep *u, int64_t now_s);

#endif
