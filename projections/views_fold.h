/* views_fold.h: what the parts of the view fold share: the event in hand, and rows that remember
 * the first error, so that a fold reads like a list of facts. Inside projections/views_fold*.c
 * only. */
#ifndef PROJECTIONS_VIEWS_FOLD_H
#define PROJECTIONS_VIEWS_FOLD_H

#include "projections/views_row.h"

struct folding {
    const struct rows *rows;
    const struct event *ev;
    const struct fields *personal;
    uint32_t personal_count;
    int64_t now_us;  /* the event's eff, which never goes back: what an odd log says is bent */
    int64_t last_us; /* that of the event before it */
    enum err err;    /* the store's first; nothing more is read or written after it */
};

/* Rows. fold_row: false when there is none. fold_add: a new one, into the lists too; false when
 * there is one of this id already, or the id is nil: then nothing happens. */
bool fold_row(struct folding *f, enum table t, const struct id *id, void *row);
void fold_put(struct folding *f, enum table t, const void *row);
bool fold_add(struct folding *f, enum table t, const void *row);
void fold_list(struct folding *f, enum table t, const void *row);
void fold_unlist(struct folding *f, enum table t, const void *row); /* keeps the row itself */

/* Single entries. */
void fold_set(struct folding *f, enum table t, const struct key *key, struct span value);
void fold_unset(struct folding *f, enum table t, const struct key *key);
bool fold_get(struct folding *f, enum table t, const struct key *key, struct span *value);

/* Every entry that begins with prefix, in order, until each() says false; each() may write. */
void fold_sweep(struct folding *f, enum table t, const struct key *prefix,
    bool (*each)(struct folding *f, struct span rest, struct span value, void *arg), void *arg);
/* The id at the end of a swept key. */
struct id fold_rest_id(struct span rest);

/* The event's fields. A personal one may be in any box; absent (or forgotten): an empty span. */
struct span fold_personal(const struct folding *f, enum field field);
bool fold_has_personal(const struct folding *f, enum field field);
int64_t fold_time(const struct folding *f, enum field field); /* 0: absent */
/* Into a row: leaves it alone when the event has no such field. */
void fold_text(const struct folding *f, enum field field, char *out, size_t cap);
void fold_personal_text(const struct folding *f, enum field field, char *out, size_t cap);
void fold_blob(const struct folding *f, enum field field, uint8_t *out, size_t cap, uint16_t *len);

/* The parts. */
void views_fold_index(struct folding *f);
void views_fold_index_forget(struct folding *f, const struct id *user);
void views_fold_people(struct folding *f);
void views_fold_fleet(struct folding *f);
void views_fold_sessions(struct folding *f);
void views_fold_alerts(struct folding *f);

#endif
