/* facts.c: which facts a command needs. One switch says what the command names; from there the
 * facts follow each other (a ticket names a session, a session its machine, owner and family). Two
 * tables say which windows and which live sessions it concerns. Pure reading; ledger thread. */
#include "projections/facts.h"

#include "core/rights.h"
#include "projections/due.h"
#include "projections/meant.h"

struct gathering {
    const struct world *w;
    const struct proofs *proofs;
    const struct command *cmd;
    int64_t eff_us;
    struct meant meant;
    struct facts *out;
};

static bool
named(const struct id *id)
{
    return id != NULL && !id_is_nil(id);
}

/* --- one fact each --- */

static void
account_fact(const struct world *w, const struct account *a, struct account_fact *out)
{
    out->admins_active = w->accounts.admins_active;
    if (a == NULL)
        return;
    out->found = true;
    out->user = a->user;
    out->role = a->role;
    out->disabled = a->disabled;
    out->verifier_version = a->verifier_version;
    out->changed_seq = a->changed_seq;
}

static void
family_fact(const struct family *f, struct family_fact *out)
{
    if (f == NULL)
        return;
    *out = (struct family_fact){
        .found = true,
        .revoked = f->revoked,
        .family = f->family,
        .user = f->user,
        .n = f->n,
        .opened_us = f->opened_us,
        .refreshed_us = f->refreshed_us,
        .net = f->net,
        .prev_net = f->prev_net,
        .rotated_us = f->rotated_us,
        .proved_us = f->proved_us,
    };
}

void
facts_machine(const struct machine *m, struct machine_fact *out)
{
    *out = (struct machine_fact){
        .found = true,
        .guest = m->guest,
        .bound = m->bound,
        .online = m->online,
        .consent_needed = m->guest,
        .machine = m->machine,
        .added_by = m->added_by,
        .code = m->code,
        .connection = m->connection,
        .nets = {m->nets[0], m->nets[1]},
        .changed_seq = m->changed_seq,
        .allow_changed_seq = m->allow_changed_seq,
        .services = span_of(m->services.ptr, m->services.len),
        .live_sessions = m->live_sessions,
    };
    memcpy(out->device_key, m->device_key, sizeof(out->device_key));
}

void
facts_session(const struct session *s, struct session_fact *out)
{
    *out = (struct session_fact){
        .found = true,
        .state = s->state,
        .session = s->session,
        .owner = s->owner,
        .family = s->family,
        .machine = s->machine,
        .agent_connection = s->agent_connection,
        .net = s->net,
        .net_other_ip = s->net_other,
        .net_ip = s->net_ip,
        .bound_us = s->bound_us,
        .suspect = s->suspect,
        .paused = s->paused,
        .offered_to = s->offered_to,
        .offered_us = s->offered_us,
        .expires_us = s->expires_us,
        .requested_us = s->requested_us,
        .opened_us = s->opened_us,
        .active_us = s->active_us,
        .n = s->n,
        .channels_open = s->channels_open,
        .channels_total = s->channels_total,
        .to_agent_bytes = s->to_agent_bytes,
        .to_technician_bytes = s->to_technician_bytes,
    };
}

static void
attempt_fact(const struct attempt *a, struct attempt_fact *out)
{
    *out = (struct attempt_fact){
        .found = true,
        .type = a->type,
        .seq = a->seq,
        .eff_us = a->eff_us,
        .user = a->user,
        .verifier_version = a->verifier_version,
        .tags = a->tags,
        .family = a->family,
        .invite = a->invite,
        .device = a->device,
        .role = a->role,
    };
}

static void
channel_fact(const struct channel *c, struct channel_fact *out)
{
    *out = (struct channel_fact){
        .found = true,
        .open = c->open,
        .closed = c->closed,
        .channel = c->channel,
        .session = c->session,
        .opened_us = c->opened_us,
        .attached_us = c->attached_us,
        .service = span_of(c->service, c->service_len),
    };
}

/* A key never exceeds its creator. The local command line may all. */
static bool
creator_ok(const struct world *w, const struct id *creator)
{
    const struct account *a = account_find(w, creator);

    if (id_is_nil(creator))
        return true;
    return a != NULL && !a->disabled && rights_allow(a->role, ACTION_KEY_ISSUE);
}

/* --- the facts, each naming what the next may need --- */

static void
gather_attempt(struct gathering *g)
{
    const struct attempt *a =
        g->meant.attempt == NULL ? NULL : attempt_find(g->w, *g->meant.attempt, g->eff_us);

    if (a == NULL)
        return;
    attempt_fact(a, &g->out->attempt);
    g->meant.user = &a->user;
    g->meant.invite = &a->invite;
}

static void
gather_invite(struct gathering *g)
{
    const struct invite *i = named(g->meant.invite) ? invite_find(g->w, g->meant.invite) : NULL;

    if (i == NULL)
        return;
    g->out->invite = (struct invite_fact){
        .found = true,
        .live = g->eff_us < i->expires_us,
        .secret_ok = g->proofs->invite_secret_ok,
        .invite = i->invite,
        .role = i->role,
        .issuer = i->issuer,
    };
}

static void
gather_ticket(struct gathering *g)
{
    struct ticket_fact *t = &g->out->ticket;

    *t = g->proofs->ticket;
    t->used = t->mac_ok && ticket_used(g->w, &t->ticket_id, g->eff_us);
}

static void
gather_session(struct gathering *g)
{
    const struct channel *c = named(g->meant.channel) ? channel_find(g->w, g->meant.channel) : NULL;
    const struct session *s = named(g->meant.session) ? session_find(g->w, g->meant.session) : NULL;

    if (c != NULL)
        channel_fact(c, &g->out->channel);
    if (s == NULL)
        return;
    facts_session(s, &g->out->session);
    if (!named(g->meant.machine))
        g->meant.machine = &s->machine;
    if (!named(g->meant.family))
        g->meant.family = &s->family;
    if (!named(g->meant.user))
        g->meant.user = &s->owner;
}

static void
gather_code(struct gathering *g)
{
    const struct code *c = named(g->meant.code) ? code_find(g->w, g->meant.code) : NULL;

    if (c == NULL)
        return;
    g->out->code = (struct code_fact){
        .found = true,
        .live = code_live(c, g->eff_us),
        .redeemed = c->redeemed,
        .code = c->code,
        .issuer = c->issuer,
        .machine = c->machine,
        .expires_us = c->expires_us,
    };
    memcpy(g->out->code.device_key, c->device_key, sizeof(c->device_key));
    g->meant.machine = &c->machine;
    g->meant.user = &c->issuer;
}

static void
gather_key(struct gathering *g)
{
    const struct api_key *k = named(g->meant.key) ? key_find(g->w, g->meant.key) : NULL;
    const struct machine *m;

    if (k == NULL)
        return;
    m = machine_find(g->w, &k->machine);
    g->out->key = (struct key_fact){
        .found = true,
        .live = key_live(k, g->eff_us),
        .spent = m != NULL && m->bound && id_equal(&m->bound_key, &k->key),
        .secret_ok = g->proofs->key_secret_ok,
        .key = k->key,
        .machine = k->machine,
        .creator = k->creator,
        .creator_ok = creator_ok(g->w, &k->creator),
    };
    if (!named(g->meant.machine))
        g->meant.machine = &k->machine;
}

static void
gather_machine(struct gathering *g)
{
    const struct machine *m = named(g->meant.machine) ? machine_find(g->w, g->meant.machine) : NULL;

    if (m != NULL)
        facts_machine(m, &g->out->machine);
    else if (g->cmd->kind == CMD_SET_ALLOWLIST && !named(g->meant.machine))
        g->out->machine.allow_changed_seq = g->w->fleet.allow_changed_seq;
}

/* The one presented at a login, or named for its removal; and which would have to go. */
static void
gather_device(struct gathering *g)
{
    bool removal = g->cmd->kind == CMD_REMOVE_DEVICE;
    const struct id *id = removal ? &g->cmd->remove_device.device : &g->proofs->device;
    const struct device *d = named(id) ? device_find(g->w, id) : NULL;

    g->out->device.mac_ok = g->proofs->device_mac_ok;
    if (d != NULL) {
        g->out->device.found = true;
        g->out->device.device = d->device;
        g->out->device.user = d->user;
    }
    if (g->cmd->kind != CMD_CONCLUDE_LOGIN || !g->cmd->conclude_login.remember)
        return;
    if ((d = device_oldest(g->w, &g->out->attempt.user)) != NULL)
        g->out->oldest_device = d->device;
}

static void
gather_people(struct gathering *g)
{
    const struct caller *caller = &g->cmd->caller;
    const struct account *a = NULL;
    const struct family *f = NULL;

    account_fact(g->w, account_find(g->w, &caller->user), &g->out->caller);
    if (caller->kind == CALLER_TOKEN)
        family_fact(family_find(g->w, &caller->family), &g->out->caller_family);
    if (named(g->meant.family))
        f = family_find(g->w, g->meant.family);
    else if (g->meant.family == NULL && caller->kind == CALLER_TOKEN)
        f = family_find(g->w, &caller->family);
    family_fact(f, &g->out->family);
    if (g->meant.account != NULL)
        a = account_named(g->w, g->meant.account);
    else if (named(g->meant.user))
        a = account_find(g->w, g->meant.user);
    else if (f != NULL)
        a = account_find(g->w, &f->user);
    account_fact(g->w, a, &g->out->account);
    g->out->account_name_free = g->meant.account != NULL && a == NULL;
}

/* --- allow lists --- */

static bool
list_allows(
    const struct cidr_list *list, const struct caller *caller, uint32_t base, uint32_t *rule)
{
    struct addr addr;
    int i;

    memcpy(addr.b, caller->address, sizeof(addr.b));
    i = caller->has_address ? cidr_list_match(list, &addr) : -1;
    if (i < 0)
        return false;
    *rule = base + (uint32_t)i;
    return true;
}

/* Both lists must let the address in, where they restrict at all. */
static void
gather_allow(struct gathering *g)
{
    struct allow_fact *out = &g->out->allow;
    const struct machine *m =
        g->out->machine.found ? machine_find(g->w, &g->out->machine.machine) : NULL;
    const struct cidr_list *overall = g->w->fleet.allow, *own = m == NULL ? NULL : m->allow;
    const struct caller *caller = &g->cmd->caller;

    if (g->cmd->kind != CMD_ADMIT_AGENT && g->cmd->kind != CMD_GREET_AGENT &&
        g->cmd->kind != CMD_RECHECK_AGENT)
        return;
    out->restricted = overall != NULL || own != NULL;
    out->allowed = true;
    if (overall != NULL)
        out->allowed = list_allows(overall, caller, ALLOW_RULE_OVERALL, &out->rule);
    if (own != NULL && out->allowed)
        out->allowed = list_allows(own, caller, 0, &out->rule);
}

/* --- windows --- */

#define RULES_MAX 6
#define LOGIN_RULES                                                                                \
    RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT, RULE_LOGIN_DEVICE
#define CODE_RULES RULE_CODE_NET, RULE_CODE_WIDE, RULE_CODE_FAIL_NET, RULE_CODE_FAIL_ALL

static const struct {
    enum command_kind kind;
    enum rule rules[RULES_MAX];
} limited[] = {
    {CMD_ATTEMPT_LOGIN, {LOGIN_RULES}},
    {CMD_CONCLUDE_LOGIN, {LOGIN_RULES}},
    {CMD_REFRESH_TOKEN, {RULE_REFRESH_NET}},
    {CMD_REJECT_TOKEN, {RULE_REFRESH_NET}},
    {CMD_ATTACH, {RULE_REFRESH_NET}},
    {CMD_ATTEMPT_PASSWORD, {RULE_PASSWORD_USER}},
    {CMD_CONCLUDE_PASSWORD, {RULE_PASSWORD_USER}},
    {CMD_ATTEMPT_REPROVE, {RULE_PASSWORD_USER}},
    {CMD_CONCLUDE_REPROVE, {RULE_PASSWORD_USER}},
    {CMD_ATTEMPT_REGISTER, {RULE_REGISTER_NET, RULE_REGISTER_ALL}},
    {CMD_CONCLUDE_REGISTER, {RULE_REGISTER_NET, RULE_REGISTER_ALL}},
    {CMD_VALIDATE_CODE, {CODE_RULES}},
    {CMD_ADMIT_AGENT, {CODE_RULES, RULE_AGENT_REFUSED_NET}},
    {CMD_GREET_AGENT, {CODE_RULES, RULE_AGENT_REFUSED_NET}},
    {CMD_OPEN_SESSION, {RULE_SESSION_USER}},
    {CMD_OPEN_CHANNEL, {RULE_AGENT_REFUSED_NET}},
};

/* A rule whose key the caller does not have (no address) still tells its limit, with nothing held.
 */
static void
gather_limit(const struct gathering *g, enum rule rule)
{
    struct limit_fact *out = &g->out->limits[rule];
    struct tags tags = g->proofs->tags;
    struct tag key;

    if (tag_is_nil(&tags.account))
        tags.account = g->out->attempt.tags.account;
    if (limits_key(rule, &tags,
            rule == RULE_LOGIN_DEVICE ? &g->proofs->device : &g->cmd->caller.user, &key))
        limits_fact(&g->w->limits, rule, &key, g->eff_us, out);
    else
        *out = (struct limit_fact){
            .limit = g->w->policy.rules[rule].count, .window_s = g->w->policy.rules[rule].window_s};
}

static void
gather_limits(struct gathering *g)
{
    for (size_t i = 0; i < sizeof(limited) / sizeof(limited[0]); i++)
        for (size_t r = 0; limited[i].kind == g->cmd->kind && r < RULES_MAX; r++)
            if (limited[i].rules[r] != RULE_NONE)
                gather_limit(g, limited[i].rules[r]);
    g->out->code_net_failed_lately = g->out->limits[RULE_CODE_FAIL_NET].count > 0;
}

/* --- sessions that the command would end --- */

enum scope {
    SCOPE_NONE,
    SCOPE_FAMILY,
    SCOPE_USER,
    SCOPE_OTHERS,
    SCOPE_MACHINE,
    SCOPE_AGENT,
    SCOPE_ALL
};

static enum scope
scope_of(const struct command *cmd)
{
    switch (cmd->kind) {
    case CMD_REFRESH_TOKEN:
    case CMD_LOGOUT:
    case CMD_CONCLUDE_REPROVE: /* ends none: these are bound anew */
    case CMD_REVOKE_FAMILY: return SCOPE_FAMILY;
    case CMD_CONCLUDE_PASSWORD: return SCOPE_OTHERS;
    case CMD_SET_PASSWORD:
    case CMD_CHANGE_USER: return SCOPE_USER;
    case CMD_REVOKE_CODE:
    case CMD_REVOKE_KEY:
    case CMD_REMOVE_MACHINE:
    case CMD_RECHECK_AGENT:
    case CMD_GREET_AGENT: return SCOPE_MACHINE;
    case CMD_AGENT_GONE: return SCOPE_AGENT;
    case CMD_ROTATE_SECRET: return cmd->rotate_secret.leaked ? SCOPE_ALL : SCOPE_NONE;
    case CMD_START_SERVER:
    case CMD_STOP_SERVER: return SCOPE_ALL;
    default: return SCOPE_NONE;
    }
}

static bool
in_scope(const struct gathering *g, enum scope scope, const struct session *s)
{
    const struct facts *f = g->out;

    switch (scope) {
    case SCOPE_FAMILY: return f->family.found && id_equal(&s->family, &f->family.family);
    case SCOPE_USER: return f->account.found && id_equal(&s->owner, &f->account.user);
    case SCOPE_OTHERS:
        return f->attempt.found && id_equal(&s->owner, &f->attempt.user) &&
               !id_equal(&s->family, &f->attempt.family);
    case SCOPE_MACHINE: return f->machine.found && id_equal(&s->machine, &f->machine.machine);
    case SCOPE_AGENT:
        return id_equal(&s->machine, &g->cmd->caller.machine) &&
               id_equal(&s->agent_connection, &g->cmd->caller.connection);
    case SCOPE_ALL: return true;
    case SCOPE_NONE: break;
    }
    return false;
}

static void
gather_ending(struct gathering *g)
{
    enum scope scope = scope_of(g->cmd);
    const struct session *s = scope == SCOPE_NONE ? NULL : g->w->ownership.oldest;

    for (; s != NULL; s = s->newer) {
        if (!in_scope(g, scope, s))
            continue;
        if (g->out->ending_count == ENDING_MAX) {
            g->out->ending_more = true;
            return;
        }
        facts_session(s, &g->out->ending[g->out->ending_count++]);
    }
}

/* --- sessions that are bound elsewhere --- */

/* The login that the caller speaks for, when what he brings is worth something. */
static const struct id *
speaking_family(const struct gathering *g)
{
    const struct facts *f = g->out;
    const struct ticket_fact *t = &f->ticket;
    const struct family *family = NULL;

    switch (g->cmd->kind) {
    case CMD_REFRESH_TOKEN:
        if (f->refresh.mac_ok && f->family.found && f->refresh.n == f->family.n)
            family = family_find(g->w, &f->family.family);
        break;
    case CMD_ATTACH:
        if (t->mac_ok && t->kind == 1 && !t->used && g->eff_us < t->expires_us)
            family = family_find(g->w, &t->family);
        break;
    default:
        if (g->cmd->caller.kind == CALLER_TOKEN && f->caller_family.found &&
            id_equal(&f->caller_family.user, &g->cmd->caller.user) &&
            g->cmd->caller.token_n <= f->caller_family.n)
            family = family_find(g->w, &g->cmd->caller.family);
        break;
    }
    return family != NULL && family_live(g->w, family, g->eff_us) ? &family->family : NULL;
}

static void
gather_straying(struct gathering *g)
{
    const struct tag *net = &g->out->tags.net;
    const struct id *family = speaking_family(g);
    const struct session *s;

    if (family == NULL || tag_is_nil(net))
        return;
    for (s = session_of_family(g->w, family); s != NULL; s = s->kin) {
        if (tag_equal(&s->net, net) || tag_equal(&s->net_other, net) || tag_is_nil(&s->net))
            continue;
        g->out->elsewhere = true;
        if (!tag_equal(&s->suspect, net) && g->out->straying_count < STRAYING_MAX)
            facts_session(s, &g->out->straying[g->out->straying_count++]);
    }
}

/* --- how many machines a user asks for --- */

#define MACHINES_COUNTED 64 /* more than any policy asks about */

static bool
add_machine(struct id *seen, uint32_t *count, const struct id *machine)
{
    for (uint32_t i = 0; i < *count; i++)
        if (id_equal(&seen[i], machine))
            return true;
    if (*count == MACHINES_COUNTED)
        return false;
    seen[(*count)++] = *machine;
    return true;
}

static void
gather_machines_lately(struct gathering *g)
{
    struct id seen[MACHINES_COUNTED];
    uint32_t at = 0, *count = &g->out->machines_lately;

    (void)add_machine(seen, count, &g->cmd->open_session.machine);
    for (const struct session *s; (s = idmap_next(&g->w->ownership.sessions, &at)) != NULL;)
        if (id_equal(&s->owner, &g->cmd->caller.user) &&
            g->eff_us < world_after(s->requested_us, MACHINES_LATELY_S) &&
            !add_machine(seen, count, &s->machine))
            return;
}

static void
gather_alert(struct gathering *g)
{
    const struct alert *a = alert_find(g->w, g->cmd->ack_alert.seq);

    if (a != NULL)
        g->out->alert =
            (struct alert_fact){.found = true, .seq = a->seq, .rule = span_str(a->rule->name)};
}

/* --- the rest --- */

static void
gather_server(struct gathering *g, const struct moment *now)
{
    const struct world *w = g->w;
    struct facts *out = g->out;

    out->policy = &w->policy;
    out->policy_hash = w->policy_hash;
    out->policy_adopted = w->policy_adopted;
    out->now = *now;
    out->next_seq = w->size;
    out->tags = g->proofs->tags;
    out->clock_unsure = w->clock_unsure;
    out->clock_stepped = w->clock_stepped;
    out->stopping = g->proofs->stopping;
    out->low_space = g->proofs->low_space;
    out->log_empty = w->size == 0;
    out->key_epoch = w->key_epoch;
    out->log_epoch = w->log_epoch;
    out->refusal_rows = g->proofs->refusal_rows;
    out->refusals_total = g->proofs->refusals_total;
    out->refusals_generation = g->proofs->refusals_generation;
    budget_fact(&w->budget, &w->policy, g->eff_us, &out->budget);
}

static void
gather_time(struct gathering *g)
{
    due_gather(g->w, g->eff_us, g->out);
    if (g->out->refusal_rows.len == 0)
        return;
    if (g->out->due_count == DUE_MAX)
        g->out->due_more = true;
    else
        g->out->due[g->out->due_count++] = (struct due){.kind = DUE_REFUSALS};
}

static void
gather_codes(struct gathering *g)
{
    uint32_t at = 0;

    for (const struct code *c; (c = idmap_next(&g->w->fleet.codes, &at)) != NULL;)
        g->out->codes_live += code_live(c, g->eff_us);
}

void
facts_gather(const struct world *w, const struct proofs *proofs, const struct command *cmd,
    const struct moment *now, struct facts *out)
{
    struct gathering g = {.w = w, .proofs = proofs, .cmd = cmd, .eff_us = now->eff_us, .out = out};

    memset(out, 0, sizeof(*out));
    g.meant = meant_of(cmd, proofs);
    out->refresh = proofs->refresh;
    gather_server(&g, now);
    gather_attempt(&g);
    gather_invite(&g);
    gather_ticket(&g);
    gather_session(&g);
    gather_code(&g);
    gather_key(&g);
    gather_machine(&g);
    gather_people(&g);
    gather_device(&g);
    gather_allow(&g);
    gather_limits(&g);
    gather_ending(&g);
    gather_straying(&g);
    if (cmd->kind == CMD_ISSUE_CODE)
        gather_codes(&g);
    if (cmd->kind == CMD_OPEN_SESSION)
        gather_machines_lately(&g);
    if (cmd->kind == CMD_ACK_ALERT)
        gather_alert(&g);
    if (cmd->kind == CMD_TIME_PASSED)
        gather_time(&g);
}
