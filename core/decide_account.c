/* decide_account.c: logins, tokens, passwords, and what a caller may do. Pure; ledger thread.
 *
 * A login says the same for an unknown, a disabled and a wrong one: in its answer, its events and,
 * as the proof is made in any case, its time. */
#include "core/decide.h"

static void
attempt_login(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {
        RULE_LOGIN_NET, RULE_LOGIN_WIDE, RULE_LOGIN_ALL, RULE_LOGIN_ACCOUNT};
    static const enum rule device_rules[] = {RULE_LOGIN_DEVICE};
    bool known = decide_device_known(facts);
    struct draft *d;

    /* Counted apart: nothing that strangers do can keep a device out that was let in before. */
    if (known ? !decide_within(facts, device_rules, 1, true, out)
              : !decide_within(facts, rules, sizeof(rules) / sizeof(rules[0]), true, out) ||
                    !decide_budget(facts, true, out))
        return;
    d = decide_event(out, EV_LOGIN_ATTEMPTED, cmd, facts);
    d->uses_policy = true;
    if (known)
        draft_id(out, d, FIELD_DEVICE, &facts->device.device);
    draft_sealed(d, PERSONAL_MONTH, NULL, FIELD_ACCOUNT_NAME, cmd->attempt_login.account_name);
    out->reply.attempt = facts->next_seq;
    if (facts->account.found) {
        out->reply.user = facts->account.user;
        out->reply.verifier_version = facts->account.verifier_version;
    }
}

/* What a fresh pair of tokens says. */
static void
reply_tokens(const struct facts *facts, const struct account_fact *account, const struct id *family,
    uint64_t n, int64_t opened_us, struct decision *out)
{
    int64_t now = facts->now.eff_us, end = decide_family_end(facts, opened_us);

    out->reply.user = account->user;
    out->reply.role = account->role;
    out->reply.family = *family;
    out->reply.token_n = n;
    out->reply.issued_us = now;
    out->reply.expires_us = now + (int64_t)facts->policy->access_s * US_PER_S;
    if (out->reply.expires_us > end)
        out->reply.expires_us = end;
}

static void
login_succeeded(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct id *user = &facts->account.user;
    int64_t now = facts->now.eff_us;
    struct id family = entropy_id(entropy);
    struct draft *d = decision_draft(out, EV_LOGIN_SUCCEEDED, cmd, facts);

    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = *user, .family = family, .tags = facts->attempt.tags};
    d->subject.user = *user;
    d->uses_policy = true;
    draft_number(d, FIELD_ATTEMPT, facts->attempt.seq);
    draft_id(out, d, FIELD_FAMILY, &family);
    draft_number(d, FIELD_TOKEN_N, 0);
    draft_number(d, FIELD_EXPIRES_US, (uint64_t)decide_family_end(facts, now));
    draft_caller(d, cmd, PERSONAL_USER, user);
    reply_tokens(facts, &facts->account, &family, 0, now, out);
}

static void
conclude_login(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct attempt_fact *attempt = &facts->attempt;
    const struct account_fact *account = &facts->account;
    struct draft *d;

    if (!attempt->found || attempt->type != EV_LOGIN_ATTEMPTED) {
        decision_refuse(out, REFUSE_BAD_LOGIN, NULL, NULL);
        return;
    }
    if (cmd->conclude_login.proven && account->found && !account->disabled &&
        id_equal(&account->user, &attempt->user) &&
        account->verifier_version == attempt->verifier_version &&
        account->verifier_version == cmd->conclude_login.verifier_version) {
        login_succeeded(cmd, facts, entropy, out);
        if (cmd->conclude_login.remember)
            decide_device(cmd, facts, entropy, out);
        return;
    }
    d = decision_draft(out, EV_LOGIN_FAILED, cmd, facts);
    d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = attempt->tags};
    draft_number(d, FIELD_ATTEMPT, attempt->seq);
    draft_word(d, FIELD_WHY, "bad_login");
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    decision_refuse(out, REFUSE_BAD_LOGIN, NULL, NULL);
}

/* The bearer of a token that is worth nothing is nobody, whomever the token names. */
static struct draft *
token_event(const struct command *cmd, const struct facts *facts, enum event_type type,
    struct decision *out)
{
    struct draft *d = decision_draft(out, type, cmd, facts);

    d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = facts->tags};
    if (facts->family.found)
        d->subject.user = facts->family.user;
    d->uses_policy = true;
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    return d;
}

static void
token_rejected(const struct command *cmd, const struct facts *facts, enum refusal refusal,
    const char *why, struct decision *out)
{
    draft_word(token_event(cmd, facts, EV_TOKEN_REJECTED, out), FIELD_WHY, why);
    decision_refuse(out, refusal, NULL, NULL);
}

static void
token_forged(const struct command *cmd, const struct facts *facts, const struct id *family,
    uint64_t n, struct decision *out)
{
    struct draft *d = token_event(cmd, facts, EV_TOKEN_FORGED, out);

    if (!id_is_nil(family))
        draft_id(out, d, FIELD_FAMILY, family);
    draft_number(d, FIELD_TOKEN_N, n);
    decision_refuse(out, REFUSE_TOKEN_INVALID, NULL, NULL);
}

static void
end_family(const struct command *cmd, const struct facts *facts, const struct id *family,
    const char *why, struct decision *out)
{
    for (uint32_t i = 0; i < facts->ending_count; i++) {
        const struct session_fact *s = &facts->ending[i];

        if (s->found && s->state != SESSION_ENDED && id_equal(&s->family, family))
            decide_end_session(cmd, facts, s, s->n, why, out);
    }
}

static struct draft *
token_revoked(const struct command *cmd, const struct facts *facts,
    const struct family_fact *family, const char *why, struct decision *out)
{
    struct draft *d = decision_draft(out, EV_TOKEN_REVOKED, cmd, facts);

    d->subject.user = family->user;
    draft_id(out, d, FIELD_FAMILY, &family->family);
    draft_word(d, FIELD_WHY, why);
    out->reply.user = family->user;
    out->reply.family = family->family;
    return d;
}

/* Somebody uses a token that was replaced: the thief or the robbed, so nobody goes on with it. */
static void
token_reused(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct family_fact *family = &facts->family;
    struct draft *d = token_event(cmd, facts, EV_TOKEN_REUSED, out);

    draft_id(out, d, FIELD_FAMILY, &family->family);
    draft_number(d, FIELD_TOKEN_N, facts->refresh.n);
    d = token_revoked(cmd, facts, family, "reuse", out);
    d->actor = (struct actor){.kind = ACTOR_SERVER};
    end_family(cmd, facts, &family->family, "token_revoked", out);
    decision_refuse(out, REFUSE_TOKEN_REUSED, NULL, NULL);
}

static void
token_refreshed(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct family_fact *family = &facts->family;
    struct draft *d = decision_draft(out, EV_TOKEN_REFRESHED, cmd, facts);

    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = family->user, .family = family->family, .tags = facts->tags};
    d->subject.user = family->user;
    d->uses_policy = true;
    draft_id(out, d, FIELD_FAMILY, &family->family);
    draft_number(d, FIELD_TOKEN_N, family->n + 1);
    draft_caller(d, cmd, PERSONAL_USER, &family->user);
    reply_tokens(facts, &facts->account, &family->family, family->n + 1, family->opened_us, out);
}

/* An answer may get lost on its way: within the grace time, and from where the newest was asked
 * for, the predecessor gets the newest again. */
static bool
refresh_repeats(const struct facts *facts)
{
    const struct family_fact *family = &facts->family;

    return facts->refresh.n + 1 == family->n &&
           facts->now.eff_us - family->rotated_us <
               (int64_t)facts->policy->refresh_grace_s * US_PER_S &&
           tag_equal(&facts->tags.net, &family->net);
}

/* Access tokens count whole seconds: one that is made now would have ended before it began. */
static bool
in_last_second(const struct facts *facts, const struct family_fact *family)
{
    return decide_family_end(facts, family->opened_us) / US_PER_S <= facts->now.eff_us / US_PER_S;
}

static void
refresh_token(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_REFRESH_NET};
    const struct refresh_fact *token = &facts->refresh;
    const struct family_fact *family = &facts->family;
    enum refusal refusal;

    if (!decide_within(facts, rules, 1, true, out))
        return;
    if (!token->well_formed || !token->mac_ok) {
        if (decide_budget(facts, true, out))
            token_rejected(cmd, facts, REFUSE_TOKEN_INVALID, "refresh_invalid", out);
        return;
    }
    if (!family->found || token->n > family->n) {
        token_forged(cmd, facts, &family->family, token->n, out);
        return;
    }
    refusal = decide_family(facts, family);
    if (refusal == REFUSE_NONE && in_last_second(facts, family))
        refusal = REFUSE_TOKEN_EXPIRED;
    if (refusal != REFUSE_NONE)
        token_rejected(cmd, facts, refusal,
            refusal == REFUSE_TOKEN_REVOKED ? "refresh_revoked" : "refresh_expired", out);
    else if (!facts->account.found || facts->account.disabled)
        token_rejected(cmd, facts, REFUSE_ACCOUNT_DISABLED, "account_disabled", out);
    else if (facts->elsewhere && facts->policy->session_network == NETWORK_STRICT)
        token_rejected(cmd, facts, REFUSE_OTHER_NETWORK, "other_network", out);
    else if (token->n == family->n)
        token_refreshed(cmd, facts, out);
    else if (refresh_repeats(facts))
        reply_tokens(facts, &facts->account, &family->family, family->n, family->opened_us, out);
    else
        token_reused(cmd, facts, out);
}

/* By access token, or by the refresh token alone (a browser whose access token has run out). */
static void
logout(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    bool by_refresh = cmd->caller.kind == CALLER_NOBODY;
    const struct family_fact *family = by_refresh ? &facts->family : &facts->caller_family;
    struct draft *d;

    if (by_refresh) {
        bool known = facts->refresh.well_formed && facts->refresh.mac_ok && family->found &&
                     facts->refresh.n <= family->n;
        enum refusal refusal = known ? decide_family(facts, family) : REFUSE_TOKEN_INVALID;

        if (refusal != REFUSE_NONE) {
            decision_refuse(out, refusal, NULL, NULL);
            return;
        }
    } else if (!decide_allowed(cmd, facts, ACTION_ME, out)) {
        return;
    } else if (cmd->caller.kind != CALLER_TOKEN) {
        decision_refuse(out, REFUSE_NOT_AUTHENTICATED, NULL, NULL);
        return;
    }
    d = decision_draft(out, EV_LOGOUT, cmd, facts);
    d->actor = (struct actor){
        .kind = ACTOR_USER, .id = family->user, .family = family->family, .tags = facts->tags};
    d->subject.user = family->user;
    draft_id(out, d, FIELD_FAMILY, &family->family);
    draft_caller(d, cmd, PERSONAL_USER, &family->user);
    out->reply.user = family->user;
    out->reply.family = family->family;
    end_family(cmd, facts, &family->family, "logout", out);
}

static void
revoke_family(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct family_fact *family = &facts->family;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_TOKEN_REVOKE, out))
        return;
    if (!family->found || family->revoked) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (decide_role(cmd, facts) != ROLE_ADMIN && !id_equal(&family->user, &cmd->caller.user)) {
        struct subject subject = {.user = family->user};

        decide_not_yours(cmd, facts, ACTION_TOKEN_REVOKE, &subject, out);
        return;
    }
    d = token_revoked(cmd, facts, family, "revoked", out);
    if (cmd->caller.kind == CALLER_TOKEN)
        draft_caller(d, cmd, PERSONAL_USER, &cmd->caller.user);
    end_family(cmd, facts, &family->family, "revoked", out);
}

/* These are said of tokens with our MAC only: whoever bears one was let in once, is no stranger,
 * and must hear that it is over even while strangers hear nothing but "too often". */
static bool
was_issued(const char *why)
{
    static const char *const whys[] = {"expired", "family_expired", "revoked", "account_disabled"};

    for (size_t i = 0; i < sizeof(whys) / sizeof(whys[0]); i++)
        if (strcmp(why, whys[i]) == 0)
            return true;
    return false;
}

/* The edge has refused a token and says why: the right MAC over an id that the log never issued
 * means that the secret is known to somebody else. */
static void
reject_token(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_REFRESH_NET};
    const struct reject_token *r = &cmd->reject_token;

    if (!decide_within(facts, rules, 1, true, out))
        return;
    if (r->forged)
        token_forged(cmd, facts, &r->family, r->token_n, out);
    else if (was_issued(r->why) || decide_budget(facts, true, out))
        token_rejected(cmd, facts,
            strcmp(r->why, "expired") == 0 ? REFUSE_TOKEN_EXPIRED : REFUSE_TOKEN_INVALID, r->why,
            out);
}

/* What the world has forgotten (old sessions, removed machines) is history: whoever reads it from
 * the views compares the owner there with the role and user that this reply carries. */
static void
authorize(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct authorize *a = &cmd->authorize;
    const struct session_fact *s = &facts->session;
    const struct machine_fact *m = &facts->machine;
    enum role role = decide_role(cmd, facts);
    struct subject subject;

    if (!decide_allowed(cmd, facts, a->action, out))
        return;
    if (role == ROLE_TECHNICIAN && !id_is_nil(&a->session) && s->found &&
        !id_equal(&s->owner, &cmd->caller.user) && !id_equal(&s->offered_to, &cmd->caller.user)) {
        subject = decide_session_subject(s);
        decide_not_yours(cmd, facts, a->action, &subject, out);
    } else if (role == ROLE_TECHNICIAN && !id_is_nil(&a->machine) && m->found && m->guest &&
               !id_equal(&m->added_by, &cmd->caller.user)) {
        subject = (struct subject){.machine = m->machine};
        decide_not_yours(cmd, facts, a->action, &subject, out);
    } else if (role == ROLE_TECHNICIAN && !id_is_nil(&a->target_user) &&
               !id_equal(&a->target_user, &cmd->caller.user)) {
        subject = (struct subject){.user = a->target_user};
        decide_not_yours(cmd, facts, a->action, &subject, out);
    } else {
        out->reply.user = cmd->caller.user;
        out->reply.family = cmd->caller.family;
        out->reply.role = role;
    }
}

static void
attempt_password(const struct command *cmd, const struct facts *facts, struct decision *out)
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
    out->reply.attempt = facts->next_seq;
    out->reply.user = cmd->caller.user;
    out->reply.verifier_version = facts->caller.verifier_version;
}

/* password.changed revokes all families of the user but the actor's: the fold's rule, so the event
 * needs no list. Their sessions end here. */
static void
password_changed(const struct command *cmd, const struct facts *facts,
    const struct account_fact *account, struct span verifier, struct draft *d, struct decision *out)
{
    uint64_t version = account->verifier_version + 1;

    d->subject.user = account->user;
    draft_number(d, FIELD_VERIFIER_VERSION, version);
    decide_keep(out, SECRET_PASSWORD, &account->user, version, verifier);
    decide_drop(out, SECRET_PASSWORD, &account->user, account->verifier_version);
    out->reply.user = account->user;
    out->reply.verifier_version = version;
    for (uint32_t i = 0; i < facts->ending_count; i++) {
        const struct session_fact *s = &facts->ending[i];

        if (!s->found || s->state == SESSION_ENDED)
            continue;
        if (cmd->caller.kind != CALLER_TOKEN || !id_equal(&s->family, &cmd->caller.family))
            decide_end_session(cmd, facts, s, s->n, "password_changed", out);
    }
}

static void
conclude_password(const struct command *cmd, const struct facts *facts, struct decision *out)
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
    if (!cmd->conclude_password.proven ||
        attempt->verifier_version != facts->caller.verifier_version) {
        d = decide_event(out, EV_PASSWORD_REFUSED, cmd, facts);
        d->subject.user = cmd->caller.user;
        draft_number(d, FIELD_ATTEMPT, attempt->seq);
        decision_refuse(out, REFUSE_WRONG_PASSWORD, NULL, NULL);
        return;
    }
    d = decide_event(out, EV_PASSWORD_CHANGED, cmd, facts);
    draft_number(d, FIELD_ATTEMPT, attempt->seq);
    password_changed(cmd, facts, &facts->caller, cmd->conclude_password.verifier, d, out);
}

static void
set_password(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    if (cmd->caller.kind != CALLER_CLI && cmd->caller.kind != CALLER_SERVER) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
        return;
    }
    if (!facts->account.found) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    password_changed(cmd, facts, &facts->account, cmd->set_password.verifier,
        decision_draft(out, EV_PASSWORD_CHANGED, cmd, facts), out);
    out->reply.cut_user = true;
}

void
decide_account(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_ATTEMPT_LOGIN: attempt_login(cmd, facts, out); return;
    case CMD_CONCLUDE_LOGIN: conclude_login(cmd, facts, entropy, out); return;
    case CMD_REFRESH_TOKEN: refresh_token(cmd, facts, out); return;
    case CMD_LOGOUT: logout(cmd, facts, out); return;
    case CMD_REVOKE_FAMILY: revoke_family(cmd, facts, out); return;
    case CMD_REMOVE_DEVICE: decide_device_removal(cmd, facts, out); return;
    case CMD_REJECT_TOKEN: reject_token(cmd, facts, out); return;
    case CMD_AUTHORIZE: authorize(cmd, facts, out); return;
    case CMD_ATTEMPT_PASSWORD: attempt_password(cmd, facts, out); return;
    case CMD_CONCLUDE_PASSWORD: conclude_password(cmd, facts, out); return;
    case CMD_SET_PASSWORD: set_password(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
