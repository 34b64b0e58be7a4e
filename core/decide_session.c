/* decide_session.c: asking for a session, consent, tickets and the end. Pure; ledger thread.
 * Channels of an open session are in decide_channel.c.
 *
 * Events of a session carry n, dense from 0; session.ended is the last and says the total. */
#include "core/decide.h"
#include "core/pack.h"

static void
session_opened(const struct command *cmd, const struct facts *facts, const struct subject *subject,
    uint64_t n, const char *mode, struct decision *out)
{
    int64_t expires_us = facts->now.eff_us + (int64_t)facts->policy->session_s * US_PER_S;
    struct draft *d = decision_draft(out, EV_SESSION_OPENED, cmd, facts);

    /* A session that changed hands ends when it would have ended. */
    if (facts->session.found && facts->session.opened_us != 0 &&
        facts->session.expires_us < expires_us)
        expires_us = facts->session.expires_us;
    d->subject = *subject;
    d->uses_policy = true;
    draft_number(d, FIELD_N, n);
    draft_number(d, FIELD_EXPIRES_US, (uint64_t)expires_us);
    draft_word(d, FIELD_CONSENT_MODE, mode);
    out->reply.state = SESSION_OPEN;
    out->reply.expires_us = expires_us;
}

/* May this caller ask for a session on this machine? */
static bool
may_open(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_SESSION_USER};
    const struct machine_fact *m = &facts->machine;
    struct subject subject = {.machine = m->machine};

    if (!decide_allowed(cmd, facts, ACTION_SESSION_OPEN, out))
        return false;
    if (cmd->caller.kind != CALLER_TOKEN) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, "a session belongs to a user: log in first");
        return false;
    }
    if (!m->found || m->removed) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return false;
    }
    if (m->guest && !id_equal(&m->added_by, &cmd->caller.user)) {
        decide_not_yours(cmd, facts, ACTION_SESSION_OPEN, &subject, out);
        if (decide_role(cmd, facts) == ROLE_ADMIN) /* who sees it may know why */
            decision_refuse(out, REFUSE_NOT_ALLOWED, NULL,
                "a guest machine is opened by the issuer of its code only");
        return false;
    }
    if (!decide_within(facts, rules, 1, true, out))
        return false;
    if (!m->online) {
        decision_refuse(out, REFUSE_MACHINE_OFFLINE, NULL, NULL);
        return false;
    }
    return true;
}

static void
open_session(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct machine_fact *m = &facts->machine;
    struct subject subject = {.machine = m->machine, .user = cmd->caller.user};
    struct draft *d;

    if (!may_open(cmd, facts, out))
        return;
    subject.session = entropy_id(entropy);
    entropy_bytes(entropy, out->reply.nonce, sizeof(out->reply.nonce));
    d = decide_event(out, EV_SESSION_REQUESTED, cmd, facts);
    d->subject = subject;
    d->uses_policy = true;
    draft_number(d, FIELD_N, 0);
    draft_ip_version(d, cmd);
    if (facts->machines_lately > facts->policy->machines_alert)
        draft_number(d, FIELD_MACHINES, facts->machines_lately);
    draft_sealed(d, PERSONAL_MACHINE, &m->machine, FIELD_REASON_TEXT, cmd->open_session.reason);
    out->reply.id = subject.session;
    out->reply.session = subject.session;
    out->reply.user = cmd->caller.user;
    out->reply.machine = m->machine;
    out->reply.connection = m->connection;
    out->reply.guest = m->guest;
    out->reply.asks_consent = m->consent_needed;
    out->reply.state = SESSION_REQUESTED;
    out->reply.expires_us = facts->now.eff_us + (int64_t)facts->policy->consent_s * US_PER_S;
    if (!m->consent_needed)
        session_opened(cmd, facts, &subject, 1, "unattended", out);
}

/* An agent that speaks of what is not its own is broken or hostile: an event either way. */
static void
agent_alarmed(const struct command *cmd, const struct facts *facts, const char *rule,
    enum refusal refusal, struct decision *out)
{
    struct draft *d = decide_event(out, EV_AGENT_ALARMED, cmd, facts);

    d->subject.machine = cmd->caller.machine;
    draft_word(d, FIELD_RULE, rule);
    decision_refuse(out, refusal, NULL, NULL);
}

static bool
may_answer(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    const struct machine_fact *m = &facts->machine;
    const struct signed_statement *said = &cmd->answer_consent.said;

    if (cmd->caller.kind != CALLER_AGENT) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
        return false;
    }
    if (!s->found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return false;
    }
    if (!id_equal(&s->machine, &cmd->caller.machine)) {
        agent_alarmed(cmd, facts, "foreign_session", REFUSE_NOT_FOUND, out);
        return false;
    }
    if (s->state != SESSION_REQUESTED) {
        decision_refuse(out, REFUSE_SESSION_ENDED, NULL, "the session waits for no consent");
        return false;
    }
    if (!m->found || !m->online || !id_equal(&m->machine, &s->machine) ||
        !id_equal(&m->connection, &cmd->caller.connection)) {
        decision_refuse(out, REFUSE_MACHINE_OFFLINE, NULL, NULL);
        return false;
    }
    if (!said->verified || memcmp(said->device_key, m->device_key, sizeof(m->device_key)) != 0) {
        agent_alarmed(cmd, facts, "bad_statement", REFUSE_BAD_STATEMENT, out);
        return false;
    }
    return true;
}

static void
answer_consent(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct answer_consent *a = &cmd->answer_consent;
    const struct session_fact *s = &facts->session;
    enum refusal ground;
    struct subject subject;
    struct draft *d;

    if (!may_answer(cmd, facts, out))
        return;
    subject = decide_session_subject(s);
    d = decide_event(out, a->granted ? EV_SESSION_CONSENTED : EV_SESSION_DENIED, cmd, facts);
    d->subject = subject;
    draft_number(d, FIELD_N, s->n);
    draft_span(d, FIELD_COSIGNED, decide_cosigned(out, &a->said));
    draft_word(d, FIELD_CONSENT_MODE, a->mode);
    decide_statement_personal(d, &a->said, &s->machine);
    out->reply.id = s->session;
    out->reply.session = s->session;
    out->reply.user = s->owner;
    out->reply.machine = s->machine;
    out->reply.connection = facts->machine.connection;
    out->reply.state = SESSION_ENDED;
    /* Who asked may be gone by now: then the consent is recorded, and opens nothing. */
    ground = decide_family(facts, &facts->family);
    if (!a->granted)
        decide_end_session(cmd, facts, s, s->n + 1, "denied", out);
    else if (ground != REFUSE_NONE || facts->account.disabled || !facts->account.found)
        decide_end_session(cmd, facts, s, s->n + 1, "owner_gone", out);
    else
        session_opened(cmd, facts, &subject, s->n + 1, a->mode, out);
}

static bool
service_on(struct span services, struct span service)
{
    struct reader r;
    uint32_t count;

    if (services.len == 0)
        return false;
    reader_init(&r, services);
    count = reader_array(&r);
    for (uint32_t i = 0; i < count && reader_ok(&r); i++)
        if (span_equal(reader_str(&r), service))
            return reader_ok(&r);
    return false;
}

/* The session is there, and the caller's: their own, or anybody's for an admin when admins may. */
static bool
session_theirs(const struct command *cmd, const struct facts *facts, enum action action,
    bool admins, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct subject subject;

    if (!s->found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return false;
    }
    if (cmd->caller.kind == CALLER_TOKEN && id_equal(&s->owner, &cmd->caller.user))
        return true;
    if (admins && decide_role(cmd, facts) == ROLE_ADMIN)
        return true;
    subject = decide_session_subject(s);
    decide_not_yours(cmd, facts, action, &subject, out);
    return false;
}

static enum refusal
session_state_refusal(const struct session_fact *s)
{
    switch (s->state) {
    case SESSION_OPEN: return REFUSE_NONE;
    case SESSION_REQUESTED:
    case SESSION_CONSENTED: return REFUSE_NOT_CONSENTED;
    case SESSION_ENDED: break;
    }
    return REFUSE_SESSION_ENDED;
}

/* No event: a ticket is a MAC under a key of this boot, and its one use is an event. What goes into
 * it is in the reply; the first half of the nonce is its one-time id. */
static void
issue_ticket(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct span service = cmd->issue_ticket.service;
    enum refusal refusal;
    struct subject subject;

    if (!decide_allowed(cmd, facts, ACTION_SESSION_OPEN, out) ||
        !session_theirs(cmd, facts, ACTION_SESSION_OPEN, false, out))
        return;
    if (!id_equal(&s->family, &cmd->caller.family)) {
        subject = decide_session_subject(s);
        decide_access_refused(cmd, facts, ACTION_SESSION_OPEN, "other_login", &subject, out);
        decision_refuse(
            out, REFUSE_NOT_ALLOWED, NULL, "the session belongs to another login of yours");
        return;
    }
    refusal = session_state_refusal(s);
    if (refusal == REFUSE_NONE && s->paused)
        refusal = REFUSE_REPROVE_NEEDED;
    if (refusal == REFUSE_NONE && !facts->machine.online)
        refusal = REFUSE_MACHINE_OFFLINE;
    if (refusal == REFUSE_NONE && (service.len >= sizeof(out->reply.service) ||
                                      !service_on(facts->machine.services, service)))
        refusal = REFUSE_SERVICE_OFF;
    if (refusal != REFUSE_NONE) {
        decision_refuse(out, refusal, NULL, NULL);
        return;
    }
    entropy_bytes(entropy, out->reply.nonce, sizeof(out->reply.nonce));
    memcpy(out->reply.service, service.ptr, service.len);
    out->reply.session = s->session;
    out->reply.user = s->owner;
    out->reply.family = s->family;
    out->reply.machine = s->machine;
    out->reply.issued_us = facts->now.eff_us;
    out->reply.expires_us = facts->now.eff_us + (int64_t)facts->policy->ticket_s * US_PER_S;
}

static void
end_session(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    const char *why = cmd->end_session.why;

    if (!decide_allowed(cmd, facts, ACTION_SESSION_END, out) ||
        !session_theirs(cmd, facts, ACTION_SESSION_END, true, out))
        return;
    if (s->state == SESSION_ENDED) {
        decision_refuse(out, REFUSE_SESSION_ENDED, NULL, NULL);
        return;
    }
    /* The server says why it ends one (idle, peer gone ...); of people it is known. */
    if (cmd->caller.kind == CALLER_TOKEN && id_equal(&s->owner, &cmd->caller.user))
        why = s->state == SESSION_OPEN ? "closed" : "withdrawn";
    else if (cmd->caller.kind != CALLER_SERVER)
        why = "terminated";
    decide_end_session(cmd, facts, s, s->n, why, out);
    if (cmd->caller.kind == CALLER_TOKEN)
        draft_caller(&out->drafts[out->draft_count - 1], cmd, PERSONAL_USER, &cmd->caller.user);
    out->reply.id = s->session;
    out->reply.session = s->session;
    out->reply.user = s->owner;
    out->reply.machine = s->machine;
    out->reply.connection = facts->machine.connection;
    out->reply.state = SESSION_ENDED;
}

static void
note_session(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SESSION_NOTE, out) ||
        !session_theirs(cmd, facts, ACTION_SESSION_NOTE, true, out))
        return;
    if (s->state == SESSION_ENDED) {
        decision_refuse(out, REFUSE_SESSION_ENDED, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_SESSION_NOTED, cmd, facts);
    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, s->n);
    draft_sealed(d, PERSONAL_MACHINE, &s->machine, FIELD_NOTE, cmd->note_session.note);
    out->reply.id = s->session;
    out->reply.session = s->session;
}

void
decide_session(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_OPEN_SESSION: open_session(cmd, facts, entropy, out); return;
    case CMD_ANSWER_CONSENT: answer_consent(cmd, facts, out); return;
    case CMD_ISSUE_TICKET: issue_ticket(cmd, facts, entropy, out); return;
    case CMD_END_SESSION: end_session(cmd, facts, out); return;
    case CMD_NOTE_SESSION: note_session(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
