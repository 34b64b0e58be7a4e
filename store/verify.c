/* verify.c: feeds a stored log to core/verify.h, slice by slice: while the pool checks the
 * signatures of one block, the walk fills and follows the next. Compares every stored tile, the
 * frontier and the latest checkpoint with what the records give. Writes nothing. */
#include "store/verify.h"

#include "store/sigpool.h"

#define BLOCK_RECORDS 1024
#define BLOCK_BYTES   (1024 * 1024)

struct block {
    uint32_t count;
    size_t used;
    uint64_t first;
    uint32_t offset[BLOCK_RECORDS + 1];
    uint8_t bytes[BLOCK_BYTES + RECORD_BYTES_MAX];
    size_t job_count;
    struct verify_job jobs[BLOCK_RECORDS];
};

struct walk {
    const struct store_verify *how;
    struct verify *verify;
    struct sigpool *pool;
    struct tile_writer tiles;
    struct block block[2];
    struct block *filling, *checking; /* checking NULL: the pool is idle */
    struct loglmdb_head head;
    uint64_t total;
    struct event ev;
    struct hash leaves[BLOCK_RECORDS];
};

/* Waits for the pool's block and takes in what it found. */
static void
settle(struct walk *w)
{
    size_t bad;

    if (w->checking == NULL)
        return;
    bad = sigpool_wait(w->pool);
    if (bad != SIZE_MAX)
        verify_bad(w->verify, w->checking->jobs[bad].seq, "%s",
            verify_job_run(w->how->origin, &w->checking->jobs[bad]));
    for (size_t i = 0; i < w->checking->job_count; i++)
        verify_count(w->verify, &w->checking->jobs[i]);
    w->checking = NULL;
}

/* The last event under hash number n of a level: an event below that is found bad in another way is
 * then named in its place. */
static uint64_t
last_under(unsigned level, uint64_t n)
{
    return ((n + 1) << (TILE_HEIGHT * level)) - 1;
}

/* As tile_put: is what it would store there already? */
static enum err
compare_tile(void *ctx, unsigned level, uint64_t index, unsigned width, const uint8_t *bytes)
{
    struct walk *w = ctx;
    uint8_t stored[TILE_BYTES];
    enum err err = loglmdb_tile_read(w->how->log, level, index, width, stored);

    if (err == ERR_NOT_FOUND) {
        verify_bad(w->verify, last_under(level, index * TILE_WIDTH),
            "tile %u/%llu, which covers it, is missing or too short", level,
            (unsigned long long)index);
        return OK;
    }
    if (err != OK)
        return err;
    for (unsigned i = 0; i < width; i++) {
        if (memcmp(stored + i * HASH_BYTES, bytes + i * HASH_BYTES, HASH_BYTES) == 0)
            continue;
        verify_bad(w->verify, last_under(level, index * TILE_WIDTH + i),
            "tile %u/%llu holds another hash than the events give", level,
            (unsigned long long)index);
        break;
    }
    return OK;
}

/* The walk over one block; fills its jobs. */
static enum err
follow(struct walk *w, struct block *b)
{
    enum err err = OK;

    b->job_count = 0;
    for (uint32_t i = 0; i < b->count && err == OK; i++) {
        struct span record = span_of(b->bytes + b->offset[i], b->offset[i + 1] - b->offset[i]);
        struct verify_job *job = &b->jobs[b->job_count];
        const char *wrong = NULL;

        if ((err = verify_record(w->verify, record, &w->ev, job)) != OK)
            break;
        w->leaves[b->job_count++] = job->leaf;
        if (w->how->each != NULL)
            wrong = w->how->each(w->how->ctx, &w->ev, record);
        if (wrong != NULL) {
            verify_bad(w->verify, job->seq, "%s", wrong);
            err = ERR_MISMATCH;
        }
    }
    if (b->job_count > 0) {
        enum err tile_err = tile_writer_append(&w->tiles, w->leaves, b->job_count, compare_tile, w);

        err = tile_err != OK ? tile_err : err;
    }
    return err;
}

/* The block is full, or the last. */
static enum err
block_done(struct walk *w)
{
    struct block *b = w->filling;
    enum err err = follow(w, b);

    if (!w->how->fast) {
        settle(w);
        sigpool_start(w->pool, b->jobs, b->job_count);
        w->checking = b;
    }
    if (w->how->progress != NULL)
        w->how->progress(w->how->ctx, b->first + b->count, w->total);
    w->filling = b == &w->block[0] ? &w->block[1] : &w->block[0];
    w->filling->count = 0;
    w->filling->used = 0;
    return err;
}

struct filler {
    struct walk *w;
    enum err err;
};

static bool
fill(void *arg, uint64_t seq, struct span record)
{
    struct filler *f = arg;
    struct block *b = f->w->filling;

    if (b->count == 0)
        b->first = seq;
    memcpy(b->bytes + b->used, record.ptr, record.len);
    b->offset[b->count] = (uint32_t)b->used;
    b->used += record.len;
    b->offset[++b->count] = (uint32_t)b->used;
    if (b->count == BLOCK_RECORDS || b->used >= BLOCK_BYTES)
        f->err = block_done(f->w);
    return f->err == OK;
}

static enum err
walk_records(struct walk *w)
{
    struct filler f = {.w = w, .err = OK};
    struct log_port port;
    uint64_t next = 0;
    enum err err = OK;

    loglmdb_port(w->how->log, &port);
    while (err == OK && f.err == OK && next < w->total) {
        uint64_t left = w->total - next;

        err = port.read(
            port.ctx, next, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX, fill, &f, &next);
    }
    if (f.err == OK && w->filling->count > 0)
        f.err = block_done(w);
    if (err == ERR_MISMATCH)
        verify_bad(w->verify, next, "it is missing, or not where it should be");
    return f.err != OK ? f.err : err;
}

/* Frontier and records agree on the size, or the store contradicts itself. */
static enum err
expect_heads(struct walk *w)
{
    enum err err = loglmdb_head(w->how->log, &w->head);

    w->total = loglmdb_size(w->how->log);
    if (err == OK) {
        w->total = w->head.frontier.size;
        err = verify_expect(w->verify, span_of(w->head.checkpoint, w->head.len));
        if (err == ERR_MALFORMED) {
            verify_bad(w->verify, w->total > 0 ? w->total - 1 : 0,
                "the stored checkpoint is no checkpoint of this log");
            err = OK;
        }
    } else if (err == ERR_NOT_FOUND && w->total == 0) {
        err = OK;
    } else if (err != ERR_MEMORY && err != ERR_IO) {
        verify_bad(w->verify, w->total > 0 ? w->total - 1 : 0,
            "the stored frontier or checkpoint is missing or damaged");
        err = OK;
    }
    if (err == OK && w->how->old.len > 0)
        err = verify_expect(w->verify, w->how->old);
    return err;
}

static void
compare_frontier(struct walk *w)
{
    uint8_t stored[FRONTIER_BYTES_MAX], ours[FRONTIER_BYTES_MAX];
    size_t stored_len = frontier_encode(&w->head.frontier, stored);
    size_t ours_len = frontier_encode(verify_frontier(w->verify), ours);

    if (w->head.frontier.size == 0)
        return;
    if (!span_equal(span_of(stored, stored_len), span_of(ours, ours_len)))
        verify_bad(w->verify, w->head.frontier.size - 1,
            "the stored frontier is not that of these events");
}

/* A log that is longer than its own head: somebody added records by hand. */
static void
check_surplus(struct walk *w)
{
    uint64_t by_records, by_frontier;

    if (loglmdb_sizes(w->how->log, &by_records, &by_frontier) == OK && by_records > by_frontier)
        verify_bad(w->verify, by_frontier, "it lies beyond the stored head");
}

static enum err
run(struct walk *w)
{
    struct verify_result result;
    enum err err = walk_records(w);

    settle(w);
    verify_result(w->verify, &result);
    if (err != OK && err != ERR_MISMATCH)
        return err;
    if (result.bad)
        return ERR_MISMATCH;
    compare_frontier(w);
    check_surplus(w);
    return verify_done(w->verify);
}

enum err
store_verify(const struct store_verify *how, struct verify_result *out, struct complaint *why)
{
    struct walk *w = calloc(1, sizeof(*w));
    struct verify_trust trust;
    enum err err;

    memset(out, 0, sizeof(*out));
    if (w == NULL)
        return ERR_MEMORY;
    w->how = how;
    w->filling = &w->block[0];
    tile_writer_init(&w->tiles);
    trust = how->trust;
    trust.fast = how->fast;
    if ((err = verify_new(how->origin, &trust, &w->verify)) != OK)
        goto out;
    if (!how->fast && (err = sigpool_new(how->origin, how->threads, &w->pool, why)) != OK)
        goto out;
    err = expect_heads(w);
    if (err == OK)
        err = run(w);
    verify_result(w->verify, out);
out:
    if (err == ERR_MALFORMED)
        complain(why, "the checkpoint given is no checkpoint of %s", how->origin);
    else if (err != OK && err != ERR_MISMATCH)
        complain(why, "cannot verify: %s", err_name(err));
    sigpool_free(w->pool);
    verify_free(w->verify);
    free(w);
    return err;
}
