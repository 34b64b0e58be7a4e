/* logfile.h: a whole log in one file, for `gatehouse-verify log`. Streams: the writer holds one
 * bundle, the reader two, and the heads (LOGFILE_HEADS_BYTES_MAX).
 *
 *   "gatehouse-log-file-v1" LF origin LF size in decimal LF, then frames: tag u8, length u32, bytes
 *   H  a signed head (a checkpoint, as served); at least one is of `size`
 *   K  seq u64 || record: the key events, ascending, so that keys are known before they are met
 *   B  a C2SP entry bundle: records 256*i to 256*i+255 (the last may be shorter), each with u16
 *      length before it; i counts the B frames from 0
 *   E  empty: the end, and nothing behind it
 * in this order; numbers big-endian. */
#ifndef CORE_LOGFILE_H
#define CORE_LOGFILE_H

#include "core/verify.h"

#define LOGFILE_MAGIC       "gatehouse-log-file-v1"
#define LOGFILE_BUNDLE      256
#define LOGFILE_FRAME_BYTES (LOGFILE_BUNDLE * (2 + RECORD_BYTES_MAX))

/* Where the bytes go. Errors are passed on. */
struct logfile_out {
    void *ctx;
    enum err (*write)(void *ctx, struct span bytes);
};

struct logfile_writer;

/* In the order: new (writes the header), heads, key events, records from 0 on, end. */
MUST_USE enum err logfile_writer_new(const struct logfile_out *out, const char *origin,
    uint64_t size, struct logfile_writer **writer);
MUST_USE enum err logfile_head(struct logfile_writer *w, struct span signed_note);
MUST_USE enum err logfile_key_event(struct logfile_writer *w, uint64_t seq, struct span record);
MUST_USE enum err logfile_record(struct logfile_writer *w, struct span record);
/* INVARIANT that `size` records were written. */
MUST_USE enum err logfile_end(struct logfile_writer *w);
void logfile_writer_free(struct logfile_writer *w);

struct logfile_verify {
    void *in;
    /* Up to cap bytes; 0 is the end of the file. */
    enum err (*read)(void *in, uint8_t *out, size_t cap, size_t *len);
    const char *origin; /* what the key given says; NULL: the file's own word */
    struct verify_trust trust;
    struct span old; /* an older signed head that the log must extend; empty: none */
    void *ctx;
    /* Jobs, for as many threads as the caller likes, while the next bundle is read: borrowed until
     * wait, which gives the index of the first that failed, or SIZE_MAX. NULL: they run here. */
    void (*start)(void *ctx, const struct verify_job *jobs, size_t count);
    size_t (*wait)(void *ctx);
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* or NULL */
    /* or NULL. NULL, or what is wrong with this event beyond verify.h's rules (static). */
    const char *(*each)(void *ctx, const struct event *ev, struct span record);
};

/* OK. ERR_MISMATCH: the log is bad, *out says where. ERR_MALFORMED, ERR_SHORT, ERR_LIMIT: the file
 * is not one, `why` says at which byte, and out->size is the first event not reached. Others: the
 * machine's. */
#define LOGFILE_WHY_BYTES 160
MUST_USE enum err logfile_verify(
    const struct logfile_verify *how, struct verify_result *out, char why[LOGFILE_WHY_BYTES]);

#endif
