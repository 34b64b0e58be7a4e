/* sigpool.h: checks signatures on all cores while the walk goes on. One user thread. */
#ifndef STORE_SIGPOOL_H
#define STORE_SIGPOOL_H

#include "core/verify.h"
#include "store/complaint.h"

struct sigpool;

/* threads 0: one per core. `origin` is borrowed. */
MUST_USE enum err sigpool_new(
    const char *origin, unsigned threads, struct sigpool **out, struct complaint *why);
void sigpool_free(struct sigpool *p); /* waits */

/* Hands out `count` jobs (borrowed until sigpool_wait, which must come before the next start). */
void sigpool_start(struct sigpool *p, const struct verify_job *jobs, size_t count);
/* Waits; the index of the first job that failed, or SIZE_MAX. */
size_t sigpool_wait(struct sigpool *p);

#endif
