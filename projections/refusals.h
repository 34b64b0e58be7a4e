/* refusals.h: refused attempts, counted. Anonymous traffic over its limits gets no event of its
 * own: it is counted here, in a bounded table, and written as one refusals.counted event per
 * REFUSALS_WRITE_US, so that the sum over events is the number of refusals. Not state: these counts
 * feed totals only, never a window, never a grant. Ledger thread only. */
#ifndef PROJECTIONS_REFUSALS_H
#define PROJECTIONS_REFUSALS_H

#include "core/event.h"
#include "core/refusal.h"

#define REFUSALS_ROWS_MAX 256
#define REFUSALS_WRITE_US (10 * INT64_C(1000000))
/* nil-able tag (18 bytes), reason, count, two times, heads */
#define REFUSALS_PACKED_MAX (REFUSALS_ROWS_MAX * 80 + 8)

struct refusals {
    uint32_t count;
    struct refusals_row {
        struct tag net; /* nil: the bucket of all that found the table full */
        enum refusal reason;
        uint64_t times;
        int64_t first_us, last_us;
    } rows[REFUSALS_ROWS_MAX];
    uint64_t total;
};

void refusals_count(struct refusals *r, const struct tag *net, enum refusal reason, int64_t eff_us);
/* When the counts are due to be written; INT64_MAX when there are none. */
int64_t refusals_due_us(const struct refusals *r);
/* Canonical array of [net bin16, reason str, times, first_us, last_us]. */
struct span refusals_pack(const struct refusals *r, uint8_t *out, size_t cap);
void refusals_reset(struct refusals *r);

#endif
