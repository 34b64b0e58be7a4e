/* event_json.c: events as JSON, driven by the catalogue. Pure; any thread. Total: what a field
 * holds is shown as its kind says, and as bytes when it does not fit its kind. */
#include "core/event_json.h"

#include <inttypes.h>

#include "core/base64.h"
#include "core/pack.h"

#define DAY_S 86400

/* ---- time ---- */

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static void
civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

static int64_t
days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void
event_time_text(int64_t us, char out[EVENT_TIME_TEXT])
{
    int64_t s = us / 1000000, micro = us % 1000000, days, year;
    unsigned month, day, rest;

    if (micro < 0) {
        micro += 1000000;
        s--;
    }
    days = s / DAY_S;
    if (s % DAY_S < 0)
        days--;
    rest = (unsigned)(s - days * DAY_S);
    civil(days, &year, &month, &day);
    snprintf(out, EVENT_TIME_TEXT, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02u.%06uZ", year,
        month % 100, day % 100, rest / 3600 % 100, rest / 60 % 60, rest % 60,
        (unsigned)micro % 1000000);
}

/* Exactly n digits, in min..max. */
static bool
take_digits(struct span *text, unsigned n, unsigned min, unsigned max, unsigned *out)
{
    *out = 0;
    if (text->len < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (text->ptr[i] < '0' || text->ptr[i] > '9')
            return false;
        *out = *out * 10 + (unsigned)(text->ptr[i] - '0');
    }
    *text = span_of(text->ptr + n, text->len - n);
    return *out >= min && *out <= max;
}

static bool
take_one(struct span *text, char a, char b)
{
    if (text->len == 0 || (text->ptr[0] != (uint8_t)a && text->ptr[0] != (uint8_t)b))
        return false;
    *text = span_of(text->ptr + 1, text->len - 1);
    return true;
}

/* ".5" to ".123456789": cut to microseconds. */
static bool
take_fraction(struct span *text, int64_t *us)
{
    int64_t unit = 100000;
    unsigned n = 0;

    *us = 0;
    if (!take_one(text, '.', '.'))
        return true;
    for (; text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9'; n++) {
        *us += unit * (text->ptr[0] - '0');
        unit /= 10;
        *text = span_of(text->ptr + 1, text->len - 1);
    }
    return n >= 1 && n <= 9;
}

static bool
take_offset(struct span *text, int64_t *offset_s)
{
    unsigned hours, minutes;
    bool west;

    *offset_s = 0;
    if (take_one(text, 'Z', 'z'))
        return true;
    west = text->len > 0 && text->ptr[0] == '-';
    if (!take_one(text, '+', '-') || !take_digits(text, 2, 0, 23, &hours) ||
        !take_one(text, ':', ':') || !take_digits(text, 2, 0, 59, &minutes))
        return false;
    *offset_s = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    if (west)
        *offset_s = -*offset_s;
    return true;
}

static unsigned
month_days(unsigned year, unsigned month)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

enum err
event_time_parse(struct span text, int64_t *us)
{
    unsigned year, month, day, hour, minute, second;
    int64_t fraction, offset_s;

    if (!take_digits(&text, 4, 0, 9999, &year) || !take_one(&text, '-', '-') ||
        !take_digits(&text, 2, 1, 12, &month) || !take_one(&text, '-', '-') ||
        !take_digits(&text, 2, 1, month_days(year, month), &day) || !take_one(&text, 'T', 't') ||
        !take_digits(&text, 2, 0, 23, &hour) || !take_one(&text, ':', ':') ||
        !take_digits(&text, 2, 0, 59, &minute) || !take_one(&text, ':', ':') ||
        !take_digits(&text, 2, 0, 60, &second) || !take_fraction(&text, &fraction) ||
        !take_offset(&text, &offset_s) || text.len != 0)
        return ERR_MALFORMED;
    *us = (days_of(year, month, day) * DAY_S + (int64_t)hour * 3600 + (int64_t)minute * 60 +
              second - offset_s) *
              1000000 +
          fraction;
    return OK;
}

/* ---- values ---- */

static void
write_hex(struct json_write *w, const char *key, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * HASH_BYTES + 1];
    size_t n = 0;

    for (size_t i = 0; i < bytes.len && i < HASH_BYTES; i++) {
        text[n++] = digits[bytes.ptr[i] >> 4];
        text[n++] = digits[bytes.ptr[i] & 15];
    }
    json_write_text(w, key, span_of(text, n));
}

static void
write_base64(struct json_write *w, const char *key, struct span bytes)
{
    size_t cap = base64_encoded_len(BASE64_STD, bytes.len), len;
    char *text = malloc(cap + 1);

    if (text == NULL || base64_encode(BASE64_STD, bytes, text, cap, &len) != OK)
        json_write_null(w, key);
    else
        json_write_text(w, key, span_of(text, len));
    free(text);
}

static void
write_time(struct json_write *w, const char *key, int64_t us)
{
    char text[EVENT_TIME_TEXT];

    event_time_text(us, text);
    json_write_str(w, key, text);
}

static void
write_id(struct json_write *w, const char *key, enum id_kind kind, const struct id *id)
{
    char text[ID_TEXT_BYTES];

    if (id_is_nil(id))
        return;
    id_text(kind, id, text);
    json_write_str(w, key, text);
}

static void
write_tag(struct json_write *w, const char *key, const struct tag *tag)
{
    if (!tag_is_nil(tag))
        write_hex(w, key, span_of(tag->b, TAG_BYTES));
}

/* Any canonical msgpack, as deep as a scan lets through. */
static void
write_msgpack(struct json_write *w, const char *key, struct reader *r)
{
    struct reader before = *r;
    struct span bytes;
    uint32_t count;
    int64_t number;
    char name[24];

    switch (reader_peek(r)) {
    case PACK_BOOL: json_write_bool(w, key, reader_bool(r)); return;
    case PACK_INT:
        number = reader_i64(r);
        if (reader_ok(r)) {
            json_write_int(w, key, number);
            return;
        }
        *r = before; /* above INT64_MAX */
        json_write_uint(w, key, reader_u64(r));
        return;
    case PACK_STR: json_write_text(w, key, reader_str(r)); return;
    case PACK_BIN:
        bytes = reader_bin(r);
        if (bytes.len <= HASH_BYTES)
            write_hex(w, key, bytes);
        else
            write_base64(w, key, bytes);
        return;
    case PACK_ARRAY:
        json_write_array(w, key);
        for (count = reader_array(r); count > 0 && reader_ok(r); count--)
            write_msgpack(w, NULL, r);
        json_write_end(w);
        return;
    case PACK_MAP:
        json_write_object(w, key);
        for (count = reader_map(r); count > 0 && reader_ok(r); count--) {
            snprintf(name, sizeof(name), "%" PRIu64, reader_u64(r));
            write_msgpack(w, name, r);
        }
        json_write_end(w);
        return;
    case PACK_NIL: reader_nil(r); break;
    case PACK_END: break;
    }
    json_write_null(w, key);
}

static void
write_packed(struct json_write *w, const char *key, struct span packed)
{
    struct reader r;

    if (pack_scan(packed) != OK) {
        write_base64(w, key, packed);
        return;
    }
    reader_init(&r, packed);
    write_msgpack(w, key, &r);
}

static void
write_cosigned(struct json_write *w, const char *key, struct span packed)
{
    struct span purpose, statement, sig;
    struct reader r;

    reader_init(&r, packed);
    if (reader_array(&r) != 3) {
        write_packed(w, key, packed);
        return;
    }
    purpose = reader_str(&r);
    statement = reader_bin(&r);
    sig = reader_bin(&r);
    if (!reader_done(&r)) {
        write_packed(w, key, packed);
        return;
    }
    json_write_object(w, key);
    json_write_text(w, "purpose", purpose);
    write_base64(w, "statement", statement);
    write_base64(w, "sig", sig);
    json_write_end(w);
}

static const struct id_field {
    enum field_kind kind;
    enum id_kind id;
} id_fields[] = {
    {KIND_USER, ID_USER},
    {KIND_MACHINE, ID_MACHINE},
    {KIND_SESSION, ID_SESSION},
    {KIND_CODE, ID_CODE},
    {KIND_KEY, ID_KEY},
    {KIND_FAMILY, ID_FAMILY},
    {KIND_CHANNEL, ID_CHANNEL},
    {KIND_EVENT_ID, ID_EVENT},
    {KIND_INVITE, ID_INVITE},
    {KIND_DEVICE, ID_DEVICE},
};

static void
write_id_field(struct json_write *w, const struct field_row *row, struct span bytes)
{
    char text[ID_TEXT_BYTES];
    struct id id;

    for (size_t i = 0; i < sizeof(id_fields) / sizeof(id_fields[0]); i++) {
        if (id_fields[i].kind != row->kind || bytes.len != ID_BYTES)
            continue;
        memcpy(id.b, bytes.ptr, ID_BYTES);
        id_text(id_fields[i].id, &id, text);
        json_write_str(w, row->name, text);
        return;
    }
    write_base64(w, row->name, bytes);
}

static void
write_value(struct json_write *w, const struct value *value)
{
    const struct field_row *row = catalogue_field(value->field);
    char number[16];

    if (row == NULL) {
        snprintf(number, sizeof(number), "%u", (unsigned)value->field);
        write_base64(w, number, value->s);
        return;
    }
    switch (row->kind) {
    case KIND_U64: json_write_uint(w, row->name, value->u); return;
    case KIND_I64: json_write_int(w, row->name, (int64_t)value->u); return;
    case KIND_US: write_time(w, row->name, (int64_t)value->u); return;
    case KIND_BOOL: json_write_bool(w, row->name, value->u != 0); return;
    case KIND_STR: json_write_text(w, row->name, value->s); return;
    case KIND_BIN: write_base64(w, row->name, value->s); return;
    case KIND_HASH:
    case KIND_TAG: write_hex(w, row->name, value->s); return;
    case KIND_STRS:
    case KIND_ROWS: write_packed(w, row->name, value->s); return;
    case KIND_COSIGNED: write_cosigned(w, row->name, value->s); return;
    default: write_id_field(w, row, value->s); return;
    }
}

/* ---- the event ---- */

static void
write_actor(struct json_write *w, const struct actor *actor)
{
    static const struct {
        const char *kind;
        enum id_kind id;
    } kinds[] = {
        [ACTOR_NOBODY] = {"nobody", ID_USER},
        [ACTOR_USER] = {"user", ID_USER},
        [ACTOR_AGENT] = {"agent", ID_MACHINE},
        [ACTOR_CODE] = {"code", ID_CODE},
        [ACTOR_CLI] = {"cli", ID_USER},
        [ACTOR_SERVER] = {"server", ID_USER},
    };
    unsigned kind = (unsigned)actor->kind < sizeof(kinds) / sizeof(kinds[0]) ? actor->kind : 0;

    json_write_object(w, "actor");
    json_write_str(w, "kind", kinds[kind].kind);
    write_id(w, "id", kinds[kind].id, &actor->id);
    write_id(w, "family", ID_FAMILY, &actor->family);
    write_tag(w, "addr", &actor->tags.addr);
    write_tag(w, "net", &actor->tags.net);
    write_tag(w, "wide", &actor->tags.wide);
    write_tag(w, "account", &actor->tags.account);
    json_write_end(w);
}

static void
write_subject(struct json_write *w, const struct subject *subject)
{
    json_write_object(w, "subject");
    write_id(w, "session", ID_SESSION, &subject->session);
    write_id(w, "machine", ID_MACHINE, &subject->machine);
    write_id(w, "user", ID_USER, &subject->user);
    write_id(w, "code", ID_CODE, &subject->code);
    json_write_end(w);
}

static bool
written_before(const struct fields *personal, uint32_t box, enum field field)
{
    for (uint32_t i = 0; i < box; i++)
        if (fields_find(&personal[i], field) != NULL)
            return true;
    return false;
}

/* Boxes of several people hold different fields; should two hold the same, the first is shown. */
static void
write_personal(
    struct json_write *w, const struct event *ev, const struct fields *personal, uint32_t count)
{
    uint32_t shut = ev->sealed_count;

    for (uint32_t i = 0; i < count; i++)
        if (personal[i].count > 0)
            shut--;
    if (shut < ev->sealed_count) {
        json_write_object(w, "personal");
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = 0; k < personal[i].count; k++)
                if (!written_before(personal, i, personal[i].v[k].field))
                    write_value(w, &personal[i].v[k]);
        json_write_end(w);
    }
    if (shut > 0)
        json_write_uint(w, "sealed", shut);
}

void
event_json(struct json_write *w, const char *key, const struct event *ev,
    const struct fields *personal, uint32_t personal_count)
{
    const struct event_row *row = catalogue_event(ev->type);
    char number[24];

    if (personal_count > ev->sealed_count)
        personal_count = ev->sealed_count;
    snprintf(number, sizeof(number), "unknown.%u", (unsigned)ev->type);
    json_write_object(w, key);
    json_write_uint(w, "seq", ev->seq);
    write_id(w, "id", ID_EVENT, &ev->id);
    json_write_str(w, "type", row != NULL ? row->name : number);
    json_write_uint(w, "v", ev->v);
    write_time(w, "time", ev->eff_us);
    write_time(w, "wall_time", ev->wall_us);
    write_actor(w, &ev->actor);
    write_subject(w, &ev->subject);
    json_write_object(w, "data");
    for (uint32_t i = 0; i < ev->data.count; i++)
        write_value(w, &ev->data.v[i]);
    json_write_end(w);
    write_personal(w, ev, personal, personal_count);
    if (ev->has_policy)
        write_hex(w, "policy", span_of(ev->policy.b, HASH_BYTES));
    json_write_end(w);
}
