/* digest_check.h: for whoever verifies a log: folds it, and compares the digest that each
 * server.started carries with that of the state before it. Memory grows with the state that the
 * log tells of, not with the log. One thread. */
#ifndef PROJECTIONS_DIGEST_CHECK_H
#define PROJECTIONS_DIGEST_CHECK_H

#include "core/event.h"
#include "projections/world.h"

struct digest_check {
    struct world *world;
    uint64_t checked, skipped; /* skipped: of a version that this build does not have */
};

MUST_USE enum err digest_check_init(struct digest_check *d);
void digest_check_fini(struct digest_check *d);

/* Events in order, from seq 0. NULL, or what is wrong (static). */
MUST_USE const char *digest_check_event(struct digest_check *d, const struct event *ev);

#endif
