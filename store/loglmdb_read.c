/* loglmdb_read.c: reading the log: copies a slice under a short read transaction, lets it go, then
 * hands the slice out; so a slow reader never keeps old pages alive. Any thread. */
#include "store/loglmdb_impl.h"

/* Borrowed until the transaction ends. */
static enum err
get(struct loglmdb *log, MDB_txn *txn, enum log_table table, struct span key_span,
    struct span *value_span)
{
    MDB_val key = lmdb_val(key_span.ptr, key_span.len), value;
    enum err err = lmdb_env_err(mdb_get(txn, log->dbi[table], &key, &value));

    if (err == OK)
        *value_span = span_of(value.mv_data, value.mv_size);
    return err;
}

static enum err
begin(struct loglmdb *log, MDB_txn **txn)
{
    return lmdb_env_err(mdb_txn_begin(log->env, NULL, MDB_RDONLY, txn));
}

static enum err
frontier_size(struct loglmdb *log, MDB_txn *txn, uint64_t *size)
{
    struct span bytes;
    enum err err = get(log, txn, LOG_META, span_str(LOG_META_FRONTIER), &bytes);

    *size = 0;
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err != OK)
        return err;
    if (bytes.len < 8)
        return ERR_MALFORMED;
    *size = lmdb_u64(bytes.ptr);
    return OK;
}

enum err
loglmdb_sizes(struct loglmdb *log, uint64_t *by_records, uint64_t *by_frontier)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_txn *txn;
    enum err err = begin(log, &txn);

    if (err != OK)
        return err;
    *by_records = 0;
    if ((err = lmdb_env_err(mdb_cursor_open(txn, log->dbi[LOG_RECORDS], &cursor))) != OK)
        goto out;
    err = lmdb_env_err(mdb_cursor_get(cursor, &key, &value, MDB_LAST));
    if (err == OK && key.mv_size != 8)
        err = ERR_MALFORMED;
    if (err == OK)
        *by_records = lmdb_u64(key.mv_data) + 1;
    if (err == OK || err == ERR_NOT_FOUND)
        err = frontier_size(log, txn, by_frontier);
out:
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return err;
}

/* Another process's commits do not reach our atomic: a reader looks. LMDB shows a commit to others
 * only when its last sync is done. */
uint64_t
loglmdb_size(struct loglmdb *log)
{
    MDB_txn *txn;
    uint64_t size;

    if (!log->read_only || begin(log, &txn) != OK)
        return atomic_load(&log->size);
    if (frontier_size(log, txn, &size) == OK)
        atomic_store(&log->size, size);
    mdb_txn_abort(txn);
    return atomic_load(&log->size);
}

struct slice {
    uint64_t first;
    uint32_t count;
    uint32_t offset[LOG_SLICE_RECORDS + 1];
    uint8_t bytes[LOG_SLICE_BYTES + RECORD_BYTES_MAX]; /* the last record may pass the mark */
};

static enum err
slice_add(struct slice *s, uint64_t seq, MDB_val key, MDB_val value)
{
    if (key.mv_size != 8 || lmdb_u64(key.mv_data) != seq || value.mv_size > RECORD_BYTES_MAX)
        return ERR_MISMATCH; /* a hole, or not a record: verify says which */
    memcpy(s->bytes + s->offset[s->count], value.mv_data, value.mv_size);
    s->offset[s->count + 1] = s->offset[s->count] + (uint32_t)value.mv_size;
    s->count++;
    return OK;
}

static enum err
slice_fill(struct loglmdb *log, struct slice *s, uint64_t from, uint64_t max)
{
    uint8_t from_bytes[8];
    MDB_val key = lmdb_val(from_bytes, sizeof(from_bytes)), value;
    MDB_cursor *cursor = NULL;
    MDB_cursor_op op = MDB_SET_RANGE;
    MDB_txn *txn;
    enum err err = begin(log, &txn);

    if (err != OK)
        return err;
    s->first = from;
    s->count = 0;
    s->offset[0] = 0;
    lmdb_be64(from, from_bytes);
    err = lmdb_env_err(mdb_cursor_open(txn, log->dbi[LOG_RECORDS], &cursor));
    while (err == OK && s->count < max && s->count < LOG_SLICE_RECORDS &&
           s->offset[s->count] < LOG_SLICE_BYTES) {
        err = lmdb_env_err(mdb_cursor_get(cursor, &key, &value, op));
        if (err == OK)
            err = slice_add(s, from + s->count, key, value);
        op = MDB_NEXT;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    /* What was read before the end, or before the first hole, is handed out first. */
    return s->count > 0 ? OK : err;
}

static enum err
read_slices(void *ctx, uint64_t from, uint32_t max,
    bool (*each)(void *arg, uint64_t seq, struct span record), void *arg, uint64_t *next)
{
    struct loglmdb *log = ctx;
    uint64_t size = loglmdb_size(log);
    uint64_t end = size < from || size - from < max ? size : from + max;
    struct slice *s = malloc(sizeof(*s));
    bool more = true;
    enum err err = OK;

    *next = from;
    if (s == NULL)
        return ERR_MEMORY;
    while (more && *next < end) {
        if ((err = slice_fill(log, s, *next, end - *next)) != OK)
            break;
        for (uint32_t i = 0; i < s->count && more; i++) {
            struct span record = span_of(s->bytes + s->offset[i], s->offset[i + 1] - s->offset[i]);

            more = each(arg, s->first + i, record);
            ++*next;
        }
    }
    free(s);
    return err == ERR_NOT_FOUND ? ERR_MISMATCH : err; /* below the size all must be there */
}

static uint64_t
port_size(void *ctx)
{
    return loglmdb_size(ctx);
}

void
loglmdb_port(struct loglmdb *log, struct log_port *out)
{
    *out = (struct log_port){.ctx = log, .read = read_slices, .size = port_size};
}

enum err
loglmdb_tile_read(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    struct loglmdb *log = ctx;
    uint8_t key[LOG_TILE_KEY];
    struct span hashes;
    MDB_txn *txn;
    enum err err = begin(log, &txn);

    if (err != OK)
        return err;
    loglmdb_tile_key(level, index, key);
    err = get(log, txn, LOG_TILES, span_of(key, sizeof(key)), &hashes);
    if (err == OK && hashes.len < (size_t)width * HASH_BYTES)
        err = ERR_NOT_FOUND;
    if (err == OK)
        memcpy(out, hashes.ptr, (size_t)width * HASH_BYTES);
    mdb_txn_abort(txn);
    return err;
}

enum err
loglmdb_record(struct loglmdb *log, uint64_t seq, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t key[8];
    struct span record;
    MDB_txn *txn;
    enum err err;

    if (seq >= loglmdb_size(log))
        return ERR_NOT_FOUND;
    if ((err = begin(log, &txn)) != OK)
        return err;
    lmdb_be64(seq, key);
    err = get(log, txn, LOG_RECORDS, span_of(key, sizeof(key)), &record);
    if (err == OK && record.len > cap)
        err = ERR_LIMIT;
    if (err == OK) {
        memcpy(out, record.ptr, record.len);
        *len = record.len;
    }
    mdb_txn_abort(txn);
    return err;
}

enum err
loglmdb_head(struct loglmdb *log, struct loglmdb_head *out)
{
    struct span frontier, checkpoint;
    MDB_txn *txn;
    enum err err = begin(log, &txn);

    if (err != OK)
        return err;
    if ((err = get(log, txn, LOG_META, span_str(LOG_META_FRONTIER), &frontier)) == OK &&
        (err = frontier_decode(frontier, &out->frontier)) == OK)
        err = get(log, txn, LOG_META, span_str(LOG_META_CHECKPOINT), &checkpoint);
    if (err == OK && checkpoint.len > sizeof(out->checkpoint))
        err = ERR_LIMIT;
    if (err == OK) {
        memcpy(out->checkpoint, checkpoint.ptr, checkpoint.len);
        out->len = checkpoint.len;
    }
    mdb_txn_abort(txn);
    return err;
}

#define KEY_EVENTS_SLICE 256

/* Copies up to KEY_EVENTS_SLICE seqs from `from` on. */
static enum err
key_events_slice(struct loglmdb *log, uint64_t from, uint64_t *seqs, uint32_t *count)
{
    uint8_t from_bytes[8];
    MDB_val key = lmdb_val(from_bytes, sizeof(from_bytes)), value;
    MDB_cursor *cursor = NULL;
    MDB_cursor_op op = MDB_SET_RANGE;
    MDB_txn *txn;
    enum err err = begin(log, &txn);

    if (err != OK)
        return err;
    *count = 0;
    lmdb_be64(from, from_bytes);
    err = lmdb_env_err(mdb_cursor_open(txn, log->dbi[LOG_KEY_EVENTS], &cursor));
    while (err == OK && *count < KEY_EVENTS_SLICE) {
        err = lmdb_env_err(mdb_cursor_get(cursor, &key, &value, op));
        if (err == OK && key.mv_size != 8)
            err = ERR_MISMATCH;
        if (err == OK)
            seqs[(*count)++] = lmdb_u64(key.mv_data);
        op = MDB_NEXT;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err
loglmdb_key_events(struct loglmdb *log, bool (*each)(void *arg, uint64_t seq), void *arg)
{
    uint64_t seqs[KEY_EVENTS_SLICE], from = 0, size = loglmdb_size(log);
    uint32_t count = KEY_EVENTS_SLICE;

    while (count == KEY_EVENTS_SLICE) {
        enum err err = key_events_slice(log, from, seqs, &count);

        if (err != OK)
            return err;
        for (uint32_t i = 0; i < count; i++) {
            if (seqs[i] >= size || !each(arg, seqs[i]))
                return OK;
        }
        if (count > 0)
            from = seqs[count - 1] + 1;
    }
    return OK;
}

enum err
loglmdb_space(struct loglmdb *log, uint64_t *used, uint64_t *map)
{
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(log->env, &info);

    if (rc == 0)
        rc = mdb_env_stat(log->env, &stat);
    if (rc != 0)
        return lmdb_env_err(rc);
    *used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    *map = info.me_mapsize;
    return OK;
}

enum err
loglmdb_reader_check(struct loglmdb *log, unsigned *cleared)
{
    int dead = 0;
    int rc = mdb_reader_check(log->env, &dead);

    *cleared = dead > 0 ? (unsigned)dead : 0;
    return lmdb_env_err(rc);
}
