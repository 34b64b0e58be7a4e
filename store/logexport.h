/* logexport.h: the log as one file (core/logfile.h), as far as it is durable now. Reads in slices:
 * beside a running server too. Any thread. */
#ifndef STORE_LOGEXPORT_H
#define STORE_LOGEXPORT_H

#include "core/logfile.h"
#include "store/loglmdb.h"

struct logexport {
    struct loglmdb *log;
    const char *origin;
    struct logfile_out out;
    void *ctx;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* or NULL */
};

/* *size: how many events were written. */
MUST_USE enum err logexport(const struct logexport *how, uint64_t *size);

#endif
