/* ownership.c: who holds which session, over which channels. Pure and total, as accounts.c: time is
 * the event's own, the odd event is counted. Ledger thread. */
#include "projections/world.h"

#define DUE_NOW 0 /* as a deadline: the session has lost its ground */

void
ownership_init(struct ownership *o)
{
    memset(o, 0, sizeof(*o));
    idmap_init(&o->sessions);
    idmap_init(&o->channels);
    idmap_init(&o->tickets);
    idmap_init(&o->by_family);
}

void
ownership_fini(struct ownership *o)
{
    idmap_fini_all(&o->sessions);
    idmap_fini_all(&o->channels);
    idmap_fini_all(&o->tickets);
    idmap_fini(&o->by_family);
}

struct session *
session_find(const struct world *w, const struct id *session)
{
    return idmap_find(&w->ownership.sessions, session->b);
}

struct session *
session_of_family(const struct world *w, const struct id *family)
{
    return idmap_find(&w->ownership.by_family, family->b);
}

struct channel *
channel_find(const struct world *w, const struct id *channel)
{
    return idmap_find(&w->ownership.channels, channel->b);
}

bool
session_known(const struct session *s, int64_t eff_us)
{
    return s->state != SESSION_ENDED || eff_us < world_after(s->ended_us, SESSION_LINGER_S);
}

static int64_t
channel_end_us(const struct channel *c)
{
    if (c->open)
        return TIMER_NEVER;
    return world_after(c->closed ? c->closed_us : c->attached_us, CHANNEL_LINGER_S);
}

bool
channel_known(const struct world *w, const struct channel *c, int64_t eff_us)
{
    const struct session *s = session_find(w, &c->session);

    return eff_us < channel_end_us(c) && s != NULL && session_known(s, eff_us);
}

/* --- deadlines --- */

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool
owner_gone(const struct world *w, const struct session *s, int64_t eff_us)
{
    const struct account *a = account_find(w, &s->owner);
    const struct family *f = family_find(w, &s->family);

    if (!id_is_nil(&s->owner) && (a == NULL || a->disabled))
        return true;
    return !id_is_nil(&s->family) && (f == NULL || !family_live(w, f, eff_us));
}

/* What ends a session whatever the time: a word, or NULL. */
static const char *
lost_ground(const struct world *w, const struct session *s, int64_t eff_us)
{
    const struct machine *m = machine_find(w, &s->machine);

    if (s->left_open)
        return "server_restart";
    if (m == NULL)
        return "machine_removed";
    if (!m->online || !id_equal(&m->connection, &s->agent_connection))
        return "agent_gone";
    return owner_gone(w, s, eff_us) ? "owner_gone" : NULL;
}

static int64_t
idle_end_us(const struct world *w, const struct session *s)
{
    return world_after(s->active_us, w->policy.session_idle_s);
}

const char *
session_due_why(const struct world *w, const struct session *s, int64_t eff_us)
{
    const char *why = lost_ground(w, s, eff_us);

    if (why != NULL)
        return why;
    if (s->state != SESSION_OPEN)
        return eff_us >= world_after(s->asked_us, w->policy.consent_s) ? "consent_timeout" : NULL;
    if (eff_us >= s->expires_us)
        return "max_duration";
    return eff_us >= idle_end_us(w, s) ? "idle" : NULL;
}

static int64_t
session_deadline_us(const struct world *w, const struct session *s)
{
    const struct family *f = family_find(w, &s->family);
    int64_t at;

    if (lost_ground(w, s, w->eff_us) != NULL)
        return DUE_NOW;
    if (s->state == SESSION_OPEN)
        at = earlier(s->expires_us, idle_end_us(w, s));
    else
        at = world_after(s->asked_us, w->policy.consent_s);
    return f == NULL ? at : earlier(at, family_end_us(w, f));
}

static void
session_retime(struct world *w, struct session *s)
{
    timers_set(&w->due, &s->timer, session_deadline_us(w, s));
}

void
ownership_retime(struct world *w, const struct id *which)
{
    for (struct session *s = w->ownership.oldest; s != NULL; s = s->newer)
        if (which == NULL || id_equal(&s->family, which) || id_equal(&s->machine, which))
            session_retime(w, s);
}

void
ownership_touch(struct world *w, const struct id *session, int64_t eff_us)
{
    struct session *s = session_find(w, session);

    if (s == NULL || s->state != SESSION_OPEN || eff_us <= s->active_us)
        return;
    s->active_us = eff_us < WORLD_TIME_MAX ? eff_us : WORLD_TIME_MAX;
    session_retime(w, s);
}

/* --- used tickets, in order of use --- */

static bool
ticket_kept(const struct ownership *o, const struct used_ticket *t, int64_t eff_us)
{
    return eff_us < world_after(t->used_us, o->ticket_keep_s);
}

bool
ticket_used(const struct world *w, const struct tag *ticket, int64_t eff_us)
{
    const struct used_ticket *t = idmap_find(&w->ownership.tickets, ticket->b);

    return t != NULL && ticket_kept(&w->ownership, t, eff_us);
}

static void
ticket_use(struct world *w, const struct event *ev)
{
    struct ownership *o = &w->ownership;
    struct tag ticket = fields_tag(&ev->data, FIELD_TICKET);
    struct used_ticket *t;

    if (tag_is_nil(&ticket))
        return;
    if (idmap_find(&o->tickets, ticket.b) != NULL) {
        world_stray(w);
        return;
    }
    t = calloc(1, sizeof(*t));
    INVARIANT(t != NULL);
    t->ticket = ticket;
    t->used_us = w->eff_us;
    idmap_put(&o->tickets, ticket.b, t);
    *(o->ticket_newest != NULL ? &o->ticket_newest->newer : &o->ticket_oldest) = t;
    o->ticket_newest = t;
}

static void
ticket_forget_oldest(struct ownership *o)
{
    struct used_ticket *t = o->ticket_oldest;

    o->ticket_oldest = t->newer;
    if (t->newer == NULL)
        o->ticket_newest = NULL;
    idmap_drop(&o->tickets, t->ticket.b);
    free(t);
}

void
ownership_reap_tickets(struct world *w)
{
    struct ownership *o = &w->ownership;

    while (o->ticket_oldest != NULL && !ticket_kept(o, o->ticket_oldest, w->eff_us))
        ticket_forget_oldest(o);
}

/* --- channels --- */

static void
channel_drop(struct world *w, struct channel *c)
{
    struct session *s = session_find(w, &c->session);
    struct channel **at = &s->channels;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    s->channels_open -= c->open;
    idmap_drop(&w->ownership.channels, c->channel.b);
    timers_off(&w->reap, &c->end);
    free(c);
}

static void
channel_attached(struct world *w, struct session *s, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_CHANNEL);
    struct span service = fields_span(&ev->data, FIELD_SERVICE);
    struct channel *c;

    if (s->state != SESSION_OPEN || id_is_nil(&id) || channel_find(w, &id) != NULL ||
        service.len > sizeof(c->service)) {
        world_stray(w);
        return;
    }
    c = calloc(1, sizeof(*c));
    INVARIANT(c != NULL);
    c->channel = id;
    c->session = s->session;
    c->attached_us = w->eff_us;
    if (service.len > 0)
        memcpy(c->service, service.ptr, service.len);
    c->service_len = (uint8_t)service.len;
    c->end = (struct deadline){.kind = TIMER_CHANNEL, .id = id};
    c->next = s->channels;
    s->channels = c;
    idmap_put(&w->ownership.channels, id.b, c);
    timers_set(&w->reap, &c->end, channel_end_us(c));
}

static void
channel_opened(struct world *w, struct session *s, struct channel *c)
{
    if (c->open || c->closed || s->state != SESSION_OPEN) {
        world_stray(w);
        return;
    }
    c->open = true;
    c->opened_us = w->eff_us;
    s->channels_open++;
    s->channels_total++;
    timers_off(&w->reap, &c->end);
}

static void
channel_closed(struct world *w, struct session *s, struct channel *c)
{
    s->channels_open -= c->open;
    c->open = false;
    c->closed = true;
    c->closed_us = w->eff_us;
    timers_set(&w->reap, &c->end, channel_end_us(c));
}

static void
channel_fold(struct world *w, struct session *s, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_CHANNEL);
    struct channel *c = channel_find(w, &id);

    if (c == NULL || !id_equal(&c->session, &s->session)) {
        world_stray(w);
        return;
    }
    switch (ev->type) {
    case EV_CHANNEL_OPENED: channel_opened(w, s, c); return;
    case EV_CHANNEL_CLOSED:
        if (c->closed) {
            world_stray(w);
            return;
        }
        s->to_agent_bytes += fields_u64(&ev->data, FIELD_TO_AGENT_BYTES);
        s->to_technician_bytes += fields_u64(&ev->data, FIELD_TO_TECHNICIAN_BYTES);
        channel_closed(w, s, c);
        return;
    default: /* attested: nothing more is to be said about it */
        if (c->closed)
            channel_drop(w, c);
        else
            world_stray(w);
        return;
    }
}

/* The technician left before the agent came: that channel will never open. */
static void
session_detached(struct world *w, const struct event *ev)
{
    struct id id = fields_id(&ev->data, FIELD_CHANNEL);
    struct channel *c = channel_find(w, &id);

    if (c != NULL && id_equal(&c->session, &ev->subject.session) && !c->open && !c->closed)
        channel_drop(w, c);
}

/* --- sessions --- */

static void
kin_join(struct ownership *o, struct session *s)
{
    if (!id_is_nil(&s->family))
        s->kin = idmap_put(&o->by_family, s->family.b, s);
}

static void
kin_leave(struct ownership *o, struct session *s)
{
    struct session *first = idmap_find(&o->by_family, s->family.b), **at = &first;

    if (id_is_nil(&s->family))
        return;
    while (*at != s)
        at = &(*at)->kin;
    *at = s->kin;
    s->kin = NULL;
    if (first == NULL)
        idmap_drop(&o->by_family, s->family.b);
    else
        idmap_put(&o->by_family, s->family.b, first);
}

static void
bind(struct world *w, struct session *s, const struct event *ev)
{
    s->net = ev->actor.tags.net;
    s->net_other = (struct tag){{0}};
    s->net_ip = (unsigned)fields_u64(&ev->data, FIELD_IP_VERSION) & 7;
    s->bound_us = w->eff_us;
    s->suspect = (struct tag){{0}};
    s->paused = false;
}

/* The second network, of the other IP version. */
static void
session_bound(struct world *w, struct session *s, const struct event *ev)
{
    if (s->state == SESSION_ENDED || !tag_is_nil(&s->net_other))
        world_stray(w);
    else
        s->net_other = ev->actor.tags.net;
}

static void
session_suspected(struct world *w, struct session *s, const struct event *ev)
{
    if (s->state == SESSION_ENDED) {
        world_stray(w);
        return;
    }
    s->suspect = ev->actor.tags.net;
    s->paused |= span_is(fields_span(&ev->data, FIELD_NET_MODE), "pause");
}

static void
transfer_offered(struct world *w, struct session *s, const struct event *ev)
{
    if (s->state != SESSION_OPEN) {
        world_stray(w);
        return;
    }
    s->offered_to = fields_id(&ev->data, FIELD_TO_USER);
    s->offered_us = w->eff_us;
}

/* Another owner, at another place; asked again, it waits as a request does. */
static void
session_transferred(struct world *w, struct session *s, const struct event *ev)
{
    if (s->state != SESSION_OPEN || ev->actor.kind != ACTOR_USER) {
        world_stray(w);
        return;
    }
    kin_leave(&w->ownership, s);
    s->owner = ev->actor.id;
    s->family = ev->actor.family;
    kin_join(&w->ownership, s);
    bind(w, s, ev);
    s->offered_to = (struct id){{0}};
    s->offered_us = 0;
    s->active_us = w->eff_us;
    if (span_is(fields_span(&ev->data, FIELD_CONSENT_MODE), "asked")) {
        s->state = SESSION_REQUESTED;
        s->asked_us = w->eff_us;
    }
    session_retime(w, s);
}

/* A proof from where it is bound already leaves the networks as they are. */
static void
session_reproved(struct world *w, struct session *s, const struct event *ev)
{
    const struct tag *net = &ev->actor.tags.net;

    if (s->state == SESSION_ENDED) {
        world_stray(w);
        return;
    }
    if (!tag_equal(&s->net, net) && !tag_equal(&s->net_other, net))
        bind(w, s, ev);
    s->suspect = (struct tag){{0}};
    s->paused = false;
}

static void
session_requested(struct world *w, const struct event *ev)
{
    struct ownership *o = &w->ownership;
    const struct machine *m = machine_find(w, &ev->subject.machine);
    struct session *s;

    if (id_is_nil(&ev->subject.session) || session_find(w, &ev->subject.session) != NULL) {
        world_stray(w);
        return;
    }
    s = calloc(1, sizeof(*s));
    INVARIANT(s != NULL);
    s->session = ev->subject.session;
    s->owner = fields_id(&ev->data, FIELD_OWNER);
    if (id_is_nil(&s->owner))
        s->owner = ev->actor.id;
    s->family = ev->actor.family;
    s->machine = ev->subject.machine;
    if (m != NULL)
        s->agent_connection = m->connection;
    s->state = SESSION_REQUESTED;
    bind(w, s, ev);
    s->requested_seq = ev->seq;
    s->requested_us = s->asked_us = w->eff_us;
    s->timer = (struct deadline){.kind = TIMER_SESSION, .id = s->session};
    idmap_put(&o->sessions, s->session.b, s);
    s->older = o->newest;
    *(o->newest != NULL ? &o->newest->newer : &o->oldest) = s;
    o->newest = s;
    o->live++;
    kin_join(o, s);
    fleet_session_began(w, &s->machine);
    session_retime(w, s);
}

static void
session_opened(struct world *w, struct session *s, const struct event *ev)
{
    const struct machine *m = machine_find(w, &s->machine);
    int64_t expires = world_field_us(ev, FIELD_EXPIRES_US);

    if (s->state != SESSION_REQUESTED && s->state != SESSION_CONSENTED) {
        world_stray(w);
        return;
    }
    s->state = SESSION_OPEN;
    s->active_us = w->eff_us;
    expires = earlier(expires, world_after(w->eff_us, w->policy.session_s));
    if (s->opened_us == 0) { /* opened again after a transfer, it ends when it would have ended */
        s->opened_us = w->eff_us;
        s->expires_us = expires;
    }
    s->expires_us = earlier(expires, s->expires_us);
    s->bound_us = w->eff_us;
    if (ev->actor.kind == ACTOR_USER && id_equal(&ev->actor.id, &s->owner)) {
        kin_leave(&w->ownership, s);
        s->family = ev->actor.family;
        kin_join(&w->ownership, s);
        s->net = ev->actor.tags.net;
    }
    if (m != NULL)
        s->agent_connection = m->connection;
    session_retime(w, s);
}

/* Its channels stay until their own end is told, or it is forgotten itself. */
static void
session_over(struct world *w, struct session *s)
{
    struct ownership *o = &w->ownership;
    bool was_open = s->opened_us != 0;

    *(s->older != NULL ? &s->older->newer : &o->oldest) = s->newer;
    *(s->newer != NULL ? &s->newer->older : &o->newest) = s->older;
    s->older = s->newer = NULL;
    o->live--;
    kin_leave(o, s);
    s->state = SESSION_ENDED;
    s->ended_us = w->eff_us;
    timers_off(&w->due, &s->timer);
    timers_set(&w->reap, &s->timer, world_after(s->ended_us, SESSION_LINGER_S));
    fleet_session_over(w, &s->machine, was_open);
}

/* A request that a server's end cut short is over already, but may still be told once. */
static void
session_ended(struct world *w, struct session *s)
{
    if (s->end_told)
        world_stray(w);
    s->end_told = true;
    if (s->state != SESSION_ENDED)
        session_over(w, s);
}

static void
session_counted(struct world *w, struct session *s, const struct event *ev)
{
    const struct value *n = fields_find(&ev->data, FIELD_N);

    if (n == NULL)
        return;
    if (n->u != s->n)
        world_stray(w);
    if (n->u >= s->n && n->u < UINT64_MAX)
        s->n = n->u + 1;
}

void
ownership_fold(struct world *w, const struct event *ev)
{
    struct session *s;

    if (ev->type < EV_SESSION_REQUESTED || ev->type > EV_SESSION_BOUND)
        return; /* another part's business */
    ticket_use(w, ev);
    if (ev->type == EV_SESSION_REQUESTED)
        session_requested(w, ev);
    if ((s = session_find(w, &ev->subject.session)) == NULL) {
        w->strays += ev->type != EV_SESSION_ATTACH_REFUSED; /* a bad ticket may name any */
        return;
    }
    session_counted(w, s, ev);
    switch (ev->type) {
    case EV_SESSION_CONSENTED:
        if (s->state == SESSION_REQUESTED)
            s->state = SESSION_CONSENTED;
        else
            world_stray(w);
        return;
    case EV_SESSION_OPENED: session_opened(w, s, ev); return;
    case EV_SESSION_ATTACHED: channel_attached(w, s, ev); return;
    case EV_SESSION_DETACHED: session_detached(w, ev); return;
    case EV_CHANNEL_OPENED:
    case EV_CHANNEL_CLOSED:
    case EV_CHANNEL_ATTESTED: channel_fold(w, s, ev); return;
    case EV_SESSION_ENDED: session_ended(w, s); return;
    case EV_SESSION_BOUND: session_bound(w, s, ev); return;
    case EV_SESSION_SUSPECTED: session_suspected(w, s, ev); return;
    case EV_SESSION_REPROVED: session_reproved(w, s, ev); return;
    case EV_SESSION_TRANSFER_OFFERED: transfer_offered(w, s, ev); return;
    case EV_SESSION_TRANSFERRED: session_transferred(w, s, ev); return;
    default: return; /* requested, denied, refused, noted: only counted */
    }
}

void
ownership_reap(struct world *w, struct deadline *t)
{
    struct session *s;

    if (t->kind == TIMER_CHANNEL) {
        channel_drop(w, channel_find(w, &t->id));
        return;
    }
    s = session_find(w, &t->id);
    while (s->channels != NULL)
        channel_drop(w, s->channels);
    idmap_drop(&w->ownership.sessions, s->session.b);
    timers_off(&w->reap, &s->timer);
    free(s);
}

void
ownership_restart(struct world *w)
{
    struct ownership *o = &w->ownership;
    struct session *s, *newer;

    for (s = o->oldest; s != NULL; s = newer) {
        newer = s->newer;
        for (struct channel *c = s->channels; c != NULL; c = c->next)
            if (!c->closed)
                channel_closed(w, s, c);
        if (s->state != SESSION_OPEN) {
            session_over(w, s);
            continue;
        }
        s->offered_to = (struct id){{0}};
        s->offered_us = 0;
        s->left_open = true;
        session_retime(w, s);
    }
    while (o->ticket_oldest != NULL)
        ticket_forget_oldest(o);
    o->ticket_keep_s = w->policy.ticket_s;
}
