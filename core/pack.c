/* pack.c: the only file that names msgpack_. Writing goes through msgpack-c (which picks the
 * shortest form); reading is our own pull reader, since the scan that msgpack-c needs before it
 * (five bytes make it reserve 8 GiB) already walks every byte. Pure; any thread. */
#include "core/pack.h"

#include "core/limits.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <msgpack.h>
#pragma GCC diagnostic pop

static int
pack_write(void *data, const char *bytes, size_t len)
{
    struct pack *p = data;

    if (p->overflow || len > p->cap - p->len) {
        p->overflow = true;
        return -1;
    }
    memcpy(p->buf + p->len, bytes, len);
    p->len += len;
    return 0;
}

static msgpack_packer
packer(struct pack *p)
{
    return (msgpack_packer){.data = p, .callback = pack_write};
}

void
pack_init(struct pack *p, void *buf, size_t cap)
{
    *p = (struct pack){.buf = buf, .cap = cap};
}

void
pack_array(struct pack *p, uint32_t count)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_array(&pk, count);
}

void
pack_map(struct pack *p, uint32_t count)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_map(&pk, count);
}

void
pack_u64(struct pack *p, uint64_t value)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_uint64(&pk, value);
}

void
pack_i64(struct pack *p, int64_t value)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_int64(&pk, value);
}

void
pack_bool(struct pack *p, bool value)
{
    msgpack_packer pk = packer(p);

    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void
pack_nil(struct pack *p)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_nil(&pk);
}

void
pack_str(struct pack *p, struct span s)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_str(&pk, s.len);
    if (s.len > 0)
        msgpack_pack_str_body(&pk, s.ptr, s.len);
}

void
pack_bin(struct pack *p, struct span s)
{
    msgpack_packer pk = packer(p);

    msgpack_pack_bin(&pk, s.len);
    if (s.len > 0)
        msgpack_pack_bin_body(&pk, s.ptr, s.len);
}

void
pack_id(struct pack *p, const struct id *id)
{
    pack_bin(p, span_of(id->b, ID_BYTES));
}

void
pack_raw(struct pack *p, struct span encoded)
{
    if (encoded.len > 0)
        pack_write(p, (const char *)encoded.ptr, encoded.len);
}

/* One decoded head: what it is, and its number or length. */
struct head {
    enum pack_type type;
    bool negative;
    bool canonical; /* no shorter form existed */
    uint64_t n;     /* value, length or count; a negative integer's two's complement */
};

static uint64_t
big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = (v << 8) | p[i];
    return v;
}

/* Heads that carry a big-endian number of `width` bytes; `least` is the smallest number for which
 * no shorter form exists. */
static const struct wide {
    uint8_t byte;
    uint8_t width;
    enum pack_type type;
    uint64_t least;
} wides[] = {
    {0xc4, 1, PACK_BIN, 0},
    {0xc5, 2, PACK_BIN, 0x100},
    {0xc6, 4, PACK_BIN, 0x10000},
    {0xcc, 1, PACK_INT, 0x80},
    {0xcd, 2, PACK_INT, 0x100},
    {0xce, 4, PACK_INT, 0x10000},
    {0xcf, 8, PACK_INT, 0x100000000},
    {0xd9, 1, PACK_STR, 32},
    {0xda, 2, PACK_STR, 0x100},
    {0xdb, 4, PACK_STR, 0x10000},
    {0xdc, 2, PACK_ARRAY, 16},
    {0xdd, 4, PACK_ARRAY, 0x10000},
    {0xde, 2, PACK_MAP, 16},
    {0xdf, 4, PACK_MAP, 0x10000},
};

/* Signed forms: canonical for negative numbers only, and only when no shorter one holds them. */
static enum err
head_signed(const uint8_t *p, size_t left, struct head *h, size_t *used)
{
    size_t width = (size_t)1 << (p[0] - 0xd0);
    uint64_t raw;
    int64_t v;

    if (left < 1 + width)
        return ERR_SHORT;
    raw = big_endian(p + 1, width);
    INVARIANT(width >= 1 && width <= 8);
    v = (int64_t)(raw << (64 - 8 * width)) >> (64 - 8 * width);
    h->type = PACK_INT;
    h->negative = v < 0;
    h->n = (uint64_t)v;
    h->canonical = (width == 1 && v < -32) || (width == 2 && v < INT8_MIN) ||
                   (width == 4 && v < INT16_MIN) || (width == 8 && v < INT32_MIN);
    *used = 1 + width;
    return OK;
}

static enum err
head_wide(const uint8_t *p, size_t left, struct head *h, size_t *used)
{
    for (size_t i = 0; i < sizeof(wides) / sizeof(wides[0]); i++) {
        if (wides[i].byte != p[0])
            continue;
        if (left < 1u + wides[i].width)
            return ERR_SHORT;
        h->type = wides[i].type;
        h->n = big_endian(p + 1, wides[i].width);
        h->canonical = h->n >= wides[i].least;
        *used = 1u + wides[i].width;
        return OK;
    }
    return ERR_MALFORMED; /* floats, extensions, 0xc1 */
}

static enum err
head_read(const uint8_t *p, size_t left, struct head *h, size_t *used)
{
    *h = (struct head){.canonical = true};
    if (left == 0)
        return ERR_SHORT;
    *used = 1;
    if (p[0] <= 0x7f) {
        h->type = PACK_INT;
        h->n = p[0];
    } else if (p[0] <= 0x8f) {
        h->type = PACK_MAP;
        h->n = p[0] & 0x0f;
    } else if (p[0] <= 0x9f) {
        h->type = PACK_ARRAY;
        h->n = p[0] & 0x0f;
    } else if (p[0] <= 0xbf) {
        h->type = PACK_STR;
        h->n = p[0] & 0x1f;
    } else if (p[0] >= 0xe0) {
        h->type = PACK_INT;
        h->negative = true;
        h->n = (uint64_t)(int64_t)(int8_t)p[0];
    } else if (p[0] == 0xc0) {
        h->type = PACK_NIL;
    } else if (p[0] == 0xc2 || p[0] == 0xc3) {
        h->type = PACK_BOOL;
        h->n = p[0] == 0xc3;
    } else if (p[0] >= 0xd0 && p[0] <= 0xd3) {
        return head_signed(p, left, h, used);
    } else {
        return head_wide(p, left, h, used);
    }
    return OK;
}

/* RFC 3629: no overlong forms, no surrogates, at most U+10FFFF. */
static bool
utf8_valid(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint8_t c = p[i];
        size_t more;
        uint32_t cp;

        if (c < 0x80) {
            i++;
            continue;
        }
        if (c >= 0xc2 && c <= 0xdf) {
            more = 1;
            cp = c & 0x1f;
        } else if (c >= 0xe0 && c <= 0xef) {
            more = 2;
            cp = c & 0x0f;
        } else if (c >= 0xf0 && c <= 0xf4) {
            more = 3;
            cp = c & 0x07;
        } else {
            return false;
        }
        if (len - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            cp = (cp << 6) | (p[i + k] & 0x3f);
        }
        if ((more == 2 && cp < 0x800) || (more == 3 && cp < 0x10000) || cp > 0x10ffff ||
            (cp >= 0xd800 && cp <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

struct scan {
    const uint8_t *p;
    size_t left;
};

static enum err scan_value(struct scan *s, unsigned depth, bool in_map);

static enum err
scan_items(struct scan *s, const struct head *h, unsigned depth)
{
    bool map = h->type == PACK_MAP;
    uint64_t last = 0;

    if (depth >= MSGPACK_DEPTH_MAX)
        return ERR_LIMIT;
    if (h->n > s->left / (map ? 2 : 1))
        return ERR_SHORT;
    for (uint64_t i = 0; i < h->n; i++) {
        enum err err;

        if (map) {
            struct head key;
            size_t used;

            if ((err = head_read(s->p, s->left, &key, &used)) != OK)
                return err;
            if (key.type != PACK_INT || key.negative || !key.canonical || (i > 0 && key.n <= last))
                return ERR_MALFORMED;
            last = key.n;
            s->p += used;
            s->left -= used;
        }
        if ((err = scan_value(s, depth + 1, map)) != OK)
            return err;
    }
    return OK;
}

static enum err
scan_value(struct scan *s, unsigned depth, bool in_map)
{
    struct head h;
    size_t used;
    enum err err;

    if ((err = head_read(s->p, s->left, &h, &used)) != OK)
        return err;
    if (!h.canonical || (in_map && h.type == PACK_NIL))
        return ERR_MALFORMED;
    s->p += used;
    s->left -= used;
    if (h.type == PACK_ARRAY || h.type == PACK_MAP)
        return scan_items(s, &h, depth);
    if (h.type == PACK_STR || h.type == PACK_BIN) {
        if (h.n > s->left)
            return ERR_SHORT;
        if (h.type == PACK_STR && !utf8_valid(s->p, (size_t)h.n))
            return ERR_MALFORMED;
        s->p += h.n;
        s->left -= (size_t)h.n;
    }
    return OK;
}

enum err
pack_scan(struct span message)
{
    struct scan s = {message.ptr, message.len};
    enum err err = scan_value(&s, 0, false);

    if (err != OK)
        return err;
    return s.left == 0 ? OK : ERR_MALFORMED;
}

void
reader_init(struct reader *r, struct span bytes)
{
    *r = (struct reader){.p = bytes.ptr, .end = bytes.ptr + bytes.len};
}

enum pack_type
reader_peek(const struct reader *r)
{
    struct head h;
    size_t used;

    if (r->failed || head_read(r->p, (size_t)(r->end - r->p), &h, &used) != OK)
        return PACK_END;
    return h.type;
}

static bool
reader_head(struct reader *r, enum pack_type type, struct head *h)
{
    size_t used;

    if (r->failed || head_read(r->p, (size_t)(r->end - r->p), h, &used) != OK || h->type != type) {
        r->failed = true;
        *h = (struct head){.type = type};
        return false;
    }
    r->p += used;
    return true;
}

/* A count no larger than the bytes left, so that a loop over it is bounded by the input. */
static uint32_t
reader_count(struct reader *r, enum pack_type type)
{
    struct head h;

    if (!reader_head(r, type, &h))
        return 0;
    if (h.n > (uint64_t)(r->end - r->p)) {
        r->failed = true;
        return 0;
    }
    return (uint32_t)h.n;
}

uint32_t
reader_array(struct reader *r)
{
    return reader_count(r, PACK_ARRAY);
}

uint32_t
reader_map(struct reader *r)
{
    return reader_count(r, PACK_MAP);
}

uint64_t
reader_u64(struct reader *r)
{
    struct head h;

    reader_head(r, PACK_INT, &h);
    if (h.negative) {
        r->failed = true;
        return 0;
    }
    return h.n;
}

int64_t
reader_i64(struct reader *r)
{
    struct head h;

    reader_head(r, PACK_INT, &h);
    if (!h.negative && h.n > INT64_MAX) {
        r->failed = true;
        return 0;
    }
    return (int64_t)h.n;
}

bool
reader_bool(struct reader *r)
{
    struct head h;

    reader_head(r, PACK_BOOL, &h);
    return h.n != 0;
}

void
reader_nil(struct reader *r)
{
    struct head h;

    reader_head(r, PACK_NIL, &h);
}

static struct span
reader_blob(struct reader *r, enum pack_type type)
{
    struct head h;
    struct span s = {r->p, 0};

    if (!reader_head(r, type, &h))
        return s;
    if (h.n > (uint64_t)(r->end - r->p)) {
        r->failed = true;
        return s;
    }
    s = span_of(r->p, (size_t)h.n);
    r->p += h.n;
    return s;
}

struct span
reader_str(struct reader *r)
{
    return reader_blob(r, PACK_STR);
}

struct span
reader_bin(struct reader *r)
{
    return reader_blob(r, PACK_BIN);
}

void
reader_fixed(struct reader *r, void *out, size_t n)
{
    struct span s = reader_bin(r);

    if (r->failed || s.len != n) {
        r->failed = true;
        memset(out, 0, n);
        return;
    }
    memcpy(out, s.ptr, n);
}

struct id
reader_id(struct reader *r)
{
    struct id id;

    reader_fixed(r, id.b, ID_BYTES);
    return id;
}

struct span
reader_raw(struct reader *r)
{
    struct scan s = {r->p, (size_t)(r->end - r->p)};
    struct span raw = {r->p, 0};

    if (r->failed || scan_value(&s, 0, false) != OK) {
        r->failed = true;
        return raw;
    }
    raw.len = (size_t)(s.p - r->p);
    r->p = s.p;
    return raw;
}
