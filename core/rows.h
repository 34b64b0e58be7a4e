/* rows.h: the views as tables of binary keys and values. projections/views_fold.c says which rows
 * an event makes, projections/views_query.c reads them; store/ keeps them in LMDB. Derived: always
 * rebuildable from the log, so values are this build's own structs (VIEWS_SCHEMA guards them).
 * Keys are fixed-width big-endian parts, text only last; at most ROWS_KEY_MAX bytes. */
#ifndef CORE_ROWS_H
#define CORE_ROWS_H

#include "core/err.h"
#include "core/event.h"

#define VIEWS_SCHEMA 4
#define ROWS_KEY_MAX 200

enum table {
    TABLE_USERS,
    TABLE_MACHINES,
    TABLE_CODES,
    TABLE_KEYS,
    TABLE_INVITES,
    TABLE_FAMILIES,
    TABLE_SESSIONS,
    TABLE_CHANNELS,
    TABLE_ALERTS,
    TABLE_BY_TYPE, /* indexes of events: key = part(s) || seq be64, value empty */
    TABLE_BY_USER,
    TABLE_BY_ADDRESS, /* 16 address bytes */
    TABLE_BY_MACHINE,
    TABLE_BY_SESSION,
    TABLE_BY_TIME, /* eff_us be64 || seq */
    TABLE_MINUTES, /* statistics */
    TABLE_LOOKUP,  /* one-to-one helpers: owner || id and the like */
    TABLE_COUNT
};

/* A transaction: read-write for the projector, read-only for a loop (at most one turn). Values are
 * borrowed until the next write or the end of the transaction. */
struct rows {
    void *ctx;
    enum err (*get)(void *ctx, enum table t, struct span key, struct span *value);
    enum err (*put)(
        void *ctx, enum table t, struct span key, struct span value); /* NULL when read-only */
    enum err (*del)(void *ctx, enum table t, struct span key);        /* NULL when read-only */
    /* From the first key >= from (reverse: the last key <= from), in order, until each() says
     * false. */
    enum err (*scan)(void *ctx, enum table t, struct span from, bool reverse,
        bool (*each)(void *arg, struct span key, struct span value), void *arg);
};

/* Read transactions for http/, and waiting for a position. */
struct views_port {
    void *ctx;
    enum err (*begin)(void *ctx, struct rows *rows); /* read-only snapshot */
    void (*end)(void *ctx, struct rows *rows);
    uint64_t (*position)(void *ctx); /* events folded: 0..position-1 */
};

/* A view fold, handed to the store's projector by tools/. The plaintext of sealed boxes comes
 * through `open` (ERR_NOT_FOUND: the key was destroyed; the fields are then simply absent). */
struct view_fold {
    void *ctx;
    uint32_t schema;
    enum err (*fold)(void *ctx, struct rows *rows, const struct event *ev,
        const struct fields *personal, uint32_t personal_count);
};

struct opener_port {
    void *ctx;
    enum err (*open)(void *ctx, const struct event *ev, const struct sealed_box *box, uint8_t *out,
        size_t cap, size_t *len);
};

#endif
