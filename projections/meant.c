/* meant.c: what each command names, in one switch per file of decisions. Pure; ledger thread. */
#include "projections/meant.h"

static void
agent_meant(const struct admit_agent *agent, const struct proofs *proofs, struct meant *m)
{
    switch (agent->credential) {
    case CREDENTIAL_CODE: m->code = &proofs->code; return;
    case CREDENTIAL_KEY: m->key = &agent->key; return;
    case CREDENTIAL_DEVICE: m->machine = &agent->machine; return;
    }
}

static const struct id nobody;

static const struct id *
refresh_family(const struct proofs *proofs)
{
    return proofs->refresh.mac_ok ? &proofs->refresh_family : &nobody;
}

static struct meant
account_meant(const struct command *cmd, const struct proofs *proofs)
{
    struct meant m = {0};

    switch (cmd->kind) {
    case CMD_ATTEMPT_LOGIN:
    case CMD_ADD_USER: m.account = &proofs->tags.account; break;
    case CMD_CONCLUDE_LOGIN: m.attempt = &cmd->conclude_login.attempt; break;
    case CMD_REFRESH_TOKEN: m.family = refresh_family(proofs); break;
    case CMD_LOGOUT:
        if (cmd->caller.kind != CALLER_TOKEN)
            m.family = refresh_family(proofs);
        break;
    case CMD_REVOKE_FAMILY: m.family = &cmd->revoke_family.family; break;
    case CMD_REJECT_TOKEN: m.family = &cmd->reject_token.family; break;
    case CMD_AUTHORIZE:
        m.session = &cmd->authorize.session;
        m.machine = &cmd->authorize.machine;
        m.user = &cmd->authorize.target_user;
        break;
    case CMD_CONCLUDE_PASSWORD: m.attempt = &cmd->conclude_password.attempt; break;
    case CMD_CONCLUDE_REPROVE: m.attempt = &cmd->conclude_reprove.attempt; break;
    case CMD_SET_PASSWORD: m.user = &cmd->set_password.user; break;
    case CMD_REVOKE_INVITE: m.invite = &cmd->revoke_invite.invite; break;
    case CMD_ATTEMPT_REGISTER:
        m.account = &proofs->tags.account;
        m.invite = &cmd->attempt_register.invite;
        break;
    case CMD_CONCLUDE_REGISTER:
        m.account = &proofs->tags.account;
        m.attempt = &cmd->conclude_register.attempt;
        break;
    case CMD_CHANGE_USER: m.user = &cmd->change_user.user; break;
    default: break;
    }
    return m;
}

static struct meant
machine_meant(const struct command *cmd, const struct proofs *proofs)
{
    struct meant m = {0};

    switch (cmd->kind) {
    case CMD_REVOKE_CODE: m.code = &cmd->revoke_code.code; break;
    case CMD_VALIDATE_CODE: m.code = &proofs->code; break;
    case CMD_CHANGE_MACHINE: m.machine = &cmd->change_machine.machine; break;
    case CMD_REMOVE_MACHINE: m.machine = &cmd->remove_machine.machine; break;
    case CMD_ISSUE_KEY: m.machine = &cmd->issue_key.machine; break;
    case CMD_REVOKE_KEY:
        m.machine = &cmd->revoke_key.machine;
        m.key = &cmd->revoke_key.key;
        break;
    case CMD_SET_ALLOWLIST: m.machine = &cmd->set_allowlist.machine; break;
    case CMD_ADMIT_AGENT: agent_meant(&cmd->admit_agent, proofs, &m); break;
    case CMD_GREET_AGENT: agent_meant(&cmd->greet_agent.admitted, proofs, &m); break;
    case CMD_AGENT_GONE: m.machine = &cmd->caller.machine; break;
    case CMD_RECHECK_AGENT: m.machine = &cmd->recheck_agent.machine; break;
    default: break;
    }
    return m;
}

static struct meant
session_meant(const struct command *cmd, const struct proofs *proofs)
{
    struct meant m = {0};

    switch (cmd->kind) {
    case CMD_OPEN_SESSION: m.machine = &cmd->open_session.machine; break;
    case CMD_ANSWER_CONSENT: m.session = &cmd->answer_consent.session; break;
    case CMD_ISSUE_TICKET: m.session = &cmd->issue_ticket.session; break;
    case CMD_ATTACH:
    case CMD_OPEN_CHANNEL:
        if (!proofs->ticket.mac_ok)
            break; /* what it names is anybody's guess */
        m.session = &proofs->ticket.session;
        m.family = &proofs->ticket.family;
        m.channel = &proofs->ticket.channel;
        break;
    case CMD_CLOSE_CHANNEL:
        m.session = &cmd->close_channel.session;
        m.channel = &cmd->close_channel.channel;
        break;
    case CMD_ATTEST_CHANNEL:
        m.session = &cmd->attest_channel.session;
        m.channel = &cmd->attest_channel.channel;
        break;
    case CMD_DETACH:
        m.session = &cmd->detach.session;
        m.channel = &cmd->detach.channel;
        break;
    case CMD_OFFER_TRANSFER:
        m.session = &cmd->offer_transfer.session;
        m.account = &proofs->tags.account;
        break;
    case CMD_ACCEPT_TRANSFER: m.session = &cmd->accept_transfer.session; break;
    case CMD_END_SESSION: m.session = &cmd->end_session.session; break;
    case CMD_NOTE_SESSION: m.session = &cmd->note_session.session; break;
    default: break;
    }
    return m;
}

struct meant
meant_of(const struct command *cmd, const struct proofs *proofs)
{
    if (cmd->kind < CMD_ISSUE_CODE)
        return account_meant(cmd, proofs);
    if (cmd->kind < CMD_OPEN_SESSION)
        return machine_meant(cmd, proofs);
    return session_meant(cmd, proofs);
}
