/* logexport.h: the log as one file (core/logfile.h), as far as it is durable now. Any thread. */
#ifndef STORE_LOGEXPORT_H
#define STORE_LOGEXPORT_H

#include "core/logfile.h"
#include "store/loglmdb.h"

MUST_USE enum err logexport(struct loglmdb *log, const char *origin, const struct logfile_out *out);

#endif
