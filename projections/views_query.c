/* views_query.c: rows for those who ask: one, or a page of a list. Bounded work in one read
 * transaction. Decides nothing, and hides nothing by itself: who may see what is the caller's
 * business. Loops. */
#include "core/pack.h"
#include "projections/views_row.h"

/* --- one row --- */

enum err
views_user(const struct rows *r, const struct id *user, struct user_row *out)
{
    return row_get(r, TABLE_USERS, user, out);
}

enum err
views_user_named(const struct rows *r, struct span name, struct user_row *out)
{
    struct span value;
    struct key key;
    struct id user;
    enum err err;

    if (!key_name(name, &key))
        return ERR_NOT_FOUND;
    if ((err = r->get(r->ctx, TABLE_LOOKUP, key_span(&key), &value)) != OK)
        return err;
    if (value.len != ID_BYTES)
        return ERR_MALFORMED;
    memcpy(user.b, value.ptr, ID_BYTES);
    return views_user(r, &user, out);
}

enum err
views_machine(const struct rows *r, const struct id *machine, struct machine_row *out)
{
    return row_get(r, TABLE_MACHINES, machine, out);
}

enum err
views_code(const struct rows *r, const struct id *code, struct code_row *out)
{
    return row_get(r, TABLE_CODES, code, out);
}

static enum err
name_of(const struct rows *r, enum table t, const struct id *id, size_t offset, char *out)
{
    struct span value;
    enum err err = r->get(r->ctx, t, span_of(id->b, ID_BYTES), &value);

    if (err == OK)
        row_text(t, value, offset, out, NAME_BYTES);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Looked up, not stored: so they follow a renaming, and an erasure reaches them. */
static enum err
session_names(const struct rows *r, struct session_row *row)
{
    enum err err =
        name_of(r, TABLE_USERS, &row->owner, offsetof(struct user_row, name), row->owner_name);

    return err != OK ? err
                     : name_of(r, TABLE_MACHINES, &row->machine, offsetof(struct machine_row, name),
                           row->machine_name);
}

enum err
views_session(const struct rows *r, const struct id *session, struct session_row *out)
{
    enum err err = row_get(r, TABLE_SESSIONS, session, out);

    return err == OK ? session_names(r, out) : err;
}

/* --- the machine filter --- */

struct machine_facts {
    const struct machine_row *row;
    int64_t now_us;
    char id[ID_TEXT_BYTES];
};

static struct span
nth_label(const struct machine_row *row, unsigned index)
{
    struct span label = span_of(NULL, 0);
    struct reader r;
    uint32_t count;

    reader_init(&r, span_of(row->labels, row->labels_len));
    count = reader_array(&r);
    if (index >= count)
        return label;
    for (unsigned i = 0; i <= index; i++)
        label = reader_str(&r);
    return reader_ok(&r) ? label : span_of(NULL, 0);
}

static void
machine_seen(const struct machine_facts *facts, struct filter_value *out)
{
    const struct machine_row *row = facts->row;

    out->never = !row->online && row->seen_us == 0;
    if (!row->online && facts->now_us > row->seen_us)
        out->age_us = (uint64_t)facts->now_us - (uint64_t)row->seen_us;
}

static bool
machine_fact(const void *ctx, unsigned field, unsigned index, struct filter_value *out)
{
    const struct machine_facts *facts = ctx;
    const struct machine_row *row = facts->row;

    *out = (struct filter_value){.age_us = 0};
    if (field == FILTER_MACHINE_TAG) {
        out->word = nth_label(row, index);
        return out->word.ptr != NULL;
    }
    if (index > 0)
        return false;
    switch ((enum filter_machine_field)field) {
    case FILTER_MACHINE_NAME: out->word = span_str(row->name); return true;
    case FILTER_MACHINE_OS: out->word = span_str(row->os); return true;
    case FILTER_MACHINE_ID: out->word = span_str(facts->id); return true;
    case FILTER_MACHINE_ONLINE: out->flag = row->online; return true;
    case FILTER_MACHINE_GUEST: out->flag = row->guest; return true;
    case FILTER_MACHINE_SEEN: machine_seen(facts, out); return true;
    case FILTER_MACHINE_TAG: break;
    }
    return false;
}

/* --- lists --- */

struct listing {
    const struct rows *rows;
    enum table table;
    struct views_page *page;
    uint32_t looked, shown;
    enum err err;
    bool open_only; /* alerts */
    /* machines only */
    const struct filter *filter;
    const struct id *issuer;
    int64_t now_us;
    void *arg;
    union {
        bool (*user)(void *arg, const struct user_row *row);
        bool (*machine)(void *arg, const struct machine_row *row);
        bool (*code)(void *arg, const struct code_row *row);
        bool (*key)(void *arg, const struct key_row *row);
        bool (*invite)(void *arg, const struct invite_row *row);
        bool (*family)(void *arg, const struct family_row *row);
        bool (*session)(void *arg, const struct session_row *row);
        bool (*channel)(void *arg, const struct channel_row *row);
        bool (*alert)(void *arg, const struct alert_row *row);
    } each;
    union any_row row;
};

static bool
keep_machine(const struct listing *l)
{
    const struct machine_row *row = &l->row.machine;
    struct machine_facts facts = {.row = row, .now_us = l->now_us};

    if (l->issuer != NULL && row->guest && !id_equal(&row->issuer, l->issuer))
        return false;
    if (l->filter == NULL)
        return true;
    id_text(ID_MACHINE, &row->machine, facts.id);
    return filter_match(l->filter, machine_fact, &facts);
}

static bool
give(struct listing *l)
{
    const union any_row *row = &l->row;

    switch (l->table) {
    case TABLE_USERS: return l->each.user(l->arg, &row->user);
    case TABLE_MACHINES: return l->each.machine(l->arg, &row->machine);
    case TABLE_CODES: return l->each.code(l->arg, &row->code);
    case TABLE_KEYS: return l->each.key(l->arg, &row->key);
    case TABLE_INVITES: return l->each.invite(l->arg, &row->invite);
    case TABLE_FAMILIES: return l->each.family(l->arg, &row->family);
    case TABLE_SESSIONS: return l->each.session(l->arg, &row->session);
    case TABLE_ALERTS: return l->each.alert(l->arg, &row->alert);
    case TABLE_CHANNELS: return l->each.channel(l->arg, &row->channel);
    default: INVARIANT(!"a table with a list"); return false;
    }
}

/* The row of a list's entry. */
static enum err
load(struct listing *l, struct span position)
{
    struct id id;
    enum err err;

    if (position.len != VIEWS_POSITION_BYTES)
        return ERR_MALFORMED;
    memcpy(id.b, position.ptr + VIEWS_POSITION_BYTES - ID_BYTES, ID_BYTES);
    err = row_get(l->rows, l->table, &id, &l->row);
    if (err == OK && l->table == TABLE_SESSIONS)
        err = session_names(l->rows, &l->row.session);
    return err == ERR_NOT_FOUND ? ERR_MALFORMED : err;
}

static bool
list_each(void *arg, struct span position, struct span value)
{
    struct listing *l = arg;
    struct views_page *page = l->page;
    bool goes_on;

    (void)value;
    if (page->after != NULL && span_equal(position, span_of(page->after->b, VIEWS_POSITION_BYTES)))
        return true;
    if (l->looked++ == VIEWS_LOOKED_MAX) {
        page->more = true;
        return false;
    }
    if ((l->err = load(l, position)) != OK)
        return false;
    if ((l->table == TABLE_MACHINES && !keep_machine(l)) ||
        (l->open_only && l->row.alert.acked_seq != 0)) {
        memcpy(page->last.b, position.ptr, position.len);
        return true;
    }
    if (l->shown == page->limit) {
        page->more = true;
        return false;
    }
    memcpy(page->last.b, position.ptr, position.len);
    l->shown++;
    goes_on = give(l);
    page->more = !goes_on;
    return goes_on;
}

/* owner NULL: the list of all. */
static enum err
list(struct listing *l, const struct id *owner)
{
    struct key prefix = owner != NULL ? key_of(l->table, owner) : key_all(l->table);
    const struct views_position *after = l->page->after;
    enum err err;

    l->page->more = false;
    if (after != NULL)
        l->page->last = *after;
    else
        memset(l->page->last.b, 0xFF, VIEWS_POSITION_BYTES); /* before the newest */
    err = key_walk(l->rows, TABLE_LOOKUP, &prefix,
        after != NULL ? span_of(after->b, VIEWS_POSITION_BYTES) : span_of(NULL, 0), true, list_each,
        l);
    return err != OK ? err : l->err;
}

enum err
views_users(const struct rows *r, struct views_page *page,
    bool (*each)(void *arg, const struct user_row *row), void *arg)
{
    struct listing l = {
        .rows = r, .table = TABLE_USERS, .page = page, .arg = arg, .each.user = each};

    return list(&l, NULL);
}

enum err
views_machines(const struct rows *r, struct views_page *page, const struct filter *filter,
    const struct id *issuer, int64_t now_us, bool (*each)(void *arg, const struct machine_row *row),
    void *arg)
{
    struct listing l = {.rows = r,
        .table = TABLE_MACHINES,
        .page = page,
        .filter = filter,
        .issuer = issuer,
        .now_us = now_us,
        .arg = arg,
        .each.machine = each};

    return list(&l, NULL);
}

enum err
views_codes(const struct rows *r, struct views_page *page, const struct id *issuer,
    bool (*each)(void *arg, const struct code_row *row), void *arg)
{
    struct listing l = {
        .rows = r, .table = TABLE_CODES, .page = page, .arg = arg, .each.code = each};

    return list(&l, issuer);
}

enum err
views_keys(const struct rows *r, struct views_page *page, const struct id *machine,
    bool (*each)(void *arg, const struct key_row *row), void *arg)
{
    struct listing l = {.rows = r, .table = TABLE_KEYS, .page = page, .arg = arg, .each.key = each};

    return list(&l, machine);
}

enum err
views_invites(const struct rows *r, struct views_page *page,
    bool (*each)(void *arg, const struct invite_row *row), void *arg)
{
    struct listing l = {
        .rows = r, .table = TABLE_INVITES, .page = page, .arg = arg, .each.invite = each};

    return list(&l, NULL);
}

enum err
views_families(const struct rows *r, struct views_page *page, const struct id *user,
    bool (*each)(void *arg, const struct family_row *row), void *arg)
{
    struct listing l = {
        .rows = r, .table = TABLE_FAMILIES, .page = page, .arg = arg, .each.family = each};

    return list(&l, user);
}

enum err
views_sessions(const struct rows *r, struct views_page *page, const struct id *owner,
    bool (*each)(void *arg, const struct session_row *row), void *arg)
{
    struct listing l = {
        .rows = r, .table = TABLE_SESSIONS, .page = page, .arg = arg, .each.session = each};

    return list(&l, owner);
}

struct id
views_alert_id(uint64_t seq)
{
    struct id id = {{0}};

    id.b[0] = 1; /* never nil, also for seq 0 */
    for (int i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(seq >> (8 * i));
    return id;
}

enum err
views_alert(const struct rows *r, uint64_t seq, struct alert_row *out)
{
    struct id id = views_alert_id(seq);

    return row_get(r, TABLE_ALERTS, &id, out);
}

enum err
views_alerts(const struct rows *r, struct views_page *page, bool open_only,
    bool (*each)(void *arg, const struct alert_row *row), void *arg)
{
    struct listing l = {.rows = r,
        .table = TABLE_ALERTS,
        .page = page,
        .open_only = open_only,
        .arg = arg,
        .each.alert = each};

    return list(&l, NULL);
}

enum err
views_channels(const struct rows *r, const struct id *session,
    bool (*each)(void *arg, const struct channel_row *row), void *arg)
{
    struct views_page page = {.limit = VIEWS_LOOKED_MAX};
    struct listing l = {
        .rows = r, .table = TABLE_CHANNELS, .page = &page, .arg = arg, .each.channel = each};
    struct key prefix = key_of(TABLE_CHANNELS, session);
    enum err err = key_walk(r, TABLE_LOOKUP, &prefix, span_of(NULL, 0), false, list_each, &l);

    return err != OK ? err : l.err;
}

/* --- minutes --- */

struct minutes {
    int64_t from_us, to_us;
    uint32_t limit;
    enum err err;
    bool (*each)(void *arg, int64_t minute_us, const struct minute_row *row);
    void *arg;
};

static bool
minute_each(void *arg, struct span key, struct span value)
{
    struct minutes *m = arg;
    struct minute_row row;
    int64_t at;

    if (key.len != 8 || (m->err = row_decode(TABLE_MINUTES, value, &row)) != OK) {
        m->err = ERR_MALFORMED;
        return false;
    }
    at = key_read_time(key.ptr);
    if ((m->to_us != 0 && at >= m->to_us) || m->limit == 0)
        return false;
    m->limit--;
    return m->each(m->arg, at, &row) && m->limit > 0;
}

enum err
views_minutes(const struct rows *r, int64_t from_us, int64_t to_us, uint32_t limit,
    bool (*each)(void *arg, int64_t minute_us, const struct minute_row *row), void *arg)
{
    struct minutes m = {
        from_us, to_us, limit < VIEWS_LOOKED_MAX ? limit : VIEWS_LOOKED_MAX, OK, each, arg};
    const struct key all = {.len = 0};
    struct key from = {.len = 0};
    enum err err;

    key_time(&from, from_us != 0 ? from_us : INT64_MIN);
    err = key_walk(r, TABLE_MINUTES, &all, key_span(&from), false, minute_each, &m);
    return err != OK ? err : m.err;
}
