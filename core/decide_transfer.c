/* decide_transfer.c: a session changes hands: its owner offers it to somebody, who accepts. What
 * was open is cut, and where somebody sits at the machine they are asked again, as it is another
 * who comes. The session's end stays where it was. Pure; ledger thread. */
#include "core/decide.h"

static bool
owner_speaks(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct session_fact *s = &facts->session;
    struct subject subject = decide_session_subject(s);

    if (!s->found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return false;
    }
    if (cmd->caller.kind != CALLER_TOKEN || !id_equal(&s->owner, &cmd->caller.user)) {
        decide_not_yours(cmd, facts, ACTION_SESSION_OPEN, &subject, out);
        return false;
    }
    if (!id_equal(&s->family, &cmd->caller.family)) {
        decide_access_refused(cmd, facts, ACTION_SESSION_OPEN, "other_login", &subject, out);
        decision_refuse(
            out, REFUSE_NOT_ALLOWED, NULL, "the session belongs to another login of yours");
        return false;
    }
    return true;
}

/* What speaks against a transfer whoever takes part in it. */
static enum refusal
session_check(const struct facts *facts)
{
    const struct session_fact *s = &facts->session;

    if (s->state == SESSION_ENDED)
        return REFUSE_SESSION_ENDED;
    if (s->state != SESSION_OPEN)
        return REFUSE_NOT_CONSENTED;
    if (s->paused)
        return REFUSE_REPROVE_NEEDED;
    return facts->machine.online ? REFUSE_NONE : REFUSE_MACHINE_OFFLINE;
}

static void
offer_transfer(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct account_fact *to = &facts->account;
    const struct session_fact *s = &facts->session;
    enum refusal refusal;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SESSION_OPEN, out) || !owner_speaks(cmd, facts, out))
        return;
    refusal = session_check(facts);
    if (refusal != REFUSE_NONE) {
        decision_refuse(out, refusal, NULL, NULL);
        return;
    }
    if (!to->found || to->disabled || !rights_allow(to->role, ACTION_SESSION_OPEN) ||
        id_equal(&to->user, &s->owner)) {
        decision_refuse(out, REFUSE_BAD_VALUE, "to", "nobody of that name could take it over");
        return;
    }
    d = decide_event(out, EV_SESSION_TRANSFER_OFFERED, cmd, facts);
    d->actor.tags.account = (struct tag){{0}};
    d->subject = decide_session_subject(s);
    d->uses_policy = true;
    draft_number(d, FIELD_N, s->n);
    draft_id(out, d, FIELD_TO_USER, &to->user);
    out->reply.session = s->session;
    out->reply.machine = s->machine;
    out->reply.user = to->user;
    out->reply.state = SESSION_OPEN;
    out->reply.expires_us = facts->now.eff_us + (int64_t)facts->policy->consent_s * US_PER_S;
}

static bool
offered_to_caller(const struct command *cmd, const struct facts *facts)
{
    const struct session_fact *s = &facts->session;

    return cmd->caller.kind == CALLER_TOKEN && id_equal(&s->offered_to, &cmd->caller.user) &&
           facts->now.eff_us < s->offered_us + (int64_t)facts->policy->consent_s * US_PER_S;
}

static void
accept_transfer(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct session_fact *s = &facts->session;
    const struct machine_fact *m = &facts->machine;
    struct subject subject = decide_session_subject(s);
    enum refusal refusal;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_SESSION_OPEN, out))
        return;
    if (!s->found || !offered_to_caller(cmd, facts)) {
        if (s->found && !id_equal(&s->owner, &cmd->caller.user))
            decide_not_yours(cmd, facts, ACTION_SESSION_OPEN, &subject, out);
        else
            decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    refusal = session_check(facts);
    if (refusal != REFUSE_NONE) {
        decision_refuse(out, refusal, NULL, NULL);
        return;
    }
    entropy_bytes(entropy, out->reply.nonce, sizeof(out->reply.nonce));
    d = decide_event(out, EV_SESSION_TRANSFERRED, cmd, facts);
    d->subject = subject;
    d->subject.user = cmd->caller.user;
    d->uses_policy = true;
    draft_number(d, FIELD_N, s->n);
    draft_ip_version(d, cmd);
    draft_id(out, d, FIELD_FROM_USER, &s->owner);
    draft_word(d, FIELD_CONSENT_MODE, m->consent_needed ? "asked" : "unattended");
    out->reply.id = s->session;
    out->reply.session = s->session;
    out->reply.user = cmd->caller.user;
    out->reply.machine = s->machine;
    out->reply.connection = m->connection;
    out->reply.guest = m->guest;
    out->reply.asks_consent = m->consent_needed;
    out->reply.state = m->consent_needed ? SESSION_REQUESTED : SESSION_OPEN;
    out->reply.expires_us = m->consent_needed
                                ? facts->now.eff_us + (int64_t)facts->policy->consent_s * US_PER_S
                                : s->expires_us;
    out->reply.cut_channels = true;
}

void
decide_transfer(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_OFFER_TRANSFER: offer_transfer(cmd, facts, out); return;
    case CMD_ACCEPT_TRANSFER: accept_transfer(cmd, facts, entropy, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
