/* decide_machine.c: support codes, machines, their keys and allow lists. Pure; ledger thread. */
#include "core/cidr.h"
#include "core/decide.h"
#include "core/pack.h"

static bool
changed_meanwhile(uint64_t if_match, uint64_t seq, struct decision *out)
{
    if (if_match == 0 || if_match == seq || (if_match == IF_MATCH_NEVER && seq == 0))
        return false;
    decision_refuse(out, REFUSE_CHANGED_MEANWHILE, NULL, NULL);
    if (seq != 0)
        decision_cause(out, seq);
    return true;
}

/* A guess must stay hopeless while more codes live: with n live codes of d digits and 600 guesses
 * in a code's life, n x 600 / 10^d stays below 1e-4. */
static unsigned
code_digits(uint32_t live)
{
    if (live < 10)
        return 9;
    return live < 100 ? 10 : 11;
}

static void
code_issued(const struct command *cmd, const struct facts *facts, uint32_t ttl_s,
    struct entropy *entropy, struct decision *out)
{
    unsigned digits = code_digits(facts->codes_live);
    int64_t expires_us = facts->now.eff_us + (int64_t)ttl_s * US_PER_S;
    struct draft *d = decide_event(out, EV_CODE_ISSUED, cmd, facts);
    uint64_t bound = 1;
    struct id id;

    for (unsigned i = 0; i < digits; i++)
        bound *= 10;
    id = entropy_id(entropy);
    snprintf(out->reply.secret, sizeof(out->reply.secret), "%0*llu", (int)digits,
        (unsigned long long)entropy_below(entropy, bound));
    d->subject.code = id;
    d->uses_policy = true;
    draft_number(d, FIELD_EXPIRES_US, (uint64_t)expires_us);
    draft_number(d, FIELD_DIGITS, digits);
    decide_keep(out, SECRET_CODE, &id, 0, decision_copy(out, span_str(out->reply.secret)));
    out->reply.id = id;
    out->reply.expires_us = expires_us;
}

/* Should the digits be a living code's already, the ledger asks again with other entropy. */
static void
issue_code(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    uint32_t ttl_s = cmd->issue_code.ttl_s;

    if (!decide_allowed(cmd, facts, ACTION_CODE_ISSUE, out))
        return;
    if (ttl_s == 0)
        ttl_s = facts->policy->code_s;
    if (cmd->caller.kind != CALLER_TOKEN)
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL,
            "the guest machine of a code is opened by the user who issued it: log in first");
    else if (ttl_s > facts->policy->code_s)
        decision_refuse(out, REFUSE_BAD_VALUE, "ttl_s", "longer than the policy allows");
    else if (facts->codes_live >= facts->policy->codes_live_max)
        decision_refuse(out, REFUSE_TOO_MANY, NULL, "too many support codes are live");
    else
        code_issued(cmd, facts, ttl_s, entropy, out);
}

static void
revoke_code(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct code_fact *code = &facts->code;
    struct subject subject = {.code = code->code};

    if (!decide_allowed(cmd, facts, ACTION_CODE_REVOKE, out))
        return;
    if (!code->found || !code->live) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (decide_role(cmd, facts) != ROLE_ADMIN && !id_equal(&code->issuer, &cmd->caller.user)) {
        decide_not_yours(cmd, facts, ACTION_CODE_REVOKE, &subject, out);
        return;
    }
    decide_event(out, EV_CODE_REVOKED, cmd, facts)->subject = subject;
    decide_drop(out, SECRET_CODE, &code->code, 0);
    out->reply.id = code->code;
}

static void
validate_code(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!decide_code_within(facts, out))
        return;
    if (!facts->code.found || !facts->code.live) {
        decide_code_rejected(cmd, facts, out);
        return;
    }
    d = decide_event(out, EV_CODE_VALIDATED, cmd, facts);
    d->subject.code = facts->code.code;
    d->uses_policy = true;
    out->reply.expires_us = facts->code.expires_us;
}

static void
add_machine(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    struct draft *d;
    struct id id;

    if (!decide_allowed(cmd, facts, ACTION_MACHINE_ADD, out))
        return;
    id = entropy_id(entropy);
    d = decide_event(out, EV_MACHINE_ADDED, cmd, facts);
    d->subject.machine = id;
    draft_some(d, FIELD_LABELS, cmd->add_machine.labels);
    draft_sealed(d, PERSONAL_MACHINE, &id, FIELD_MACHINE_NAME, cmd->add_machine.name);
    out->reply.id = id;
    out->reply.machine = id;
}

/* The machine meant, when it is there to be changed. */
static bool
machine_there(const struct facts *facts, struct decision *out)
{
    if (facts->machine.found && !facts->machine.removed)
        return true;
    decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
    return false;
}

static void
change_machine(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct change_machine *c = &cmd->change_machine;
    const struct id *id = &facts->machine.machine;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_MACHINE_CHANGE, out) || !machine_there(facts, out) ||
        changed_meanwhile(c->if_match, facts->machine.changed_seq, out))
        return;
    out->reply.id = *id;
    out->reply.machine = *id;
    if (c->name.ptr == NULL && c->labels.ptr == NULL && c->note.ptr == NULL)
        return;
    d = decide_event(out, EV_MACHINE_CHANGED, cmd, facts);
    d->subject.machine = *id;
    draft_some(d, FIELD_LABELS, c->labels);
    draft_sealed(d, PERSONAL_MACHINE, id, FIELD_MACHINE_NAME, c->name);
    if (c->note.ptr != NULL) /* an empty note takes the old one away */
        fields_add_span(&draft_personal(d, PERSONAL_MACHINE, id)->fields, FIELD_NOTE, c->note);
}

/* The removal comes last: what it ends still belongs to a machine that is there. */
static void
remove_machine(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_MACHINE_REMOVE, out) || !machine_there(facts, out))
        return;
    decide_end_all(cmd, facts, "machine_removed", out);
    decide_disconnect(cmd, facts, "machine_removed", out);
    d = decide_event(out, EV_MACHINE_REMOVED, cmd, facts);
    d->subject.machine = facts->machine.machine;
    draft_word(d, FIELD_WHY, "removed");
    out->reply.id = facts->machine.machine;
    out->reply.machine = facts->machine.machine;
}

static void
issue_key(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    uint32_t ttl_s = cmd->issue_key.ttl_s;
    struct draft *d;
    struct id id;

    if (!decide_allowed(cmd, facts, ACTION_KEY_ISSUE, out) || !machine_there(facts, out))
        return;
    if (facts->machine.guest) {
        decision_refuse(out, REFUSE_BAD_VALUE, "machine", "a guest machine takes no key");
        return;
    }
    id = entropy_id(entropy);
    d = decide_event(out, EV_KEY_ISSUED, cmd, facts);
    d->subject.machine = facts->machine.machine;
    draft_id(out, d, FIELD_KEY, &id);
    if (ttl_s != 0) {
        out->reply.expires_us = facts->now.eff_us + (int64_t)ttl_s * US_PER_S;
        draft_number(d, FIELD_EXPIRES_US, (uint64_t)out->reply.expires_us);
    }
    decide_keep(out, SECRET_API_KEY, &id, 0, decide_secret_text(out, "gh_", &id, entropy));
    out->reply.id = id;
    out->reply.machine = facts->machine.machine;
}

/* A spent key is what its machine's device rests on: without it the device is unbound (the fold's
 * rule), and the agent that speaks for it goes at once. */
static void
revoke_key(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct key_fact *key = &facts->key;
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_KEY_REVOKE, out) || !machine_there(facts, out))
        return;
    if (!key->found || !(key->live || key->spent) ||
        !id_equal(&key->machine, &facts->machine.machine)) {
        decision_refuse(out, REFUSE_NOT_FOUND, NULL, NULL);
        return;
    }
    if (key->spent) {
        decide_end_all(cmd, facts, "key_revoked", out);
        decide_disconnect(cmd, facts, "key_revoked", out);
    }
    d = decide_event(out, EV_KEY_REVOKED, cmd, facts);
    d->subject.machine = facts->machine.machine;
    draft_id(out, d, FIELD_KEY, &key->key);
    draft_word(d, FIELD_WHY, "revoked");
    decide_drop(out, SECRET_API_KEY, &key->key, 0);
    out->reply.id = key->key;
    out->reply.machine = facts->machine.machine;
}

/* A list that would be obeyed in part only is worse than none: every entry must be a network. */
static bool
allow_valid(struct span allow)
{
    struct reader r;
    uint32_t count;

    if (pack_scan(allow) != OK)
        return false;
    reader_init(&r, allow);
    count = reader_array(&r);
    if (count > CIDR_LIST_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct cidr cidr;
        struct span text = reader_str(&r);

        if (!reader_ok(&r) || cidr_parse(text, &cidr) != OK)
            return false;
    }
    return reader_done(&r);
}

static void
set_allowlist(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct set_allowlist *s = &cmd->set_allowlist;
    bool overall = id_is_nil(&s->machine);
    struct draft *d;

    if (!decide_allowed(cmd, facts, ACTION_ALLOWLIST_SET, out) ||
        (!overall && !machine_there(facts, out)) ||
        changed_meanwhile(s->if_match, facts->machine.allow_changed_seq, out))
        return;
    if (!allow_valid(s->allow)) {
        decision_refuse(
            out, REFUSE_BAD_VALUE, "allow", "must be a list of networks such as 192.0.2.0/24");
        return;
    }
    d = decide_event(out, EV_ALLOWLIST_CHANGED, cmd, facts);
    draft_span(d, FIELD_ALLOW, s->allow);
    out->reply.recheck_agents = true;
    if (!overall) {
        d->subject.machine = facts->machine.machine;
        out->reply.machine = facts->machine.machine;
    }
}

void
decide_machine(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_ISSUE_CODE: issue_code(cmd, facts, entropy, out); return;
    case CMD_REVOKE_CODE: revoke_code(cmd, facts, out); return;
    case CMD_VALIDATE_CODE: validate_code(cmd, facts, out); return;
    case CMD_ADD_MACHINE: add_machine(cmd, facts, entropy, out); return;
    case CMD_CHANGE_MACHINE: change_machine(cmd, facts, out); return;
    case CMD_REMOVE_MACHINE: remove_machine(cmd, facts, out); return;
    case CMD_ISSUE_KEY: issue_key(cmd, facts, entropy, out); return;
    case CMD_REVOKE_KEY: revoke_key(cmd, facts, out); return;
    case CMD_SET_ALLOWLIST: set_allowlist(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
