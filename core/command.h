/* command.h: what may be asked of the ledger. Imperative; whole and typed before it is sent;
 * carries no clock and no randomness (the ledger hands those to the decision). A command owns its
 * bytes: all spans in it point into its own arena, so it may cross threads. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include "core/event.h"

/* What a caller may ask the API to do; core/rights.h says which role may. */
enum action {
    ACTION_NONE,
    ACTION_ME,
    ACTION_CODE_ISSUE,
    ACTION_CODE_LIST,
    ACTION_CODE_REVOKE,
    ACTION_MACHINE_READ,
    ACTION_MACHINE_ADD,
    ACTION_MACHINE_CHANGE,
    ACTION_MACHINE_REMOVE,
    ACTION_KEY_ISSUE,
    ACTION_KEY_REVOKE,
    ACTION_ALLOWLIST_SET,
    ACTION_SESSION_OPEN,
    ACTION_SESSION_READ,
    ACTION_SESSION_END,
    ACTION_SESSION_NOTE,
    ACTION_USER_READ,
    ACTION_USER_CHANGE,
    ACTION_INVITE_ISSUE,
    ACTION_TOKEN_READ,
    ACTION_TOKEN_REVOKE,
    ACTION_AUDIT_READ,
    ACTION_ALERT_ACK,
    ACTION_SERVER_ADMIN, /* keys, policy, clock, backup: admin, or the local command line */
    ACTION_COUNT
};

enum role { ROLE_NONE = 0, ROLE_ADMIN = 1, ROLE_TECHNICIAN = 2, ROLE_AUDITOR = 3 };

enum caller_kind {
    CALLER_NOBODY, /* anonymous over the network */
    CALLER_TOKEN,  /* a verified access token */
    CALLER_CLI,    /* local command line: admin.sock, or the state folder with the lock held */
    CALLER_AGENT,  /* a proven agent connection */
    CALLER_SERVER, /* the server itself */
};

struct caller {
    enum caller_kind kind;
    struct id user, family; /* CALLER_TOKEN: claims of the verified token */
    uint64_t token_n;       /* its n */
    struct id machine;      /* CALLER_AGENT */
    struct id connection;   /* CALLER_AGENT: the control connection's random id */
    bool has_address;
    uint8_t address[16];                              /* IPv6, IPv4 as ::ffff: */
    struct span address_text, proxy_text, user_agent; /* personal */
};

/* 4, 6, or 0 without an address. */
unsigned caller_ip_version(const struct caller *caller);

enum command_kind {
    CMD_NONE,
    /* accounts: core/decide_account.c */
    CMD_ATTEMPT_LOGIN,
    CMD_CONCLUDE_LOGIN,
    CMD_REFRESH_TOKEN,
    CMD_LOGOUT,
    CMD_REVOKE_FAMILY,
    CMD_REMOVE_DEVICE,
    CMD_REJECT_TOKEN,
    CMD_AUTHORIZE, /* may the caller do action? no event; the grant rests on the log all the same */
    CMD_ATTEMPT_PASSWORD,
    CMD_CONCLUDE_PASSWORD,
    CMD_ATTEMPT_REPROVE, /* (these two: core/decide_proof.c) */
    CMD_CONCLUDE_REPROVE,
    CMD_SET_PASSWORD, /* by the local command line: no current password */
    CMD_ISSUE_INVITE,
    CMD_REVOKE_INVITE,
    CMD_ATTEMPT_REGISTER,
    CMD_CONCLUDE_REGISTER,
    CMD_ADD_USER, /* by the local command line */
    CMD_CHANGE_USER,
    /* (from CMD_ISSUE_INVITE on: core/decide_people.c) */
    /* codes, machines, keys: core/decide_machine.c */
    CMD_ISSUE_CODE,
    CMD_REVOKE_CODE,
    CMD_VALIDATE_CODE,
    CMD_ADD_MACHINE,
    CMD_CHANGE_MACHINE,
    CMD_REMOVE_MACHINE,
    CMD_ISSUE_KEY,
    CMD_REVOKE_KEY,
    CMD_SET_ALLOWLIST,
    /* agents: core/decide_agent.c */
    CMD_ADMIT_AGENT,
    CMD_GREET_AGENT, /* the verified hello */
    CMD_AGENT_GONE,
    CMD_RECHECK_AGENT, /* an allow list changed: may this one stay? */
    /* sessions and channels: core/decide_session.c */
    CMD_OPEN_SESSION,
    CMD_ANSWER_CONSENT,
    CMD_ISSUE_TICKET,
    CMD_ATTACH,
    CMD_OPEN_CHANNEL,
    CMD_CLOSE_CHANNEL,
    CMD_ATTEST_CHANNEL,
    CMD_DETACH,
    CMD_OFFER_TRANSFER, /* (these two: core/decide_transfer.c) */
    CMD_ACCEPT_TRANSFER,
    CMD_END_SESSION,
    CMD_NOTE_SESSION,
    /* audit and the server itself: core/decide_server.c */
    CMD_READ_AUDIT,
    CMD_EXPORT_AUDIT,
    CMD_ACK_ALERT,
    CMD_OPEN_LOG,
    CMD_ADOPT_POLICY,
    CMD_START_SERVER,
    CMD_STOP_SERVER,
    CMD_TIME_PASSED,
    CMD_ROTATE_KEY,
    CMD_ROTATE_SECRET,
    CMD_ACCEPT_CLOCK,
    CMD_COUNT
};

/* A statement an agent signed, checked at the edge: purpose, form and signature by `device_key`.
 * What it says is in the command's typed members. */
struct signed_statement {
    bool verified;
    struct span purpose, statement, sig;
    struct span salt, personal; /* the personal map it commits to; may be empty */
    uint8_t device_key[32];     /* the key it verified under */
};

struct attempt_login {
    struct span account_name;
    struct span device; /* what a device shows that was known before; may be empty, or anything */
};
struct conclude_login {
    uint64_t attempt;
    bool proven;
    uint64_t verifier_version;
    bool remember; /* this device shall be known by its success */
};
struct refresh_token {
    struct span token;
};
struct revoke_family {
    struct id family;
};
struct remove_device {
    struct id device;
};
struct reject_token {
    const char *why;
    bool forged;
    struct id family;
    uint64_t token_n;
}; /* static why */
struct authorize {
    enum action action;
    struct id session, machine, target_user;
};
struct conclude_password {
    uint64_t attempt;
    bool proven;
    struct span verifier; /* argon2id string of the new password */
};
struct conclude_reprove {
    uint64_t attempt;
    bool proven;
};
struct set_password {
    struct id user;
    struct span verifier;
};
struct issue_invite {
    enum role role;
};
struct revoke_invite {
    struct id invite;
};
struct attempt_register {
    struct id invite;
    struct span secret, account_name;
};
struct conclude_register {
    uint64_t attempt;
    struct span account_name, display_name, verifier;
};
struct add_user {
    enum role role;
    struct span account_name, display_name, verifier;
};
/* if_match: 0: not asked; IF_MATCH_NEVER: must never have been changed; else the seq of the last
 * change that the caller has seen. */
#define IF_MATCH_NEVER UINT64_MAX
struct change_user {
    struct id user;
    enum role role; /* ROLE_NONE: unchanged */
    int disabled;   /* -1 unchanged, 0, 1 */
    uint64_t if_match;
};
struct issue_code {
    uint32_t ttl_s;
}; /* 0: the policy's */
struct revoke_code {
    struct id code;
};
struct validate_code {
    struct span digits;
};
struct add_machine {
    struct span name, labels;
}; /* labels: canonical array of str */
struct change_machine {
    struct id machine;
    struct span name, labels, note; /* ptr NULL: unchanged */
    uint64_t if_match;
};
struct remove_machine {
    struct id machine;
};
struct issue_key {
    struct id machine;
    uint32_t ttl_s;
};
struct revoke_key {
    struct id machine, key;
};
struct set_allowlist {
    struct id machine;
    struct span allow;
    uint64_t if_match;
}; /* nil machine: all */
enum credential { CREDENTIAL_CODE = 1, CREDENTIAL_KEY = 2, CREDENTIAL_DEVICE = 3 };
struct admit_agent {
    enum credential credential;
    struct span code; /* digits */
    struct id key;    /* and its secret: */
    struct span key_secret;
    struct id machine; /* device */
};
struct greet_agent {
    struct admit_agent admitted; /* as it was admitted; checked again */
    struct signed_statement hello;
    struct span name, host_name, os, version, services; /* services: canonical array of str */
    struct span words;                                  /* the two words; empty unless by code */
    struct id connection;                               /* this control connection */
};
struct agent_gone {
    const char *why;
}; /* static */
/* By the server, with the agent's address as the caller's. */
struct recheck_agent {
    struct id machine, connection;
};
struct open_session {
    struct id machine;
    struct span reason;
};
struct answer_consent {
    struct id session;
    bool granted;
    const char *mode;
    struct signed_statement said;
};
struct issue_ticket {
    struct id session;
    struct span service;
};
struct attach {
    struct span ticket;
    struct id session;
    struct span service;
};
struct open_channel {
    struct span ticket;
    struct signed_statement said;
};
struct close_channel {
    struct id session, channel;
    uint64_t to_agent_bytes, to_technician_bytes, duration_us;
    bool has_exit;
    int64_t exit_status;
    const char *why;              /* static */
    const char *agent_why;        /* static; why there is no co-signature, or NULL */
    struct signed_statement said; /* verified=false: none came in time */
};
struct attest_channel {
    struct id session, channel;
    struct signed_statement said;
};
struct detach {
    struct id session, channel; /* a channel that was attached and never opened */
    const char *why;
};
struct end_session {
    struct id session;
    const char *why;
};
struct offer_transfer {
    struct id session;
    struct span to; /* account name */
};
struct accept_transfer {
    struct id session;
};
struct note_session {
    struct id session;
    struct span note;
};
struct read_audit {
    const char *action;
    struct span query;
};
struct export_audit {
    const char *action; /* "log": all of it, as a file */
};
struct ack_alert {
    uint64_t seq;
    struct span rule, note; /* note may be empty */
};
struct open_log {
    const char *origin;
    uint8_t root_pk[32], log_pk[32], event_pk[32], root_sig[64];
};
struct adopt_policy {
    struct span policy;
    bool has_base; /* made from the policy of this hash: refused when another is in force */
    struct hash base;
};
struct start_server {
    struct id boot;
    struct tag kernel_boot;
    struct hash world_digest; /* of the world that was rebuilt, before this event */
    uint32_t digest_version;
    bool anchor_shares_device;
    const char *refusal_counts; /* static: how they were found (projections/refusals.h), or NULL */
    bool clock_stepped;
    int64_t wall_error_us;
    bool secret_known; /* fingerprint is the token secret's, and the log has not named another */
    struct hash fingerprint;
};
struct stop_server {
    const char *why;
};
struct rotate_key {
    bool log_key; /* else the event key */
    uint32_t epoch;
    uint8_t new_pk[32], possession_sig[64], other_sig[64];
};
/* The secret of access tokens, by its fingerprint. leaked: the one before is not to be trusted in
 * anything; until_us: eff until which its tokens are still taken, 0: not at all. */
struct rotate_secret {
    bool leaked;
    struct hash fingerprint;
    int64_t until_us;
};
struct time_passed {
    bool heartbeat;
    bool clock_stepped;
    int64_t wall_error_us;
};

struct command;

/* Where the verdict goes. The receiver holds a reserved slot, so delivery cannot fail. */
struct verdict;
struct reply_to {
    void (*deliver)(void *ctx, struct command *cmd, struct verdict *verdict); /* ledger thread */
    void *ctx;
    uint64_t ref; /* the receiver's own */
};

struct command {
    enum command_kind kind;
    struct caller caller;
    struct reply_to reply_to;
    union {
        struct attempt_login attempt_login;
        struct conclude_login conclude_login;
        struct refresh_token refresh_token;
        struct revoke_family revoke_family;
        struct remove_device remove_device;
        struct reject_token reject_token;
        struct authorize authorize;
        struct conclude_password conclude_password;
        struct conclude_reprove conclude_reprove;
        struct set_password set_password;
        struct issue_invite issue_invite;
        struct revoke_invite revoke_invite;
        struct attempt_register attempt_register;
        struct conclude_register conclude_register;
        struct add_user add_user;
        struct change_user change_user;
        struct issue_code issue_code;
        struct revoke_code revoke_code;
        struct validate_code validate_code;
        struct add_machine add_machine;
        struct change_machine change_machine;
        struct remove_machine remove_machine;
        struct issue_key issue_key;
        struct revoke_key revoke_key;
        struct set_allowlist set_allowlist;
        struct admit_agent admit_agent;
        struct greet_agent greet_agent;
        struct agent_gone agent_gone;
        struct recheck_agent recheck_agent;
        struct open_session open_session;
        struct answer_consent answer_consent;
        struct issue_ticket issue_ticket;
        struct attach attach;
        struct open_channel open_channel;
        struct close_channel close_channel;
        struct attest_channel attest_channel;
        struct detach detach;
        struct end_session end_session;
        struct offer_transfer offer_transfer;
        struct accept_transfer accept_transfer;
        struct note_session note_session;
        struct read_audit read_audit;
        struct export_audit export_audit;
        struct ack_alert ack_alert;
        struct open_log open_log;
        struct adopt_policy adopt_policy;
        struct start_server start_server;
        struct stop_server stop_server;
        struct rotate_key rotate_key;
        struct rotate_secret rotate_secret;
        struct time_passed time_passed;
    };
    struct command *next; /* the ledger's queue */
    size_t arena_cap, arena_len;
    uint8_t arena[]; /* wiped by command_free: it may hold codes and keys */
};

/* arena_cap: how many bytes of strings this command will hold. NULL: no memory. */
struct command *command_new(enum command_kind kind, size_t arena_cap);
void command_free(struct command *cmd);
/* Copies bytes into the arena; an INVARIANT when they do not fit. */
struct span command_copy(struct command *cmd, struct span bytes);

#endif
