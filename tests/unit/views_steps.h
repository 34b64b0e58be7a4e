/* views_steps.h: histories as tables: one event to a step, and what a row reads afterwards. */
#ifndef TESTS_VIEWS_STEPS_H
#define TESTS_VIEWS_STEPS_H

#include "tests/unit/views_kit.h"

enum { ADA = 1, BOB, WEB = 11, GUEST = 13, CODE = 31, CODE2, SES = 41, SES2, SES3 };
enum { CHN = 51, CHN2, FAM = 61, FAM2, FAM3, KEY = 71, KEY2, INV = 81, INV2, CON = 91, CON2 };

struct step {
    enum event_type type;
    enum actor_kind kind;
    uint64_t actor, family; /* who */
    uint64_t session, machine, user, code;
    enum field id_field; /* one id in the data */
    uint64_t id;
    uint64_t role, n, token_n, bytes; /* n: plus one */
    const char *why, *label, *service, *mode;
    bool ends_in_an_hour, cosigned, all_known; /* all_known: says bytes, even none */
    const char *name, *display, *address, *agent, *host, *note, *reason; /* sealed for `box` */
    uint64_t box;
    enum table look; /* afterwards: this row reads ... */
    uint64_t at;
    const char *reads;
};

/* Seconds of the story; "-" for never. */
static inline const char *
when(int64_t us, char out[16])
{
    if (us == 0)
        snprintf(out, 16, "-");
    else
        snprintf(out, 16, "%d", (int)((us - T0) / S));
    return out;
}

/* Small numbers again; 0 for nil. */
static inline unsigned
number(const struct id *id)
{
    return (unsigned)id->b[14] << 8 | id->b[15];
}

static inline void
read_user(const struct user_row *u, char *out, size_t cap)
{
    char a[16], b[16];

    snprintf(out, cap, "%s/%s role %u added %s login %s changed %u%s%s", u->name, u->display,
        u->role, when(u->added_us, a), when(u->login_us, b), (unsigned)u->changed_seq,
        u->disabled ? " disabled" : "", u->erased ? " erased" : "");
}

static inline void
read_machine(const struct machine_row *m, char *out, size_t cap)
{
    char a[16], b[16];

    snprintf(out, cap,
        "%s@%s from %s note %s added %s seen %s con %u code %u issuer %u changed %u "
        "allow %u labels %u services %u%s%s%s%s",
        m->name, m->host, m->address, m->note, when(m->added_us, a), when(m->seen_us, b),
        number(&m->connection), number(&m->code), number(&m->issuer), (unsigned)m->changed_seq,
        (unsigned)m->allow_seq, m->labels_len, m->services_len, m->guest ? " guest" : "",
        m->bound ? " bound" : "", m->online ? " online" : "", m->removed ? " removed" : "");
}

static inline void
read_family(const struct family_row *f, char *out, size_t cap)
{
    char a[16], b[16], c[16], d[16];

    snprintf(out, cap, "user %u opened %s refreshed %s expires %s n %u from %s by %s %s %s",
        number(&f->user), when(f->opened_us, a), when(f->refreshed_us, b), when(f->expires_us, c),
        (unsigned)f->n, f->address, f->user_agent, f->live ? "live" : f->why, when(f->ended_us, d));
}

static inline void
read_session(const struct session_row *s, char *out, size_t cap)
{
    static const char *const states[] = {"?", "requested", "consented", "open", "ended"};
    char a[16], b[16], c[16];

    snprintf(out, cap,
        "%s %s->%s (%s) asked %s opened %s ended %s why %s mode %s events %u "
        "channels %u bytes %u/%u%s",
        states[s->state], s->owner_name, s->machine_name, s->reason, when(s->requested_us, a),
        when(s->opened_us, b), when(s->ended_us, c), s->why, s->consent_mode, (unsigned)s->events,
        (unsigned)s->channels, (unsigned)s->to_agent_bytes, (unsigned)s->to_technician_bytes,
        s->bytes_known ? "" : " unknown");
}

static inline void
read_channel(const struct channel_row *c, char *out, size_t cap)
{
    char x[16], y[16], z[16];

    snprintf(out, cap, "%s of %u attached %s opened %s closed %s why %s bytes %u/%u exit %d%s%s",
        c->service, number(&c->session), when(c->attached_us, x), when(c->opened_us, y),
        when(c->closed_us, z), c->why, (unsigned)c->to_agent_bytes,
        (unsigned)c->to_technician_bytes, (int)c->exit_status, c->has_exit ? "" : "?",
        c->cosigned ? " signed" : "");
}

static inline void
read_row(const struct tale *t, enum table table, uint64_t at, char *out, size_t cap)
{
    const struct rows rows = mem_rows((struct mem *)&t->mem);
    struct id id = id_n(at);
    static union any_row row;
    char a[16], b[16], c[16];
    enum err err;

    err = table == TABLE_SESSIONS ? views_session(&rows, &id, &row.session)
                                  : row_get(&rows, table, &id, &row);
    if (err != OK) {
        snprintf(out, cap, "%s", err_name(err));
        return;
    }
    switch (table) {
    case TABLE_USERS: read_user(&row.user, out, cap); return;
    case TABLE_MACHINES: read_machine(&row.machine, out, cap); return;
    case TABLE_FAMILIES: read_family(&row.family, out, cap); return;
    case TABLE_SESSIONS: read_session(&row.session, out, cap); return;
    case TABLE_CHANNELS: read_channel(&row.channel, out, cap); return;
    case TABLE_CODES:
        snprintf(out, cap, "state %u issuer %u machine %u issued %s expires %s ended %s",
            row.code.state, number(&row.code.issuer), number(&row.code.machine),
            when(row.code.issued_us, a), when(row.code.expires_us, b), when(row.code.ended_us, c));
        return;
    case TABLE_KEYS:
        snprintf(out, cap, "state %u machine %u creator %u issued %s expires %s used %s",
            row.key.state, number(&row.key.machine), number(&row.key.creator),
            when(row.key.issued_us, a), when(row.key.expires_us, b), when(row.key.used_us, c));
        return;
    case TABLE_INVITES:
        snprintf(out, cap, "state %u issuer %u user %u role %u issued %s expires %s",
            row.invite.state, number(&row.invite.issuer), number(&row.invite.user), row.invite.role,
            when(row.invite.issued_us, a), when(row.invite.expires_us, b));
        return;
    default: fail_msg("no reader for table %d", table);
    }
}

static inline void
step_says(struct tale *t, const struct step *step)
{
    const struct {
        enum field field;
        const char *text;
    } sealed[] = {{FIELD_ACCOUNT_NAME, step->type == EV_USER_REGISTERED ? step->name : NULL},
        {FIELD_MACHINE_NAME, step->type != EV_USER_REGISTERED ? step->name : NULL},
        {FIELD_DISPLAY_NAME, step->display}, {FIELD_ADDRESS, step->address},
        {FIELD_USER_AGENT, step->agent}, {FIELD_HOST_NAME, step->host}, {FIELD_NOTE, step->note},
        {FIELD_REASON_TEXT, step->reason}};
    const char *list[] = {NULL, NULL};
    static const uint8_t signed_by[] = {0x93, 0xA1, 'x', 0xC4, 1, 1, 0xC4, 1, 2};

    tale_say(t, step->type);
    by(t->s, step->kind, step->actor, step->family);
    about(t->s, step->session, step->machine, step->user, step->code);
    if (step->id_field != FIELD_NONE)
        with_id(t->s, step->id_field, step->id);
    if (step->role != 0)
        with_u(t->s, FIELD_ROLE, step->role);
    if (step->n != 0)
        with_u(t->s, FIELD_N, step->n - 1);
    if (step->token_n != 0)
        with_u(t->s, FIELD_TOKEN_N, step->token_n);
    if (step->bytes != 0 || step->all_known) {
        with_u(t->s, FIELD_TO_AGENT_BYTES, step->bytes);
        with_u(t->s, FIELD_TO_TECHNICIAN_BYTES, step->bytes * 2);
    }
    if (step->why != NULL)
        with_str(t->s, FIELD_WHY, step->why);
    if (step->service != NULL)
        with_str(t->s, FIELD_SERVICE, step->service);
    if (step->mode != NULL)
        with_str(t->s, FIELD_CONSENT_MODE, step->mode);
    if (step->ends_in_an_hour)
        with_u(t->s, FIELD_EXPIRES_US, (uint64_t)(t->s->now + 3600 * S));
    if (step->cosigned)
        with_bytes(t->s, FIELD_COSIGNED, signed_by, sizeof(signed_by));
    if (step->label != NULL) {
        list[0] = step->label;
        with_strs(t->s, FIELD_LABELS, list);
        with_strs(t->s, FIELD_SERVICES, list);
        with_strs(t->s, FIELD_ALLOW, list);
    }
    for (size_t i = 0; i < ROWS(sealed); i++)
        if (sealed[i].text != NULL)
            tale_text(t, step->box != 0 ? step->box : 1, sealed[i].field, sealed[i].text);
    tale_told(t);
}

#define LOGIN(who, fam)                                                                            \
    EV_LOGIN_SUCCEEDED, ACTOR_USER, who, fam, .user = who, .id_field = FIELD_FAMILY, .id = fam,    \
                                              .address = "192.0.2.1", .agent = "browser",          \
                                              .box = who, .ends_in_an_hour = true

#endif
