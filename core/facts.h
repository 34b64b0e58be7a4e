/* facts.h: what a decision may know, as plain values. projections/facts.c fills them from the world
 * (and the vault: proofs of MACs and hashed secrets) before the decision runs; a decision reads
 * nothing else. Everything here could be rebuilt from the log and the keystore. */
#ifndef CORE_FACTS_H
#define CORE_FACTS_H

#include "core/command.h"
#include "core/moment.h"
#include "core/policy.h"

struct limit_fact {
    uint32_t count; /* slots held in the window at eff */
    uint32_t limit;
    uint32_t window_s;
    int64_t frees_us; /* eff at which the next slot frees; 0 when below the limit */
};

/* What strangers may write to the log, all together. Support codes may use all of it, everything
 * else three quarters, so that a flood of logins leaves room for who was given a code. */
struct budget_fact {
    bool spent, spent_for_codes;
    int64_t frees_us, codes_free_us; /* when the next one may be written */
};

struct account_fact {
    bool found;
    struct id user;
    enum role role;
    bool disabled;
    uint64_t verifier_version;
    uint64_t changed_seq;   /* last user.* event: If-Match */
    uint32_t admins_active; /* of all accounts: guards the last admin */
};

struct family_fact {
    bool found, revoked;
    struct id family, user;
    uint64_t n; /* last issued */
    int64_t opened_us, refreshed_us;
    struct tag net; /* where the last refresh (or the login) came from */
    struct tag prev_net;
    int64_t rotated_us; /* when n was issued */
    int64_t proved_us;  /* last proof of who it is: the login, or a fresh one */
};

/* A device that an earlier login made known, as presented or as named. */
struct device_fact {
    bool mac_ok, found;
    struct id device, user;
};

/* A refresh token as presented. */
struct refresh_fact {
    bool well_formed, mac_ok;
    uint64_t n;
};

struct attempt_fact { /* login.attempted, password.attempted, register.attempted, not concluded yet
                       */
    bool found;
    enum event_type type;
    uint64_t seq;
    int64_t eff_us;
    struct id user; /* nil: no such account */
    uint64_t verifier_version;
    struct tags tags;
    struct id family; /* password change: the family that asked */
    struct id invite; /* registration */
    struct id device; /* login: the known device that it came from; nil: none */
    enum role role;   /* registration: the invitation's */
};

struct invite_fact {
    bool found, live, secret_ok;
    struct id invite;
    enum role role;
    struct id issuer;
};

struct code_fact {
    bool found, live, redeemed;
    struct id code, issuer, machine; /* machine: the guest, once redeemed */
    int64_t expires_us;
    uint8_t device_key[32]; /* bound device, once redeemed */
};

struct key_fact {
    bool found, secret_ok;
    bool live;  /* neither revoked nor, before it was spent, expired */
    bool spent; /* it bound the device that its machine has now */
    struct id key, machine, creator;
    bool creator_ok;
};

struct machine_fact {
    bool found, removed, guest, bound, online, consent_needed;
    struct id machine, added_by; /* guest: the code's issuer */
    struct id code;              /* guest: its code */
    uint8_t device_key[32];
    struct id connection; /* of the agent that holds presence */
    struct tag nets[2];   /* where its agent came from last, by IPv4 and by IPv6; nil: never */
    uint64_t changed_seq, allow_changed_seq;
    struct span services; /* canonical array of str, as hello said; borrowed from the world */
    uint32_t live_sessions;
};

struct allow_fact {
    bool restricted, allowed;
    uint32_t rule;
}; /* machine's and overall list together */

enum session_state { SESSION_REQUESTED = 1, SESSION_CONSENTED, SESSION_OPEN, SESSION_ENDED };

struct session_fact {
    bool found;
    enum session_state state;
    struct id session, owner, family, machine, agent_connection;
    struct tag net, net_other_ip; /* one per IP version; the second may be nil */
    unsigned net_ip;              /* IP version of net; 0: not known */
    int64_t bound_us;             /* since when it is bound so */
    struct tag suspect;           /* the last foreign network that was told; nil: none since */
    bool paused;                  /* until proven anew */
    struct id offered_to;         /* nil: nobody */
    int64_t offered_us, expires_us;
    int64_t requested_us, opened_us, active_us;
    uint64_t n; /* events of it so far: the next event's N */
    uint32_t channels_open;
    uint64_t channels_total;
    uint64_t to_agent_bytes, to_technician_bytes; /* of closed channels */
};

struct channel_fact {
    bool found, open, closed; /* attached: found; then open (the agent's side came); then closed */
    struct id channel, session;
    int64_t opened_us, attached_us;
    struct span service;
};

/* A ticket as presented. kind 1: technician's (attach), 2: agent's (open_channel). */
struct ticket_fact {
    bool well_formed, mac_ok, used;
    unsigned kind;
    struct tag ticket_id;
    struct id session, family, channel, machine;
    int64_t expires_us;
    char service[64];
};

/* A thing whose time has come, for CMD_TIME_PASSED. */
enum due_kind { DUE_CODE, DUE_SESSION, DUE_REQUEST, DUE_GUEST, DUE_REFUSALS };
struct due {
    enum due_kind kind;
    struct id id;
    const char
        *why; /* static: "expired", "idle", "max_duration", "consent_timeout", "owner_gone" */
};
#define DUE_MAX 32

/* The sessions that something else ends: a revoked family, a removed machine, a stopped server. */
#define ENDING_MAX 64

/* Live sessions of the caller's login that are bound to other networks, as far as nobody was told
 * yet. What does not fit is found by the login's next request. */
#define STRAYING_MAX 16

struct facts {
    const struct policy *policy;
    struct hash policy_hash;
    bool policy_adopted;
    struct moment now;
    uint64_t next_seq; /* number of the first event that this decision makes */
    struct tags tags;  /* of the caller's address (and of the account name typed) */
    struct limit_fact limits[RULE_COUNT];
    bool code_net_failed_lately;
    bool clock_unsure;  /* the server started with a wall clock that cannot be, not accepted yet */
    bool clock_stepped; /* ... or it ran away since */
    struct budget_fact budget;
    bool stopping;
    bool low_space; /* below the mark: a fact of the machine, not of the log; grants nothing */
    bool log_empty; /* no event yet */
    struct account_fact caller;       /* the token's user */
    struct family_fact caller_family; /* the token's own */
    struct family_fact family;        /* the one meant; the token's own where no other is */
    struct account_fact account;      /* the account meant (by name or id) */
    struct device_fact device;
    struct id oldest_device; /* of that account, when it has as many as it may have */
    bool account_name_free;
    struct refresh_fact refresh;
    struct attempt_fact attempt;
    struct invite_fact invite;
    struct code_fact code;
    uint32_t codes_live; /* of all */
    struct key_fact key;
    struct machine_fact machine;
    struct allow_fact allow;
    struct session_fact session;
    struct channel_fact channel;
    struct ticket_fact ticket;
    uint32_t due_count;
    struct due due[DUE_MAX];
    bool due_more;         /* the ledger asks again at once */
    uint32_t ending_count; /* live sessions that the command would end, oldest first */
    struct session_fact ending[ENDING_MAX];
    bool ending_more;
    uint32_t machines_lately; /* of the caller, within MACHINES_LATELY_S, with the one asked for */
    struct alert_fact {
        bool found; /* open: nobody has acknowledged it */
        uint64_t seq;
        struct span rule;
    } alert;
    uint32_t straying_count;
    struct session_fact straying[STRAYING_MAX];
    bool elsewhere;           /* a live session of the caller's login is bound to other networks */
    struct span refusal_rows; /* canonical array, when counted refusals are due */
    uint64_t refusals_total, refusals_generation;
    uint32_t key_epoch, log_epoch;
};

#endif
