/* catalogue.h: every event type and every field that was ever written, in one table each. The
 * tables drive the codec, JSON, documents and exports. Numbers are for ever: a row is added, never
 * changed; a changed meaning is a new version (v) or a new number. */
#ifndef CORE_CATALOGUE_H
#define CORE_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

/* How a field is encoded, and how JSON shows it. */
enum field_kind {
    KIND_U64,  /* int; number */
    KIND_I64,  /* int, may be negative; number */
    KIND_US,   /* int, microseconds; RFC 3339 time */
    KIND_BOOL, /* bool */
    KIND_STR,  /* str; string */
    KIND_BIN,  /* bin; base64 */
    KIND_HASH, /* bin32; hex */
    KIND_TAG,  /* bin16; hex */
    KIND_USER, /* bin16 ids of a kind; prefixed text */
    KIND_MACHINE,
    KIND_SESSION,
    KIND_CODE,
    KIND_KEY,
    KIND_FAMILY,
    KIND_CHANNEL,
    KIND_EVENT_ID,
    KIND_INVITE,
    KIND_DEVICE,
    KIND_STRS,     /* array of str; array of strings */
    KIND_COSIGNED, /* [purpose, statement, sig]; object of base64 */
    KIND_ROWS,     /* array of arrays; shown as nested arrays */
};

/* number, NAME, json name, kind, personal (only ever inside sealed) */
#define FIELDS(X)                                                                                  \
    /* personal: people's and host names, addresses, user agents, notes, reasons */                \
    X(1, ACCOUNT_NAME, "account_name", KIND_STR, true)                                             \
    X(2, ADDRESS, "address", KIND_STR, true)                                                       \
    X(3, PROXY_ADDRESS, "proxy_address", KIND_STR, true)                                           \
    X(4, USER_AGENT, "user_agent", KIND_STR, true)                                                 \
    X(5, MACHINE_NAME, "machine_name", KIND_STR, true)                                             \
    X(6, HOST_NAME, "host_name", KIND_STR, true)                                                   \
    X(7, NOTE, "note", KIND_STR, true)                                                             \
    X(8, REASON_TEXT, "reason_text", KIND_STR, true)                                               \
    X(9, DISPLAY_NAME, "display_name", KIND_STR, true)                                             \
    X(10, STATEMENT_SALT, "statement_salt", KIND_BIN, true)                                        \
    X(11, STATEMENT_PERSONAL, "statement_personal", KIND_BIN, true)                                \
    X(12, OS_USER, "os_user", KIND_STR, true)                                                      \
    /* general */                                                                                  \
    X(20, N, "n", KIND_U64, false) /* dense number of a session's events */                        \
    X(21, TOTAL, "total", KIND_U64, false)                                                         \
    X(22, WHY, "why", KIND_STR, false) /* a word of a fixed list */                                \
    X(23, EXPIRES_US, "expires", KIND_US, false)                                                   \
    X(24, COSIGNED, "cosigned", KIND_COSIGNED, false)                                              \
    X(25, COUNT, "count", KIND_U64, false)                                                         \
    X(26, ROWS, "rows", KIND_ROWS, false)                                                          \
    X(27, RULE, "rule", KIND_STR, false)                                                           \
    X(28, ATTEMPT, "attempt", KIND_U64, false) /* seq of the attempt that this concludes */        \
    X(29, FROM_SEQ, "from_seq", KIND_U64, false)                                                   \
    X(30, TO_SEQ, "to_seq", KIND_U64, false)                                                       \
    X(31, GENERATION, "generation", KIND_U64, false)         /* of a table of counted refusals */  \
    X(32, REFUSAL_COUNTS, "refusal_counts", KIND_STR, false) /* as found at start */               \
    /* server, keys, clock */                                                                      \
    X(40, VERSION, "version", KIND_STR, false)                                                     \
    X(41, ROOT_KEY, "root_key", KIND_BIN, false)                                                   \
    X(42, LOG_KEY, "log_key", KIND_BIN, false)                                                     \
    X(43, EVENT_KEY, "event_key", KIND_BIN, false)                                                 \
    X(44, ROOT_SIG, "root_sig", KIND_BIN, false)                                                   \
    X(45, KEY_ROLE, "key_role", KIND_STR, false) /* "event" or "log" */                            \
    X(46, EPOCH, "epoch", KIND_U64, false)                                                         \
    X(47, NEW_KEY, "new_key", KIND_BIN, false)                                                     \
    X(48, POSSESSION_SIG, "possession_sig", KIND_BIN, false)                                       \
    X(49, OTHER_SIG, "other_sig", KIND_BIN, false)                                                 \
    X(50, BOOTTIME_US, "boottime_us", KIND_U64, false)                                             \
    X(51, WALL_ERROR_US, "wall_error_us", KIND_I64, false)                                         \
    X(52, POLICY_BYTES, "policy", KIND_BIN, false)                                                 \
    X(53, DIGEST, "digest", KIND_HASH, false)                                                      \
    X(54, DIGEST_VERSION, "digest_version", KIND_U64, false)                                       \
    X(55, KERNEL_BOOT, "kernel_boot", KIND_TAG, false)                                             \
    X(56, ANCHOR_SHARED, "anchor_shares_device", KIND_BOOL, false)                                 \
    X(57, ORIGIN, "origin", KIND_STR, false)                                                       \
    /* accounts and tokens */                                                                      \
    X(70, ROLE, "role", KIND_U64, false)                                                           \
    X(71, VERIFIER_VERSION, "verifier_version", KIND_U64, false)                                   \
    X(72, FAMILY, "family", KIND_FAMILY, false)                                                    \
    X(73, TOKEN_N, "token_n", KIND_U64, false)                                                     \
    X(74, NET, "net", KIND_TAG, false)                                                             \
    X(75, ACCOUNT, "account", KIND_TAG, false)                                                     \
    X(76, INVITE, "invite", KIND_INVITE, false)                                                    \
    X(77, DISABLED, "disabled", KIND_BOOL, false)                                                  \
    X(78, DEVICE, "device", KIND_DEVICE, false)                                                    \
    X(79, DEVICE_KEY, "device_key", KIND_BIN, false)                                               \
    X(80, FINGERPRINT, "fingerprint", KIND_HASH, false)                                            \
    /* machines, codes, keys */                                                                    \
    X(90, LABELS, "labels", KIND_STRS, false)                                                      \
    X(91, KEY, "key", KIND_KEY, false)                                                             \
    X(92, ALLOW, "allow", KIND_STRS, false)                                                        \
    X(93, GUEST, "guest", KIND_BOOL, false)                                                        \
    X(94, SERVICES, "services", KIND_STRS, false)                                                  \
    X(95, OS, "os", KIND_STR, false)                                                               \
    X(96, AGENT_VERSION, "agent_version", KIND_STR, false)                                         \
    X(97, DIGITS, "digits", KIND_U64, false)                                                       \
    X(98, CREDENTIAL, "credential", KIND_STR, false) /* code, key or device */                     \
    X(99, ALLOW_RULE, "allow_rule", KIND_U64, false) /* index of the rule that matched */          \
    X(100, CODE, "code", KIND_CODE, false)                                                         \
    X(101, PRIOR_DEVICE_KEY, "prior_device_key", KIND_BIN, false)                                  \
    /* sessions and channels */                                                                    \
    X(110, CHANNEL, "channel", KIND_CHANNEL, false)                                                \
    X(111, SERVICE, "service", KIND_STR, false)                                                    \
    X(112, TO_AGENT_BYTES, "to_agent_bytes", KIND_U64, false)                                      \
    X(113, TO_TECHNICIAN_BYTES, "to_technician_bytes", KIND_U64, false)                            \
    X(114, DURATION_US, "duration_us", KIND_U64, false)                                            \
    X(115, CONSENT_MODE, "consent_mode", KIND_STR, false) /* prompt, yes-flag, unattended */       \
    X(116, EXIT_STATUS, "exit_status", KIND_I64, false)                                            \
    X(117, CHANNELS, "channels", KIND_U64, false)                                                  \
    X(118, WORDS, "words", KIND_STR, false)                                                        \
    X(119, AGENT_WHY, "agent_why", KIND_STR, false)                                                \
    X(120, OWNER, "owner", KIND_USER, false)                                                       \
    X(121, TICKET, "ticket", KIND_TAG, false) /* one-time id of the ticket that was used */        \
    X(122, CONNECTION, "connection", KIND_TAG, false) /* an agent's control connection */          \
    X(123, IP_VERSION, "ip_version", KIND_U64, false) /* of the caller: 4 or 6 */                  \
    X(124, NET_MODE, "net_mode", KIND_STR, false)     /* pause, refuse or note */                  \
    X(125, MACHINES, "machines", KIND_U64, false)     /* of this user, lately, with this one */    \
    X(126, TO_USER, "to_user", KIND_USER, false)                                                   \
    X(127, FROM_USER, "from_user", KIND_USER, false)                                               \
    /* audit */                                                                                    \
    X(130, QUERY, "query", KIND_STR, false)                                                        \
    X(131, ACTION, "action", KIND_STR, false)                                                      \
    X(132, ALERT_SEQ, "alert_seq", KIND_U64, false)                                                \
    X(133, ALERT_RULE, "alert_rule", KIND_STR, false)                                              \
    X(134, WEAKENED, "weakened", KIND_STRS, false) /* numbers that let more pass */

enum field {
    FIELD_NONE = 0,
#define X(num, name, json, kind, personal) FIELD_##name = num,
    FIELDS(X)
#undef X
};

/* number, NAME, dotted name, v, OCSF class uid, OCSF activity id, ECS category, ECS outcome */
#define EVENTS(X)                                                                                  \
    X(1, LOG_OPENED, "log.opened", 1, 6002, 1, "configuration", "success")                         \
    X(2, KEY_ROTATED, "key.rotated", 1, 6002, 3, "configuration", "success")                       \
    X(3, KEY_COMPROMISED, "key.compromised", 1, 6002, 3, "configuration", "unknown")               \
    X(4, POLICY_ADOPTED, "policy.adopted", 1, 6002, 3, "configuration", "success")                 \
    X(5, SERVER_STARTED, "server.started", 1, 6002, 6, "process", "success")                       \
    X(6, SERVER_STOPPED, "server.stopped", 1, 6002, 7, "process", "success")                       \
    X(7, CLOCK_STEPPED, "clock.stepped", 1, 6002, 99, "host", "unknown")                           \
    X(8, HEARTBEAT, "heartbeat", 1, 6002, 99, "host", "success")                                   \
    X(9, AUDIT_READ, "audit.read", 1, 6003, 2, "database", "success")                              \
    X(10, AUDIT_EXPORTED, "audit.exported", 1, 6003, 2, "database", "success")                     \
    X(11, AUDIT_GAP, "audit.gap", 1, 6003, 99, "database", "failure")                              \
    X(12, BACKUP_TAKEN, "backup.taken", 1, 6003, 99, "database", "success")                        \
    X(13, STATE_COMMITTED, "state.committed", 1, 6002, 99, "database", "success")                  \
    X(14, CONNECTION_REFUSED, "connection.refused", 1, 4001, 5, "network", "failure")              \
    X(15, REFUSALS_COUNTED, "refusals.counted", 2, 4001, 5, "network", "failure")                  \
    X(16, CLOCK_ACCEPTED, "clock.accepted", 1, 6002, 3, "host", "success")                         \
    X(20, LOGIN_ATTEMPTED, "login.attempted", 1, 3002, 1, "authentication", "unknown")             \
    X(21, LOGIN_SUCCEEDED, "login.succeeded", 1, 3002, 1, "authentication", "success")             \
    X(22, LOGIN_FAILED, "login.failed", 1, 3002, 1, "authentication", "failure")                   \
    X(23, LOGOUT, "logout", 1, 3002, 2, "authentication", "success")                               \
    X(24, TOKEN_REFRESHED, "token.refreshed", 1, 3002, 3, "authentication", "success")             \
    X(25, TOKEN_REUSED, "token.reused", 1, 3002, 3, "authentication", "failure")                   \
    X(26, TOKEN_REJECTED, "token.rejected", 1, 3002, 99, "authentication", "failure")              \
    X(27, TOKEN_REVOKED, "token.revoked", 1, 3002, 99, "authentication", "success")                \
    X(28, TOKEN_FORGED, "token.forged", 1, 3002, 99, "intrusion_detection", "failure")             \
    X(29, SECRET_ROTATED, "secret.rotated", 1, 6002, 3, "configuration", "success")                \
    X(30, ACCESS_REFUSED, "access.refused", 1, 6003, 99, "iam", "failure")                         \
    X(40, USER_REGISTERED, "user.registered", 1, 3001, 1, "iam", "success")                        \
    X(41, USER_CHANGED, "user.changed", 1, 3001, 99, "iam", "success")                             \
    X(42, USER_DISABLED, "user.disabled", 1, 3001, 5, "iam", "success")                            \
    X(43, USER_ERASED, "user.erased", 1, 3001, 6, "iam", "success")                                \
    X(44, PASSWORD_CHANGED, "password.changed", 1, 3001, 3, "iam", "success")                      \
    X(45, FACTOR_ENROLLED, "factor.enrolled", 1, 3001, 10, "iam", "success")                       \
    X(46, FACTOR_REMOVED, "factor.removed", 1, 3001, 11, "iam", "success")                         \
    X(47, INVITE_ISSUED, "invite.issued", 1, 3001, 99, "iam", "success")                           \
    X(48, DEVICE_KNOWN, "device.known", 1, 3001, 99, "iam", "success")                             \
    X(49, DEVICE_REMOVED, "device.removed", 1, 3001, 99, "iam", "success")                         \
    X(50, USER_ENABLED, "user.enabled", 1, 3001, 2, "iam", "success")                              \
    X(51, PASSWORD_ATTEMPTED, "password.attempted", 1, 3001, 3, "iam", "unknown")                  \
    X(52, PASSWORD_REFUSED, "password.refused", 1, 3001, 3, "iam", "failure")                      \
    X(53, INVITE_REVOKED, "invite.revoked", 1, 3001, 99, "iam", "success")                         \
    X(54, REGISTER_ATTEMPTED, "register.attempted", 1, 3001, 1, "iam", "unknown")                  \
    X(55, REGISTER_REFUSED, "register.refused", 1, 3001, 1, "iam", "failure")                      \
    X(56, PROOF_RENEWED, "proof.renewed", 1, 3002, 99, "authentication", "success")                \
    X(60, CODE_ISSUED, "code.issued", 1, 3001, 99, "iam", "success")                               \
    X(61, CODE_REDEEMED, "code.redeemed", 1, 3002, 1, "authentication", "success")                 \
    X(62, CODE_REJECTED, "code.rejected", 1, 3002, 1, "authentication", "failure")                 \
    X(63, CODE_EXPIRED, "code.expired", 1, 3001, 99, "iam", "success")                             \
    X(64, CODE_REVOKED, "code.revoked", 1, 3001, 99, "iam", "success")                             \
    X(65, CODE_VALIDATED, "code.validated", 1, 3002, 99, "authentication", "success")              \
    X(70, MACHINE_ENROLLED, "machine.enrolled", 1, 5001, 1, "host", "success")                     \
    X(71, MACHINE_CHANGED, "machine.changed", 1, 5001, 99, "host", "success")                      \
    X(72, MACHINE_REBOUND, "machine.rebound", 1, 5001, 99, "host", "success")                      \
    X(73, MACHINE_REMOVED, "machine.removed", 1, 5001, 99, "host", "success")                      \
    X(74, KEY_ISSUED, "key.issued", 1, 3001, 99, "iam", "success")                                 \
    X(75, KEY_REVOKED, "key.revoked", 1, 3001, 99, "iam", "success")                               \
    X(76, ALLOWLIST_CHANGED, "allowlist.changed", 1, 6002, 3, "configuration", "success")          \
    X(77, MACHINE_ADDED, "machine.added", 1, 5001, 1, "host", "success")                           \
    X(80, AGENT_CONNECTED, "agent.connected", 1, 4001, 1, "session", "success")                    \
    X(81, AGENT_REJECTED, "agent.rejected", 1, 4001, 5, "session", "failure")                      \
    X(82, AGENT_DISCONNECTED, "agent.disconnected", 1, 4001, 2, "session", "success")              \
    X(83, AGENT_ALARMED, "agent.alarmed", 1, 4001, 99, "intrusion_detection", "failure")           \
    X(90, SESSION_REQUESTED, "session.requested", 1, 3003, 99, "session", "unknown")               \
    X(91, SESSION_CONSENTED, "session.consented", 1, 3003, 99, "session", "success")               \
    X(92, SESSION_DENIED, "session.denied", 1, 3003, 99, "session", "failure")                     \
    X(93, SESSION_OPENED, "session.opened", 1, 3003, 1, "session", "success")                      \
    X(94, SESSION_ATTACHED, "session.attached", 1, 3003, 99, "session", "success")                 \
    X(95, SESSION_ATTACH_REFUSED, "session.attach_refused", 1, 3003, 99, "session", "failure")     \
    X(96, SESSION_DETACHED, "session.detached", 1, 3003, 99, "session", "success")                 \
    X(97, SESSION_TRANSFER_OFFERED, "session.transfer_offered", 1, 3003, 99, "session", "unknown") \
    X(98, SESSION_TRANSFERRED, "session.transferred", 1, 3003, 99, "session", "success")           \
    X(99, SESSION_REPROVED, "session.reproved", 1, 3003, 99, "session", "success")                 \
    X(100, CHANNEL_OPENED, "channel.opened", 1, 4001, 1, "network", "success")                     \
    X(101, CHANNEL_CLOSED, "channel.closed", 1, 4001, 2, "network", "success")                     \
    X(102, CHANNEL_ATTESTED, "channel.attested", 1, 4001, 99, "network", "success")                \
    X(103, SESSION_NOTED, "session.noted", 1, 3003, 99, "session", "success")                      \
    X(104, SESSION_ENDED, "session.ended", 1, 3003, 2, "session", "success")                       \
    X(105, SESSION_SUSPECTED, "session.suspected", 1, 3003, 99, "intrusion_detection", "failure")  \
    X(106, SESSION_BOUND, "session.bound", 1, 3003, 99, "session", "success")                      \
    X(110, ALERT_ACKNOWLEDGED, "alert.acknowledged", 1, 2004, 2, "configuration", "success")

enum event_type {
    EV_NONE = 0,
#define X(num, name, dotted, v, ocsf, act, ecs, outcome) EV_##name = num,
    EVENTS(X)
#undef X
};

struct event_row {
    enum event_type type;
    const char *name; /* dotted */
    uint32_t v;
    uint32_t ocsf_class, ocsf_activity;
    const char *ecs_category, *ecs_outcome;
};

struct field_row {
    enum field field;
    const char *name; /* in JSON */
    enum field_kind kind;
    bool personal;
};

/* NULL for numbers and names that this build does not know. Static storage. */
const struct event_row *catalogue_event(enum event_type type);
const struct event_row *catalogue_event_named(const char *dotted, unsigned long len);
const struct field_row *catalogue_field(enum field field);
/* All rows, for documents and tests; *count is set. */
const struct event_row *catalogue_events(unsigned *count);
const struct field_row *catalogue_fields(unsigned *count);

#endif
