/* rates.h: how often each token is used, and how many long answers it reads: in memory only, empty
 * after a restart, outside the log (design section 7: 600 a minute and 2 streams per token). One
 * bounded table for all loops behind one lock. */
#ifndef HTTP_RATES_H
#define HTTP_RATES_H

#include "core/facts.h"

#define RATES_PER_MINUTE 600
#define RATES_STREAMS    2
#define RATES_TOKENS_MAX 4096 /* when full, the one that was still for longest goes */
#define RATES_WINDOW_S   60

struct rates;

struct rates *rates_new(void); /* NULL: no memory */
void rates_free(struct rates *r);

/* Counts one request at now_s (any steady clock), in a window that slides by seconds. False: over.
 * `out` shows the figures; its frees_us is relative to `eff_us`. */
MUST_USE bool rates_take(struct rates *r, const struct id *family, uint64_t now_s, int64_t eff_us,
    struct limit_fact *out);

/* False: it reads as many long answers as it may. */
MUST_USE bool rates_stream_begin(struct rates *r, const struct id *family, uint64_t now_s);
void rates_stream_end(struct rates *r, const struct id *family);

#endif
