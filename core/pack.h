/* pack.h: canonical msgpack, written and read. Everything that Gatehouse signs, stores or sends in
 * binary is canonical: shortest integers, no floats, no extensions, map keys unsigned, ascending
 * and unique, no nil inside a map (an absent field is an absent key).
 *
 * Untrusted bytes: pack_scan first (depth <= MSGPACK_DEPTH_MAX, counts <= bytes left, one whole
 * message, nothing behind it, canonical form). After it the reader still checks every type, so that
 * even unscanned bytes are never read past their end. */
#ifndef CORE_PACK_H
#define CORE_PACK_H

#include "core/err.h"
#include "core/id.h"
#include "core/span.h"

/* Writer over the caller's buffer. Overflow is remembered, not fatal: ask pack_ok at the end. */
struct pack {
    uint8_t *buf;
    size_t cap;
    size_t len;
    bool overflow;
};

void pack_init(struct pack *p, void *buf, size_t cap);
void pack_array(struct pack *p, uint32_t count);
void pack_map(struct pack *p, uint32_t count);
void pack_u64(struct pack *p, uint64_t value);
void pack_i64(struct pack *p, int64_t value);
void pack_bool(struct pack *p, bool value);
void pack_nil(struct pack *p);
void pack_str(struct pack *p, struct span s);
void pack_bin(struct pack *p, struct span s);
void pack_id(struct pack *p, const struct id *id);  /* bin16 */
void pack_raw(struct pack *p, struct span encoded); /* already canonical msgpack */
static inline bool
pack_ok(const struct pack *p)
{
    return !p->overflow;
}
static inline struct span
pack_span(const struct pack *p)
{
    return span_of(p->buf, p->len);
}

MUST_USE enum err pack_scan(struct span message);

/* Reader. The first failure sticks: read on, then ask reader_done (nothing failed, nothing left) or
 * reader_ok. After a failure every read gives zero or an empty span. Spans borrow from the input.
 */
struct reader {
    const uint8_t *p;
    const uint8_t *end;
    bool failed;
};

enum pack_type {
    PACK_END,
    PACK_NIL,
    PACK_BOOL,
    PACK_INT,
    PACK_STR,
    PACK_BIN,
    PACK_ARRAY,
    PACK_MAP
};

void reader_init(struct reader *r, struct span bytes);
enum pack_type reader_peek(const struct reader *r);
uint32_t reader_array(struct reader *r);
uint32_t reader_map(struct reader *r);
uint64_t reader_u64(struct reader *r);
int64_t reader_i64(struct reader *r);
bool reader_bool(struct reader *r);
void reader_nil(struct reader *r);
struct span reader_str(struct reader *r);
struct span reader_bin(struct reader *r);
/* A bin of exactly n bytes, copied to out (zeros after a failure). */
void reader_fixed(struct reader *r, void *out, size_t n);
struct id reader_id(struct reader *r);
/* Skips one whole value and returns its encoded bytes. */
struct span reader_raw(struct reader *r);
static inline bool
reader_ok(const struct reader *r)
{
    return !r->failed;
}
static inline bool
reader_done(const struct reader *r)
{
    return !r->failed && r->p == r->end;
}

#endif
