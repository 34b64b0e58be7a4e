/* decision.h: command + facts + entropy -> events or a refusal. Pure: no clock, socket, store, log
 * or allocation; the same arguments give the same result, byte for byte. */
#ifndef CORE_DECISION_H
#define CORE_DECISION_H

#include "core/facts.h"
#include "core/refusal.h"

#define DRAFTS_MAX         160 /* ending ENDING_MAX sessions, two events each, and what caused it */
#define DRAFT_PERSONAL_MAX 3
#define DECISION_ARENA     (96 * 1024)
#define CAUSES_MAX         4
#define SECRETS_MAX        40 /* DUE_MAX codes that expire at once, and what caused it */

/* Personal fields for one data subject; sealed under its key (core/seal.h). */
enum personal_key { PERSONAL_USER, PERSONAL_MACHINE, PERSONAL_MONTH };
struct personal {
    enum personal_key key;
    struct id subject; /* user or machine; unused for the month's key */
    struct fields fields;
};

/* An event before the ledger numbers, times, seals and chains it. */
struct draft {
    enum event_type type;
    struct actor actor;
    struct subject subject;
    struct fields data;
    uint32_t personal_count;
    struct personal personal[DRAFT_PERSONAL_MAX];
    bool uses_policy;
};

/* Secrets never enter an event: they go to the keystore, which is synced before the records. */
enum secret_kind {
    SECRET_PASSWORD = 1, /* id user, version; bytes: argon2id string */
    SECRET_CODE = 2,     /* id code; bytes: digits in, kept as keyed hash */
    SECRET_API_KEY = 3,  /* id key; bytes: secret in, kept as SHA-256 */
    SECRET_INVITE = 4,   /* id invite; bytes: secret in, kept as SHA-256 */
    SECRET_SUBJECT = 5,  /* id of user, machine or month: the key that seals; made by the ledger */
    SECRET_ORIGIN =
        6, /* tag key, code key, refresh key, cursor key: one each, made at log.opened */
};
struct secret_op {
    enum secret_kind kind;
    bool drop; /* destroy instead of store */
    struct id id;
    uint64_t version;
    struct span bytes; /* borrowed from the decision's arena or the command */
};

/* What the caller gets beside the verdict: plain values; secrets are wiped with the verdict. */
struct reply {
    struct id id; /* of what was made: code, machine, key, invite, session, user, channel ... */
    struct id user, family, machine, session, channel, connection;
    enum role role;
    uint64_t attempt; /* seq: filled by the ledger for *.attempted events */
    uint64_t token_n;
    uint64_t verifier_version;
    int64_t issued_us, expires_us; /* of the token, code, ticket ... (eff) */
    bool verifier_found;
    bool asks_consent, guest;
    enum session_state state;
    uint8_t nonce[32];  /* server's nonce for a consent or channel statement */
    char verifier[192]; /* argon2id string to prove against (dummy when there is no account) */
    char secret[192];   /* code digits, API key, invite secret, refresh token: shown once */
    struct id device;   /* known by this login ... */
    char device_token[DEVICE_TEXT_MAX]; /* ... and what it shows next time */
    uint8_t ticket[192];                /* technician's or agent's ticket */
    size_t ticket_len;
    char service[64];
    uint32_t ended_count; /* sessions this decision ended: their sockets drop at once */
    struct id ended[ENDING_MAX];
    uint32_t paused_count; /* sessions whose relay pauses at once ... */
    struct id paused[STRAYING_MAX];
    uint32_t resumed_count; /* ... and those that go on, for sockets of the networks in `nets` */
    struct resumed {
        struct id session;
        struct tag nets[2];
    } resumed[ENDING_MAX];
    struct tag net;      /* attach: where the technician is */
    bool cut_channels;   /* of `session`, which goes on */
    bool cut_connection; /* the agent connection `connection` must drop */
    bool recheck_agents; /* of `machine` (nil: all): ask for each whether it may stay */
    bool cut_user;       /* all sockets of `user` must drop (disabled, demoted, revoked) */
};

struct decision {
    enum refusal refusal;
    const char *field;  /* static: which input was bad, or NULL */
    const char *detail; /* static: a sentence for people, or NULL */
    /* The caller's own window (its address's, its user's), with the attempt in it when it was
     * admitted; frees_us is that of the fullest window that refused. limit 0: none. */
    struct limit_fact limit;
    uint64_t cause[CAUSES_MAX]; /* seqs behind a refusal; its own events, the ledger adds */
    uint32_t cause_count;
    bool count_refusal;     /* goes to refusals.counted ... */
    enum rule counted_rule; /* ... for this rule; RULE_NONE: the strangers' budget is spent */
    uint32_t draft_count;
    struct draft drafts[DRAFTS_MAX];
    uint32_t secret_count;
    struct secret_op secrets[SECRETS_MAX];
    struct reply reply;
    size_t arena_len;
    uint8_t arena[DECISION_ARENA];
};

/* Runs the decision for cmd->kind. `out` is large: one scratch per ledger, zeroed once when it is
 * made, and reset by each call. A refusal may come with drafts: they are events like any others. */
void decide(const struct command *cmd, const struct facts *facts, struct entropy *entropy,
    struct decision *out);

/* Before any decision about a caller whose login has straying sessions (facts): says so by events.
 * Never refuses. */
void decide_straying(const struct command *cmd, const struct facts *facts, struct decision *out);

/* For the decide_*.c files. decision_draft: a zeroed draft with actor and subject set from the
 * command (NULL never: running out of drafts is an INVARIANT, as every decision is bounded). */
struct draft *decision_draft(struct decision *out, enum event_type type, const struct command *cmd,
    const struct facts *facts);
/* The event behind a refusal: what happened before, so that this could not. */
void decision_cause(struct decision *out, uint64_t seq);
struct span decision_copy(struct decision *out, struct span bytes);
void decision_refuse(
    struct decision *out, enum refusal refusal, const char *field, const char *detail);
/* Adds the caller's address, proxy and user agent for this data subject, when there are any. */
struct personal *draft_personal(struct draft *d, enum personal_key key, const struct id *subject);
void draft_caller(
    struct draft *d, const struct command *cmd, enum personal_key key, const struct id *subject);

/* One per file of decisions; decide() dispatches. */
void decide_account(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_proof(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_people(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_machine(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_agent(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_session(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_transfer(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_channel(
    const struct command *, const struct facts *, struct entropy *, struct decision *);
void decide_server(
    const struct command *, const struct facts *, struct entropy *, struct decision *);

#endif
