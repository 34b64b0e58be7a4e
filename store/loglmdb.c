/* loglmdb.c: the log's environment: opening, and the writer's side. Never deletes a record, never
 * runs without sync. The journal's thread writes; store/loglmdb_read.c has the readers. */
#include <errno.h>
#include <sys/stat.h>

#include "store/loglmdb_impl.h"

static const char *const table_names[LOG_TABLES] = {
    [LOG_RECORDS] = "records",
    [LOG_TILES] = "tiles",
    [LOG_KEY_EVENTS] = "key_events",
    [LOG_META] = "meta",
};

static enum err
open_tables(struct loglmdb *log, const struct loglmdb_options *options, struct complaint *why)
{
    unsigned flags = options->create ? MDB_CREATE : 0;
    MDB_txn *txn;
    int rc = mdb_txn_begin(log->env, NULL, options->create ? 0 : MDB_RDONLY, &txn);

    if (rc != 0)
        goto failed;
    for (unsigned t = 0; t < LOG_TABLES && rc == 0; t++)
        rc = mdb_dbi_open(txn, table_names[t], flags, &log->dbi[t]);
    if (rc != 0)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    if (rc == 0)
        return OK;
failed:
    complain(why, "cannot open the tables of %s: %s; restore the log from a backup", log->path,
        mdb_strerror(rc));
    return lmdb_env_err(rc);
}

/* Frontier and records must speak of the same number of events. */
static enum err
check_sizes(struct loglmdb *log, struct complaint *why)
{
    uint64_t by_records, by_frontier;
    enum err err = loglmdb_sizes(log, &by_records, &by_frontier);

    if (err != OK) {
        complain(why, "cannot read the head of %s: %s; restore the log from a backup", log->path,
            err_name(err));
        return err;
    }
    if (by_records != by_frontier) {
        complain(why,
            "%s holds %llu records and a tree of %llu: run `gatehouse audit verify`, and restore "
            "the log from a backup",
            log->path, (unsigned long long)by_records, (unsigned long long)by_frontier);
        return ERR_MISMATCH;
    }
    atomic_store(&log->size, by_frontier);
    return OK;
}

static enum err
check_present(const struct loglmdb *log, bool create, struct complaint *why)
{
    char path[STATE_PATH_BYTES + 16];
    struct stat sb;
    bool there;

    snprintf(path, sizeof(path), "%s/data.mdb", log->path);
    there = stat(path, &sb) == 0 && sb.st_size > 0;
    if (!there && !create) {
        complain(why, "%s is missing or empty: restore the log from a backup", path);
        return ERR_NOT_FOUND;
    }
    if (there && create) {
        complain(why, "%s is there already: init never touches a log", path);
        return ERR_EXISTS;
    }
    return OK;
}

static enum err
force_sync(struct loglmdb *log, struct complaint *why)
{
    int rc = mdb_env_sync(log->env, 1);

    if (rc == 0)
        return OK;
    complain(why, "cannot sync %s: %s; check the disk", log->path, mdb_strerror(rc));
    return ERR_IO;
}

enum err
loglmdb_open(const struct state *st, const struct loglmdb_options *options, struct loglmdb **out,
    struct complaint *why)
{
    struct lmdb_env_options env = {
        .flags = options->read_only ? MDB_RDONLY : 0,
        .map_bytes = options->map_bytes != 0 ? options->map_bytes : LOG_MAP_BYTES,
        .tables = LOG_TABLES,
    };
    struct loglmdb *log = calloc(1, sizeof(*log));
    enum err err;

    if (log == NULL)
        return ERR_MEMORY;
    log->read_only = options->read_only;
    state_path(st, "log", log->path);
    if ((err = check_present(log, options->create, why)) != OK)
        goto out;
    if ((err = lmdb_env_open(log->path, &env, &log->env, why)) != OK)
        goto out;
    if ((err = open_tables(log, options, why)) != OK)
        goto out;
    if (options->create && !state_sync_folder(st, "log")) {
        complain(why, "cannot sync %s: %s; check the disk", log->path, strerror(errno));
        err = ERR_IO;
        goto out;
    }
    if (!log->read_only && (err = force_sync(log, why)) != OK)
        goto out;
    if (!log->read_only) /* a verifier wants to see what does not fit together */
        err = check_sizes(log, why);
out:
    if (err == OK)
        *out = log;
    else
        loglmdb_close(log);
    return err;
}

void
loglmdb_close(struct loglmdb *log)
{
    if (log == NULL)
        return;
    loglmdb_abort(log);
    if (log->env != NULL)
        mdb_env_close(log->env);
    free(log);
}

const char *
loglmdb_strerror(struct loglmdb *log, enum err err)
{
    return log->rc != 0 ? mdb_strerror(log->rc) : err_name(err);
}

static enum err
said(struct loglmdb *log, int rc)
{
    log->rc = rc;
    return lmdb_env_err(rc);
}

enum err
loglmdb_begin(struct loglmdb *log)
{
    INVARIANT(log->txn == NULL && !log->read_only);
    return said(log, mdb_txn_begin(log->env, NULL, 0, &log->txn));
}

enum err
loglmdb_reserve(struct loglmdb *log, uint64_t seq, size_t len, uint8_t **where)
{
    uint8_t key_bytes[8];
    MDB_val key = lmdb_val(key_bytes, sizeof(key_bytes));
    MDB_val value = {.mv_size = len};
    enum err err;

    lmdb_be64(seq, key_bytes);
    err =
        said(log, mdb_put(log->txn, log->dbi[LOG_RECORDS], &key, &value, MDB_RESERVE | MDB_APPEND));
    *where = value.mv_data;
    return err;
}

enum err
loglmdb_tile_put(void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes)
{
    struct loglmdb *log = ctx;
    uint8_t key_bytes[LOG_TILE_KEY];
    MDB_val key = lmdb_val(key_bytes, sizeof(key_bytes));
    MDB_val value = lmdb_val(bytes, (size_t)width * HASH_BYTES);

    loglmdb_tile_key(level, index, key_bytes);
    return said(log, mdb_put(log->txn, log->dbi[LOG_TILES], &key, &value, 0));
}

enum err
loglmdb_put_key_event(struct loglmdb *log, uint64_t seq)
{
    uint8_t key_bytes[8];
    MDB_val key = lmdb_val(key_bytes, sizeof(key_bytes));
    MDB_val value = lmdb_val("", 0);

    lmdb_be64(seq, key_bytes);
    return said(log, mdb_put(log->txn, log->dbi[LOG_KEY_EVENTS], &key, &value, MDB_APPEND));
}

static enum err
put_meta(struct loglmdb *log, const char *name, struct span bytes)
{
    MDB_val key = lmdb_val(name, strlen(name));
    MDB_val value = lmdb_val(bytes.ptr, bytes.len);

    return said(log, mdb_put(log->txn, log->dbi[LOG_META], &key, &value, 0));
}

enum err
loglmdb_put_head(struct loglmdb *log, const struct frontier *frontier, struct span checkpoint)
{
    uint8_t bytes[FRONTIER_BYTES_MAX];
    size_t len = frontier_encode(frontier, bytes);
    enum err err = put_meta(log, LOG_META_FRONTIER, span_of(bytes, len));

    return err != OK ? err : put_meta(log, LOG_META_CHECKPOINT, checkpoint);
}

enum err
loglmdb_commit(struct loglmdb *log, uint64_t size)
{
    MDB_txn *txn = log->txn;
    enum err err;

    log->txn = NULL;
    if ((err = said(log, mdb_txn_commit(txn))) != OK)
        return err;
    atomic_store(&log->size, size);
    return OK;
}

void
loglmdb_abort(struct loglmdb *log)
{
    if (log->txn != NULL)
        mdb_txn_abort(log->txn);
    log->txn = NULL;
}
