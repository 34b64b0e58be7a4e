/* event.c: the codec of events: body, record, chain, signature. Pure; any thread.
 * What is hashed and signed is always the stored bytes; nothing here re-encodes what it decoded. */
#include "core/event.h"

#include <sodium.h>

#include "core/pack.h"

/* Maps of actor and subject; numbers are for ever. */
enum { ACTOR_KIND = 1, ACTOR_ID, ACTOR_FAMILY, ACTOR_ADDR, ACTOR_NET, ACTOR_WIDE, ACTOR_ACCOUNT };
enum { SUBJECT_SESSION = 1, SUBJECT_MACHINE, SUBJECT_USER, SUBJECT_CODE };

struct part {
    unsigned key;
    uint8_t *b; /* 16 bytes; all zero means absent */
};

static bool
part_absent(const struct part *part)
{
    return sodium_is_zero(part->b, ID_BYTES);
}

static void
parts_pack(struct pack *p, const struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (part_absent(&parts[i]))
            continue;
        pack_u64(p, parts[i].key);
        pack_bin(p, span_of(parts[i].b, ID_BYTES));
    }
}

static uint32_t
parts_present(const struct part *parts, size_t count)
{
    uint32_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += !part_absent(&parts[i]);
    return n;
}

static void
actor_parts(struct actor *a, struct part parts[6])
{
    parts[0] = (struct part){ACTOR_ID, a->id.b};
    parts[1] = (struct part){ACTOR_FAMILY, a->family.b};
    parts[2] = (struct part){ACTOR_ADDR, a->tags.addr.b};
    parts[3] = (struct part){ACTOR_NET, a->tags.net.b};
    parts[4] = (struct part){ACTOR_WIDE, a->tags.wide.b};
    parts[5] = (struct part){ACTOR_ACCOUNT, a->tags.account.b};
}

static void
subject_parts(struct subject *s, struct part parts[4])
{
    parts[0] = (struct part){SUBJECT_SESSION, s->session.b};
    parts[1] = (struct part){SUBJECT_MACHINE, s->machine.b};
    parts[2] = (struct part){SUBJECT_USER, s->user.b};
    parts[3] = (struct part){SUBJECT_CODE, s->code.b};
}

static void
actor_pack(struct pack *p, const struct actor *actor)
{
    struct actor a = *actor;
    struct part parts[6];

    actor_parts(&a, parts);
    pack_map(p, 1 + parts_present(parts, 6));
    pack_u64(p, ACTOR_KIND);
    pack_u64(p, a.kind);
    parts_pack(p, parts, 6);
}

static void
subject_pack(struct pack *p, const struct subject *subject)
{
    struct subject s = *subject;
    struct part parts[4];

    subject_parts(&s, parts);
    pack_map(p, parts_present(parts, 4));
    parts_pack(p, parts, 4);
}

static void
sealed_pack(struct pack *p, const struct event *ev)
{
    pack_array(p, ev->sealed_count);
    for (uint32_t i = 0; i < ev->sealed_count; i++) {
        INVARIANT(
            i == 0 || memcmp(ev->sealed[i - 1].key_id.b, ev->sealed[i].key_id.b, ID_BYTES) < 0);
        pack_array(p, 3);
        pack_id(p, &ev->sealed[i].key_id);
        pack_bin(p, ev->sealed[i].nonce);
        pack_bin(p, ev->sealed[i].ciphertext);
    }
}

enum err
event_encode(const struct event *ev, uint8_t *body, size_t cap, size_t *len)
{
    struct pack p;

    if (cap > RECORD_BYTES_MAX - EVENT_SIG_BYTES)
        cap = RECORD_BYTES_MAX - EVENT_SIG_BYTES;
    pack_init(&p, body, cap);
    pack_array(&p, 16);
    pack_u64(&p, EVENT_FMT);
    pack_id(&p, &ev->origin_id);
    pack_u64(&p, ev->seq);
    pack_bin(&p, span_of(ev->prev.b, HASH_BYTES));
    pack_u64(&p, ev->key_epoch);
    pack_i64(&p, ev->wall_us);
    pack_i64(&p, ev->eff_us);
    pack_id(&p, &ev->boot);
    pack_u64(&p, ev->type);
    pack_u64(&p, ev->v);
    pack_id(&p, &ev->id);
    actor_pack(&p, &ev->actor);
    subject_pack(&p, &ev->subject);
    fields_pack(&p, &ev->data);
    sealed_pack(&p, ev);
    if (ev->has_policy)
        pack_bin(&p, span_of(ev->policy.b, HASH_BYTES));
    else
        pack_nil(&p);
    *len = p.len;
    return pack_ok(&p) ? OK : ERR_LIMIT;
}

/* Reads a map of 16-byte parts; keys we do not know are skipped, so that they survive. */
static void
parts_read(struct reader *r, uint32_t count, const struct part *parts, size_t known, uint64_t *kind)
{
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        uint64_t key = reader_u64(r);
        size_t at = 0;

        if (kind != NULL && key == ACTOR_KIND) {
            *kind = reader_u64(r);
            continue;
        }
        while (at < known && parts[at].key != key)
            at++;
        if (at < known)
            reader_fixed(r, parts[at].b, ID_BYTES);
        else
            (void)reader_raw(r);
    }
}

static void
actor_read(struct reader *r, struct actor *actor)
{
    struct part parts[6];
    uint64_t kind = 0;

    actor_parts(actor, parts);
    parts_read(r, reader_map(r), parts, 6, &kind);
    if (kind > INT32_MAX)
        r->failed = true;
    actor->kind = (enum actor_kind)kind;
}

static void
subject_read(struct reader *r, struct subject *subject)
{
    struct part parts[4];

    subject_parts(subject, parts);
    parts_read(r, reader_map(r), parts, 4, NULL);
}

static enum err
sealed_read(struct reader *r, struct event *ev)
{
    ev->sealed_count = reader_array(r);
    if (ev->sealed_count > SEALED_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < ev->sealed_count; i++) {
        struct sealed_box *box = &ev->sealed[i];

        if (reader_array(r) != 3)
            return ERR_MALFORMED;
        box->key_id = reader_id(r);
        box->nonce = reader_bin(r);
        box->ciphertext = reader_bin(r);
        if (box->nonce.len != 24 || box->ciphertext.len < 16)
            return ERR_MALFORMED;
        if (i > 0 && memcmp(ev->sealed[i - 1].key_id.b, box->key_id.b, ID_BYTES) >= 0)
            return ERR_MALFORMED;
    }
    return OK;
}

static enum err
header_read(struct reader *r, struct event *ev)
{
    uint64_t epoch, type, v;

    if (reader_array(r) != 16 || reader_u64(r) != EVENT_FMT)
        return ERR_MALFORMED;
    ev->origin_id = reader_id(r);
    ev->seq = reader_u64(r);
    reader_fixed(r, ev->prev.b, HASH_BYTES);
    epoch = reader_u64(r);
    ev->wall_us = reader_i64(r);
    ev->eff_us = reader_i64(r);
    ev->boot = reader_id(r);
    type = reader_u64(r);
    v = reader_u64(r);
    ev->id = reader_id(r);
    if (epoch > UINT32_MAX || type > INT32_MAX || v > UINT32_MAX)
        return ERR_MALFORMED;
    ev->key_epoch = (uint32_t)epoch;
    ev->type = (enum event_type)type;
    ev->v = (uint32_t)v;
    return reader_ok(r) ? OK : ERR_MALFORMED;
}

enum err
event_decode(struct span body, struct event *ev)
{
    struct reader r;
    enum err err;

    /* Only what decoding does not overwrite needs zeros: the tables of fields are large. */
    memset(&ev->actor, 0, sizeof(ev->actor));
    memset(&ev->subject, 0, sizeof(ev->subject));
    if (body.len > RECORD_BYTES_MAX - EVENT_SIG_BYTES)
        return ERR_LIMIT;
    if ((err = pack_scan(body)) != OK)
        return err;
    reader_init(&r, body);
    if ((err = header_read(&r, ev)) != OK)
        return err;
    actor_read(&r, &ev->actor);
    subject_read(&r, &ev->subject);
    if ((err = fields_read(&r, &ev->data)) != OK)
        return err;
    if ((err = sealed_read(&r, ev)) != OK)
        return err;
    ev->has_policy = reader_peek(&r) == PACK_BIN;
    if (ev->has_policy)
        reader_fixed(&r, ev->policy.b, HASH_BYTES);
    else
        reader_nil(&r);
    return reader_done(&r) ? OK : ERR_MALFORMED;
}

enum err
event_split(struct span record, struct span *body, struct span *sig)
{
    if (record.len <= EVENT_SIG_BYTES)
        return ERR_SHORT;
    if (record.len > RECORD_BYTES_MAX)
        return ERR_LIMIT;
    *body = span_of(record.ptr, record.len - EVENT_SIG_BYTES);
    *sig = span_of(record.ptr + body->len, EVENT_SIG_BYTES);
    return OK;
}

void
event_prev(struct span body, struct hash *out)
{
    struct span parts[] = {span_str("gatehouse-prev-v1\n"), body};

    hash_parts(parts, 2, out);
}

void
event_leaf(struct span record, struct hash *out)
{
    struct span parts[] = {span_of("\0", 1), record};

    hash_parts(parts, 2, out);
}

struct id
event_origin_id(const char *origin)
{
    struct hash hash;
    struct id id;

    hash_bytes(span_str(origin), &hash);
    memcpy(id.b, hash.b, sizeof(id.b));
    return id;
}

/* The signed message in one piece, since Ed25519 reads it twice. */
static size_t
event_message(const char *origin, struct span body, uint8_t *out)
{
    static const char domain[] = "gatehouse-event-v1\n";
    size_t origin_len = strlen(origin);

    INVARIANT(origin_len <= ORIGIN_BYTES_MAX && body.len <= RECORD_BYTES_MAX);
    memcpy(out, domain, sizeof(domain) - 1);
    out += sizeof(domain) - 1;
    memcpy(out, origin, origin_len);
    out[origin_len] = '\n';
    memcpy(out + origin_len + 1, body.ptr, body.len);
    return sizeof(domain) - 1 + origin_len + 1 + body.len;
}

#define MESSAGE_BYTES_MAX (RECORD_BYTES_MAX + ORIGIN_BYTES_MAX + 32)

void
event_sign(const char *origin, struct span body, const uint8_t *sk, uint8_t sig[64])
{
    uint8_t message[MESSAGE_BYTES_MAX];
    size_t len = event_message(origin, body, message);

    INVARIANT(crypto_sign_detached(sig, NULL, message, len, sk) == 0);
}

enum err
event_verify(const char *origin, struct span body, struct span sig, const uint8_t pk[32])
{
    uint8_t message[MESSAGE_BYTES_MAX];
    size_t len;

    if (sig.len != EVENT_SIG_BYTES || body.len > RECORD_BYTES_MAX)
        return ERR_MALFORMED;
    len = event_message(origin, body, message);
    return crypto_sign_verify_detached(sig.ptr, message, len, pk) == 0 ? OK : ERR_MISMATCH;
}
