/* verify.h: reads a whole log, beside a running server or not, and believes nothing but records and
 * keys (core/verify.h has the rules). Read-only. LMDB aborts on a damaged file, so this runs in a
 * process of its own. */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "core/verify.h"
#include "store/loglmdb.h"

struct store_verify {
    struct loglmdb *log;
    const char *origin;
    struct verify_trust trust; /* its `fast` is set from ours */
    bool fast;                 /* tree and heads; event signatures only of key events */
    unsigned threads;          /* for signatures; 0: one per core */
    struct span old;           /* --checkpoint OLD: a signed note; empty: none */
    void *ctx;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* or NULL */
    /* or NULL. NULL, or what is wrong with this event beyond the log's rules (static). */
    const char *(*each)(void *ctx, const struct event *ev, struct span record);
};

/* OK, or ERR_MISMATCH with the first bad event in the result; other errors are the machine's
 * (ERR_MALFORMED: `old` is no checkpoint of this log). */
MUST_USE enum err store_verify(
    const struct store_verify *how, struct verify_result *out, struct complaint *why);

#endif
