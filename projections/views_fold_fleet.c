/* views_fold_fleet.c: machines and who of them is here, support codes, API keys, allow lists.
 * Projector's thread. */
#include "projections/views_fold.h"

#define NOBODY ((struct id){{0}})

static struct key
online_key(const struct id *machine)
{
    struct key key = {.len = 0};

    key_u8(&key, LOOKUP_ONLINE);
    if (machine != NULL)
        key_id(&key, machine);
    return key;
}

/* --- machines --- */

static void
machine_software(struct folding *f, struct machine_row *row)
{
    fold_text(f, FIELD_OS, row->os, sizeof(row->os));
    fold_text(f, FIELD_AGENT_VERSION, row->version, sizeof(row->version));
    fold_blob(f, FIELD_SERVICES, row->services, sizeof(row->services), &row->services_len);
}

static void
machine_new(const struct folding *f, struct machine_row *row)
{
    memset(row, 0, sizeof(*row));
    row->machine = f->ev->subject.machine;
    row->changed_seq = row->allow_seq = f->ev->seq;
    row->added_us = f->now_us;
}

/* An id that was removed and comes back, as in no log of ours, is a new machine, as in the world.
 */
static bool
machine_add(struct folding *f, const struct machine_row *row)
{
    struct machine_row old;
    struct key key = {.len = 0};

    key_id(&key, &row->machine);
    if (!id_is_nil(&row->machine) && fold_row(f, TABLE_MACHINES, &row->machine, &old) &&
        old.removed)
        fold_unset(f, TABLE_MACHINES, &key);
    return fold_add(f, TABLE_MACHINES, row);
}

static void
machine_described(struct folding *f, struct machine_row *row)
{
    fold_blob(f, FIELD_LABELS, row->labels, sizeof(row->labels), &row->labels_len);
    fold_personal_text(f, FIELD_NOTE, row->note, sizeof(row->note));
    if (!fold_has_personal(f, FIELD_MACHINE_NAME))
        return;
    fold_personal_text(f, FIELD_MACHINE_NAME, row->name, sizeof(row->name));
    row->named = true;
}

static void
machine_added(struct folding *f)
{
    struct machine_row row;

    machine_new(f, &row);
    machine_described(f, &row);
    (void)machine_add(f, &row);
}

/* One that is there; removed ones do not change any more. */
static bool
machine_there(struct folding *f, struct machine_row *row)
{
    const struct id *id = &f->ev->subject.machine;

    return !id_is_nil(id) && fold_row(f, TABLE_MACHINES, id, row) && !row->removed;
}

static void
machine_changed(struct folding *f)
{
    struct machine_row row;

    if (!machine_there(f, &row))
        return;
    row.changed_seq = f->ev->seq;
    machine_described(f, &row);
    fold_put(f, TABLE_MACHINES, &row);
}

/* Enrolled, or bound anew: either way a key is spent. */
static void
machine_bound(struct folding *f)
{
    struct id id = fields_id(&f->ev->data, FIELD_KEY);
    struct machine_row row;
    struct key_row key;

    if (!machine_there(f, &row)) {
        machine_new(f, &row);
        if (!machine_add(f, &row))
            return;
    }
    row.bound = true;
    row.bound_key = id;
    machine_software(f, &row);
    fold_put(f, TABLE_MACHINES, &row);
    if (!fold_row(f, TABLE_KEYS, &id, &key) || key.state == KEY_REVOKED)
        return;
    key.state = KEY_SPENT;
    key.used_us = f->now_us;
    fold_put(f, TABLE_KEYS, &key);
}

static bool
key_dies(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct key_row row;

    (void)value;
    (void)arg;
    if (fold_row(f, TABLE_KEYS, &id, &row) && row.state != KEY_REVOKED) {
        row.state = KEY_REVOKED;
        fold_put(f, TABLE_KEYS, &row);
    }
    return true;
}

/* Its keys go with it; its row stays for those who ask what a session was on. */
static void
machine_removed(struct folding *f)
{
    struct machine_row row;
    struct key keys, online;

    if (!machine_there(f, &row))
        return;
    keys = key_of(TABLE_KEYS, &row.machine);
    online = online_key(&row.machine);
    row.removed = true;
    row.bound = row.online = false;
    row.connection = NOBODY;
    fold_unlist(f, TABLE_MACHINES, &row);
    fold_put(f, TABLE_MACHINES, &row);
    fold_unset(f, TABLE_LOOKUP, &online);
    fold_sweep(f, TABLE_LOOKUP, &keys, key_dies, NULL);
}

/* --- presence --- */

static void
agent_connected(struct folding *f)
{
    struct machine_row row;
    struct key online;

    if (!machine_there(f, &row))
        return;
    row.online = true;
    row.seen_us = f->now_us;
    row.connection = fields_id(&f->ev->data, FIELD_CONNECTION);
    machine_software(f, &row);
    if (!row.named)
        fold_personal_text(f, FIELD_MACHINE_NAME, row.name, sizeof(row.name));
    fold_personal_text(f, FIELD_HOST_NAME, row.host, sizeof(row.host));
    fold_personal_text(f, FIELD_ADDRESS, row.address, sizeof(row.address));
    fold_put(f, TABLE_MACHINES, &row);
    online = online_key(&row.machine);
    fold_set(f, TABLE_LOOKUP, &online, span_of(NULL, 0));
}

static void
machine_offline(struct folding *f, struct machine_row *row, int64_t seen_us)
{
    struct key online = online_key(&row->machine);

    row->online = false;
    row->connection = NOBODY;
    if (row->seen_us < seen_us)
        row->seen_us = seen_us;
    fold_put(f, TABLE_MACHINES, row);
    fold_unset(f, TABLE_LOOKUP, &online);
}

/* The end of a connection that another has replaced says nothing about presence. */
static void
agent_disconnected(struct folding *f)
{
    struct id connection = fields_id(&f->ev->data, FIELD_CONNECTION);
    struct machine_row row;

    if (machine_there(f, &row) && row.online && id_equal(&row.connection, &connection))
        machine_offline(f, &row, f->now_us);
}

static bool
offline_each(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct machine_row row;

    (void)value;
    if (fold_row(f, TABLE_MACHINES, &id, &row))
        machine_offline(f, &row, *(const int64_t *)arg);
    return true;
}

/* A start without a stop before it: they went with the server, some time after the last event. */
static void
presence_clear(struct folding *f)
{
    int64_t seen_us = f->ev->type == EV_SERVER_STARTED ? f->last_us : f->now_us;
    struct key prefix = online_key(NULL);

    fold_sweep(f, TABLE_LOOKUP, &prefix, offline_each, &seen_us);
}

/* --- support codes --- */

static void
code_issued(struct folding *f)
{
    struct code_row row = {
        .code = f->ev->subject.code,
        .issuer = f->ev->actor.id,
        .issued_us = f->now_us,
        .expires_us = fold_time(f, FIELD_EXPIRES_US),
        .state = CODE_LIVE,
        .digits = (uint32_t)fields_u64(&f->ev->data, FIELD_DIGITS),
    };

    (void)fold_add(f, TABLE_CODES, &row);
}

static void
code_over(struct folding *f, enum code_state state)
{
    struct code_row row;

    if (!fold_row(f, TABLE_CODES, &f->ev->subject.code, &row) || row.state != CODE_LIVE)
        return;
    row.state = state;
    row.ended_us = f->now_us;
    if (state == CODE_REDEEMED)
        row.machine = f->ev->subject.machine;
    fold_put(f, TABLE_CODES, &row);
}

static void
code_redeemed(struct folding *f)
{
    struct machine_row row;
    struct code_row code;

    machine_new(f, &row);
    row.guest = row.bound = true;
    row.code = f->ev->subject.code;
    fold_text(f, FIELD_WORDS, row.words, sizeof(row.words));
    if (fold_row(f, TABLE_CODES, &row.code, &code) && code.state == CODE_LIVE)
        row.issuer = code.issuer;
    if (machine_add(f, &row))
        code_over(f, CODE_REDEEMED);
}

/* --- API keys --- */

static void
key_issued(struct folding *f)
{
    struct key_row row = {
        .key = fields_id(&f->ev->data, FIELD_KEY),
        .machine = f->ev->subject.machine,
        .creator = f->ev->actor.id,
        .issued_us = f->now_us,
        .expires_us = fold_time(f, FIELD_EXPIRES_US),
        .state = KEY_LIVE,
    };

    (void)fold_add(f, TABLE_KEYS, &row);
}

/* With the key goes what it bound. */
static void
key_revoked(struct folding *f)
{
    struct id id = fields_id(&f->ev->data, FIELD_KEY), machine = f->ev->subject.machine;
    struct machine_row row;
    struct key_row key;

    if (id_is_nil(&id))
        return;
    if (fold_row(f, TABLE_KEYS, &id, &key) && key.state != KEY_REVOKED) {
        machine = key.machine;
        key.state = KEY_REVOKED;
        fold_put(f, TABLE_KEYS, &key);
    }
    if (!fold_row(f, TABLE_MACHINES, &machine, &row) || !id_equal(&row.bound_key, &id))
        return;
    row.bound = false;
    row.bound_key = NOBODY;
    fold_put(f, TABLE_MACHINES, &row);
}

/* --- allow lists --- */

/* Without a machine it is the list for all: kept in a row of its own, that no list shows. */
static void
allowlist_changed(struct folding *f)
{
    const struct id *id = &f->ev->subject.machine;
    struct machine_row row;

    if (!fold_row(f, TABLE_MACHINES, id, &row)) {
        if (!id_is_nil(id))
            return;
        memset(&row, 0, sizeof(row));
    }
    row.allow_seq = f->ev->seq;
    fold_blob(f, FIELD_ALLOW, row.allow, sizeof(row.allow), &row.allow_len);
    fold_put(f, TABLE_MACHINES, &row);
}

void
views_fold_fleet(struct folding *f)
{
    switch (f->ev->type) {
    case EV_MACHINE_ADDED: machine_added(f); return;
    case EV_MACHINE_CHANGED: machine_changed(f); return;
    case EV_MACHINE_ENROLLED:
    case EV_MACHINE_REBOUND: machine_bound(f); return;
    case EV_MACHINE_REMOVED: machine_removed(f); return;
    case EV_AGENT_CONNECTED: agent_connected(f); return;
    case EV_AGENT_DISCONNECTED: agent_disconnected(f); return;
    case EV_SERVER_STARTED:
    case EV_SERVER_STOPPED: presence_clear(f); return;
    case EV_CODE_ISSUED: code_issued(f); return;
    case EV_CODE_REDEEMED: code_redeemed(f); return;
    case EV_CODE_EXPIRED: code_over(f, CODE_EXPIRED); return;
    case EV_CODE_REVOKED: code_over(f, CODE_REVOKED); return;
    case EV_KEY_ISSUED: key_issued(f); return;
    case EV_KEY_REVOKED: key_revoked(f); return;
    case EV_ALLOWLIST_CHANGED: allowlist_changed(f); return;
    default: return; /* another part's business */
    }
}
