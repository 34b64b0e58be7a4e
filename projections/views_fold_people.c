/* views_fold_people.c: users, invitations, logins (families of tokens). Projector's thread. */
#include "core/facts.h"
#include "projections/views_fold.h"

/* --- logins --- */

static struct key
live_key(const struct family_row *row)
{
    struct views_position position = row_position(TABLE_FAMILIES, row);
    struct key key = {.len = 0};

    key_u8(&key, LOOKUP_LIVE_FAMILY);
    key_id(&key, &row->user);
    key_bytes(&key, position.b, sizeof(position.b));
    return key;
}

/* What is no role of ours gives no rights: the same as none. */
static uint32_t
event_role(const struct folding *f)
{
    uint64_t role = fields_u64(&f->ev->data, FIELD_ROLE);

    return role > ROLE_AUDITOR ? ROLE_NONE : (uint32_t)role;
}

static void
family_end(struct folding *f, struct family_row *row, struct span why, int64_t at_us)
{
    struct key live = live_key(row);

    if (!row->live)
        return;
    row->live = false;
    row->ended_us = at_us;
    row_put_text(row->why, sizeof(row->why), why);
    fold_put(f, TABLE_FAMILIES, row);
    fold_unset(f, TABLE_LOOKUP, &live);
}

/* No event says that a login ran out: the next one tidies up, oldest first. */
static bool
family_expire(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct family_row row;

    (void)value;
    (void)arg;
    if (!fold_row(f, TABLE_FAMILIES, &id, &row))
        return true;
    if (row.expires_us == 0 || row.expires_us > f->now_us)
        return false;
    family_end(f, &row, span_str("expired"), row.expires_us);
    return true;
}

static struct key
live_prefix(const struct id *user)
{
    struct key key = {.len = 0};

    key_u8(&key, LOOKUP_LIVE_FAMILY);
    if (user != NULL)
        key_id(&key, user);
    return key;
}

/* Where it is used from. Only its own user's word: it is forgotten with them. */
static void
family_seen(struct folding *f, struct family_row *row)
{
    if (f->ev->actor.kind != ACTOR_USER || !id_equal(&f->ev->actor.id, &row->user))
        return;
    fold_personal_text(f, FIELD_ADDRESS, row->address, sizeof(row->address));
    fold_personal_text(f, FIELD_USER_AGENT, row->user_agent, sizeof(row->user_agent));
}

static void
login_succeeded(struct folding *f)
{
    struct key prefix = live_prefix(&f->ev->actor.id), live;
    struct family_row row = {
        .family = fields_id(&f->ev->data, FIELD_FAMILY),
        .user = f->ev->actor.id,
        .opened_us = f->now_us,
        .refreshed_us = f->now_us,
        .expires_us = fold_time(f, FIELD_EXPIRES_US),
        .n = fields_u64(&f->ev->data, FIELD_TOKEN_N),
        .live = true,
    };
    struct user_row user;

    if (id_is_nil(&row.user))
        return;
    fold_sweep(f, TABLE_LOOKUP, &prefix, family_expire, NULL);
    if (fold_row(f, TABLE_USERS, &row.user, &user)) {
        user.login_us = f->now_us;
        fold_put(f, TABLE_USERS, &user);
    }
    family_seen(f, &row);
    if (!fold_add(f, TABLE_FAMILIES, &row))
        return;
    live = live_key(&row);
    fold_set(f, TABLE_LOOKUP, &live, span_of(NULL, 0));
}

/* Beside the logins, and listed with them; it lives until an event says otherwise. */
static void
device_known(struct folding *f)
{
    struct family_row row = {
        .family = fields_id(&f->ev->data, FIELD_DEVICE),
        .user = f->ev->subject.user,
        .opened_us = f->now_us,
        .device = true,
        .live = true,
    };

    if (id_is_nil(&row.user) || id_is_nil(&row.family))
        return;
    family_seen(f, &row);
    (void)fold_add(f, TABLE_FAMILIES, &row);
}

static void
device_removed(struct folding *f)
{
    struct id id = fields_id(&f->ev->data, FIELD_DEVICE);
    struct family_row row;

    if (fold_row(f, TABLE_FAMILIES, &id, &row) && row.device)
        family_end(f, &row, fields_span(&f->ev->data, FIELD_WHY), f->now_us);
}

/* The family that an event names, or that its actor speaks for. */
static bool
family_meant(struct folding *f, struct family_row *row)
{
    struct id id = fields_id(&f->ev->data, FIELD_FAMILY);

    if (id_is_nil(&id))
        id = f->ev->actor.family;
    return fold_row(f, TABLE_FAMILIES, &id, row);
}

static void
token_refreshed(struct folding *f)
{
    uint64_t n = fields_u64(&f->ev->data, FIELD_TOKEN_N);
    struct family_row row;

    if (!family_meant(f, &row) || !row.live || n <= row.n)
        return;
    row.n = n;
    row.refreshed_us = f->now_us;
    family_seen(f, &row);
    fold_put(f, TABLE_FAMILIES, &row);
}

static void
family_ended(struct folding *f)
{
    struct span why = fields_span(&f->ev->data, FIELD_WHY);
    struct family_row row;

    if (family_meant(f, &row))
        family_end(f, &row, why.len > 0 ? why : span_str("logout"), f->now_us);
}

struct ending {
    const char *why;
    const struct id *but; /* this one stays */
};

static bool
family_end_each(struct folding *f, struct span rest, struct span value, void *arg)
{
    const struct ending *ending = arg;
    struct id id = fold_rest_id(rest);
    struct family_row row;

    (void)value;
    if ((ending->but == NULL || !id_equal(&id, ending->but)) &&
        fold_row(f, TABLE_FAMILIES, &id, &row))
        family_end(f, &row, span_str(ending->why), f->now_us);
    return true;
}

/* All families of a user (NULL: of everybody) but one. */
static void
families_end(struct folding *f, const struct id *user, const char *why, const struct id *but)
{
    struct key prefix = live_prefix(user);
    struct ending ending = {why, but};

    fold_sweep(f, TABLE_LOOKUP, &prefix, family_end_each, &ending);
}

static void
password_changed(struct folding *f)
{
    const struct event *ev = f->ev;
    const struct id *user = id_is_nil(&ev->subject.user) ? &ev->actor.id : &ev->subject.user;

    if (!id_is_nil(user))
        families_end(f, user, "password_changed", &ev->actor.family);
}

/* --- users --- */

/* Should an odd log have a name twice, it stays the first one's, as in the world. */
static void
user_registered(struct folding *f)
{
    struct user_row row = {
        .user = f->ev->subject.user,
        .changed_seq = f->ev->seq,
        .added_us = f->now_us,
        .role = event_role(f),
    };
    struct span there;
    struct key name;

    fold_personal_text(f, FIELD_ACCOUNT_NAME, row.name, sizeof(row.name));
    fold_personal_text(f, FIELD_DISPLAY_NAME, row.display, sizeof(row.display));
    if (!fold_add(f, TABLE_USERS, &row) || !key_name(span_str(row.name), &name))
        return;
    if (!fold_get(f, TABLE_LOOKUP, &name, &there))
        fold_set(f, TABLE_LOOKUP, &name, span_of(row.user.b, ID_BYTES));
}

static bool
forget_family(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct family_row row;

    (void)value;
    (void)arg;
    if (fold_row(f, TABLE_FAMILIES, &id, &row)) {
        row_forget(TABLE_FAMILIES, &row);
        fold_put(f, TABLE_FAMILIES, &row);
    }
    return true;
}

static void
name_forget(struct folding *f, const struct user_row *row)
{
    struct span there;
    struct key name;

    if (key_name(span_str(row->name), &name) && fold_get(f, TABLE_LOOKUP, &name, &there) &&
        span_equal(there, span_of(row->user.b, ID_BYTES)))
        fold_unset(f, TABLE_LOOKUP, &name);
}

/* As if the user's key had never been there to open anything. */
static void
user_erased(struct folding *f)
{
    const struct id *user = &f->ev->subject.user;
    struct key families = key_of(TABLE_FAMILIES, user);
    struct user_row row;

    if (id_is_nil(user))
        return;
    families_end(f, user, "erased", NULL);
    fold_sweep(f, TABLE_LOOKUP, &families, forget_family, NULL);
    views_fold_index_forget(f, user);
    if (!fold_row(f, TABLE_USERS, user, &row))
        return;
    name_forget(f, &row);
    row_forget(TABLE_USERS, &row);
    row.changed_seq = f->ev->seq;
    row.erased = row.disabled = true;
    fold_put(f, TABLE_USERS, &row);
}

static void
user_changed(struct folding *f)
{
    struct user_row row;
    uint32_t was;

    if (!fold_row(f, TABLE_USERS, &f->ev->subject.user, &row))
        return;
    was = row.role;
    row.changed_seq = f->ev->seq;
    switch (f->ev->type) {
    case EV_USER_CHANGED:
        if (fields_find(&f->ev->data, FIELD_ROLE) != NULL)
            row.role = event_role(f);
        fold_personal_text(f, FIELD_DISPLAY_NAME, row.display, sizeof(row.display));
        if (row.role != was)
            families_end(f, &row.user, "role_changed", NULL);
        break;
    case EV_USER_ENABLED: row.disabled = false; break;
    default:
        row.disabled = true;
        families_end(f, &row.user, "disabled", NULL);
        break;
    }
    fold_put(f, TABLE_USERS, &row);
}

/* --- invitations --- */

static void
invite_issued(struct folding *f)
{
    struct invite_row row = {
        .invite = fields_id(&f->ev->data, FIELD_INVITE),
        .issuer = f->ev->actor.id,
        .issued_us = f->now_us,
        .expires_us = fold_time(f, FIELD_EXPIRES_US),
        .state = INVITE_LIVE,
        .role = event_role(f),
    };

    (void)fold_add(f, TABLE_INVITES, &row);
}

static void
invite_over(struct folding *f, enum invite_state state)
{
    struct id id = fields_id(&f->ev->data, FIELD_INVITE);
    struct invite_row row;

    if (!fold_row(f, TABLE_INVITES, &id, &row) || row.state != INVITE_LIVE)
        return;
    row.state = state;
    if (state == INVITE_USED)
        row.user = f->ev->subject.user;
    fold_put(f, TABLE_INVITES, &row);
}

void
views_fold_people(struct folding *f)
{
    switch (f->ev->type) {
    case EV_LOGIN_SUCCEEDED: login_succeeded(f); return;
    case EV_TOKEN_REFRESHED: token_refreshed(f); return;
    case EV_DEVICE_KNOWN: device_known(f); return;
    case EV_DEVICE_REMOVED: device_removed(f); return;
    case EV_LOGOUT:
    case EV_TOKEN_REVOKED: family_ended(f); return;
    case EV_PASSWORD_CHANGED: password_changed(f); return;
    case EV_SECRET_ROTATED:
        if (span_is(fields_span(&f->ev->data, FIELD_WHY), "leaked"))
            families_end(f, NULL, "secret_leaked", NULL);
        return;
    case EV_USER_REGISTERED:
        invite_over(f, INVITE_USED);
        user_registered(f);
        return;
    case EV_USER_CHANGED:
    case EV_USER_ENABLED:
    case EV_USER_DISABLED: user_changed(f); return;
    case EV_USER_ERASED: user_erased(f); return;
    case EV_INVITE_ISSUED: invite_issued(f); return;
    case EV_INVITE_REVOKED: invite_over(f, INVITE_REVOKED); return;
    default: return; /* another part's business */
    }
}
