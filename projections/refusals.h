/* refusals.h: refused attempts, counted. Traffic over its limits gets no event of its own: it is
 * counted here, in a bounded table, and written as one refusals.counted event per
 * REFUSALS_WRITE_US, so that the sum over events is the number of refusals, exactly, also across
 * kill -9. Not state: these counts feed totals only, never a window, never a grant.
 *
 * The table is memory that outlives the process (store/sharedfile.h). It has two halves, told apart
 * by their generation: the higher one counts; the other is empty, or frozen under the number that
 * its event carries until that event is durable. A new process compares those numbers with the last
 * one in the log: a half that was written is cleared, one that was not is written now. Every step
 * is one store, in this order, so that a process may end between any two of them.
 *
 * What is found at start is not trusted: a half, a row or a count that does not carry its own check
 * is dropped, and that is said (server.started).
 *
 * Ledger thread only, but for refusals_busy. */
#ifndef PROJECTIONS_REFUSALS_H
#define PROJECTIONS_REFUSALS_H

#include "core/event.h"
#include "core/limits.h"
#include "core/policy.h"

#define REFUSALS_WRITE_US (10 * INT64_C(1000000))
/* array head, two tags or ids, the reason, count, two times */
#define REFUSALS_PACKED_MAX (REFUSALS_ROWS_MAX * 88 + 8)

/* Why it was refused: the number of a rule whose window was full, or one of these. */
#define REFUSED_BY_BUDGET 200u /* what strangers may write to the log together is used up */
#define REFUSED_BY_BUSY   201u /* a queue was full: 503 */

struct refusals_map; /* what lies in the shared memory */

struct refusals {
    struct refusals_map *map;
    uint64_t logged;   /* generation that the log has */
    bool offered;      /* the frozen half is in an event, not yet durable */
    uint64_t rests_on; /* ... with this many events */
};

/* How the memory was found. The words are those of server.started. */
enum refusals_found {
    REFUSALS_NEW,     /* nothing was there: the first start, or somebody removed it */
    REFUSALS_KEPT,    /* all counts are here that were ever made */
    REFUSALS_UNSURE,  /* the machine went down: counts since the last event may be missing */
    REFUSALS_DAMAGED, /* some of it did not verify, and was dropped */
};
const char *refusals_found_word(enum refusals_found found);

/* Bytes of shared memory that a table needs. */
size_t refusals_bytes(void);

/* Takes the memory over. `logged` is the generation of the last refusals.counted of the log (0:
 * none), `kernel_boot` tells whether the machine has been up since. */
enum refusals_found refusals_open(struct refusals *r, void *memory, const struct id *origin_id,
    const struct tag *kernel_boot, uint64_t logged, int64_t eff_us);
/* The process ends in good order, and the memory will be synced: no power cut takes anything. */
void refusals_close(struct refusals *r);

/* One more. `account` is nil when none is known. With the table full it goes into the row of the
 * wider network, and with that full into the one for all. */
void refusals_count(struct refusals *r, const struct tags *tags, const struct id *account,
    unsigned reason, int64_t eff_us);
/* A 503 of a full queue, which never reached the ledger. Any thread. */
void refusals_busy(struct refusals *r, int64_t eff_us);

/* Counted, and not in the log. */
uint64_t refusals_pending(const struct refusals *r);

/* When the counts are due to be written; INT64_MAX when there are none, or while the last event is
 * not durable yet. */
int64_t refusals_due_us(const struct refusals *r);
/* Freezes what was counted, under *generation. False: nothing to write. Until refusals_offered it
 * may be asked again, and gives the same. */
bool refusals_freeze(struct refusals *r, uint64_t *generation, uint64_t *total, int64_t eff_us);
/* Canonical array of [net bin, account bin, reason str, count, first_us, last_us] of the frozen
 * half. An empty net means all; an empty account, that none is known. */
struct span refusals_pack(const struct refusals *r, uint8_t *out, size_t cap);
/* The frozen half is in an event; it is cleared when `rests_on` events are durable. */
void refusals_offered(struct refusals *r, uint64_t rests_on);
void refusals_durable(struct refusals *r, uint64_t size);

#endif
