/* mapping.c: structs to maps and back, by table. Pure; any thread; no allocation. */
#include "core/mapping.h"

static bool
span_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
            return false;
    return true;
}

static bool
span_strs(struct span s)
{
    struct reader r;
    uint32_t count;

    if (pack_scan(s) != OK)
        return false;
    reader_init(&r, s);
    count = reader_array(&r);
    for (uint32_t i = 0; i < count; i++)
        (void)reader_str(&r);
    return reader_done(&r);
}

static bool
all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static struct span
span_at(const uint8_t *at)
{
    struct span s;

    memcpy(&s, at, sizeof(s));
    return s;
}

static uint64_t
u64_at(const uint8_t *at)
{
    uint64_t u;

    memcpy(&u, at, sizeof(u));
    return u;
}

static bool
is_zero(const struct mapping_member *m, const uint8_t *at)
{
    switch ((enum mapping_kind)m->kind) {
    case MAPPING_U64: return u64_at(at) == 0;
    case MAPPING_BOOL: return *at == 0;
    case MAPPING_FIXED: return all_zero(at, (size_t)m->max);
    case MAPPING_ID: return all_zero(at, ID_BYTES);
    case MAPPING_STR:
    case MAPPING_ASCII:
    case MAPPING_BIN:
    case MAPPING_STRS: return span_at(at).len == 0;
    }
    return false;
}

/* What is wrong with a present member's value; NULL: nothing. */
static const char *
complaint(const struct mapping_member *m, const uint8_t *at)
{
    struct span s;

    switch ((enum mapping_kind)m->kind) {
    case MAPPING_BOOL:
    case MAPPING_FIXED: return NULL;
    case MAPPING_ID: return is_zero(m, at) ? "is all zero" : NULL;
    case MAPPING_U64:
        return u64_at(at) < m->min ? "is too small" : u64_at(at) > m->max ? "is too large" : NULL;
    case MAPPING_STR:
    case MAPPING_ASCII:
    case MAPPING_BIN:
    case MAPPING_STRS: break;
    }
    s = span_at(at);
    if (s.len < m->min)
        return "is too short";
    if (s.len > m->max)
        return "is too long";
    if (m->kind == MAPPING_ASCII && !span_ascii(s))
        return "has a character that is not printable ASCII";
    if (m->kind == MAPPING_STRS && !span_strs(s))
        return "is not a list of texts";
    return NULL;
}

static void
member_write(const struct mapping_member *m, const uint8_t *at, struct pack *p)
{
    pack_u64(p, m->number);
    switch ((enum mapping_kind)m->kind) {
    case MAPPING_U64: pack_u64(p, u64_at(at)); return;
    case MAPPING_BOOL: pack_bool(p, *at != 0); return;
    case MAPPING_STR:
    case MAPPING_ASCII: pack_str(p, span_at(at)); return;
    case MAPPING_BIN: pack_bin(p, span_at(at)); return;
    case MAPPING_FIXED: pack_bin(p, span_of(at, (size_t)m->max)); return;
    case MAPPING_ID: pack_bin(p, span_of(at, ID_BYTES)); return;
    case MAPPING_STRS: pack_raw(p, span_at(at)); return;
    }
}

enum err
mapping_encode(const struct mapping *mapping, const void *from, struct pack *p)
{
    uint32_t present = 0;

    for (size_t i = 0; i < mapping->count; i++) {
        const struct mapping_member *m = &mapping->members[i];
        const uint8_t *at = (const uint8_t *)from + m->offset;

        if (!m->required && is_zero(m, at))
            continue;
        if (complaint(m, at) != NULL)
            return ERR_MALFORMED;
        present++;
    }
    pack_map(p, present);
    for (size_t i = 0; i < mapping->count; i++) {
        const struct mapping_member *m = &mapping->members[i];
        const uint8_t *at = (const uint8_t *)from + m->offset;

        if (m->required || !is_zero(m, at))
            member_write(m, at, p);
    }
    return OK;
}

static void
member_read(const struct mapping_member *m, struct reader *r, uint8_t *at)
{
    struct span s = {0};
    uint64_t u;
    bool b;

    switch ((enum mapping_kind)m->kind) {
    case MAPPING_U64:
        u = reader_u64(r);
        memcpy(at, &u, sizeof(u));
        return;
    case MAPPING_BOOL:
        b = reader_bool(r);
        memcpy(at, &b, sizeof(b));
        return;
    case MAPPING_FIXED: reader_fixed(r, at, (size_t)m->max); return;
    case MAPPING_ID: reader_fixed(r, at, ID_BYTES); return;
    case MAPPING_STR:
    case MAPPING_ASCII: s = reader_str(r); break;
    case MAPPING_BIN: s = reader_bin(r); break;
    case MAPPING_STRS: s = reader_raw(r); break;
    }
    memcpy(at, &s, sizeof(s));
}

static enum err
blame(struct mapping_fault *fault, const struct mapping_member *m, const char *what)
{
    *fault = (struct mapping_fault){.what = what};
    if (m != NULL) {
        fault->number = m->number;
        fault->name = m->name;
    }
    return ERR_MALFORMED;
}

static enum err
member_decode(
    const struct mapping_member *m, struct reader *r, uint8_t *at, struct mapping_fault *fault)
{
    const char *what;

    member_read(m, r, at);
    if (!reader_ok(r))
        return blame(fault, m, "has another type or size");
    if (!m->required && is_zero(m, at))
        return blame(fault, m, "is there, but empty");
    what = complaint(m, at);
    return what == NULL ? OK : blame(fault, m, what);
}

enum err
mapping_decode(
    const struct mapping *mapping, struct reader *r, void *to, struct mapping_fault *fault)
{
    uint32_t left;
    uint64_t number = 0;
    bool pending = false; /* `number` was read and not yet used */
    enum err err;

    if (reader_peek(r) != PACK_MAP)
        return blame(fault, NULL, "is not a map");
    left = reader_map(r);
    for (size_t i = 0; i < mapping->count; i++) {
        const struct mapping_member *m = &mapping->members[i];

        if (!pending && left > 0) {
            number = reader_u64(r);
            pending = true;
            left--;
        }
        if (pending && number == m->number) {
            err = member_decode(m, r, (uint8_t *)to + m->offset, fault);
            if (err != OK)
                return err;
            pending = false;
        } else if (m->required) {
            return blame(fault, m, "is missing");
        }
    }
    if (!pending && left > 0) {
        number = reader_u64(r);
        pending = true;
    }
    if (pending) {
        blame(fault, NULL, "is not known here");
        fault->number = number < UINT32_MAX ? (unsigned)number : UINT32_MAX;
        return ERR_MALFORMED;
    }
    return reader_ok(r) ? OK : blame(fault, NULL, "is cut");
}

void
mapping_fault_text(const struct mapping_fault *fault, char *out, size_t size)
{
    if (fault->name != NULL)
        snprintf(out, size, "member %u (%s) %s", fault->number, fault->name, fault->what);
    else if (fault->number != 0)
        snprintf(out, size, "member %u %s", fault->number, fault->what);
    else
        snprintf(out, size, "the message %s", fault->what);
}
