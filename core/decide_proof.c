/* decide_proof.c: which network a session is used from, and the fresh proof that binds it to
 * another. Pure; ledger thread.
 *
 * A session is bound to the networks of its login, one for each IP version: a browser that changes
 * between the two is no thief. The second is learned within BIND_SECOND_S. Whatever else the login
 * is used from is told once per network, and the policy says what comes of it. */
#include "core/decide.h"

bool
decide_bound(const struct facts *facts, const struct session_fact *s)
{
    return tag_equal(&s->net, &facts->tags.net) || tag_equal(&s->net_other_ip, &facts->tags.net);
}

static bool
may_learn(const struct command *cmd, const struct facts *facts, const struct session_fact *s)
{
    return s->net_ip != 0 && s->net_ip != caller_ip_version(&cmd->caller) && !s->paused &&
           tag_is_nil(&s->net_other_ip) &&
           (s->state != SESSION_OPEN ||
               facts->now.eff_us < s->bound_us + (int64_t)BIND_SECOND_S * US_PER_S);
}

static const char *
mode_name(uint32_t mode)
{
    return mode == NETWORK_ROAMING ? "note" : mode == NETWORK_STRICT ? "refuse" : "pause";
}

/* The owner's login speaks, whoever that is by now. */
static struct draft *
session_event(const struct command *cmd, const struct facts *facts, enum event_type type,
    const struct session_fact *s, struct decision *out)
{
    struct draft *d = decision_draft(out, type, cmd, facts);

    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = s->owner, .family = s->family, .tags = facts->tags};
    d->subject = decide_session_subject(s);
    d->uses_policy = true;
    draft_number(d, FIELD_N, s->n);
    draft_ip_version(d, cmd);
    draft_caller(d, cmd, PERSONAL_USER, &s->owner);
    return d;
}

void
decide_network(const struct command *cmd, const struct facts *facts, const struct session_fact *s,
    struct decision *out)
{
    uint32_t mode = facts->policy->session_network;
    struct draft *d;

    if (may_learn(cmd, facts, s)) {
        session_event(cmd, facts, EV_SESSION_BOUND, s, out);
        return;
    }
    d = session_event(cmd, facts, EV_SESSION_SUSPECTED, s, out);
    draft_word(d, FIELD_WHY, "other_network");
    draft_word(d, FIELD_NET_MODE, mode_name(mode));
    if (mode == NETWORK_PAUSE)
        out->reply.paused[out->reply.paused_count++] = s->session;
}

static void
attempt_reprove(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_PASSWORD_USER};
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_ME, out))
        return;
    if (cmd->caller.kind != CALLER_TOKEN) {
        decision_refuse(out, REFUSE_NOT_AUTHENTICATED, NULL, NULL);
        return;
    }
    if (!decide_within(facts, rules, 1, true, out))
        return;
    d = decide_event(out, EV_PASSWORD_ATTEMPTED, cmd, facts);
    d->subject.user = cmd->caller.user;
    d->uses_policy = true;
    draft_word(d, FIELD_WHY, "reprove");
    out->reply.attempt = facts->next_seq;
    out->reply.user = cmd->caller.user;
    out->reply.verifier_version = facts->caller.verifier_version;
}

/* Its sessions belong to where the proof came from. Sockets of other networks are cut. */
static void
session_reproved(const struct command *cmd, const struct facts *facts, const struct session_fact *s,
    struct decision *out)
{
    bool bound = decide_bound(facts, s);
    struct resumed *r;

    if (bound && !s->paused)
        return;
    session_event(cmd, facts, EV_SESSION_REPROVED, s, out);
    r = &out->reply.resumed[out->reply.resumed_count++];
    r->session = s->session;
    r->nets[0] = bound ? s->net : facts->tags.net;
    if (bound)
        r->nets[1] = s->net_other_ip;
}

static void
conclude_reprove(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct attempt_fact *attempt = &facts->attempt;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_ME, out))
        return;
    if (!attempt->found || attempt->type != EV_PASSWORD_ATTEMPTED ||
        cmd->caller.kind != CALLER_TOKEN || !id_equal(&attempt->user, &cmd->caller.user) ||
        !id_equal(&attempt->family, &cmd->caller.family)) {
        decision_refuse(out, REFUSE_WRONG_PASSWORD, NULL, NULL);
        return;
    }
    if (!cmd->conclude_reprove.proven ||
        attempt->verifier_version != facts->caller.verifier_version) {
        d = decide_event(out, EV_PASSWORD_REFUSED, cmd, facts);
        d->subject.user = cmd->caller.user;
        draft_number(d, FIELD_ATTEMPT, attempt->seq);
        draft_word(d, FIELD_WHY, "reprove");
        decision_refuse(out, REFUSE_WRONG_PASSWORD, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_PROOF_RENEWED, cmd, facts);
    d->subject.user = cmd->caller.user;
    draft_number(d, FIELD_ATTEMPT, attempt->seq);
    draft_id(out, d, FIELD_FAMILY, &cmd->caller.family);
    out->reply.user = cmd->caller.user;
    out->reply.family = cmd->caller.family;
    for (uint32_t i = 0; i < facts->ending_count; i++) {
        const struct session_fact *s = &facts->ending[i];

        if (s->found && s->state != SESSION_ENDED && id_equal(&s->family, &cmd->caller.family))
            session_reproved(cmd, facts, s, out);
    }
}

void
decide_proof(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    (void)entropy;
    switch (cmd->kind) {
    case CMD_ATTEMPT_REPROVE: attempt_reprove(cmd, facts, out); return;
    case CMD_CONCLUDE_REPROVE: conclude_reprove(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
