/* views_impl.h: what the environment of the views and its projector share. */
#ifndef STORE_VIEWS_IMPL_H
#define STORE_VIEWS_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/lmdb_env.h"
#include "store/views.h"

/* One transaction, as ctx of a struct rows. */
struct view_txn {
    struct views *v;
    MDB_txn *txn;
    struct view_txn *next; /* among the idle ones */
};

struct views {
    struct views_config config;
    char path[STATE_PATH_BYTES];
    char boot[BOOT_ID_BYTES];
    MDB_env *env;
    MDB_dbi table[TABLE_COUNT], meta;
    _Atomic uint64_t position;

    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    struct view_txn *idle; /* reset read transactions, ready to be renewed */
    unsigned idle_count;
    uint64_t durable; /* as last heard */
    bool stopping;
    struct views_health health;

    pthread_t thread;
    bool started;
    struct projector *projector; /* its own */
};

/* Where the views stand: events folded, and the leaf hash of the last one. */
MUST_USE enum err views_env_position(struct views *v, uint64_t *position, struct hash *leaf);
MUST_USE enum err views_env_put_position(
    struct views *v, MDB_txn *txn, uint64_t position, const struct hash *leaf);

/* Opens, or throws away and makes anew; says which in v->health.rebuilt. */
MUST_USE enum err views_env_open(struct views *v, struct complaint *why);
/* Syncs, closes, and marks clean. */
void views_env_close(struct views *v, bool clean);

/* Functions of a struct rows over this transaction; put and del only when `writes`. */
void views_env_rows(struct view_txn *txn, bool writes, struct rows *out);

/* Folds what is durable until told to stop. */
MUST_USE enum err projector_start(struct views *v, struct complaint *why);
void projector_stop(struct views *v);

#endif
