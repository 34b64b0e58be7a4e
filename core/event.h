/* event.h: one event: in memory, as a body, as a record (docs/log-format.md is the format's spec).
 *
 * record = leaf = body || sig64. Body: one canonical msgpack array of 16:
 *   [fmt=1, origin_id, seq, prev, key_epoch, wall_us, eff_us, boot_id, type, v, event_id,
 *    actor, subject, data, sealed, policy]
 * actor, subject, data: maps keyed by small numbers. sealed: array of [key_id, nonce24,
 * ciphertext]. policy: bin32 or nil. What is hashed and signed is the stored bytes, never a
 * re-encoding. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/catalogue.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/span.h"

#define EVENT_FMT        1
#define EVENT_SIG_BYTES  64
#define EVENT_FIELDS_MAX 24
#define TAG_BYTES        16

/* BLAKE2b-128 under the origin's tag key (core/tags.h): equal means same, and nothing else is told.
 */
struct tag {
    uint8_t b[TAG_BYTES];
};

static inline bool
tag_equal(const struct tag *a, const struct tag *b)
{
    return memcmp(a->b, b->b, TAG_BYTES) == 0;
}

static inline bool
tag_is_nil(const struct tag *a)
{
    static const struct tag nil;

    return tag_equal(a, &nil);
}

enum actor_kind { ACTOR_NOBODY, ACTOR_USER, ACTOR_AGENT, ACTOR_CODE, ACTOR_CLI, ACTOR_SERVER };

/* All-zero members are absent in the body. addr: exact address; net: /32 or /64; wide: /24 or /48;
 * account: the case-folded account name that was typed. */
struct tags {
    struct tag addr, net, wide, account;
};

struct actor {
    enum actor_kind kind;
    struct id id;     /* user, machine or code; nil for nobody, cli, server */
    struct id family; /* token family of a user */
    struct tags tags;
};

/* What the event is about; nil members are absent. */
struct subject {
    struct id session, machine, user, code;
};

/* One field of data or of a personal map. Numbers in u; id, tag, hash, str, bin content in s;
 * arrays (labels, cosigned, rows ...) as their encoded canonical msgpack in s. s is borrowed from
 * whoever made the event: the record's bytes after event_decode, the drafting arena before
 * event_encode. */
struct value {
    enum field field;
    uint64_t u;
    struct span s;
};

struct fields {
    uint32_t count; /* ascending by field number once encoded or decoded */
    struct value v[EVENT_FIELDS_MAX];
};

struct sealed_box {
    struct id key_id;
    struct span nonce; /* 24 bytes */
    struct span ciphertext;
};

struct event {
    uint64_t seq;
    struct id origin_id;
    struct hash prev;
    uint32_t key_epoch;
    int64_t wall_us; /* microseconds since 1970, as the wall clock said */
    int64_t eff_us;  /* the log's own time: never goes back; all windows and expiries use it */
    struct id boot;
    enum event_type type; /* may be a number that this build does not know */
    uint32_t v;
    struct id id;
    struct actor actor;
    struct subject subject;
    struct fields data;
    uint32_t sealed_count;
    struct sealed_box sealed[SEALED_MAX];
    bool has_policy;
    struct hash policy;
};

/* Encodes the body. Fields need not be sorted; a field twice is an INVARIANT.
 * ERR_LIMIT: larger than cap or than RECORD_BYTES_MAX - 64. */
MUST_USE enum err event_encode(const struct event *ev, uint8_t *body, size_t cap, size_t *len);

/* Decodes a body; spans of *ev borrow from it. Scans first, so hostile bytes are safe. Unknown
 * types and fields are kept (unknown fields with their encoded bytes), never an error. */
MUST_USE enum err event_decode(struct span body, struct event *ev);

/* Splits a record into body and signature. */
MUST_USE enum err event_split(struct span record, struct span *body, struct span *sig);

/* prev of the event after `body`. */
void event_prev(struct span body, struct hash *out);
/* Leaf hash of RFC 6962. */
void event_leaf(struct span record, struct hash *out);
/* First 16 bytes of SHA-256(origin). */
struct id event_origin_id(const char *origin);

/* sig = Ed25519 over "gatehouse-event-v1\n" || origin || "\n" || body. sk: 64 bytes (libsodium). */
void event_sign(const char *origin, struct span body, const uint8_t *sk, uint8_t sig[64]);
MUST_USE enum err event_verify(
    const char *origin, struct span body, struct span sig, const uint8_t pk[32]);

/* Fields: find (NULL when absent), typed reads with a default of zero, typed writes. */
const struct value *fields_find(const struct fields *f, enum field field);
uint64_t fields_u64(const struct fields *f, enum field field);
struct span fields_span(const struct fields *f, enum field field);
struct id fields_id(const struct fields *f, enum field field);
struct tag fields_tag(const struct fields *f, enum field field);
/* The field as a fixed-size value; false (and zeros) when absent or of another size. */
bool fields_fixed(const struct fields *f, enum field field, void *out, size_t n);
void fields_add_u64(struct fields *f, enum field field, uint64_t u);
void fields_add_span(struct fields *f, enum field field, struct span s); /* borrowed */
static inline void
fields_add_id(struct fields *f, enum field field, const struct id *id)
{
    fields_add_span(f, field, span_of(id->b, ID_BYTES)); /* *id must outlive the event */
}

/* A map of fields alone (data, or the plaintext of a sealed box). */
MUST_USE enum err fields_encode(const struct fields *f, uint8_t *out, size_t cap, size_t *len);
MUST_USE enum err fields_decode(struct span map, struct fields *f);

/* The same inside a larger message. */
struct pack;
struct reader;
void fields_pack(struct pack *p, const struct fields *f);
MUST_USE enum err fields_read(struct reader *r, struct fields *f);

#endif
