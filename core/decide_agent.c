/* decide_agent.c: which agent may connect, as which machine, and what happens when it is gone.
 * Pure; ledger thread.
 *
 * Two steps. Before the 101 the credential is looked at (admit); the signed hello is the proof
 * (greet), and everything is looked at again, as time has passed. Only a greeted agent has
 * presence. Its key is the device's from then on: a code is used up, an API key spent. */
#include "core/decide.h"

struct no {
    enum refusal refusal; /* REFUSE_NONE: nothing speaks against it */
    const char *why;
};

static const char *
credential_name(enum credential c)
{
    switch (c) {
    case CREDENTIAL_CODE: return "code";
    case CREDENTIAL_KEY: return "key";
    case CREDENTIAL_DEVICE: return "device";
    }
    return "none";
}

static void
agent_rejected(const struct command *cmd, const struct facts *facts, enum credential credential,
    const struct no *no, struct decision *out)
{
    struct draft *d;

    if (no->refusal == REFUSE_CODE_INVALID) {
        decide_code_rejected(cmd, facts, out);
        return;
    }
    if (!decide_budget(facts, false, out))
        return;
    d = decision_draft(out, EV_AGENT_REJECTED, cmd, facts);
    d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = facts->tags};
    if (credential != CREDENTIAL_CODE && facts->machine.found)
        d->subject.machine = facts->machine.machine;
    d->uses_policy = true;
    draft_word(d, FIELD_CREDENTIAL, credential_name(credential));
    draft_word(d, FIELD_WHY, no->why);
    draft_caller(d, cmd, PERSONAL_MONTH, NULL);
    decision_refuse(out, no->refusal, NULL, NULL);
}

/* Whatever can be said before the agent has proven its device key. */
static struct no
credential_check(const struct facts *facts, enum credential credential)
{
    const struct key_fact *key = &facts->key;
    const struct machine_fact *m = &facts->machine;
    bool machine_there = m->found && !m->removed;

    switch (credential) {
    case CREDENTIAL_CODE:
        if (!facts->code.found || !facts->code.live)
            return (struct no){REFUSE_CODE_INVALID, "invalid"};
        break;
    case CREDENTIAL_KEY:
        if (!key->found || !key->secret_ok || !(key->live || key->spent) || !machine_there)
            return (struct no){REFUSE_KEY_INVALID, "key_invalid"};
        if (!key->creator_ok)
            return (struct no){REFUSE_KEY_INVALID, "key_creator"};
        break;
    case CREDENTIAL_DEVICE:
        if (!machine_there || !m->bound)
            return (struct no){REFUSE_DEVICE_UNKNOWN, "device_unknown"};
        break;
    default: return (struct no){REFUSE_BAD_VALUE, "credential"};
    }
    if (facts->allow.restricted && !facts->allow.allowed)
        return (struct no){REFUSE_ADDRESS_NOT_ALLOWED, "address"};
    return (struct no){REFUSE_NONE, NULL};
}

static void
admit_agent(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    static const enum rule rules[] = {RULE_AGENT_REFUSED_NET};
    enum credential credential = cmd->admit_agent.credential;
    struct no no;

    if (!decide_within(facts, rules, 1, false, out))
        return;
    if (credential == CREDENTIAL_CODE && !decide_code_within(facts, out))
        return;
    no = credential_check(facts, credential);
    if (no.refusal != REFUSE_NONE) {
        agent_rejected(cmd, facts, credential, &no, out);
        return;
    }
    if (credential != CREDENTIAL_CODE) {
        out->reply.machine = facts->machine.machine;
        out->reply.guest = facts->machine.guest;
    }
}

/* The hello against the device that the machine is bound to. */
static struct no
device_check(const struct facts *facts, const struct greet_agent *g)
{
    const struct machine_fact *m = &facts->machine;
    bool same = memcmp(g->hello.device_key, m->device_key, sizeof(m->device_key)) == 0;

    switch (g->admitted.credential) {
    case CREDENTIAL_KEY:
        if (facts->key.spent && !same)
            return (struct no){REFUSE_DEVICE_MISMATCH, "second_device"};
        break;
    case CREDENTIAL_DEVICE:
        if (!same)
            return (struct no){REFUSE_DEVICE_MISMATCH, "device_mismatch"};
        break;
    case CREDENTIAL_CODE: return (struct no){REFUSE_NONE, NULL};
    }
    if (m->online && id_equal(&m->connection, &g->connection))
        return (struct no){REFUSE_BAD_STATEMENT, "greeted_twice"};
    return (struct no){REFUSE_NONE, NULL};
}

/* What every event of a greeting says about the agent. */
static struct draft *
agent_event(const struct command *cmd, const struct facts *facts, enum event_type type,
    const struct id *machine, struct span cosigned, struct decision *out)
{
    struct draft *d = decision_draft(out, type, cmd, facts);

    d->actor = (struct actor){.kind = ACTOR_AGENT, .id = *machine, .tags = facts->tags};
    d->subject.machine = *machine;
    draft_span(d, FIELD_COSIGNED, cosigned);
    return d;
}

static void
agent_software(struct draft *d, const struct greet_agent *g)
{
    draft_some(d, FIELD_SERVICES, g->services);
    draft_some(d, FIELD_OS, g->os);
    draft_some(d, FIELD_AGENT_VERSION, g->version);
}

/* The code is used up; its bearer becomes a guest machine of the code's issuer. */
static void
code_redeemed(const struct command *cmd, const struct facts *facts, const struct id *machine,
    struct span cosigned, struct decision *out)
{
    const struct greet_agent *g = &cmd->greet_agent;
    struct draft *d = agent_event(cmd, facts, EV_CODE_REDEEMED, machine, cosigned, out);

    d->actor = (struct actor){.kind = ACTOR_CODE, .id = facts->code.code, .tags = facts->tags};
    d->subject.code = facts->code.code;
    draft_bytes(out, d, FIELD_DEVICE_KEY, g->hello.device_key, sizeof(g->hello.device_key));
    draft_some(d, FIELD_WORDS, g->words); /* for the technician, who is to hear the same ones */
    decide_drop(out, SECRET_CODE, &facts->code.code, 0);
}

/* The key is spent: the device key speaks from now on. A fresh key for a machine that has a device
 * already is an admin's word that the device was replaced. */
static void
machine_enrolled(const struct command *cmd, const struct facts *facts, struct span cosigned,
    struct decision *out)
{
    const struct greet_agent *g = &cmd->greet_agent;
    const struct machine_fact *m = &facts->machine;
    struct draft *d = agent_event(cmd, facts, m->bound ? EV_MACHINE_REBOUND : EV_MACHINE_ENROLLED,
        &m->machine, cosigned, out);

    draft_id(out, d, FIELD_KEY, &facts->key.key);
    draft_bytes(out, d, FIELD_DEVICE_KEY, g->hello.device_key, sizeof(g->hello.device_key));
    if (m->bound)
        draft_bytes(out, d, FIELD_PRIOR_DEVICE_KEY, m->device_key, sizeof(m->device_key));
    agent_software(d, g);
}

static void
agent_connected(const struct command *cmd, const struct facts *facts, const struct id *machine,
    bool guest, struct span cosigned, struct decision *out)
{
    const struct greet_agent *g = &cmd->greet_agent;
    struct draft *d = agent_event(cmd, facts, EV_AGENT_CONNECTED, machine, cosigned, out);

    draft_id(out, d, FIELD_CONNECTION, &g->connection);
    draft_ip_version(d, cmd);
    draft_word(d, FIELD_CREDENTIAL, credential_name(g->admitted.credential));
    draft_number(d, FIELD_GUEST, guest);
    if (facts->allow.restricted)
        draft_number(d, FIELD_ALLOW_RULE, facts->allow.rule);
    agent_software(d, g);
    draft_sealed(d, PERSONAL_MACHINE, machine, FIELD_MACHINE_NAME, g->name);
    draft_sealed(d, PERSONAL_MACHINE, machine, FIELD_HOST_NAME, g->host_name);
    decide_statement_personal(d, &g->hello, machine);
    draft_caller(d, cmd, PERSONAL_MACHINE, machine);
    out->reply.id = *machine;
    out->reply.machine = *machine;
    out->reply.guest = guest;
    if (!out->reply.cut_connection)
        out->reply.connection = g->connection;
}

/* Newest wins: what still holds the presence is a dead connection, or a copy. Its sessions end with
 * it, as nobody can tell which. */
static void
agent_replaced(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    if (!facts->machine.online)
        return;
    decide_disconnect(cmd, facts, "replaced", out);
    decide_end_all(cmd, facts, "agent_gone", out);
    /* The server draws this conclusion, not the newcomer. */
    for (uint32_t i = 0; i < out->draft_count; i++)
        out->drafts[i].actor = (struct actor){.kind = ACTOR_SERVER};
}

/* The device has moved, or somebody has its key. It is let in either way: only people can tell. */
static void
network_changed(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    unsigned version = caller_ip_version(&cmd->caller);
    const struct tag *last = version == 0 ? NULL : &facts->machine.nets[version == 6];
    struct draft *d;

    if (last == NULL || tag_is_nil(last) || tag_equal(last, &facts->tags.net))
        return;
    d = decision_draft(out, EV_AGENT_ALARMED, cmd, facts);
    d->actor =
        (struct actor){.kind = ACTOR_AGENT, .id = facts->machine.machine, .tags = facts->tags};
    d->subject.machine = facts->machine.machine;
    draft_word(d, FIELD_RULE, "network_changed");
    draft_ip_version(d, cmd);
    draft_caller(d, cmd, PERSONAL_MACHINE, &facts->machine.machine);
}

static void
agent_greeted(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct greet_agent *g = &cmd->greet_agent;
    struct span cosigned = decide_cosigned(out, &g->hello);
    struct id machine = facts->machine.machine;

    if (g->admitted.credential == CREDENTIAL_CODE) {
        machine = entropy_id(entropy);
        code_redeemed(cmd, facts, &machine, cosigned, out);
        agent_connected(cmd, facts, &machine, true, cosigned, out);
        return;
    }
    agent_replaced(cmd, facts, out);
    network_changed(cmd, facts, out);
    if (g->admitted.credential == CREDENTIAL_KEY && !facts->key.spent)
        machine_enrolled(cmd, facts, cosigned, out);
    agent_connected(cmd, facts, &machine, facts->machine.guest, cosigned, out);
}

static void
greet_agent(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    const struct greet_agent *g = &cmd->greet_agent;
    struct no no = credential_check(facts, g->admitted.credential);

    if (no.refusal == REFUSE_NONE && !g->hello.verified)
        no = (struct no){REFUSE_BAD_STATEMENT, "bad_statement"};
    if (no.refusal == REFUSE_NONE)
        no = device_check(facts, g);
    if (no.refusal == REFUSE_NONE) {
        agent_greeted(cmd, facts, entropy, out);
        return;
    }
    if (no.refusal == REFUSE_DEVICE_MISMATCH && strcmp(no.why, "second_device") == 0) {
        struct draft *d = decision_draft(out, EV_AGENT_ALARMED, cmd, facts);

        d->actor = (struct actor){.kind = ACTOR_NOBODY, .tags = facts->tags};
        d->subject.machine = facts->machine.machine;
        draft_word(d, FIELD_RULE, "second_device");
    }
    agent_rejected(cmd, facts, g->admitted.credential, &no, out);
}

static void
agent_gone(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct machine_fact *m = &facts->machine;

    if (!m->found || !m->online || !id_equal(&m->machine, &cmd->caller.machine) ||
        !id_equal(&m->connection, &cmd->caller.connection))
        return; /* another connection of this machine holds the presence by now */
    decide_disconnect(cmd, facts, cmd->agent_gone.why, out);
    out->reply.cut_connection = false;
    for (uint32_t i = 0; i < facts->ending_count; i++) {
        const struct session_fact *s = &facts->ending[i];

        if (s->found && s->state != SESSION_ENDED &&
            id_equal(&s->agent_connection, &cmd->caller.connection))
            decide_end_session(cmd, facts, s, s->n, "agent_gone", out);
    }
}

/* The world knows addresses as tags only, so the loop that holds the connection says where it is
 * from, as it did when the agent was admitted. */
static void
recheck_agent(const struct command *cmd, const struct facts *facts, struct decision *out)
{
    const struct machine_fact *m = &facts->machine;

    if (cmd->caller.kind != CALLER_SERVER) {
        decision_refuse(out, REFUSE_NOT_ALLOWED, NULL, NULL);
        return;
    }
    if (!m->found || !m->online || !id_equal(&m->connection, &cmd->recheck_agent.connection) ||
        !facts->allow.restricted || facts->allow.allowed)
        return;
    decide_end_all(cmd, facts, "agent_gone", out);
    decide_disconnect(cmd, facts, "address_not_allowed", out);
}

void
decide_agent(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out)
{
    switch (cmd->kind) {
    case CMD_ADMIT_AGENT: admit_agent(cmd, facts, out); return;
    case CMD_GREET_AGENT: greet_agent(cmd, facts, entropy, out); return;
    case CMD_AGENT_GONE: agent_gone(cmd, facts, out); return;
    case CMD_RECHECK_AGENT: recheck_agent(cmd, facts, out); return;
    default: INVARIANT(!"a command of another file");
    }
}
