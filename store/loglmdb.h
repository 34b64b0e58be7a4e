/* loglmdb.h: the log on disk: one LMDB environment, append-only, synced by every commit.
 *   records      seq be64 -> record
 *   tiles        level u8, index be64 -> hashes
 *   key_events   seq be64 -> nothing: log.opened, key.rotated, key.compromised
 *   meta         "frontier", "checkpoint"
 * One writer thread (the journal); any thread, and other processes, may read. Readers see only what
 * a finished sync made durable, and no read transaction outlives a slice. */
#ifndef STORE_LOGLMDB_H
#define STORE_LOGLMDB_H

#include "core/checkpoint.h"
#include "core/ports.h"
#include "core/tile.h"
#include "store/state.h"

#ifdef GATEHOUSE_SANITIZED
#define LOG_MAP_BYTES (16ULL << 30) /* a TiB of address space is refused under sanitizers */
#else
#define LOG_MAP_BYTES (1ULL << 40)
#endif
#define LOG_SLICE_RECORDS 512
#define LOG_SLICE_BYTES   (512 * 1024)

struct loglmdb;

struct loglmdb_options {
    bool create;        /* init; otherwise a missing log is an error, never a fresh one */
    bool read_only;     /* beside a running server: another process's eyes */
    uint64_t map_bytes; /* 0: LOG_MAP_BYTES; never changed while open */
};

/* Opens, forces a sync, so that what a killed process left in the
 * page cache counts as durable only when it is, and clears dead readers. ERR_MISMATCH: frontier and
 * records disagree. */
MUST_USE enum err loglmdb_open(const struct state *st, const struct loglmdb_options *options,
    struct loglmdb **out, struct complaint *why);
void loglmdb_close(struct loglmdb *log);
/* Words for what a write call just returned. */
const char *loglmdb_strerror(struct loglmdb *log, enum err err);

/* Reading; any thread. */
void loglmdb_port(struct loglmdb *log, struct log_port *out);
uint64_t loglmdb_size(struct loglmdb *log); /* durable events; read_only: looks each time */
/* As tile_read (core/tile.h): ctx is the struct loglmdb. */
enum err loglmdb_tile_read(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out);
/* One record, copied. ERR_NOT_FOUND; ERR_LIMIT if cap is too small (RECORD_BYTES_MAX never is). */
MUST_USE enum err loglmdb_record(
    struct loglmdb *log, uint64_t seq, uint8_t *out, size_t cap, size_t *len);
/* The latest signed checkpoint and the frontier, of one moment. ERR_NOT_FOUND: empty log. */
struct loglmdb_head {
    struct frontier frontier;
    size_t len;
    char checkpoint[CHECKPOINT_BYTES_MAX];
};
MUST_USE enum err loglmdb_head(struct loglmdb *log, struct loglmdb_head *out);
/* Number of events by the last record's key, and by the frontier: equal, in a sound log. */
MUST_USE enum err loglmdb_sizes(struct loglmdb *log, uint64_t *by_records, uint64_t *by_frontier);
/* Seqs of key events, ascending. */
MUST_USE enum err loglmdb_key_events(
    struct loglmdb *log, bool (*each)(void *arg, uint64_t seq), void *arg);
/* Bytes of the map in use, and its size. */
MUST_USE enum err loglmdb_space(struct loglmdb *log, uint64_t *used, uint64_t *map);
/* Clears readers whose process died, and tells how many. */
MUST_USE enum err loglmdb_reader_check(struct loglmdb *log, unsigned *cleared);

/* Writing; the journal's thread only, begin to commit or abort. */
MUST_USE enum err loglmdb_begin(struct loglmdb *log);
/* Room for a record, to be filled before the next call. Seqs ascend. */
MUST_USE enum err loglmdb_reserve(struct loglmdb *log, uint64_t seq, size_t len, uint8_t **where);
/* As tile_put. */
enum err loglmdb_tile_put(
    void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes);
MUST_USE enum err loglmdb_put_key_event(struct loglmdb *log, uint64_t seq);
MUST_USE enum err loglmdb_put_head(
    struct loglmdb *log, const struct frontier *frontier, struct span checkpoint);
/* Returns when it is synced; then loglmdb_size says `size`. */
MUST_USE enum err loglmdb_commit(struct loglmdb *log, uint64_t size);
void loglmdb_abort(struct loglmdb *log);

#endif
