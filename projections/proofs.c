/* proofs.c: commands against the vault. Ledger thread. */
#include "projections/proofs.h"

#include "core/tags.h"

static struct span
typed_account_name(const struct command *cmd)
{
    switch (cmd->kind) {
    case CMD_ATTEMPT_LOGIN: return cmd->attempt_login.account_name;
    case CMD_ATTEMPT_REGISTER: return cmd->attempt_register.account_name;
    case CMD_CONCLUDE_REGISTER: return cmd->conclude_register.account_name;
    case CMD_ADD_USER: return cmd->add_user.account_name;
    case CMD_OFFER_TRANSFER: return cmd->offer_transfer.to;
    default: return (struct span){NULL, 0};
    }
}

static void
prove_credential(const struct vault *v, const struct admit_agent *agent, struct proofs *out)
{
    if (agent->credential == CREDENTIAL_CODE)
        (void)vault_find_code(v, agent->code, &out->code);
    if (agent->credential == CREDENTIAL_KEY)
        out->key_secret_ok = vault_check(v, SECRET_API_KEY, &agent->key, agent->key_secret);
}

void
proofs_gather(const struct vault *v, const struct command *cmd, struct proofs *out)
{
    const uint8_t *tag_key = vault_origin_key(v, ORIGIN_KEY_TAG);
    struct span name = typed_account_name(cmd);

    *out = (struct proofs){0};
    if (cmd->caller.has_address)
        tags_address(tag_key, cmd->caller.address, &out->tags);
    if (name.len > 0)
        out->tags.account = tag_account(tag_key, name);
    switch (cmd->kind) {
    case CMD_LOGOUT:
        if (cmd->caller.kind != CALLER_NOBODY)
            return; /* by access token */
        /* fallthrough */
    case CMD_REFRESH_TOKEN:
        vault_refresh_read(v, cmd->refresh_token.token, &out->refresh, &out->refresh_family);
        return;
    case CMD_ATTEMPT_LOGIN:
        out->device_mac_ok = vault_device_read(v, cmd->attempt_login.device, &out->device);
        return;
    case CMD_VALIDATE_CODE: (void)vault_find_code(v, cmd->validate_code.digits, &out->code); return;
    case CMD_ADMIT_AGENT: prove_credential(v, &cmd->admit_agent, out); return;
    case CMD_GREET_AGENT: prove_credential(v, &cmd->greet_agent.admitted, out); return;
    case CMD_ATTEMPT_REGISTER:
        out->invite_secret_ok = vault_check(
            v, SECRET_INVITE, &cmd->attempt_register.invite, cmd->attempt_register.secret);
        return;
    case CMD_ATTACH: vault_ticket_read(v, cmd->attach.ticket, &out->ticket); return;
    case CMD_OPEN_CHANNEL: vault_ticket_read(v, cmd->open_channel.ticket, &out->ticket); return;
    default: return;
    }
}
