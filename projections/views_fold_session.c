/* views_fold_session.c: sessions and their channels. Projector's thread. */
#include "core/facts.h"
#include "projections/views_fold.h"

static struct key
pending_key(const struct id *session)
{
    struct key key = {.len = 0};

    key_u8(&key, LOOKUP_PENDING);
    if (session != NULL)
        key_id(&key, session);
    return key;
}

/* --- channels --- */

static void
channel_attached(struct folding *f, const struct session_row *s)
{
    struct channel_row row = {
        .channel = fields_id(&f->ev->data, FIELD_CHANNEL),
        .session = s->session,
        .attached_us = f->now_us,
    };

    fold_text(f, FIELD_SERVICE, row.service, sizeof(row.service));
    (void)fold_add(f, TABLE_CHANNELS, &row);
}

/* The channel that the event names, when it is this session's. */
static bool
channel_meant(struct folding *f, const struct session_row *s, struct channel_row *row)
{
    struct id id = fields_id(&f->ev->data, FIELD_CHANNEL);

    return fold_row(f, TABLE_CHANNELS, &id, row) && id_equal(&row->session, &s->session);
}

static void
channel_opened(struct folding *f, struct session_row *s)
{
    struct channel_row row;

    if (!channel_meant(f, s, &row) || row.opened_us != 0 || row.closed_us != 0)
        return;
    row.opened_us = f->now_us;
    s->channels++;
    fold_put(f, TABLE_CHANNELS, &row);
}

static void
channel_closed(struct folding *f, struct session_row *s)
{
    const struct fields *data = &f->ev->data;
    struct channel_row row;

    if (!channel_meant(f, s, &row) || row.closed_us != 0)
        return;
    row.closed_us = f->now_us;
    row.to_agent_bytes = fields_u64(data, FIELD_TO_AGENT_BYTES);
    row.to_technician_bytes = fields_u64(data, FIELD_TO_TECHNICIAN_BYTES);
    row.has_exit = fields_find(data, FIELD_EXIT_STATUS) != NULL;
    row.exit_status = (int64_t)fields_u64(data, FIELD_EXIT_STATUS);
    row.cosigned = fields_find(data, FIELD_COSIGNED) != NULL;
    fold_text(f, FIELD_WHY, row.why, sizeof(row.why));
    s->to_agent_bytes += row.to_agent_bytes;
    s->to_technician_bytes += row.to_technician_bytes;
    fold_put(f, TABLE_CHANNELS, &row);
}

static void
channel_attested(struct folding *f, const struct session_row *s)
{
    struct channel_row row;

    if (!channel_meant(f, s, &row))
        return;
    row.cosigned = fields_find(&f->ev->data, FIELD_COSIGNED) != NULL;
    fold_put(f, TABLE_CHANNELS, &row);
}

/* The technician left before the agent came: that channel never opens. */
static void
session_detached(struct folding *f, const struct session_row *s)
{
    struct channel_row row;

    if (!channel_meant(f, s, &row) || row.opened_us != 0 || row.closed_us != 0)
        return;
    row.closed_us = f->now_us;
    fold_text(f, FIELD_WHY, row.why, sizeof(row.why));
    fold_put(f, TABLE_CHANNELS, &row);
}

/* Nobody saw these close, and nobody will. */
static bool
channel_lost(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct channel_row row;

    (void)value;
    if (!fold_row(f, TABLE_CHANNELS, &id, &row) || row.closed_us != 0)
        return true;
    row.closed_us = f->now_us;
    row_put_text(row.why, sizeof(row.why), span_str(arg));
    fold_put(f, TABLE_CHANNELS, &row);
    return true;
}

/* --- sessions --- */

static void
session_requested(struct folding *f)
{
    const struct event *ev = f->ev;
    struct session_row row = {
        .session = ev->subject.session,
        .owner = fields_id(&ev->data, FIELD_OWNER),
        .machine = ev->subject.machine,
        .events = 1,
        .requested_us = f->now_us,
        .state = SESSION_REQUESTED,
        .bytes_known = true,
    };
    struct key pending = pending_key(&row.session);

    if (id_is_nil(&row.owner))
        row.owner = ev->actor.id;
    fold_personal_text(f, FIELD_REASON_TEXT, row.reason, sizeof(row.reason));
    if (fold_add(f, TABLE_SESSIONS, &row))
        fold_set(f, TABLE_LOOKUP, &pending, span_of(NULL, 0));
}

static void
session_opened(struct folding *f, struct session_row *s)
{
    struct key pending = pending_key(&s->session);

    if (s->state != SESSION_REQUESTED && s->state != SESSION_CONSENTED)
        return;
    s->state = SESSION_OPEN;
    if (s->opened_us == 0)
        s->opened_us = f->now_us;
    s->expires_us = fold_time(f, FIELD_EXPIRES_US);
    fold_text(f, FIELD_CONSENT_MODE, s->consent_mode, sizeof(s->consent_mode));
    fold_unset(f, TABLE_LOOKUP, &pending);
}

/* In the lists of its new owner from now on, who waits for consent like any other. */
static void
session_transferred(struct folding *f, struct session_row *s)
{
    struct key pending = pending_key(&s->session);

    if (s->state != SESSION_OPEN || f->ev->actor.kind != ACTOR_USER)
        return;
    fold_unlist(f, TABLE_SESSIONS, s);
    s->owner = f->ev->actor.id;
    s->offered_to = (struct id){{0}};
    s->paused = false;
    if (span_is(fields_span(&f->ev->data, FIELD_CONSENT_MODE), "asked")) {
        s->state = SESSION_REQUESTED;
        fold_set(f, TABLE_LOOKUP, &pending, span_of(NULL, 0));
    }
    fold_list(f, TABLE_SESSIONS, s);
}

static void
session_over(struct folding *f, struct session_row *s, struct span why)
{
    struct key pending = pending_key(&s->session);

    s->state = SESSION_ENDED;
    s->paused = false;
    s->offered_to = (struct id){{0}};
    s->ended_us = f->now_us;
    row_put_text(s->why, sizeof(s->why), why);
    fold_unset(f, TABLE_LOOKUP, &pending);
}

/* A request that the server's end cut short is over already; its own word for it still counts. How
 * much went through when the server was killed nobody knows: then the event has no bytes. */
static void
session_ended(struct folding *f, struct session_row *s)
{
    static char lost[] = "server_restart";
    struct key channels = key_of(TABLE_CHANNELS, &s->session);

    session_over(f, s, fields_span(&f->ev->data, FIELD_WHY));
    s->bytes_known = fields_find(&f->ev->data, FIELD_TO_AGENT_BYTES) != NULL;
    if (!s->bytes_known)
        fold_sweep(f, TABLE_LOOKUP, &channels, channel_lost, lost);
}

static void
session_counted(const struct event *ev, struct session_row *s)
{
    const struct value *n = fields_find(&ev->data, FIELD_N);

    if (n != NULL && n->u >= s->events && n->u < UINT64_MAX)
        s->events = n->u + 1;
}

static bool
request_lost(struct folding *f, struct span rest, struct span value, void *arg)
{
    struct id id = fold_rest_id(rest);
    struct session_row row;

    (void)value;
    if (fold_row(f, TABLE_SESSIONS, &id, &row)) {
        session_over(f, &row, span_str(arg));
        fold_put(f, TABLE_SESSIONS, &row);
    }
    return true;
}

static void
requests_clear(struct folding *f)
{
    static char restart[] = "server_restart", stopped[] = "server_stopped";
    struct key prefix = pending_key(NULL);

    fold_sweep(f, TABLE_LOOKUP, &prefix, request_lost,
        f->ev->type == EV_SERVER_STARTED ? restart : stopped);
}

static void
session_fold(struct folding *f, struct session_row *s)
{
    session_counted(f->ev, s);
    switch (f->ev->type) {
    case EV_SESSION_CONSENTED:
        if (s->state == SESSION_REQUESTED)
            s->state = SESSION_CONSENTED;
        fold_text(f, FIELD_CONSENT_MODE, s->consent_mode, sizeof(s->consent_mode));
        return;
    case EV_SESSION_DENIED:
        fold_text(f, FIELD_CONSENT_MODE, s->consent_mode, sizeof(s->consent_mode));
        return;
    case EV_SESSION_OPENED: session_opened(f, s); return;
    case EV_SESSION_ATTACHED: channel_attached(f, s); return;
    case EV_SESSION_DETACHED: session_detached(f, s); return;
    case EV_CHANNEL_OPENED: channel_opened(f, s); return;
    case EV_CHANNEL_CLOSED: channel_closed(f, s); return;
    case EV_CHANNEL_ATTESTED: channel_attested(f, s); return;
    case EV_SESSION_ENDED: session_ended(f, s); return;
    case EV_SESSION_SUSPECTED:
        s->paused |= span_is(fields_span(&f->ev->data, FIELD_NET_MODE), "pause");
        return;
    case EV_SESSION_REPROVED: s->paused = false; return;
    case EV_SESSION_TRANSFER_OFFERED:
        if (s->state == SESSION_OPEN)
            s->offered_to = fields_id(&f->ev->data, FIELD_TO_USER);
        return;
    case EV_SESSION_TRANSFERRED: session_transferred(f, s); return;
    default: return; /* refused, noted ...: only counted */
    }
}

void
views_fold_sessions(struct folding *f)
{
    struct session_row row;

    if (f->ev->type == EV_SERVER_STARTED || f->ev->type == EV_SERVER_STOPPED)
        requests_clear(f);
    if (f->ev->type < EV_SESSION_REQUESTED || f->ev->type > EV_SESSION_BOUND)
        return; /* another part's business */
    if (f->ev->type == EV_SESSION_REQUESTED) {
        session_requested(f);
    } else if (fold_row(f, TABLE_SESSIONS, &f->ev->subject.session, &row)) {
        session_fold(f, &row);
        fold_put(f, TABLE_SESSIONS, &row);
    }
}
