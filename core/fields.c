/* fields.c: maps of fields, as data and as the plaintext of a sealed box. How a value is encoded
 * follows from its row in the catalogue; fields that this build does not know keep their encoded
 * bytes. Pure; any thread. */
#include "core/event.h"
#include "core/pack.h"

/* How the wire carries a kind. */
enum shape { SHAPE_UINT, SHAPE_INT, SHAPE_BOOL, SHAPE_STR, SHAPE_BIN, SHAPE_RAW };

static enum shape
shape_of(enum field field)
{
    const struct field_row *row = catalogue_field(field);

    if (row == NULL)
        return SHAPE_RAW;
    switch (row->kind) {
    case KIND_U64:
    case KIND_US: return SHAPE_UINT;
    case KIND_I64: return SHAPE_INT;
    case KIND_BOOL: return SHAPE_BOOL;
    case KIND_STR: return SHAPE_STR;
    case KIND_STRS:
    case KIND_COSIGNED:
    case KIND_ROWS: return SHAPE_RAW;
    default: return SHAPE_BIN;
    }
}

const struct value *
fields_find(const struct fields *f, enum field field)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->v[i].field == field)
            return &f->v[i];
    return NULL;
}

uint64_t
fields_u64(const struct fields *f, enum field field)
{
    const struct value *v = fields_find(f, field);

    return v == NULL ? 0 : v->u;
}

struct span
fields_span(const struct fields *f, enum field field)
{
    const struct value *v = fields_find(f, field);

    return v == NULL ? (struct span){NULL, 0} : v->s;
}

bool
fields_fixed(const struct fields *f, enum field field, void *out, size_t n)
{
    struct span s = fields_span(f, field);

    if (s.len != n) {
        memset(out, 0, n);
        return false;
    }
    memcpy(out, s.ptr, n);
    return true;
}

struct id
fields_id(const struct fields *f, enum field field)
{
    struct id id;

    fields_fixed(f, field, id.b, sizeof(id.b));
    return id;
}

struct tag
fields_tag(const struct fields *f, enum field field)
{
    struct tag tag;

    fields_fixed(f, field, tag.b, sizeof(tag.b));
    return tag;
}

static struct value *
fields_slot(struct fields *f, enum field field)
{
    INVARIANT(f->count < EVENT_FIELDS_MAX && fields_find(f, field) == NULL);
    f->v[f->count] = (struct value){.field = field};
    return &f->v[f->count++];
}

void
fields_add_u64(struct fields *f, enum field field, uint64_t u)
{
    fields_slot(f, field)->u = u;
}

void
fields_add_span(struct fields *f, enum field field, struct span s)
{
    fields_slot(f, field)->s = s;
}

static void
value_encode(struct pack *p, const struct value *v)
{
    switch (shape_of(v->field)) {
    case SHAPE_UINT: pack_u64(p, v->u); return;
    case SHAPE_INT: pack_i64(p, (int64_t)v->u); return;
    case SHAPE_BOOL: pack_bool(p, v->u != 0); return;
    case SHAPE_STR: pack_str(p, v->s); return;
    case SHAPE_BIN: pack_bin(p, v->s); return;
    case SHAPE_RAW: pack_raw(p, v->s); return;
    }
}

void
fields_pack(struct pack *p, const struct fields *f)
{
    uint32_t last = 0;

    pack_map(p, f->count);
    /* Selection by ascending number: maps are small, and the drafter's order is free. */
    for (uint32_t done = 0; done < f->count; done++) {
        const struct value *next = NULL;

        for (uint32_t i = 0; i < f->count; i++)
            if (f->v[i].field > last && (next == NULL || f->v[i].field < next->field))
                next = &f->v[i];
        INVARIANT(next != NULL);
        last = next->field;
        pack_u64(p, last);
        value_encode(p, next);
    }
}

/* A value whose type is not what the catalogue says is malformed: it was never written by us. */
static void
value_decode(struct reader *r, struct value *v)
{
    switch (shape_of(v->field)) {
    case SHAPE_UINT: v->u = reader_u64(r); return;
    case SHAPE_INT: v->u = (uint64_t)reader_i64(r); return;
    case SHAPE_BOOL: v->u = reader_bool(r); return;
    case SHAPE_STR: v->s = reader_str(r); return;
    case SHAPE_BIN: v->s = reader_bin(r); return;
    case SHAPE_RAW: v->s = reader_raw(r); return;
    }
}

enum err
fields_read(struct reader *r, struct fields *f)
{
    uint32_t count = reader_map(r);

    f->count = 0;
    if (count > EVENT_FIELDS_MAX)
        return ERR_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = reader_u64(r);
        struct value *v = &f->v[f->count];

        if (!reader_ok(r) || number == 0 || number > INT32_MAX)
            return ERR_MALFORMED;
        *v = (struct value){.field = (enum field)number};
        value_decode(r, v);
        f->count++;
    }
    return reader_ok(r) ? OK : ERR_MALFORMED;
}

enum err
fields_encode(const struct fields *f, uint8_t *out, size_t cap, size_t *len)
{
    struct pack p;

    pack_init(&p, out, cap);
    fields_pack(&p, f);
    *len = p.len;
    return pack_ok(&p) ? OK : ERR_LIMIT;
}

enum err
fields_decode(struct span map, struct fields *f)
{
    struct reader r;
    enum err err = pack_scan(map);

    f->count = 0;
    if (err != OK)
        return err;
    reader_init(&r, map);
    if ((err = fields_read(&r, f)) != OK)
        return err;
    return reader_done(&r) ? OK : ERR_MALFORMED;
}
