/* verify.h: the rules that a log must keep, checked record by record from seq 0. Trusts nothing but
 * the records and the key it is handed. Pure: whoever has the records (LMDB, a file, HTTP) feeds
 * them in; signatures are handed back as jobs, so that the caller may check them on many threads.
 *
 * Rules: canonical body, fmt, origin, dense seq, prev, eff_us never back, key epoch in force,
 * sealed boxes in form and order; log.opened first and only there, with root's signature; rotations
 * with all their signatures; event signature; root of the tree = signed head, for each head given.
 */
#ifndef CORE_VERIFY_H
#define CORE_VERIFY_H

#include "core/checkpoint.h"
#include "core/event.h"
#include "core/tree.h"
#include "core/verify_statement.h"

enum key_role { KEY_LOG = 1, KEY_EVENT = 2 };
const char *key_role_name(enum key_role role); /* "log", "event": as in key.rotated */

/* The texts that root and rotating keys sign (store/keys.h has the layout). */
#define VERIFY_TEXT_MAX 256
size_t verify_keys_text(const char *origin, const uint8_t log_pk[32], const uint8_t event_pk[32],
    uint8_t out[VERIFY_TEXT_MAX]);
size_t verify_rotate_text(const char *origin, enum key_role role, uint32_t epoch,
    const uint8_t pk[32], uint8_t out[VERIFY_TEXT_MAX]);

/* What the verifier was told from outside. With neither, only that the log agrees with itself. */
struct verify_trust {
    bool has_root;
    uint8_t root_pk[32];
    bool has_log; /* at least one head must be by this key */
    struct note_key log;
    bool fast; /* tree and heads: agents' statements are not looked at */
};

struct verify_result {
    uint64_t size;       /* events taken in */
    struct hash root;    /* of their tree */
    uint64_t signatures; /* of events, checked */
    uint64_t statements; /* of agents, checked */
    uint64_t heads;      /* met and checked */
    bool bad;
    uint64_t bad_seq; /* the first bad event */
    char why[200];
};

/* A signature to check: all borrowed from the record. */
struct verify_job {
    uint64_t seq;
    struct span body, sig;
    uint8_t pk[32];
    struct statement_job said; /* the agent's co-signature, if the event has one */
    struct hash leaf;          /* of the record, for whoever keeps tiles */
};

/* Of a verifier key as people hand it on: ORIGIN/root is root's; ORIGIN is a log key, which vouches
 * for heads only, so that `fast` is set. ERR_MALFORMED: no verifier key; ERR_MISMATCH: the id in it
 * is another key's; ERR_LIMIT: it is named after no origin. */
MUST_USE enum err verify_trust_key(
    struct span vkey, struct verify_trust *out, char origin[ORIGIN_BYTES_MAX + 1]);

struct verify;

MUST_USE enum err verify_new(
    const char *origin, const struct verify_trust *trust, struct verify **out);
void verify_free(struct verify *v);

/* A head to be met on the way: to be called before the record with seq head.size. Its signature is
 * checked when that size is reached, by the log key in force there. ERR_MALFORMED: not a signed
 * checkpoint. ERR_NOT_FOUND: that size has gone by. */
MUST_USE enum err verify_expect(struct verify *v, struct span signed_note);

/* The next record. Checks everything but the event's own signature, which comes back as a job; that
 * of a key event is checked here, as later keys hang on it (job->sig.len is then 0).
 * ERR_MISMATCH: the log is bad, verify_result says where; nothing more may be fed. */
MUST_USE enum err verify_record(
    struct verify *v, struct span record, struct event *ev, struct verify_job *job);
/* Any thread. NULL, or what is wrong (static). */
MUST_USE const char *verify_job_run(const char *origin, const struct verify_job *job);

/* Found by the caller (a signature, a hole, a tile): the lowest seq wins. */
void verify_bad(struct verify *v, uint64_t seq, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All records are in. ERR_MISMATCH also when an expected head lies beyond the end. */
MUST_USE enum err verify_done(struct verify *v);

const struct frontier *verify_frontier(const struct verify *v);
void verify_result(const struct verify *v, struct verify_result *out);
/* Adds to the result what this job has checked. */
void verify_count(struct verify *v, const struct verify_job *job);

#endif
