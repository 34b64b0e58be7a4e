/* ports.h: what the core needs from outside, as small structs of functions. store/ implements them,
 * tools/ wires them; a test hands in one that tears, jumps or repeats itself from a seed. */
#ifndef CORE_PORTS_H
#define CORE_PORTS_H

#include "core/decision.h"
#include "core/event.h"

/* One group commit's worth of bodies, made by the ledger, signed and stored by the journal, which
 * takes ownership (batch_free). */
struct batch_secret {
    enum secret_kind kind;
    bool drop;
    struct id id;
    uint64_t version;
    size_t len;
    uint8_t bytes[192]; /* as the keystore keeps it: hashed, or an argon2id string, or a key */
};

struct batch {
    uint64_t first_seq;
    uint32_t count, cap;
    uint32_t *offset; /* count + 1 offsets into bytes */
    uint8_t *bytes;
    size_t bytes_len, bytes_cap;
    uint32_t key_epoch; /* of every body in it */
    int64_t last_eff_us;
    uint32_t secret_count, secret_cap;
    struct batch_secret *secrets; /* synced before the records; drops happen after them */
    bool rotates;                 /* ends with key.rotated: the journal switches keys after it */
    struct batch *next;
};

struct batch *batch_new(uint64_t first_seq, uint32_t key_epoch);
void batch_free(struct batch *b); /* wipes */
MUST_USE enum err batch_add(struct batch *b, struct span body);
MUST_USE enum err batch_add_secret(struct batch *b, const struct batch_secret *secret);
static inline struct span
batch_body(const struct batch *b, uint32_t i)
{
    return span_of(b->bytes + b->offset[i], b->offset[i + 1] - b->offset[i]);
}

/* Append only. submit never blocks: false when two batches are already under way (the ledger then
 * keeps filling its open batch). When a batch is durable the journal calls durable() on its own
 * thread; a failed write or sync ends the process, so there is no error path. */
struct journal_port {
    void *ctx;
    bool (*submit)(void *ctx, struct batch *b);
};

struct durable_listener {
    void *ctx;
    void (*durable)(void *ctx, uint64_t size); /* events 0..size-1 are durable */
};

/* Reading records of the log, oldest first, in slices (no read transaction outlives a slice). Calls
 * each(); stops early when it returns false. *next is where to go on. Only durable events. */
struct log_port {
    void *ctx;
    enum err (*read)(void *ctx, uint64_t from, uint32_t max,
        bool (*each)(void *arg, uint64_t seq, struct span record), void *arg, uint64_t *next);
    uint64_t (*size)(void *ctx); /* durable */
};

#endif
