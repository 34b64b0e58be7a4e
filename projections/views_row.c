/* views_row.c: the columns of every row of the views, and what is done with them. Bytes of a row:
 * its columns in the order of the table; numbers big-endian, texts and blobs with a u16 length
 * before them. Pure; any thread. */
#include "projections/views_row.h"

enum column_kind { COLUMN_ID, COLUMN_U64, COLUMN_U32, COLUMN_BOOL, COLUMN_TEXT, COLUMN_BLOB };

struct column {
    enum column_kind kind;
    size_t offset, size;
    size_t len_offset; /* of a blob's uint16_t */
    bool personal;     /* of the user whose row it is: forgotten with the user */
};

#define SIZE_OF(row, member) sizeof(((struct row *)NULL)->member)
#define COLUMN(kind, row, member)                                                                  \
    {                                                                                              \
        COLUMN_##kind, offsetof(struct row, member), SIZE_OF(row, member), 0, false                \
    }
#define PERSONAL(row, member)                                                                      \
    {                                                                                              \
        COLUMN_TEXT, offsetof(struct row, member), SIZE_OF(row, member), 0, true                   \
    }
#define BLOB(row, member)                                                                          \
    {                                                                                              \
        COLUMN_BLOB, offsetof(struct row, member), SIZE_OF(row, member),                           \
            offsetof(struct row, member##_len), false                                              \
    }

/* Signed times are stored as their two's complement: COLUMN_U64. */
static const struct column user_columns[] = {
    COLUMN(ID, user_row, user),
    COLUMN(U64, user_row, changed_seq),
    COLUMN(U64, user_row, added_us),
    COLUMN(U64, user_row, login_us),
    COLUMN(U32, user_row, role),
    COLUMN(BOOL, user_row, disabled),
    COLUMN(BOOL, user_row, erased),
    PERSONAL(user_row, name),
    PERSONAL(user_row, display),
};

static const struct column machine_columns[] = {
    COLUMN(ID, machine_row, machine),
    COLUMN(ID, machine_row, connection),
    COLUMN(ID, machine_row, code),
    COLUMN(ID, machine_row, issuer),
    COLUMN(ID, machine_row, bound_key),
    COLUMN(U64, machine_row, changed_seq),
    COLUMN(U64, machine_row, allow_seq),
    COLUMN(U64, machine_row, added_us),
    COLUMN(U64, machine_row, seen_us),
    COLUMN(BOOL, machine_row, guest),
    COLUMN(BOOL, machine_row, bound),
    COLUMN(BOOL, machine_row, online),
    COLUMN(BOOL, machine_row, removed),
    COLUMN(BOOL, machine_row, named),
    COLUMN(TEXT, machine_row, name),
    COLUMN(TEXT, machine_row, host),
    COLUMN(TEXT, machine_row, os),
    COLUMN(TEXT, machine_row, version),
    COLUMN(TEXT, machine_row, address),
    COLUMN(TEXT, machine_row, note),
    COLUMN(TEXT, machine_row, words),
    BLOB(machine_row, labels),
    BLOB(machine_row, services),
    BLOB(machine_row, allow),
};

static const struct column code_columns[] = {
    COLUMN(ID, code_row, code),
    COLUMN(ID, code_row, issuer),
    COLUMN(ID, code_row, machine),
    COLUMN(U64, code_row, issued_us),
    COLUMN(U64, code_row, expires_us),
    COLUMN(U64, code_row, ended_us),
    COLUMN(U32, code_row, state),
    COLUMN(U32, code_row, digits),
};

static const struct column key_columns[] = {
    COLUMN(ID, key_row, key),
    COLUMN(ID, key_row, machine),
    COLUMN(ID, key_row, creator),
    COLUMN(U64, key_row, issued_us),
    COLUMN(U64, key_row, expires_us),
    COLUMN(U64, key_row, used_us),
    COLUMN(U32, key_row, state),
};

static const struct column invite_columns[] = {
    COLUMN(ID, invite_row, invite),
    COLUMN(ID, invite_row, issuer),
    COLUMN(ID, invite_row, user),
    COLUMN(U64, invite_row, issued_us),
    COLUMN(U64, invite_row, expires_us),
    COLUMN(U32, invite_row, state),
    COLUMN(U32, invite_row, role),
};

static const struct column family_columns[] = {
    COLUMN(ID, family_row, family),
    COLUMN(ID, family_row, user),
    COLUMN(U64, family_row, opened_us),
    COLUMN(U64, family_row, refreshed_us),
    COLUMN(U64, family_row, ended_us),
    COLUMN(U64, family_row, expires_us),
    COLUMN(U64, family_row, n),
    COLUMN(BOOL, family_row, device),
    COLUMN(BOOL, family_row, live),
    COLUMN(TEXT, family_row, why),
    PERSONAL(family_row, address),
    PERSONAL(family_row, user_agent),
};

/* The names of a session's owner and machine are not stored: see views_query.c. */
static const struct column session_columns[] = {
    COLUMN(ID, session_row, session),
    COLUMN(ID, session_row, owner),
    COLUMN(ID, session_row, machine),
    COLUMN(ID, session_row, offered_to),
    COLUMN(U64, session_row, events),
    COLUMN(U64, session_row, requested_us),
    COLUMN(U64, session_row, opened_us),
    COLUMN(U64, session_row, ended_us),
    COLUMN(U64, session_row, expires_us),
    COLUMN(U64, session_row, to_agent_bytes),
    COLUMN(U64, session_row, to_technician_bytes),
    COLUMN(U64, session_row, channels),
    COLUMN(U32, session_row, state),
    COLUMN(BOOL, session_row, paused),
    COLUMN(BOOL, session_row, bytes_known),
    COLUMN(TEXT, session_row, why),
    COLUMN(TEXT, session_row, consent_mode),
    COLUMN(TEXT, session_row, reason),
};

static const struct column channel_columns[] = {
    COLUMN(ID, channel_row, channel),
    COLUMN(ID, channel_row, session),
    COLUMN(U64, channel_row, attached_us),
    COLUMN(U64, channel_row, opened_us),
    COLUMN(U64, channel_row, closed_us),
    COLUMN(U64, channel_row, to_agent_bytes),
    COLUMN(U64, channel_row, to_technician_bytes),
    COLUMN(BOOL, channel_row, has_exit),
    COLUMN(BOOL, channel_row, cosigned),
    COLUMN(U64, channel_row, exit_status),
    COLUMN(TEXT, channel_row, service),
    COLUMN(TEXT, channel_row, why),
};

static const struct column alert_columns[] = {
    COLUMN(ID, alert_row, alert),
    COLUMN(ID, alert_row, user),
    COLUMN(ID, alert_row, machine),
    COLUMN(ID, alert_row, session),
    COLUMN(ID, alert_row, acked_by),
    COLUMN(U64, alert_row, seq),
    COLUMN(U64, alert_row, last_seq),
    COLUMN(U64, alert_row, count),
    COLUMN(U64, alert_row, acked_seq),
    COLUMN(U64, alert_row, opened_us),
    COLUMN(U64, alert_row, last_us),
    COLUMN(U64, alert_row, acked_us),
    COLUMN(U32, alert_row, severity),
    COLUMN(TEXT, alert_row, rule),
    COLUMN(ID, alert_row, key),
    BLOB(alert_row, events),
};

static const struct column minute_columns[] = {
    COLUMN(U64, minute_row, events),
    COLUMN(U64, minute_row, logins),
    COLUMN(U64, minute_row, logins_failed),
    COLUMN(U64, minute_row, refusals),
    COLUMN(U64, minute_row, sessions),
    COLUMN(U64, minute_row, agents),
};

#define NO_OWNER SIZE_MAX

/* The id of a row is its first member. */
static const struct shape {
    const struct column *columns;
    size_t count, size;
    size_t made, owner; /* offsets */
} shapes[TABLE_COUNT] = {
#define SHAPE(name, made, owner)                                                                   \
    {                                                                                              \
        name##_columns, sizeof(name##_columns) / sizeof(name##_columns[0]),                        \
            sizeof(struct name##_row), made, owner                                                 \
    }
#define AT(name, member) offsetof(struct name##_row, member)
    [TABLE_USERS] = SHAPE(user, AT(user, added_us), NO_OWNER),
    [TABLE_MACHINES] = SHAPE(machine, AT(machine, added_us), NO_OWNER),
    [TABLE_CODES] = SHAPE(code, AT(code, issued_us), AT(code, issuer)),
    [TABLE_KEYS] = SHAPE(key, AT(key, issued_us), AT(key, machine)),
    [TABLE_INVITES] = SHAPE(invite, AT(invite, issued_us), NO_OWNER),
    [TABLE_FAMILIES] = SHAPE(family, AT(family, opened_us), AT(family, user)),
    [TABLE_SESSIONS] = SHAPE(session, AT(session, requested_us), AT(session, owner)),
    [TABLE_CHANNELS] = SHAPE(channel, AT(channel, attached_us), AT(channel, session)),
    [TABLE_ALERTS] = SHAPE(alert, AT(alert, opened_us), NO_OWNER),
    [TABLE_MINUTES] = SHAPE(minute, NO_OWNER, NO_OWNER),
#undef AT
#undef SHAPE
};

static const struct shape *
shape_of(enum table t)
{
    INVARIANT((unsigned)t < TABLE_COUNT && shapes[t].columns != NULL);
    return &shapes[t];
}

/* --- bytes --- */

struct writer {
    uint8_t *at, *end;
};

static void
put(struct writer *w, const void *bytes, size_t n)
{
    INVARIANT(n <= (size_t)(w->end - w->at));
    if (n > 0)
        memcpy(w->at, bytes, n);
    w->at += n;
}

static void
put_number(struct writer *w, uint64_t u, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t b = (uint8_t)(u >> (8 * (n - 1 - i)));

        put(w, &b, 1);
    }
}

static void
put_long(struct writer *w, const void *bytes, size_t n)
{
    put_number(w, n, 2);
    put(w, bytes, n);
}

static void
column_put(struct writer *w, const struct column *c, const uint8_t *row)
{
    const uint8_t *member = row + c->offset;
    uint64_t u64;
    uint32_t u32;
    uint16_t len;
    bool flag;

    switch (c->kind) {
    case COLUMN_ID: put(w, member, ID_BYTES); return;
    case COLUMN_U64:
        memcpy(&u64, member, sizeof(u64));
        put_number(w, u64, 8);
        return;
    case COLUMN_U32:
        memcpy(&u32, member, sizeof(u32));
        put_number(w, u32, 4);
        return;
    case COLUMN_BOOL:
        memcpy(&flag, member, sizeof(flag));
        put_number(w, flag, 1);
        return;
    case COLUMN_TEXT: put_long(w, member, strnlen((const char *)member, c->size - 1)); return;
    case COLUMN_BLOB:
        memcpy(&len, row + c->len_offset, sizeof(len));
        INVARIANT(len <= c->size);
        put_long(w, member, len);
        return;
    }
}

size_t
row_encode(enum table t, const void *row, uint8_t out[ROW_BYTES_MAX])
{
    const struct shape *s = shape_of(t);
    struct writer w = {out, out + ROW_BYTES_MAX};

    for (size_t i = 0; i < s->count; i++)
        column_put(&w, &s->columns[i], row);
    return (size_t)(w.at - out);
}

/* What is left to read; ptr NULL: it was not enough. */
static const uint8_t *
take(struct span *s, size_t n)
{
    const uint8_t *at = s->ptr;

    if (at == NULL || s->len < n) {
        s->ptr = NULL;
        return NULL;
    }
    s->ptr += n;
    s->len -= n;
    return at;
}

static uint64_t
take_number(struct span *s, size_t n)
{
    const uint8_t *at = take(s, n);
    uint64_t u = 0;

    for (size_t i = 0; at != NULL && i < n; i++)
        u = u << 8 | at[i];
    return u;
}

/* The stored bytes of a column. */
static struct span
take_column(struct span *s, const struct column *c)
{
    size_t n;
    const uint8_t *at;

    switch (c->kind) {
    case COLUMN_ID: n = ID_BYTES; break;
    case COLUMN_U64: n = 8; break;
    case COLUMN_U32: n = 4; break;
    case COLUMN_BOOL: n = 1; break;
    default:
        n = (size_t)take_number(s, 2);
        if (n > c->size - (c->kind == COLUMN_TEXT))
            s->ptr = NULL;
        break;
    }
    at = take(s, n);
    return span_of(at, at == NULL ? 0 : n);
}

static void
column_get(struct span *s, const struct column *c, uint8_t *row)
{
    struct span stored = take_column(s, c);
    uint8_t *member = row + c->offset;
    uint64_t u64;
    uint32_t u32;
    uint16_t len;
    bool flag;

    if (stored.ptr == NULL)
        return;
    switch (c->kind) {
    case COLUMN_U64:
        u64 = take_number(&stored, 8);
        memcpy(member, &u64, sizeof(u64));
        return;
    case COLUMN_U32:
        u32 = (uint32_t)take_number(&stored, 4);
        memcpy(member, &u32, sizeof(u32));
        return;
    case COLUMN_BOOL:
        flag = take_number(&stored, 1) != 0;
        memcpy(member, &flag, sizeof(flag));
        return;
    case COLUMN_BLOB:
        len = (uint16_t)stored.len;
        memcpy(row + c->len_offset, &len, sizeof(len));
        memcpy(member, stored.ptr, stored.len);
        return;
    default: memcpy(member, stored.ptr, stored.len); return; /* texts: the NUL is there */
    }
}

enum err
row_decode(enum table t, struct span bytes, void *row)
{
    const struct shape *s = shape_of(t);

    memset(row, 0, s->size);
    for (size_t i = 0; i < s->count; i++)
        column_get(&bytes, &s->columns[i], row);
    return bytes.ptr == NULL || bytes.len != 0 ? ERR_MALFORMED : OK;
}

void
row_text(enum table t, struct span bytes, size_t offset, char *out, size_t cap)
{
    const struct shape *s = shape_of(t);

    for (size_t i = 0; i < s->count; i++) {
        struct span stored = take_column(&bytes, &s->columns[i]);

        if (s->columns[i].offset == offset) {
            row_put_text(out, cap, stored);
            return;
        }
    }
    INVARIANT(!"a column of this row");
}

/* --- rows --- */

enum err
row_get(const struct rows *r, enum table t, const struct id *id, void *row)
{
    struct span value;
    enum err err = r->get(r->ctx, t, span_of(id->b, ID_BYTES), &value);

    return err == OK ? row_decode(t, value, row) : err;
}

const struct id *
row_id(enum table t, const void *row)
{
    INVARIANT(shape_of(t)->columns[0].kind == COLUMN_ID && shape_of(t)->columns[0].offset == 0);
    return row;
}

struct views_position
row_position(enum table t, const void *row)
{
    struct views_position position;
    struct key k = {.len = 0};
    int64_t made;

    memcpy(&made, (const uint8_t *)row + shape_of(t)->made, sizeof(made));
    key_time(&k, made);
    key_id(&k, row_id(t, row));
    INVARIANT(k.len == sizeof(position.b));
    memcpy(position.b, k.b, sizeof(position.b));
    return position;
}

const struct id *
row_owner(enum table t, const void *row)
{
    size_t owner = shape_of(t)->owner;

    return owner == NO_OWNER ? NULL : (const void *)((const uint8_t *)row + owner);
}

void
row_forget(enum table t, void *row)
{
    const struct shape *s = shape_of(t);

    for (size_t i = 0; i < s->count; i++)
        if (s->columns[i].personal)
            memset((uint8_t *)row + s->columns[i].offset, 0, s->columns[i].size);
}

void
row_put_text(char *out, size_t cap, struct span text)
{
    size_t n = text.len < cap ? text.len : cap - 1;

    if (n < text.len)
        while (n > 0 && (text.ptr[n] & 0xC0) == 0x80)
            n--;
    memset(out, 0, cap);
    if (n > 0)
        memcpy(out, text.ptr, n);
}
