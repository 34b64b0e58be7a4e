/* due.h: what ends by itself at eff: codes, sessions, requests, idle guests. Each end is its own
 * event, by CMD_TIME_PASSED. Pure reading of the world. Ledger thread. */
#ifndef PROJECTIONS_DUE_H
#define PROJECTIONS_DUE_H

#include "projections/world.h"

/* Fills facts->due, due_count and due_more. */
void due_gather(const struct world *w, int64_t eff_us, struct facts *facts);

#endif
