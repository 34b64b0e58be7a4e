/* lmdb_env.h: what both environments (log, views) do alike: opening, error codes, keys. Only
 * store/ includes this: it names LMDB. */
#ifndef STORE_LMDB_ENV_H
#define STORE_LMDB_ENV_H

#include <lmdb.h>

#include "core/err.h"
#include "core/span.h"
#include "store/complaint.h"

struct lmdb_env_options {
    unsigned flags; /* MDB_RDONLY, MDB_NOSYNC ...; MDB_NOTLS is always there, MDB_NOLOCK never */
    uint64_t map_bytes;
    unsigned tables;
};

/* `path` is a folder. Readers of dead processes are cleared. */
MUST_USE enum err lmdb_env_open(
    const char *path, const struct lmdb_env_options *options, MDB_env **out, struct complaint *why);

/* LMDB's codes and errno values as ours: MDB_MAP_FULL and ENOSPC are ERR_FULL. */
enum err lmdb_env_err(int rc);

static inline void
lmdb_be64(uint64_t value, uint8_t out[8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static inline uint64_t
lmdb_u64(const uint8_t in[8])
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

static inline MDB_val
lmdb_val(const void *bytes, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
}

#endif
