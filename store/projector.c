/* projector.c: durable events -> view rows, in large transactions, on a thread of its own. Never
 * skips an event: one that cannot be folded is said in the health, and tried again each second. */
#include <sodium.h>
#include <time.h>

#include "store/thread.h"
#include "store/views_impl.h"

#define SLICE_EVENTS 2048

struct projector {
    struct views *v;
    struct view_txn txn;
    struct rows rows;
    enum err err;   /* of the event at `at` */
    uint64_t at;    /* next event to fold */
    uint64_t limit; /* fold only below: the next one failed, and what is before it goes first */
    uint64_t unopened;
    size_t record_len; /* of the last event folded, for its leaf hash */
    uint8_t record[RECORD_BYTES_MAX];
    uint8_t plain[RECORD_BYTES_MAX]; /* all sealed boxes of one event */
    struct event ev;
    struct fields personal[SEALED_MAX];
};

/* Destroyed keys leave the box shut: its fields are then simply not there. */
static uint32_t
open_boxes(struct projector *p)
{
    const struct opener_port *opener = &p->v->config.opener;
    uint32_t count = 0;
    size_t used = 0;

    if (opener->open == NULL)
        return 0;
    for (uint32_t i = 0; i < p->ev.sealed_count; i++) {
        size_t len;
        enum err err = opener->open(
            opener->ctx, &p->ev, &p->ev.sealed[i], p->plain + used, sizeof(p->plain) - used, &len);

        if (err == ERR_NOT_FOUND)
            continue;
        if (err == OK)
            err = fields_decode(span_of(p->plain + used, len), &p->personal[count]);
        if (err != OK) {
            p->unopened++;
            continue;
        }
        used += len;
        count++;
    }
    return count;
}

static enum err
fold(struct projector *p, struct span record)
{
    const struct view_fold *fold = &p->v->config.fold;
    struct span body, sig;
    uint32_t count;
    enum err err = event_split(record, &body, &sig);

    if (err == OK)
        err = event_decode(body, &p->ev);
    if (err != OK)
        return err;
    count = open_boxes(p);
    err = fold->fold(fold->ctx, &p->rows, &p->ev, p->personal, count);
    sodium_memzero(p->plain, p->ev.sealed_count > 0 ? sizeof(p->plain) : 0);
    return err;
}

static bool
each(void *arg, uint64_t seq, struct span record)
{
    struct projector *p = arg;

    p->err = fold(p, record);
    if (p->err != OK)
        return false;
    p->at = seq + 1;
    memcpy(p->record, record.ptr, record.len);
    p->record_len = record.len;
    return true;
}

static enum err
finish(struct projector *p)
{
    struct hash leaf;
    enum err err;

    event_leaf(span_of(p->record, p->record_len), &leaf);
    if ((err = views_env_put_position(p->v, p->txn.txn, p->at, &leaf)) != OK)
        return err;
    err = lmdb_env_err(mdb_txn_commit(p->txn.txn));
    p->txn.txn = NULL;
    return err;
}

/* Folds one slice from `from`. After an error nothing of it is kept; if it was an event's own, then
 * p->err says so, and p->at which. */
static enum err
fold_slice(struct projector *p, uint64_t from)
{
    struct views *v = p->v;
    uint64_t max = p->limit > from ? p->limit - from : SLICE_EVENTS, next;
    enum err err;

    p->at = from;
    p->err = OK;
    if ((err = lmdb_env_err(mdb_txn_begin(v->env, NULL, 0, &p->txn.txn))) != OK)
        return err;
    err = v->config.log.read(v->config.log.ctx, from,
        (uint32_t)(max < SLICE_EVENTS ? max : SLICE_EVENTS), each, p, &next);
    if (err == OK)
        err = p->err;
    if (err == OK && p->at > from)
        err = finish(p);
    if (p->txn.txn != NULL)
        mdb_txn_abort(p->txn.txn);
    p->txn.txn = NULL;
    return err;
}

static void
advanced(struct projector *p)
{
    struct views *v = p->v;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    atomic_store(&v->position, p->at);
    pthread_mutex_lock(&v->lock);
    v->health.advanced_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    v->health.unopened = p->unopened;
    v->health.error = OK;
    pthread_mutex_unlock(&v->lock);
    for (uint32_t i = 0; i < v->config.listener_count; i++)
        v->config.listeners[i].advanced(v->config.listeners[i].ctx, p->at);
}

/* With the lock held. */
static void
wait_a_second(struct views *v)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (!v->stopping && pthread_cond_timedwait(&v->changed, &v->lock, &until) == 0)
        ;
}

static void
stuck(struct projector *p, uint64_t from, enum err err)
{
    struct views *v = p->v;

    if (p->err != OK && p->at > from) { /* what is before the bad event goes first */
        p->limit = p->at;
        return;
    }
    pthread_mutex_lock(&v->lock);
    if (v->health.error == OK)
        fprintf(stderr,
            "gatehouse: the views stop at event %llu: %s. The log is not affected; /readyz is red "
            "until it goes on.\n",
            (unsigned long long)from, err_name(err));
    v->health.error = err;
    v->health.error_seq = from;
    wait_a_second(v);
    pthread_mutex_unlock(&v->lock);
}

static bool
more(struct views *v, uint64_t from)
{
    bool stopping;

    pthread_mutex_lock(&v->lock);
    while (!v->stopping && v->durable <= from)
        pthread_cond_wait(&v->changed, &v->lock);
    stopping = v->stopping;
    pthread_mutex_unlock(&v->lock);
    return !stopping;
}

static void *
run(void *arg)
{
    struct projector *p = arg;
    struct views *v = p->v;

    for (;;) {
        uint64_t from = atomic_load(&v->position);
        enum err err;

        if (!more(v, from))
            break;
        err = fold_slice(p, from);
        if (err != OK) {
            stuck(p, from, err);
        } else if (p->at > from) {
            p->limit = 0;
            advanced(p);
        }
    }
    return NULL;
}

enum err
projector_start(struct views *v, struct complaint *why)
{
    struct timespec now;
    enum err err;

    v->projector = calloc(1, sizeof(*v->projector));
    if (v->projector == NULL)
        return ERR_MEMORY;
    v->projector->v = v;
    v->projector->txn.v = v;
    views_env_rows(&v->projector->txn, true, &v->projector->rows);
    clock_gettime(CLOCK_MONOTONIC, &now);
    v->health.advanced_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    err = thread_start(&v->thread, "projector", run, v->projector, why);
    v->started = err == OK;
    return err;
}

void
projector_stop(struct views *v)
{
    pthread_mutex_lock(&v->lock);
    v->stopping = true;
    pthread_cond_broadcast(&v->changed);
    pthread_mutex_unlock(&v->lock);
    if (v->started)
        pthread_join(v->thread, NULL);
    if (v->projector != NULL)
        sodium_memzero(v->projector, sizeof(*v->projector));
    free(v->projector);
    v->projector = NULL;
}
