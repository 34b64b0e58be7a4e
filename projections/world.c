/* world.c: one event into the decision state: first what has expired leaves, then the windows count
 * it, then each part takes what is its own. Ledger thread (or whoever owns this world). */
#include "projections/world.h"

struct world *
world_new(void)
{
    struct world *w = calloc(1, sizeof(*w));

    INVARIANT(w != NULL);
    policy_default(&w->policy);
    limits_init(&w->limits, &w->policy);
    accounts_init(&w->accounts);
    fleet_init(&w->fleet);
    ownership_init(&w->ownership);
    alerts_init(&w->alerts);
    w->ownership.ticket_keep_s = w->policy.ticket_s;
    timers_init(&w->due);
    timers_init(&w->reap);
    return w;
}

void
world_free(struct world *w)
{
    if (w == NULL)
        return;
    limits_fini(&w->limits);
    accounts_fini(&w->accounts);
    fleet_fini(&w->fleet);
    ownership_fini(&w->ownership);
    alerts_fini(&w->alerts);
    timers_fini(&w->due);
    timers_fini(&w->reap);
    free(w);
}

uint64_t
world_size(const struct world *w)
{
    return w->size;
}

int64_t
world_next_deadline(const struct world *w)
{
    const struct deadline *t = timers_first(&w->due);

    return t == NULL ? INT64_MAX : t->at_us;
}

void
world_touch_session(struct world *w, const struct id *session, int64_t eff_us)
{
    ownership_touch(w, session, eff_us);
}

int64_t
world_field_us(const struct event *ev, enum field field)
{
    const struct value *v = fields_find(&ev->data, field);

    if (v == NULL)
        return TIMER_NEVER;
    return v->u > (uint64_t)WORLD_TIME_MAX ? WORLD_TIME_MAX : (int64_t)v->u;
}

int64_t
world_after(int64_t at_us, uint32_t seconds)
{
    return at_us + (int64_t)seconds * US_PER_S;
}

void
world_stray(struct world *w)
{
    w->strays++;
}

/* Which event takes a slot of which rule; the key follows from the rule. Limits nest: what counts
 * for a network counts for the wider one. */
static const struct {
    enum event_type type;
    enum rule rule;
} counted[] = {
    {EV_LOGIN_ATTEMPTED, RULE_LOGIN_NET},
    {EV_LOGIN_ATTEMPTED, RULE_LOGIN_WIDE},
    {EV_LOGIN_ATTEMPTED, RULE_LOGIN_ALL},
    {EV_LOGIN_ATTEMPTED, RULE_LOGIN_ACCOUNT},
    {EV_LOGIN_ATTEMPTED, RULE_LOGIN_DEVICE},
    {EV_REGISTER_ATTEMPTED, RULE_REGISTER_NET},
    {EV_REGISTER_ATTEMPTED, RULE_REGISTER_ALL},
    {EV_CODE_VALIDATED, RULE_CODE_NET},
    {EV_CODE_VALIDATED, RULE_CODE_WIDE},
    {EV_CODE_REDEEMED, RULE_CODE_NET},
    {EV_CODE_REDEEMED, RULE_CODE_WIDE},
    {EV_CODE_REJECTED, RULE_CODE_NET},
    {EV_CODE_REJECTED, RULE_CODE_WIDE},
    {EV_CODE_REJECTED, RULE_CODE_FAIL_NET},
    {EV_CODE_REJECTED, RULE_CODE_FAIL_ALL},
    {EV_TOKEN_REFRESHED, RULE_REFRESH_NET},
    {EV_TOKEN_REUSED, RULE_REFRESH_NET},
    {EV_TOKEN_REJECTED, RULE_REFRESH_NET},
    {EV_TOKEN_FORGED, RULE_REFRESH_NET},
    {EV_SESSION_ATTACH_REFUSED, RULE_REFRESH_NET},
    {EV_PASSWORD_ATTEMPTED, RULE_PASSWORD_USER},
    {EV_AGENT_REJECTED, RULE_AGENT_REFUSED_NET},
    {EV_SESSION_REQUESTED, RULE_SESSION_USER},
};

/* What strangers write. Whoever has proven something on the way (a device that is known, a token
 * with our MAC, an invitation) is none. */
static bool
by_stranger(const struct event *ev)
{
    switch (ev->type) {
    case EV_LOGIN_ATTEMPTED: return fields_find(&ev->data, FIELD_DEVICE) == NULL;
    case EV_REGISTER_ATTEMPTED:
    case EV_CODE_VALIDATED:
    case EV_CODE_REJECTED:
    case EV_TOKEN_REJECTED:
    case EV_AGENT_REJECTED:
    case EV_SESSION_ATTACH_REFUSED: return ev->actor.kind == ACTOR_NOBODY;
    default: return false;
    }
}

static void
windows_count(struct world *w, const struct event *ev)
{
    struct id device = fields_id(&ev->data, FIELD_DEVICE);
    bool known = ev->type == EV_LOGIN_ATTEMPTED && !id_is_nil(&device);

    if (by_stranger(ev))
        budget_take(&w->budget, &w->policy, w->eff_us);
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        struct tag key;

        if (counted[i].type != ev->type || (known != (counted[i].rule == RULE_LOGIN_DEVICE)))
            continue; /* a known device is counted apart, and nowhere else */
        if (limits_key(counted[i].rule, &ev->actor.tags, known ? &device : &ev->actor.id, &key))
            limits_take(&w->limits, counted[i].rule, &key, w->eff_us);
    }
}

/* What expired before does not come back under a longer policy: it has left (reap), or leaves the
 * windows now. */
static void
policy_adopted(struct world *w, const struct event *ev)
{
    struct span bytes = fields_span(&ev->data, FIELD_POLICY_BYTES);
    struct policy policy;

    if (policy_decode(bytes, &policy) != OK) {
        world_stray(w);
        return;
    }
    limits_adopt(&w->limits, &policy, w->eff_us);
    w->policy = policy;
    w->policy_adopted = true;
    hash_bytes(bytes, &w->policy_hash);
    if (w->ownership.ticket_keep_s < policy.ticket_s)
        w->ownership.ticket_keep_s = policy.ticket_s;
    accounts_retime(w);
    fleet_retime(w);
    ownership_retime(w, NULL);
}

static void
server_restarted(struct world *w)
{
    fleet_clear_presence(w);
    ownership_restart(w);
}

static void
key_rotated(struct world *w, const struct event *ev)
{
    uint64_t epoch = fields_u64(&ev->data, FIELD_EPOCH);
    struct span role = fields_span(&ev->data, FIELD_KEY_ROLE);

    if (epoch > UINT32_MAX)
        world_stray(w);
    else if (span_is(role, "event"))
        w->key_epoch = (uint32_t)epoch;
    else if (span_is(role, "log"))
        w->log_epoch = (uint32_t)epoch;
    else
        world_stray(w);
}

static void
server_fold(struct world *w, const struct event *ev)
{
    switch (ev->type) {
    case EV_LOG_OPENED: w->key_epoch = w->log_epoch = ev->key_epoch; return;
    case EV_KEY_ROTATED: key_rotated(w, ev); return;
    case EV_POLICY_ADOPTED: policy_adopted(w, ev); return;
    case EV_SERVER_STARTED:
        w->boot = ev->boot;
        server_restarted(w);
        return;
    case EV_SERVER_STOPPED: server_restarted(w); return;
    case EV_CLOCK_STEPPED:
        w->clock_stepped = true;
        if (span_is(fields_span(&ev->data, FIELD_WHY), "start"))
            w->clock_unsure = true;
        return;
    case EV_CLOCK_ACCEPTED: w->clock_unsure = w->clock_stepped = false; return;
    default: return; /* says nothing that is decided from */
    }
}

static void
reap(struct world *w)
{
    struct deadline *t;

    while ((t = timers_first(&w->reap)) != NULL && t->at_us <= w->eff_us) {
        switch ((enum world_timer)t->kind) {
        case TIMER_FAMILY:
        case TIMER_INVITE: accounts_reap(w, t); break;
        case TIMER_KEY: fleet_reap(w, t); break;
        default: ownership_reap(w, t); break;
        }
    }
    ownership_reap_tickets(w);
}

static void
time_fold(struct world *w, int64_t eff_us)
{
    if (eff_us < w->eff_us || eff_us > WORLD_TIME_MAX)
        world_stray(w);
    else
        w->eff_us = eff_us;
}

void
world_fold(struct world *w, const struct event *ev)
{
    if (ev->seq != w->size)
        world_stray(w);
    w->size++;
    time_fold(w, ev->eff_us);
    reap(w);
    windows_count(w, ev);
    server_fold(w, ev);
    accounts_fold(w, ev);
    fleet_fold(w, ev);
    ownership_fold(w, ev);
    alerts_fold(w, ev);
}
