/* views.c: what http/ sees of the views: read transactions, and the position. Any thread; start and
 * stop belong to the main thread. */
#include <time.h>

#include "store/views_impl.h"

#define IDLE_MAX 64

/* ---- a transaction's rows */

static enum err
rows_get(void *ctx, enum table t, struct span key_span, struct span *out)
{
    struct view_txn *txn = ctx;
    MDB_val key = lmdb_val(key_span.ptr, key_span.len), value;
    enum err err = lmdb_env_err(mdb_get(txn->txn, txn->v->table[t], &key, &value));

    if (err == OK)
        *out = span_of(value.mv_data, value.mv_size);
    return err;
}

static enum err
rows_put(void *ctx, enum table t, struct span key_span, struct span value_span)
{
    struct view_txn *txn = ctx;
    MDB_val key = lmdb_val(key_span.ptr, key_span.len);
    MDB_val value = lmdb_val(value_span.ptr, value_span.len);

    INVARIANT(key_span.len > 0 && key_span.len <= ROWS_KEY_MAX);
    return lmdb_env_err(mdb_put(txn->txn, txn->v->table[t], &key, &value, 0));
}

static enum err
rows_del(void *ctx, enum table t, struct span key_span)
{
    struct view_txn *txn = ctx;
    MDB_val key = lmdb_val(key_span.ptr, key_span.len);

    return lmdb_env_err(mdb_del(txn->txn, txn->v->table[t], &key, NULL));
}

/* The last key <= from: the first one >= from, unless it is larger; then the one before. */
static int
seek_back(MDB_cursor *cursor, struct span from, MDB_val *key, MDB_val *value)
{
    int rc;

    *key = lmdb_val(from.ptr, from.len);
    if ((rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE)) == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, key, value, MDB_LAST);
    if (rc == 0 && !span_equal(from, span_of(key->mv_data, key->mv_size)))
        rc = mdb_cursor_get(cursor, key, value, MDB_PREV);
    return rc;
}

static int
seek(MDB_cursor *cursor, struct span from, bool reverse, MDB_val *key, MDB_val *value)
{
    if (reverse)
        return from.len == 0 ? MDB_NOTFOUND : seek_back(cursor, from, key, value);
    if (from.len == 0)
        return mdb_cursor_get(cursor, key, value, MDB_FIRST);
    *key = lmdb_val(from.ptr, from.len);
    return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
}

static enum err
rows_scan(void *ctx, enum table t, struct span from, bool reverse,
    bool (*each)(void *arg, struct span key, struct span value), void *arg)
{
    struct view_txn *txn = ctx;
    MDB_val key, value;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->txn, txn->v->table[t], &cursor);

    if (rc != 0)
        return lmdb_env_err(rc);
    rc = seek(cursor, from, reverse, &key, &value);
    while (rc == 0 &&
           each(arg, span_of(key.mv_data, key.mv_size), span_of(value.mv_data, value.mv_size)))
        rc = mdb_cursor_get(cursor, &key, &value, reverse ? MDB_PREV : MDB_NEXT);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? OK : lmdb_env_err(rc);
}

void
views_env_rows(struct view_txn *txn, bool writes, struct rows *out)
{
    *out = (struct rows){
        .ctx = txn,
        .get = rows_get,
        .put = writes ? rows_put : NULL,
        .del = writes ? rows_del : NULL,
        .scan = rows_scan,
    };
}

/* ---- read transactions: reset ones are kept, since beginning anew takes locks */

static enum err
begin(void *ctx, struct rows *rows)
{
    struct views *v = ctx;
    struct view_txn *txn;
    int rc;

    pthread_mutex_lock(&v->lock);
    if ((txn = v->idle) != NULL) {
        v->idle = txn->next;
        v->idle_count--;
    }
    pthread_mutex_unlock(&v->lock);
    if (txn != NULL) {
        rc = mdb_txn_renew(txn->txn);
    } else {
        if ((txn = calloc(1, sizeof(*txn))) == NULL)
            return ERR_MEMORY;
        txn->v = v;
        rc = mdb_txn_begin(v->env, NULL, MDB_RDONLY, &txn->txn);
    }
    if (rc != 0) {
        if (txn->txn != NULL)
            mdb_txn_abort(txn->txn);
        free(txn);
        return lmdb_env_err(rc);
    }
    views_env_rows(txn, false, rows);
    return OK;
}

static void
end(void *ctx, struct rows *rows)
{
    struct views *v = ctx;
    struct view_txn *txn = rows->ctx;
    bool keep;

    mdb_txn_reset(txn->txn);
    pthread_mutex_lock(&v->lock);
    keep = v->idle_count < IDLE_MAX;
    if (keep) {
        txn->next = v->idle;
        v->idle = txn;
        v->idle_count++;
    }
    pthread_mutex_unlock(&v->lock);
    if (!keep) {
        mdb_txn_abort(txn->txn);
        free(txn);
    }
    memset(rows, 0, sizeof(*rows));
}

static uint64_t
position(void *ctx)
{
    struct views *v = ctx;

    return atomic_load(&v->position);
}

void
views_port(struct views *v, struct views_port *out)
{
    *out = (struct views_port){.ctx = v, .begin = begin, .end = end, .position = position};
}

/* ---- wake-up, health */

static void
heard(void *ctx, uint64_t size)
{
    struct views *v = ctx;

    pthread_mutex_lock(&v->lock);
    v->durable = size;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
}

void
views_durable_listener(struct views *v, struct durable_listener *out)
{
    *out = (struct durable_listener){.ctx = v, .durable = heard};
}

void
views_health(struct views *v, struct views_health *out)
{
    pthread_mutex_lock(&v->lock);
    *out = v->health;
    out->position = atomic_load(&v->position);
    out->lag = v->durable > out->position ? v->durable - out->position : 0;
    pthread_mutex_unlock(&v->lock);
}

/* ---- start and stop */

enum err
views_start(const struct views_config *config, struct views **out, struct complaint *why)
{
    struct views *v = calloc(1, sizeof(*v));
    pthread_condattr_t monotonic;
    struct hash leaf;
    uint64_t at;
    enum err err;

    if (v == NULL)
        return ERR_MEMORY;
    v->config = *config;
    state_path(config->state, "views", v->path);
    pthread_mutex_init(&v->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&v->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if ((err = views_env_open(v, why)) != OK || (err = views_env_position(v, &at, &leaf)) != OK)
        goto out;
    atomic_store(&v->position, at);
    v->durable = config->log.size(config->log.ctx);
    err = projector_start(v, why);
out:
    if (err == OK)
        *out = v;
    else
        views_stop(v);
    return err;
}

void
views_stop(struct views *v)
{
    struct view_txn *next;

    if (v == NULL)
        return;
    projector_stop(v);
    for (struct view_txn *txn = v->idle; txn != NULL; txn = next) {
        next = txn->next;
        mdb_txn_abort(txn->txn);
        free(txn);
    }
    views_env_close(v, v->started);
    pthread_cond_destroy(&v->changed);
    pthread_mutex_destroy(&v->lock);
    free(v);
}
