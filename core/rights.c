/* rights.c: who may do what, as one table. Pure; any thread. */
#include "core/rights.h"

#include "core/err.h"

#define A (1u << ROLE_ADMIN)
#define T (1u << ROLE_TECHNICIAN)
#define U (1u << ROLE_AUDITOR)

static const struct action_row {
    const char *name; /* as access.refused records it */
    unsigned roles;
} action_rows[ACTION_COUNT] = {
    [ACTION_NONE] = {"none", 0},
    [ACTION_ME] = {"me", A | T | U},
    [ACTION_CODE_ISSUE] = {"code_issue", A | T},
    [ACTION_CODE_LIST] = {"code_list", A | T | U},
    [ACTION_CODE_REVOKE] = {"code_revoke", A | T}, /* technicians: their own */
    [ACTION_MACHINE_READ] = {"machine_read", A | T | U},
    [ACTION_MACHINE_ADD] = {"machine_add", A},
    [ACTION_MACHINE_CHANGE] = {"machine_change", A}, /* labels will scope rights: not for all */
    [ACTION_MACHINE_REMOVE] = {"machine_remove", A},
    [ACTION_KEY_ISSUE] = {"key_issue", A},
    [ACTION_KEY_REVOKE] = {"key_revoke", A},
    [ACTION_ALLOWLIST_SET] = {"allowlist_set", A},
    [ACTION_SESSION_OPEN] = {"session_open", A | T},
    [ACTION_SESSION_READ] = {"session_read", A | T | U}, /* technicians: their own */
    [ACTION_SESSION_END] = {"session_end", A | T},       /* technicians: their own */
    [ACTION_SESSION_NOTE] = {"session_note", A | T},     /* technicians: their own */
    [ACTION_USER_READ] = {"user_read", A | U},
    [ACTION_USER_CHANGE] = {"user_change", A},
    [ACTION_INVITE_ISSUE] = {"invite_issue", A},
    [ACTION_TOKEN_READ] = {"token_read", A | T | U},     /* technicians: their own */
    [ACTION_TOKEN_REVOKE] = {"token_revoke", A | T | U}, /* all but admins: their own */
    [ACTION_AUDIT_READ] = {"audit_read", A | U},
    [ACTION_ALERT_ACK] = {"alert_ack", A},
    [ACTION_SERVER_ADMIN] = {"server_admin", A},
};

bool
rights_allow(enum role role, enum action action)
{
    INVARIANT(action < ACTION_COUNT);
    return role <= ROLE_AUDITOR && (action_rows[action].roles & (1u << role)) != 0;
}

const char *
role_name(enum role role)
{
    switch (role) {
    case ROLE_ADMIN: return "admin";
    case ROLE_TECHNICIAN: return "technician";
    case ROLE_AUDITOR: return "auditor";
    case ROLE_NONE: break;
    }
    return "none";
}

enum role
role_parse(struct span name)
{
    for (enum role role = ROLE_ADMIN; role <= ROLE_AUDITOR; role++)
        if (span_is(name, role_name(role)))
            return role;
    return ROLE_NONE;
}

const char *
action_name(enum action action)
{
    INVARIANT(action < ACTION_COUNT);
    return action_rows[action].name;
}
