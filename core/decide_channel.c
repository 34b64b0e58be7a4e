/* decide_channel.c: the two ends of a channel, joined by tickets that are used once. Pure; ledger
 * thread.
 *
 * The technician's ticket attaches (a channel comes into being), the agent's ticket and signed
 * statement open it, the relay closes it. In an orderly end the channels are closed before the
 * session; whatever closes after session.ended (somebody else ended it) carries no n, as the total
 * has been said. */
#include "core/decide.h"

/* vault.h's two kinds of ticket */
#define KIND_TECHNICIAN 1u
#define KIND_AGENT      2u

struct no {
    enum refusal refusal; /* REFUSE_NONE: nothing speaks against it */
    const char *why;
};

static bool
ticket_ours(const struct facts *facts, struct span *service)
{
    *service = span_str(facts->ticket.service);
    return facts->ticket.well_formed && facts->ticket.mac_ok;
}

/* A real ticket of ours: what of it does not hold (any more)? */
static struct no
attach_check(const struct command *cmd, const struct facts *facts)
{
    const struct ticket_fact *t = &facts->ticket;
    const struct session_fact *s = &facts->session;

    if (t->kind != KIND_TECHNICIAN)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_kind"};
    if (t->used)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_used"};
    if (facts->now.eff_us >= t->expires_us)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_expired"};
    if (!id_equal(&t->session, &cmd->attach.session))
        return (struct no){REFUSE_TICKET_INVALID, "other_session"};
    if (!span_equal(span_str(t->service), cmd->attach.service))
        return (struct no){REFUSE_TICKET_INVALID, "other_service"};
    if (s->state != SESSION_OPEN)
        return (struct no){REFUSE_NOT_CONSENTED, "not_open"};
    if (!id_equal(&t->family, &s->family) || !id_equal(&facts->family.family, &s->family) ||
        !id_equal(&facts->family.user, &s->owner) ||
        decide_family(facts, &facts->family) != REFUSE_NONE)
        return (struct no){REFUSE_TICKET_INVALID, "login_over"};
    if (!facts->account.found || facts->account.disabled)
        return (struct no){REFUSE_TICKET_INVALID, "account_disabled"};
    if (facts->policy->session_network == NETWORK_STRICT && !decide_bound(facts, s))
        return (struct no){REFUSE_OTHER_NETWORK, "other_network"};
    if (s->paused)
        return (struct no){REFUSE_REPROVE_NEEDED, "paused"};
    if (!facts->machine.found || !facts->machine.online)
        return (struct no){REFUSE_MACHINE_OFFLINE, "agent_gone"};
    return (struct no){REFUSE_NONE, NULL};
}

/* Refusals of strangers are limited like bad tokens: beyond the window they are counted only. */
static void
attach_refused(const struct command *cmd, const struct facts *facts, const struct no *no,
    bool session_lives, struct decision *out)
{
    static const enum rule rules[] = {RULE_REFRESH_NET};
    struct draft *d;

    if (!decide_within(facts, rules, 1, true, out) ||
        (!facts->ticket.mac_ok && !decide_budget(facts, true, out)))
        return;
    d = decision_draft(
        out, session_lives ? EV_SESSION_ATTACH_REFUSED : EV_TOKEN_REJECTED, cmd, facts);
    if (session_lives) {
        d->subject = decide_session_subject(&facts->session);
        draft_number(d, FIELD_N, facts->session.n);
    } else if (facts->ticket.mac_ok) {
        d->subject.session = facts->ticket.session;
    }
    d->uses_policy = true;
    draft_word(d, FIELD_WHY, no->why);
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    decision_refuse(out, no->refusal, NULL, NULL);
}

static void
attached(const struct command *cmd, const struct facts *facts, struct span service,
    struct entropy *entropy, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct id channel = entropy_id(entropy);
    struct draft *d = decision_draft(out, EV_SESSION_ATTACHED, cmd, facts);

    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = s->owner, .family = s->family, .tags = facts->tags};
    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, s->n);
    draft_id(out, d, FIELD_CHANNEL, &channel);
    draft_span(d, FIELD_SERVICE, decision_copy(out, service));
    draft_bytes(out, d, FIELD_TICKET, facts->ticket.ticket_id.b, TAG_BYTES);
    draft_caller(d, cmd, PERSONAL_USER, &s->owner);
    entropy_bytes(entropy, out->reply.nonce, sizeof(out->reply.nonce));
    memcpy(out->reply.service, service.ptr, service.len);
    out->reply.id = channel;
    out->reply.channel = channel;
    out->reply.session = s->session;
    out->reply.user = s->owner;
    out->reply.family = s->family;
    out->reply.machine = s->machine;
    out->reply.connection = facts->machine.connection;
    out->reply.net = facts->tags.net;
    /* of the agent's ticket */
    out->reply.issued_us = facts->now.eff_us;
    out->reply.expires_us = facts->now.eff_us + (int64_t)facts->policy->ticket_s * US_PER_S;
}

static void
attach(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct no no = {REFUSE_TICKET_INVALID, "ticket_invalid"};
    struct span service;

    if (!ticket_ours(facts, &service)) {
        attach_refused(cmd, facts, &no, false, out);
        return;
    }
    if (!s->found || s->state == SESSION_ENDED) {
        no = (struct no){REFUSE_SESSION_ENDED, "session_ended"};
        attach_refused(cmd, facts, &no, false, out);
        return;
    }
    no = attach_check(cmd, facts);
    if (no.refusal != REFUSE_NONE)
        attach_refused(cmd, facts, &no, true, out);
    else
        attached(cmd, facts, service, entropy, out);
}

static struct no
channel_check(const struct command *cmd, const struct facts *facts)
{
    const struct ticket_fact *t = &facts->ticket;
    const struct session_fact *s = &facts->session;
    const struct channel_fact *c = &facts->channel;
    const struct machine_fact *m = &facts->machine;
    const struct signed_statement *said = &cmd->open_channel.said;

    if (!t->well_formed || !t->mac_ok)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_invalid"};
    if (t->kind != KIND_AGENT)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_kind"};
    if (t->used)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_used"};
    if (facts->now.eff_us >= t->expires_us)
        return (struct no){REFUSE_TICKET_INVALID, "ticket_expired"};
    if (!s->found || s->state != SESSION_OPEN || !id_equal(&s->session, &t->session))
        return (struct no){REFUSE_SESSION_ENDED, "session_ended"};
    if (s->paused)
        return (struct no){REFUSE_REPROVE_NEEDED, "paused"};
    if (!c->found || c->open || c->closed || !id_equal(&c->channel, &t->channel) ||
        !id_equal(&c->session, &s->session))
        return (struct no){REFUSE_TICKET_INVALID, "channel_gone"};
    if (!m->found || m->removed || !id_equal(&m->machine, &s->machine) ||
        !id_equal(&t->machine, &s->machine))
        return (struct no){REFUSE_TICKET_INVALID, "other_machine"};
    if (!said->verified || memcmp(said->device_key, m->device_key, sizeof(m->device_key)) != 0)
        return (struct no){REFUSE_BAD_STATEMENT, "bad_statement"};
    return (struct no){REFUSE_NONE, NULL};
}

static void
channel_refused(
    const struct command *cmd, const struct facts *facts, const struct no *no, struct decision *out)
{
    static const enum rule rules[] = {RULE_AGENT_REFUSED_NET};
    struct draft *d;

    if (!decide_within(facts, rules, 1, true, out) ||
        (!facts->ticket.mac_ok && !decide_budget(facts, true, out)))
        return;
    d = decision_draft(out, EV_AGENT_REJECTED, cmd, facts);
    d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = facts->tags};
    if (facts->ticket.mac_ok) {
        d->subject.session = facts->ticket.session;
        d->subject.machine = facts->ticket.machine;
    }
    d->uses_policy = true;
    draft_word(d, FIELD_CREDENTIAL, "ticket");
    draft_word(d, FIELD_WHY, no->why);
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    decision_refuse(out, no->refusal, NULL, NULL);
}

static void
open_channel(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct no no = channel_check(cmd, facts);
    struct draft *d;

    if (no.refusal != REFUSE_NONE) {
        channel_refused(cmd, facts, &no, out);
        return;
    }
    d = decision_draft(out, EV_CHANNEL_OPENED, cmd, facts);
    d->actor = (struct actor){.kind = ACTOR_AGENT, .id = s->machine, .tags = facts->tags};
    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, s->n);
    draft_id(out, d, FIELD_CHANNEL, &facts->channel.channel);
    draft_span(d, FIELD_SERVICE, decision_copy(out, span_str(facts->ticket.service)));
    draft_span(d, FIELD_COSIGNED, decide_cosigned(out, &cmd->open_channel.said));
    draft_bytes(out, d, FIELD_TICKET, facts->ticket.ticket_id.b, TAG_BYTES);
    decide_statement_personal(d, &cmd->open_channel.said, &s->machine);
    draft_caller(d, cmd, PERSONAL_MACHINE, &s->machine);
    memcpy(out->reply.service, facts->ticket.service, sizeof(out->reply.service));
    out->reply.id = facts->channel.channel;
    out->reply.channel = facts->channel.channel;
    out->reply.session = s->session;
    out->reply.user = s->owner;
    out->reply.family = s->family;
    out->reply.machine = s->machine;
}

/* Only the relay counts bytes and sees sockets go. */
static bool
from_relay(const struct command *cmd, struct decision *out)
{
    if (cmd->caller.kind == CALLER_SERVER)
        return true;
    decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
    return false;
}

/* Is this the word of the device that the machine is bound to? */
static bool
said_by_device(const struct facts *facts, const struct signed_statement *said)
{
    return said->verified && facts->machine.found &&
           memcmp(said->device_key, facts->machine.device_key, sizeof(facts->machine.device_key)) ==
               0;
}

static void
close_channel(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct close_channel *c = &cmd->close_channel;
    const struct session_fact *s = &facts->session;
    bool lives = s->found && s->state != SESSION_ENDED;
    struct draft *d;

    if (!from_relay(cmd, out))
        return;
    if (!facts->channel.found || facts->channel.closed) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    d = decision_draft(out, EV_CHANNEL_CLOSED, cmd, facts);
    if (s->found)
        d->subject = decide_session_subject(s);
    else
        d->subject.session = c->session;
    if (lives)
        draft_number(d, FIELD_N, s->n);
    draft_id(out, d, FIELD_CHANNEL, &c->channel);
    draft_word(d, FIELD_WHY, c->why);
    draft_number(d, FIELD_TO_AGENT_BYTES, c->to_agent_bytes);
    draft_number(d, FIELD_TO_TECHNICIAN_BYTES, c->to_technician_bytes);
    draft_number(d, FIELD_DURATION_US, c->duration_us);
    if (c->has_exit)
        draft_number(d, FIELD_EXIT_STATUS, (uint64_t)c->exit_status);
    if (said_by_device(facts, &c->said))
        draft_span(d, FIELD_COSIGNED, decide_cosigned(out, &c->said));
    else if (c->said.verified)
        draft_word(d, FIELD_AGENT_WHY, "unknown_device");
    else
        draft_word(d, FIELD_AGENT_WHY, c->agent_why != NULL ? c->agent_why : "no_answer");
    out->reply.id = c->channel;
    out->reply.channel = c->channel;
    out->reply.session = c->session;
}

/* The agent's signature came after the two seconds that a close waits for it. */
static void
attest_channel(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct attest_channel *a = &cmd->attest_channel;
    const struct session_fact *s = &facts->session;
    struct draft *d;

    if (cmd->caller.kind != CALLER_AGENT) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
        return;
    }
    if (!s->found || !facts->channel.found || !facts->channel.closed ||
        !id_equal(&facts->channel.session, &s->session) ||
        !id_equal(&s->machine, &cmd->caller.machine)) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (!said_by_device(facts, &a->said)) {
        decision_refuse(out, REFUSE_BAD_STATEMENT, NULL, NULL);
        return;
    }
    d = decision_draft(out, EV_CHANNEL_ATTESTED, cmd, facts);
    d->subject = decide_session_subject(s);
    draft_id(out, d, FIELD_CHANNEL, &facts->channel.channel);
    draft_span(d, FIELD_COSIGNED, decide_cosigned(out, &a->said));
}

/* The agent had dialled back by then, and its socket met nobody: channel.opened is in the log, so
 * channel.closed must be, with no byte in it. */
static void
close_unmet(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct draft *d = decision_draft(out, EV_CHANNEL_CLOSED, cmd, facts);

    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, s->n);
    draft_id(out, d, FIELD_CHANNEL, &facts->channel.channel);
    draft_word(d, FIELD_WHY, cmd->detach.why);
    draft_number(d, FIELD_TO_AGENT_BYTES, 0);
    draft_number(d, FIELD_TO_TECHNICIAN_BYTES, 0);
    draft_number(d, FIELD_DURATION_US, 0);
    draft_word(d, FIELD_AGENT_WHY, "no_answer");
    out->reply.session = s->session;
}

static void
detach(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct draft *d;

    if (!from_relay(cmd, out))
        return;
    if (!s->found || s->state != SESSION_OPEN) {
        decision_refuse(out, s->found ? REFUSE_SESSION_ENDED : REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (facts->channel.open && !facts->channel.closed &&
        id_equal(&facts->channel.session, &s->session)) {
        close_unmet(cmd, facts, out);
        return;
    }
    d = decision_draft(out, EV_SESSION_DETACHED, cmd, facts);
    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, s->n);
    draft_word(d, FIELD_WHY, cmd->detach.why);
    if (!id_is_nil(&cmd->detach.channel))
        draft_id(out, d, FIELD_CHANNEL, &cmd->detach.channel);
    out->reply.session = s->session;
}

void
decide_channel(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_ATTACH: attach(cmd, facts, entropy, out); return;
    case CMD_OPEN_CHANNEL: open_channel(cmd, facts, out); return;
    case CMD_CLOSE_CHANNEL: close_channel(cmd, facts, out); return;
    case CMD_ATTEST_CHANNEL: attest_channel(cmd, facts, out); return;
    case CMD_DETACH: detach(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
