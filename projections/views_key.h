/* views_key.h: how keys of the views are spelled, and how ranges of them are walked. Keys are
 * fixed-width big-endian parts; a text, if any, is the last part, so no value can be taken for
 * another's prefix. Inside projections/views_*.c only. */
#ifndef PROJECTIONS_VIEWS_KEY_H
#define PROJECTIONS_VIEWS_KEY_H

#include "projections/views.h"

/* First byte of a key of TABLE_LOOKUP: what it helps with. */
enum lookup {
    LOOKUP_NAME = 1,    /* folded account name -> user */
    LOOKUP_ALL,         /* table u8 || position: the list of all */
    LOOKUP_OF,          /* table u8 || owner || position: the list of one owner */
    LOOKUP_LIVE_FAMILY, /* user || position: not ended by an event yet */
    LOOKUP_ONLINE,      /* machine */
    LOOKUP_PENDING,     /* session: asked for, not opened yet */
    LOOKUP_ALERT,       /* rule and thing (alert_key) -> its open alert's id */
    LOOKUP_ALERTS_OPEN, /* -> how many there are, be64 */
};

struct key {
    uint8_t b[ROWS_KEY_MAX];
    size_t len;
};

void key_bytes(struct key *k, const void *bytes, size_t n);
void key_u8(struct key *k, unsigned u);
void key_u32(struct key *k, uint32_t u);
void key_u64(struct key *k, uint64_t u);
void key_id(struct key *k, const struct id *id);
void key_time(struct key *k, int64_t us); /* ordered also below zero */
struct span key_span(const struct key *k);

/* The other way, from a part's first byte. */
uint64_t key_read_u64(const uint8_t *p);
int64_t key_read_time(const uint8_t *p);

/* Prefixes of lists: of all rows of a table, or of one owner's. */
struct key key_all(enum table t);
struct key key_of(enum table t, const struct id *owner);

/* Of LOOKUP_NAME; false for what is no account's name: empty or too long. */
bool key_name(struct span name, struct key *out);

/* Walks the keys that begin with `prefix`, from the first whose rest is >= from (reverse: the last
 * one <= from; from.ptr NULL: from that end); each() gets the rest of the key. */
MUST_USE enum err key_walk(const struct rows *r, enum table t, const struct key *prefix,
    struct span from, bool reverse, bool (*each)(void *arg, struct span rest, struct span value),
    void *arg);

#endif
