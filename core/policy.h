/* policy.h: the numbers that an admin may change, adopted into the log as an event (policy.adopted
 * carries the stored bytes; decisions that used a policy name its SHA-256). `init` adopts the
 * built-in default; an upgrade never changes it silently. */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include "core/err.h"
#include "core/hash.h"

/* Sliding windows. Keyed by: NET = /32 or /64 tag, WIDE = /24 or /48 tag, ACCOUNT = account tag,
 * ALL = one for everybody, USER = user id. Numbers are for ever (they are in policies and digests).
 */
enum rule {
    RULE_NONE = 0,
    RULE_LOGIN_NET = 1,
    RULE_LOGIN_WIDE = 2,
    RULE_LOGIN_ALL = 3,
    RULE_LOGIN_ACCOUNT = 4, /* an attempt holds a slot; success gives it back */
    RULE_REGISTER_NET = 5,
    RULE_REGISTER_ALL = 6,
    RULE_CODE_NET = 7,      /* HTTP validation and relay together */
    RULE_CODE_FAIL_ALL = 8, /* above: only networks that failed lately are refused */
    RULE_CODE_FAIL_NET = 9, /* "failed lately" */
    RULE_REFRESH_NET = 10,
    RULE_PASSWORD_USER = 11,
    RULE_AGENT_REFUSED_NET = 12,
    RULE_SESSION_USER = 13,
    RULE_CODE_WIDE = 14,
    RULE_LOGIN_DEVICE = 15, /* instead of all other login rules, for a device that is known */
    RULE_COUNT
};

struct rule_limit {
    uint32_t count;
    uint32_t window_s;
};

/* What becomes of a session whose login is used from a network that it is not bound to. */
enum network_mode {
    NETWORK_ROAMING = 0, /* an alert, nothing else */
    NETWORK_PAUSE = 1,   /* an alert, and the relay is paused until a fresh proof binds it anew */
    NETWORK_STRICT = 2,  /* an alert, and the caller is refused */
};

struct policy {
    struct rule_limit rules[RULE_COUNT];
    uint32_t access_s;          /* access token: 900 */
    uint32_t family_s;          /* 12 h */
    uint32_t family_idle_s;     /* 30 min after its last refresh */
    uint32_t refresh_grace_s;   /* 30 s: predecessor gets the same n+1 again, same network */
    uint32_t code_s;            /* 10 min */
    uint32_t codes_live_max;    /* 1000 */
    uint32_t guest_idle_s;      /* 15 min without a session */
    uint32_t consent_s;         /* 120: how long a request waits for consent */
    uint32_t session_s;         /* 4 h */
    uint32_t session_idle_s;    /* 30 min without a payload byte from the technician */
    uint32_t ticket_s;          /* 30 */
    uint32_t invite_s;          /* 7 days */
    uint32_t heartbeat_s;       /* 60 */
    uint32_t registration_open; /* 0: by invitation only */
    uint32_t session_network;   /* enum network_mode: a session's login from another network */
    uint32_t attempts_per_s; /* 10: events of strangers, all together (projections/budget.h) ... */
    uint32_t attempts_burst; /* 2000: ... and how many at once */
    uint32_t machines_alert; /* more machines of one user within MACHINES_LATELY_S alert */
};

#define POLICY_BYTES_MAX 1024

/* The built-in default (design section 7). */
void policy_default(struct policy *out);
/* Canonical msgpack of the policy, and back. A cap of POLICY_BYTES_MAX is always enough. Unknown
 * rules or members are ERR_MALFORMED; numbers out of their documented range ERR_LIMIT. */
MUST_USE enum err policy_encode(const struct policy *p, uint8_t *out, size_t cap, size_t *len);
MUST_USE enum err policy_decode(struct span bytes, struct policy *out);
const char *rule_name(enum rule rule);

/* The same numbers for people, one at a time: "login_net" is "5/60", five in sixty seconds;
 * "session_s" is "14400". */
#define POLICY_TEXT 32
struct policy_item {
    const char *name;
    char value[POLICY_TEXT];  /* in p */
    char normal[POLICY_TEXT]; /* the built-in default */
    char range[POLICY_TEXT];  /* "1-10000/1-86400", "1-3600" */
};
/* False: there is no item i. Items keep their order. */
bool policy_item(const struct policy *p, size_t i, struct policy_item *out);
/* Takes "NAME=VALUE". ERR_NOT_FOUND: no number of that name; ERR_MALFORMED: not of that form;
 * ERR_LIMIT: out of its range. p is changed only on OK. */
MUST_USE enum err policy_set(struct policy *p, struct span assignment);
/* Does item i let more pass in b than in a? */
bool policy_weaker(const struct policy *a, const struct policy *b, size_t i);

#endif
