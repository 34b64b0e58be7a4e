/* decide.c: what the decisions share. Pure; ledger thread. */
#include "core/decide.h"

#include "core/base64.h"
#include "core/pack.h"

#include <sodium.h>

enum role
decide_role(const struct command *cmd, const struct facts *facts)
{
    switch (cmd->caller.kind) {
    case CALLER_CLI:
    case CALLER_SERVER: return ROLE_ADMIN;
    case CALLER_TOKEN: return facts->caller.role;
    case CALLER_NOBODY:
    case CALLER_AGENT: break;
    }
    return ROLE_NONE;
}

int64_t
decide_family_end(const struct facts *facts, int64_t opened_us)
{
    return opened_us + (int64_t)facts->policy->family_s * US_PER_S;
}

enum refusal
decide_family(const struct facts *facts, const struct family_fact *family)
{
    int64_t now = facts->now.eff_us;

    if (!family->found)
        return REFUSE_TOKEN_INVALID;
    if (family->revoked)
        return REFUSE_TOKEN_REVOKED;
    if (now >= decide_family_end(facts, family->opened_us) ||
        now >= family->refreshed_us + (int64_t)facts->policy->family_idle_s * US_PER_S)
        return REFUSE_TOKEN_EXPIRED;
    return REFUSE_NONE;
}

/* A verified token says who it was; the log says what that is still worth. */
static enum refusal
decide_token(const struct command *cmd, const struct facts *facts)
{
    const struct family_fact *family = &facts->caller_family;
    enum refusal refusal = decide_family(facts, family);

    if (refusal != REFUSE_NONE)
        return refusal;
    if (!id_equal(&family->family, &cmd->caller.family) ||
        !id_equal(&family->user, &cmd->caller.user) || cmd->caller.token_n > family->n ||
        !facts->caller.found)
        return REFUSE_TOKEN_INVALID;
    return facts->caller.disabled ? REFUSE_ACCOUNT_DISABLED : REFUSE_NONE;
}

void
decide_access_refused(const struct command *cmd, const struct facts *facts, enum action action,
    const char *why, const struct subject *subject, struct decision *out)
{
    struct draft *d = decide_event(out, EV_ACCESS_REFUSED, cmd, facts);

    if (subject != NULL)
        d->subject = *subject;
    draft_word(d, FIELD_ACTION, action_name(action));
    draft_word(d, FIELD_WHY, why);
}

bool
decide_allowed(
    const struct command *cmd, const struct facts *facts, enum action action, struct decision *out)
{
    enum refusal refusal;

    switch (cmd->caller.kind) {
    case CALLER_CLI:
    case CALLER_SERVER: return true;
    case CALLER_NOBODY:
    case CALLER_AGENT: decision_refuse(out, REFUSE_NOT_AUTHENTICATED, NULL, NULL); return false;
    case CALLER_TOKEN: break;
    }
    refusal = decide_token(cmd, facts);
    if (refusal != REFUSE_NONE) {
        decision_refuse(out, refusal, NULL, NULL);
        return false;
    }
    if (facts->elsewhere && facts->policy->session_network == NETWORK_STRICT &&
        cmd->kind != CMD_LOGOUT) {
        decision_refuse(out, REFUSE_OTHER_NETWORK, NULL, NULL);
        return false;
    }
    if (rights_allow(facts->caller.role, action))
        return true;
    decide_access_refused(cmd, facts, action, "role", NULL, out);
    decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
    return false;
}

void
decide_not_yours(const struct command *cmd, const struct facts *facts, enum action action,
    const struct subject *subject, struct decision *out)
{
    decide_access_refused(cmd, facts, action, "not_owner", subject, out);
    decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
}

bool
decide_within(const struct facts *facts, const enum rule *rules, size_t count, bool holds,
    struct decision *out)
{
    enum rule over = RULE_NONE;
    int64_t frees_us = 0;

    out->limit = facts->limits[rules[0]];
    for (size_t i = 0; i < count; i++) {
        const struct limit_fact *limit = &facts->limits[rules[i]];

        if (limit->count < limit->limit)
            continue;
        if (over == RULE_NONE)
            over = rules[i];
        if (limit->frees_us > frees_us)
            frees_us = limit->frees_us;
    }
    if (over != RULE_NONE) {
        out->limit.frees_us = frees_us;
        out->count_refusal = true;
        out->counted_rule = over;
        decision_refuse(out, REFUSE_TOO_OFTEN, NULL, NULL);
        return false;
    }
    if (holds)
        out->limit.count++;
    return true;
}

static bool
decide_budget_spent(int64_t frees_us, bool holds, struct decision *out)
{
    if (holds)
        out->limit.count--; /* it does not go on after all */
    out->limit.frees_us = frees_us;
    out->count_refusal = true;
    out->counted_rule = RULE_NONE;
    decision_refuse(out, REFUSE_TOO_OFTEN, NULL, NULL);
    return false;
}

bool
decide_budget(const struct facts *facts, bool holds, struct decision *out)
{
    return !facts->budget.spent || decide_budget_spent(facts->budget.frees_us, holds, out);
}

/* Whoever names a code: the budget bounds how many can be tried, so it is asked before the code is
 * looked at, and a right one waits too. */
static bool
decide_code_budget(const struct facts *facts, struct decision *out)
{
    return !facts->budget.spent_for_codes ||
           decide_budget_spent(facts->budget.codes_free_us, true, out);
}

bool
decide_code_within(const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_CODE_NET, RULE_CODE_WIDE};
    const struct limit_fact *all = &facts->limits[RULE_CODE_FAIL_ALL];

    if (!decide_within(facts, rules, 2, true, out))
        return false;
    if (all->count < all->limit || !facts->code_net_failed_lately)
        return decide_code_budget(facts, out);
    /* Somebody guesses from everywhere: who failed lately waits, who comes with a good code does
     * not. */
    out->limit.count--;
    out->limit.frees_us = all->frees_us;
    out->count_refusal = true;
    out->counted_rule = RULE_CODE_FAIL_ALL;
    decision_refuse(out, REFUSE_TOO_OFTEN, NULL, NULL);
    return false;
}

void
decide_code_rejected(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d = decision_draft(out, EV_CODE_REJECTED, cmd, facts);

    d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = facts->tags};
    d->uses_policy = true;
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    draft_word(d, FIELD_WHY, "invalid");
    decision_refuse(out, REFUSE_CODE_INVALID, NULL, NULL);
}

struct draft *
decide_event(struct decision *out, enum event_type type, const struct command *cmd,
    const struct facts *facts)
{
    struct draft *d = decision_draft(out, type, cmd, facts);

    switch (cmd->caller.kind) {
    case CALLER_TOKEN: draft_caller(d, cmd, PERSONAL_USER, &cmd->caller.user); break;
    case CALLER_AGENT: draft_caller(d, cmd, PERSONAL_MACHINE, &cmd->caller.machine); break;
    case CALLER_NOBODY:
    case CALLER_CLI:
    case CALLER_SERVER: draft_caller(d, cmd, PERSONAL_MONTH, NULL); break;
    }
    return d;
}

struct subject
decide_session_subject(const struct session_fact *s)
{
    return (struct subject){.session = s->session, .machine = s->machine, .user = s->owner};
}

void
decide_end_session(const struct command *cmd, const struct facts *facts,
    const struct session_fact *s, uint64_t n, const char *why, struct decision *out)
{
    struct draft *d = decision_draft(out, EV_SESSION_ENDED, cmd, facts);
    bool restart = strcmp(why, "server_restart") == 0;

    d->subject = decide_session_subject(s);
    draft_number(d, FIELD_N, n);
    draft_number(d, FIELD_TOTAL, n + 1);
    draft_word(d, FIELD_WHY, why);
    draft_number(d, FIELD_CHANNELS, s->channels_total);
    /* After a restart nobody knows how much went through, nor when it stopped. */
    if (!restart) {
        draft_number(d, FIELD_TO_AGENT_BYTES, s->to_agent_bytes);
        draft_number(d, FIELD_TO_TECHNICIAN_BYTES, s->to_technician_bytes);
        if (s->state == SESSION_OPEN)
            draft_number(d, FIELD_DURATION_US, (uint64_t)(facts->now.eff_us - s->opened_us));
    }
    INVARIANT(out->reply.ended_count < ENDING_MAX);
    out->reply.ended[out->reply.ended_count++] = s->session;
}

void
decide_end_all(
    const struct command *cmd, const struct facts *facts, const char *why, struct decision *out)
{
    for (uint32_t i = 0; i < facts->ending_count; i++) {
        const struct session_fact *s = &facts->ending[i];

        if (s->found && s->state != SESSION_ENDED)
            decide_end_session(cmd, facts, s, s->n, why, out);
    }
}

void
decide_disconnect(
    const struct command *cmd, const struct facts *facts, const char *why, struct decision *out)
{
    struct draft *d;

    if (!facts->machine.online)
        return;
    d = decision_draft(out, EV_AGENT_DISCONNECTED, cmd, facts);
    d->subject.machine = facts->machine.machine;
    draft_id(out, d, FIELD_CONNECTION, &facts->machine.connection);
    draft_word(d, FIELD_WHY, why);
    out->reply.machine = facts->machine.machine;
    out->reply.connection = facts->machine.connection;
    out->reply.cut_connection = true;
}

struct span
decide_cosigned(struct decision *out, const struct signed_statement *said)
{
    struct pack p;

    pack_init(&p, out->arena + out->arena_len, sizeof(out->arena) - out->arena_len);
    pack_array(&p, 3);
    pack_str(&p, said->purpose);
    pack_bin(&p, said->statement);
    pack_bin(&p, said->sig);
    INVARIANT(pack_ok(&p));
    out->arena_len += p.len;
    return pack_span(&p);
}

void
decide_statement_personal(
    struct draft *d, const struct signed_statement *said, const struct id *machine)
{
    draft_sealed(d, PERSONAL_MACHINE, machine, FIELD_STATEMENT_SALT, said->salt);
    draft_sealed(d, PERSONAL_MACHINE, machine, FIELD_STATEMENT_PERSONAL, said->personal);
}

void
draft_number(struct draft *d, enum field field, uint64_t u)
{
    fields_add_u64(&d->data, field, u);
}

void
draft_word(struct draft *d, enum field field, const char *word)
{
    fields_add_span(&d->data, field, span_str(word));
}

void
draft_ip_version(struct draft *d, const struct command *cmd)
{
    unsigned version = caller_ip_version(&cmd->caller);

    if (version != 0)
        fields_add_u64(&d->data, FIELD_IP_VERSION, version);
}

void
draft_span(struct draft *d, enum field field, struct span s)
{
    fields_add_span(&d->data, field, s);
}

void
draft_some(struct draft *d, enum field field, struct span s)
{
    if (s.len > 0)
        fields_add_span(&d->data, field, s);
}

void
draft_id(struct decision *out, struct draft *d, enum field field, const struct id *id)
{
    draft_bytes(out, d, field, id->b, ID_BYTES);
}

void
draft_bytes(struct decision *out, struct draft *d, enum field field, const void *bytes, size_t n)
{
    fields_add_span(&d->data, field, decision_copy(out, span_of(bytes, n)));
}

void
draft_sealed(struct draft *d, enum personal_key key, const struct id *subject, enum field field,
    struct span s)
{
    if (s.len > 0)
        fields_add_span(&draft_personal(d, key, subject)->fields, field, s);
}

struct span
decide_random(struct decision *out, struct entropy *entropy, size_t n)
{
    uint8_t *at = out->arena + out->arena_len;

    INVARIANT(n <= sizeof(out->arena) - out->arena_len);
    out->arena_len += n;
    entropy_bytes(entropy, at, n);
    return span_of(at, n);
}

void
decide_keep(struct decision *out, enum secret_kind kind, const struct id *id, uint64_t version,
    struct span bytes)
{
    INVARIANT(out->secret_count < SECRETS_MAX);
    out->secrets[out->secret_count++] =
        (struct secret_op){.kind = kind, .id = *id, .version = version, .bytes = bytes};
}

void
decide_drop(struct decision *out, enum secret_kind kind, const struct id *id, uint64_t version)
{
    INVARIANT(out->secret_count < SECRETS_MAX);
    out->secrets[out->secret_count++] =
        (struct secret_op){.kind = kind, .drop = true, .id = *id, .version = version};
}

struct span
decide_secret_text(
    struct decision *out, const char *prefix, const struct id *id, struct entropy *entropy)
{
    /* The raw bytes go through the arena too: it is wiped, a stack frame is not. */
    struct span secret = decide_random(out, entropy, 32);
    char id_of[ID_TEXT_BYTES];
    char text[64];
    size_t len;

    INVARIANT(base64_encode(BASE64_URL, secret, text, sizeof(text), &len) == OK);
    id_text(ID_KEY, id, id_of);
    snprintf(out->reply.secret, sizeof(out->reply.secret), "%s%s_%.*s", prefix, id_of + 4, (int)len,
        text);
    secret = decision_copy(out, span_of(text, len));
    sodium_memzero(text, sizeof(text));
    return secret;
}
