/* decide_people.c: invitations, registration, and what becomes of accounts. Pure; ledger thread. */
#include "core/decide.h"

static bool
role_valid(enum role role)
{
    return role == ROLE_ADMIN || role == ROLE_TECHNICIAN || role == ROLE_AUDITOR;
}

static void
issue_invite(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    int64_t expires_us = facts->now.eff_us + (int64_t)facts->policy->invite_s * US_PER_S;
    struct draft *d;
    struct id id;

    if (!decide_allowed(cmd, facts, ACTION_INVITE_ISSUE, out))
        return;
    if (!role_valid(cmd->issue_invite.role)) {
        decision_refuse(out, REFUSE_BAD_VALUE, "role", "must be admin, technician or auditor");
        return;
    }
    id = entropy_id(entropy);
    d = decide_event(out, EV_INVITE_ISSUED, cmd, facts);
    d->uses_policy = true;
    draft_id(out, d, FIELD_INVITE, &id);
    draft_number(d, FIELD_ROLE, cmd->issue_invite.role);
    draft_number(d, FIELD_EXPIRES_US, (uint64_t)expires_us);
    decide_keep(out, SECRET_INVITE, &id, 0, decide_secret_text(out, "inv_", &id, entropy));
    out->reply.id = id;
    out->reply.role = cmd->issue_invite.role;
    out->reply.expires_us = expires_us;
}

static void
revoke_invite(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_INVITE_ISSUE, out))
        return;
    if (!facts->invite.found || !facts->invite.live) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_INVITE_REVOKED, cmd, facts);
    draft_id(out, d, FIELD_INVITE, &facts->invite.invite);
    decide_drop(out, SECRET_INVITE, &facts->invite.invite, 0);
    out->reply.id = facts->invite.invite;
}

static void
register_refused(const struct command *cmd, const struct facts *facts, uint64_t attempt,
    enum refusal refusal, struct decision *out)
{
    struct draft *d = decide_event(out, EV_REGISTER_REFUSED, cmd, facts);

    draft_number(d, FIELD_ATTEMPT, attempt);
    draft_word(d, FIELD_WHY, refusal_row(refusal)->code);
    decision_refuse(out, refusal, refusal == REFUSE_NAME_TAKEN ? "account_name" : NULL, NULL);
}

/* Whether anybody may come in this way: by an invitation that still stands, or by an open door. */
static bool
may_register(const struct facts *facts, const struct id *invite)
{
    if (id_is_nil(invite))
        return facts->policy->registration_open != 0;
    return facts->invite.found && facts->invite.live;
}

/* Numbered even when the invitation is bad: guesses at invitations fill the same windows. */
static void
attempt_register(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_REGISTER_NET, RULE_REGISTER_ALL};
    const struct attempt_register *a = &cmd->attempt_register;
    bool invited = !id_is_nil(&a->invite);
    struct draft *d;

    if (!decide_within(facts, rules, 2, true, out) ||
        (!facts->invite.secret_ok && !decide_budget(facts, true, out)))
        return;
    d = decide_event(out, EV_REGISTER_ATTEMPTED, cmd, facts);
    d->uses_policy = true;
    if (invited)
        draft_id(out, d, FIELD_INVITE, &a->invite);
    draft_sealed(d, PERSONAL_MONTH, NULL, FIELD_ACCOUNT_NAME, a->account_name);
    if (!may_register(facts, &a->invite) || (invited && !facts->invite.secret_ok)) {
        register_refused(cmd, facts, facts->next_seq, REFUSE_INVITE_INVALID, out);
    } else if (!facts->account_name_free) {
        register_refused(cmd, facts, facts->next_seq, REFUSE_NAME_TAKEN, out);
    } else {
        out->reply.attempt = facts->next_seq;
        out->reply.role = invited ? facts->invite.role : ROLE_TECHNICIAN;
    }
}

static struct draft *
user_registered(const struct command *cmd, const struct facts *facts, enum role role,
    struct span name, struct span display_name, struct span verifier, struct entropy *entropy,
    struct decision *out)
{
    struct draft *d = decision_draft(out, EV_USER_REGISTERED, cmd, facts);
    struct id user = entropy_id(entropy);

    d->subject.user = user;
    draft_number(d, FIELD_ROLE, role);
    draft_bytes(out, d, FIELD_ACCOUNT, facts->tags.account.b, TAG_BYTES);
    draft_number(d, FIELD_VERIFIER_VERSION, 1);
    draft_sealed(d, PERSONAL_USER, &user, FIELD_ACCOUNT_NAME, name);
    draft_sealed(d, PERSONAL_USER, &user, FIELD_DISPLAY_NAME, display_name);
    draft_caller(d, cmd, PERSONAL_USER, &user);
    decide_keep(out, SECRET_PASSWORD, &user, 1, verifier);
    out->reply.id = user;
    out->reply.user = user;
    out->reply.role = role;
    out->reply.verifier_version = 1;
    return d;
}

static void
conclude_register(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct conclude_register *c = &cmd->conclude_register;
    const struct attempt_fact *attempt = &facts->attempt;
    bool invited = !id_is_nil(&attempt->invite);
    struct draft *d;

    if (!attempt->found || attempt->type != EV_REGISTER_ATTEMPTED ||
        !tag_equal(&attempt->tags.account, &facts->tags.account)) {
        decision_refuse(out, REFUSE_INVITE_INVALID, NULL, NULL);
        return;
    }
    if (!may_register(facts, &attempt->invite)) {
        register_refused(cmd, facts, attempt->seq, REFUSE_INVITE_INVALID, out);
        return;
    }
    if (!facts->account_name_free) {
        register_refused(cmd, facts, attempt->seq, REFUSE_NAME_TAKEN, out);
        return;
    }
    d = user_registered(cmd, facts, invited ? facts->invite.role : ROLE_TECHNICIAN, c->account_name,
        c->display_name, c->verifier, entropy, out);
    d->actor = (struct actor){.kind = ACTOR_USER, .id = d->subject.user, .tags = facts->tags};
    d->uses_policy = !invited;
    draft_number(d, FIELD_ATTEMPT, attempt->seq);
    if (invited) {
        draft_id(out, d, FIELD_INVITE, &attempt->invite);
        decide_drop(out, SECRET_INVITE, &attempt->invite, 0);
    }
}

/* The first admin, and whomever the owner of the state folder adds. */
static void
add_user(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct add_user *a = &cmd->add_user;

    if (cmd->caller.kind != CALLER_CLI && cmd->caller.kind != CALLER_SERVER)
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
    else if (!role_valid(a->role))
        decision_refuse(out, REFUSE_BAD_VALUE, "role", "must be admin, technician or auditor");
    else if (!facts->account_name_free)
        decision_refuse(out, REFUSE_NAME_TAKEN, "account_name", NULL);
    else
        user_registered(
            cmd, facts, a->role, a->account_name, a->display_name, a->verifier, entropy, out);
}

/* A token speaks with the role it was issued for, so a new role ends all tokens (the fold's rule)
 * and the sessions that rest on them. */
static void
user_changed(
    const struct command *cmd, const struct facts *facts, enum role role, struct decision *out)
{
    struct draft *d = decide_event(out, EV_USER_CHANGED, cmd, facts);

    d->subject.user = facts->account.user;
    draft_number(d, FIELD_ROLE, role);
    out->reply.cut_user = true;
}

static void
change_user(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct change_user *c = &cmd->change_user;
    const struct account_fact *account = &facts->account;
    bool new_role = c->role != ROLE_NONE && c->role != account->role;
    bool disables = c->disabled == 1 && !account->disabled;
    bool enables = c->disabled == 0 && account->disabled;

    if (!decide_allowed(cmd, facts, ACTION_USER_CHANGE, out))
        return;
    if (!account->found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (c->role != ROLE_NONE && !role_valid(c->role)) {
        decision_refuse(out, REFUSE_BAD_VALUE, "role", "must be admin, technician or auditor");
        return;
    }
    if (c->if_match != 0 && c->if_match != account->changed_seq) {
        decision_refuse(out, REFUSE_CHANGED_MEANWHILE, NULL, NULL);
        decision_cause(out, account->changed_seq);
        return;
    }
    if (account->role == ROLE_ADMIN && !account->disabled && (new_role || disables) &&
        account->admins_active <= 1) {
        decision_refuse(out, REFUSE_LAST_ADMIN, NULL, NULL);
        return;
    }
    out->reply.id = account->user;
    out->reply.user = account->user;
    out->reply.role = new_role ? c->role : account->role;
    if (new_role)
        user_changed(cmd, facts, c->role, out);
    if (disables || enables)
        decide_event(out, disables ? EV_USER_DISABLED : EV_USER_ENABLED, cmd, facts)->subject.user =
            account->user;
    if (disables)
        out->reply.cut_user = true;
    if (disables)
        decide_end_all(cmd, facts, "disabled", out);
    else if (new_role)
        decide_end_all(cmd, facts, c->role == ROLE_ADMIN ? "role_changed" : "demoted", out);
}

void
decide_people(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_ISSUE_INVITE: issue_invite(cmd, facts, entropy, out); return;
    case CMD_REVOKE_INVITE: revoke_invite(cmd, facts, out); return;
    case CMD_ATTEMPT_REGISTER: attempt_register(cmd, facts, out); return;
    case CMD_CONCLUDE_REGISTER: conclude_register(cmd, facts, entropy, out); return;
    case CMD_ADD_USER: add_user(cmd, facts, entropy, out); return;
    case CMD_CHANGE_USER: change_user(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
