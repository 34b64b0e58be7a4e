/* refusal.h: the ways in which the world says no. One row each: the code that API clients and
 * events see, the HTTP status, and the sentence for people. A refusal is a value, never an error.
 */
#ifndef CORE_REFUSAL_H
#define CORE_REFUSAL_H

/* NAME, code, status, title */
#define REFUSALS(X)                                                                                \
    X(NONE, "ok", 200, "Granted")                                                                  \
    X(BUSY, "busy", 503, "The server is busy; try again shortly")                                  \
    X(TOO_OFTEN, "too_often", 429, "Too many attempts")                                            \
    X(BAD_LOGIN, "bad_login", 401, "Account name or password is wrong")                            \
    X(NOT_AUTHENTICATED, "not_authenticated", 401, "A valid access token is needed")               \
    X(TOKEN_EXPIRED, "token_expired", 401, "The token has expired")                                \
    X(TOKEN_REVOKED, "token_revoked", 401, "The token was revoked")                                \
    X(TOKEN_REUSED, "token_reused", 401, "The refresh token was used before")                      \
    X(TOKEN_INVALID, "token_invalid", 401, "The token is not one of ours")                         \
    X(ACCOUNT_DISABLED, "account_disabled", 401, "The account is disabled")                        \
    X(NOT_ALLOWED, "not_allowed", 403, "Your role does not allow this")                            \
    X(NOT_FOUND, "not_found", 404, "There is no such thing, or it is not yours")                   \
    X(BAD_VALUE, "bad_value", 400, "A value is not acceptable")                                    \
    X(NAME_TAKEN, "name_taken", 409, "The account name is taken")                                  \
    X(LAST_ADMIN, "last_admin", 409, "The last active admin cannot be removed")                    \
    X(WRONG_PASSWORD, "wrong_password", 403, "The current password is wrong")                      \
    X(INVITE_INVALID, "invite_invalid", 403, "The invitation is unknown, used or expired")         \
    X(CODE_INVALID, "code_invalid", 401, "The support code is unknown, used or expired")           \
    X(KEY_INVALID, "key_invalid", 401, "The API key is unknown, used or revoked")                  \
    X(DEVICE_UNKNOWN, "device_unknown", 401, "This device is not enrolled here")                   \
    X(DEVICE_MISMATCH, "device_mismatch", 403, "Another device is bound to this machine")          \
    X(ADDRESS_NOT_ALLOWED, "address_not_allowed", 403, "The address is not on the allow list")     \
    X(BAD_STATEMENT, "bad_statement", 403, "The signed statement does not verify")                 \
    X(MACHINE_OFFLINE, "machine_offline", 409, "The machine's agent is not connected")             \
    X(SERVICE_OFF, "service_off", 409, "The machine's owner has not turned this service on")       \
    X(NOT_CONSENTED, "not_consented", 409, "The person at the machine has not consented yet")      \
    X(SESSION_ENDED, "session_ended", 409, "The session has ended")                                \
    X(TICKET_INVALID, "ticket_invalid", 401, "The ticket is unknown, used or expired")             \
    X(CHANGED_MEANWHILE, "changed_meanwhile", 412, "It was changed meanwhile; read it again")      \
    X(TOO_MANY, "too_many", 409, "A limit on how many there may be is reached")                    \
    X(CLOCK_UNSURE, "clock_unsure", 503, "The clock was stepped; an admin must accept it")         \
    X(STOPPING, "stopping", 503, "The server is stopping")                                         \
    X(KEY_ROTATING, "key_rotating", 409, "A key rotation is under way")                            \
    X(REPROVE_NEEDED, "reprove_needed", 403, "Prove once more that it is you")                     \
    X(OTHER_NETWORK, "other_network", 403, "Your session is bound to another network")             \
    X(LOW_SPACE, "low_space", 503, "The disk is nearly full; the server takes nothing new")

enum refusal {
#define X(name, code, status, title) REFUSE_##name,
    REFUSALS(X)
#undef X
        REFUSAL_COUNT
};

struct refusal_row {
    const char *code;
    int status;
    const char *title;
};

const struct refusal_row *refusal_row(enum refusal refusal);

#endif
