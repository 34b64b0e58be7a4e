/* loglmdb_impl.h: what the two halves of the log's adapter share. */
#ifndef STORE_LOGLMDB_IMPL_H
#define STORE_LOGLMDB_IMPL_H

#include <stdatomic.h>

#include "store/lmdb_env.h"
#include "store/loglmdb.h"

enum log_table { LOG_RECORDS, LOG_TILES, LOG_KEY_EVENTS, LOG_META, LOG_TABLES };

#define LOG_META_FRONTIER   "frontier"
#define LOG_META_CHECKPOINT "checkpoint"
#define LOG_TILE_KEY        9

struct loglmdb {
    char path[STATE_PATH_BYTES];
    bool read_only;
    MDB_env *env;
    MDB_dbi dbi[LOG_TABLES];
    _Atomic uint64_t size; /* durable */
    MDB_txn *txn;          /* the writer's */
    int rc;                /* of the writer's last call */
};

static inline void
loglmdb_tile_key(unsigned level, uint64_t index, uint8_t out[LOG_TILE_KEY])
{
    out[0] = (uint8_t)level;
    lmdb_be64(index, out + 1);
}

#endif
