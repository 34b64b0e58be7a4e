/* batching.h: when the open batch closes. A sync costs the same for one event as for hundreds, so
 * the batch goes when the sync before it has ended, and then a little later: those whom that sync
 * answered often come back with the next thing to write, and whoever just misses a batch waits for
 * two. Pure: time and sizes are handed in. Ledger thread. */
#ifndef PROJECTIONS_BATCHING_H
#define PROJECTIONS_BATCHING_H

#include "core/moment.h"

/* Patience: a quarter of what a sync takes, and no more than this. */
#define BATCHING_PATIENCE_DIVISOR 4
#define BATCHING_PATIENCE_MAX_US  1000
/* To decide and sign an event, about. A batch that is as much work as a sync takes needs not grow:
 * it goes at once, also beside the one under way, so that processors and disk work together. */
#define BATCHING_EVENT_US   20
#define BATCHING_BESIDE_MIN 8

#define BATCHING_UNDER_WAY_MAX 2 /* as the journal has it (core/ports.h) */

struct batching {
    uint64_t durable; /* events 0..durable-1 */
    uint32_t under_way;
    uint64_t ends[BATCHING_UNDER_WAY_MAX]; /* log's size after each batch under way, oldest first */
    int64_t handed_us[BATCHING_UNDER_WAY_MAX];
    uint64_t back_at; /* the size at which as many have come back as the last sync answered */
    int64_t patience_us;
    int64_t ended_us; /* the last sync */
    int64_t sync_us;  /* what a sync takes, smoothed */
};

void batching_init(struct batching *b, uint64_t size);
/* All events up to size-1 are the journal's now. */
void batching_handed(struct batching *b, uint64_t size, int64_t now_us);
/* Events up to durable-1 are on disk since now_us; the log has `size` with the open batch. */
void batching_durable(struct batching *b, uint64_t durable, uint64_t size, int64_t now_us);

/* 0: close it now. Otherwise wait, at most so long; INT64_MAX: until something happens. */
int64_t batching_wait_us(const struct batching *b, uint64_t size, int64_t now_us);

#endif
