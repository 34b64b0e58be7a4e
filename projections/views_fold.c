/* views_fold.c: one durable event into the rows that people ask for. Deterministic and total: what
 * does not fit what came before is skipped, never an error; only the store can fail. Decides
 * nothing. Projector's thread. */
#include "projections/views_fold.h"

/* --- rows and entries --- */

static void
failed(struct folding *f, enum err err)
{
    if (f->err == OK && err != OK && err != ERR_NOT_FOUND)
        f->err = err;
}

void
fold_set(struct folding *f, enum table t, const struct key *key, struct span value)
{
    if (f->err == OK)
        failed(f, f->rows->put(f->rows->ctx, t, key_span(key), value));
}

void
fold_unset(struct folding *f, enum table t, const struct key *key)
{
    if (f->err == OK)
        failed(f, f->rows->del(f->rows->ctx, t, key_span(key)));
}

bool
fold_get(struct folding *f, enum table t, const struct key *key, struct span *value)
{
    enum err err;

    if (f->err != OK)
        return false;
    err = f->rows->get(f->rows->ctx, t, key_span(key), value);
    failed(f, err);
    return err == OK;
}

bool
fold_row(struct folding *f, enum table t, const struct id *id, void *row)
{
    enum err err;

    if (f->err != OK)
        return false;
    err = row_get(f->rows, t, id, row);
    failed(f, err);
    return err == OK;
}

void
fold_put(struct folding *f, enum table t, const void *row)
{
    uint8_t bytes[ROW_BYTES_MAX];
    size_t len = row_encode(t, row, bytes);
    struct key key = {.len = 0};

    key_id(&key, row_id(t, row));
    fold_set(f, t, &key, span_of(bytes, len));
}

/* The keys under which a row is listed. */
static uint32_t
list_keys(enum table t, const void *row, struct key keys[2])
{
    struct views_position position = row_position(t, row);
    const struct id *owner = row_owner(t, row);
    uint32_t count = 0;

    keys[count++] = key_all(t);
    if (owner != NULL)
        keys[count++] = key_of(t, owner);
    for (uint32_t i = 0; i < count; i++)
        key_bytes(&keys[i], position.b, sizeof(position.b));
    return count;
}

void
fold_list(struct folding *f, enum table t, const void *row)
{
    struct key keys[2];
    uint32_t count = list_keys(t, row, keys);

    for (uint32_t i = 0; i < count; i++)
        fold_set(f, TABLE_LOOKUP, &keys[i], span_of(NULL, 0));
}

bool
fold_add(struct folding *f, enum table t, const void *row)
{
    struct key key = {.len = 0};
    struct span there;

    key_id(&key, row_id(t, row));
    if (id_is_nil(row_id(t, row)) || fold_get(f, t, &key, &there))
        return false;
    fold_put(f, t, row);
    fold_list(f, t, row);
    return f->err == OK;
}

void
fold_unlist(struct folding *f, enum table t, const void *row)
{
    struct key keys[2];
    uint32_t count = list_keys(t, row, keys);

    for (uint32_t i = 0; i < count; i++)
        fold_unset(f, TABLE_LOOKUP, &keys[i]);
}

/* --- sweeps: read a batch, then write, as a cursor must not be written under --- */

#define BATCH_MAX 64
#define REST_MAX  64
#define VALUE_MAX 16

struct batch {
    struct span after; /* of the batch before: skipped */
    uint32_t count;
    struct {
        uint8_t rest[REST_MAX], value[VALUE_MAX];
        size_t rest_len, value_len;
    } entries[BATCH_MAX];
};

static bool
batch_take(void *arg, struct span rest, struct span value)
{
    struct batch *b = arg;

    if (b->after.ptr != NULL && span_equal(rest, b->after))
        return true;
    if (b->count == BATCH_MAX)
        return false;
    INVARIANT(rest.len > 0 && rest.len <= REST_MAX && value.len <= VALUE_MAX);
    memcpy(b->entries[b->count].rest, rest.ptr, rest.len);
    b->entries[b->count].rest_len = rest.len;
    if (value.len > 0)
        memcpy(b->entries[b->count].value, value.ptr, value.len);
    b->entries[b->count].value_len = value.len;
    b->count++;
    return true;
}

void
fold_sweep(struct folding *f, enum table t, const struct key *prefix,
    bool (*each)(struct folding *f, struct span rest, struct span value, void *arg), void *arg)
{
    struct batch batch = {.count = 0};
    uint8_t after[REST_MAX];

    do {
        batch.count = 0;
        if (f->err == OK)
            failed(f, key_walk(f->rows, t, prefix, batch.after, false, batch_take, &batch));
        for (uint32_t i = 0; i < batch.count && f->err == OK; i++)
            if (!each(f, span_of(batch.entries[i].rest, batch.entries[i].rest_len),
                    span_of(batch.entries[i].value, batch.entries[i].value_len), arg))
                return;
        if (batch.count > 0) {
            size_t len = batch.entries[batch.count - 1].rest_len;

            memcpy(after, batch.entries[batch.count - 1].rest, len);
            batch.after = span_of(after, len);
        }
    } while (batch.count == BATCH_MAX && f->err == OK);
}

struct id
fold_rest_id(struct span rest)
{
    struct id id = {{0}};

    if (rest.len >= ID_BYTES)
        memcpy(id.b, rest.ptr + rest.len - ID_BYTES, ID_BYTES);
    return id;
}

/* --- fields --- */

static const struct value *
personal_find(const struct folding *f, enum field field)
{
    const struct value *v = NULL;

    for (uint32_t i = 0; i < f->personal_count && v == NULL; i++)
        v = fields_find(&f->personal[i], field);
    return v;
}

bool
fold_has_personal(const struct folding *f, enum field field)
{
    return personal_find(f, field) != NULL;
}

struct span
fold_personal(const struct folding *f, enum field field)
{
    const struct value *v = personal_find(f, field);

    return v == NULL ? span_of(NULL, 0) : v->s;
}

int64_t
fold_time(const struct folding *f, enum field field)
{
    uint64_t u = fields_u64(&f->ev->data, field);

    return u > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)u;
}

void
fold_text(const struct folding *f, enum field field, char *out, size_t cap)
{
    const struct value *v = fields_find(&f->ev->data, field);

    if (v != NULL)
        row_put_text(out, cap, v->s);
}

void
fold_personal_text(const struct folding *f, enum field field, char *out, size_t cap)
{
    const struct value *v = personal_find(f, field);

    if (v != NULL)
        row_put_text(out, cap, v->s);
}

void
fold_blob(const struct folding *f, enum field field, uint8_t *out, size_t cap, uint16_t *len)
{
    const struct value *v = fields_find(&f->ev->data, field);

    if (v == NULL)
        return;
    memset(out, 0, cap);
    *len = 0;
    if (v->s.len == 0 || v->s.len > cap)
        return; /* half a list would be a wrong one */
    memcpy(out, v->s.ptr, v->s.len);
    *len = (uint16_t)v->s.len;
}

/* --- the fold --- */

static bool
take_time(void *arg, struct span rest, struct span value)
{
    (void)value;
    if (rest.len == 16)
        *(int64_t *)arg = key_read_time(rest.ptr);
    return false;
}

static enum err
fold(void *ctx, struct rows *rows, const struct event *ev, const struct fields *personal,
    uint32_t personal_count)
{
    struct folding f = {.rows = rows,
        .ev = ev,
        .personal = personal,
        .personal_count = personal_count,
        .last_us = INT64_MIN};
    const struct key all = {.len = 0};

    (void)ctx;
    failed(&f, key_walk(rows, TABLE_BY_TIME, &all, span_of(NULL, 0), true, take_time, &f.last_us));
    f.now_us = ev->eff_us > f.last_us ? ev->eff_us : f.last_us;
    views_fold_index(&f);
    views_fold_people(&f);
    views_fold_fleet(&f);
    views_fold_sessions(&f);
    views_fold_alerts(&f);
    return f.err;
}

struct view_fold
views_fold_port(void)
{
    return (struct view_fold){.ctx = NULL, .schema = VIEWS_SCHEMA, .fold = fold};
}
