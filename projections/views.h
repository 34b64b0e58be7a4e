/* views.h: what people ask about, as rows: users, machines, codes, sessions, and indexes of events.
 * views_fold.c turns durable events into rows (projector's thread), views_query.c reads them
 * (loops, inside one read transaction of core/rows.h). Nothing decides from these. Rows are this
 * build's own structs (VIEWS_SCHEMA guards them); texts are NUL-terminated and were validated
 * before they were recorded, but are still foreign: escape before showing. */
#ifndef PROJECTIONS_VIEWS_H
#define PROJECTIONS_VIEWS_H

#include "core/filter.h"
#include "core/rows.h"
#include "core/words.h"

/* Members have room for the longest that is recorded (core/limits.h); longer ones of an odd log are
 * cut between two code points, lists that are too long left out. */
#define NAME_BYTES     200  /* account, display and machine names */
#define TEXT_ROW_BYTES 4008 /* reasons and notes */
#define LABELS_BYTES   4240 /* canonical array of str, as recorded */
#define ALLOW_BYTES    2960 /* canonical array of str, as recorded */
#define ADDRESS_BYTES  48

struct user_row {
    struct id user;
    uint64_t changed_seq; /* ETag */
    int64_t added_us, login_us;
    uint32_t role; /* enum role */
    bool disabled, erased;
    char name[NAME_BYTES], display[NAME_BYTES];
};

/* The nil id's row says nothing but the allow list for all machines (allow, allow_seq). */
struct machine_row {
    struct id machine, connection, code, issuer; /* code, issuer: of a guest */
    struct id bound_key;                         /* the API key that bound the device */
    uint64_t changed_seq, allow_seq;
    int64_t added_us, seen_us; /* seen: last connect or disconnect; online: now */
    bool guest, bound, online, removed;
    bool named; /* by people: then the agent's own name for itself does not replace it */
    char name[NAME_BYTES], host[NAME_BYTES], os[NAME_BYTES], version[72], address[ADDRESS_BYTES];
    char note[TEXT_ROW_BYTES];
    char words[WORDS_TEXT_MAX]; /* of a guest: what its person reads out */
    uint16_t labels_len, services_len, allow_len;
    uint8_t labels[LABELS_BYTES], services[LABELS_BYTES], allow[ALLOW_BYTES];
};

enum code_state { CODE_LIVE = 1, CODE_REDEEMED, CODE_EXPIRED, CODE_REVOKED };
struct code_row {
    struct id code, issuer, machine;
    int64_t issued_us, expires_us, ended_us;
    uint32_t state, digits;
};

enum key_state { KEY_LIVE = 1, KEY_SPENT, KEY_REVOKED };
struct key_row {
    struct id key, machine, creator;
    int64_t issued_us, expires_us, used_us;
    uint32_t state;
};

enum invite_state { INVITE_LIVE = 1, INVITE_USED, INVITE_REVOKED };
struct invite_row {
    struct id invite, issuer, user;
    int64_t issued_us, expires_us;
    uint32_t state, role;
};

struct family_row { /* a login and its refresh tokens */
    struct id family, user;
    int64_t opened_us, refreshed_us, ended_us, expires_us;
    uint64_t n;
    bool device; /* no login, but a device that one made known; `family` is its id */
    bool live;   /* not ended by an event: past expires_us (or idle) it is over all the same */
    char why[32], address[ADDRESS_BYTES], user_agent[264];
};

struct session_row {
    struct id session, owner, machine;
    struct id offered_to; /* nil: nobody */
    uint64_t events;      /* so far: the largest N + 1 */
    int64_t requested_us, opened_us, ended_us, expires_us;
    uint64_t to_agent_bytes, to_technician_bytes, channels; /* bytes: of closed channels */
    uint32_t state;                                         /* enum session_state of core/facts.h */
    bool paused;      /* used from another network: until a fresh proof */
    bool bytes_known; /* false: left open by a server that was killed */
    char why[32], consent_mode[16], reason[TEXT_ROW_BYTES];
    char owner_name[NAME_BYTES], machine_name[NAME_BYTES]; /* as they are called now */
};

struct channel_row {
    struct id channel, session;
    int64_t attached_us, opened_us, closed_us;
    uint64_t to_agent_bytes, to_technician_bytes;
    bool has_exit, cosigned; /* cosigned: the agent signed for the close */
    int64_t exit_status;
    char service[72], why[32];
};

#define ALERT_EVENTS_MAX 16
struct alert_row {   /* of projections/alert_rules.h */
    struct id alert; /* its seq in the last eight bytes: views_alert_id */
    struct id user, machine, session, acked_by; /* of the event that opened it; may be nil */
    uint64_t seq, last_seq, count, acked_seq;   /* acked_seq 0: open */
    int64_t opened_us, last_us, acked_us;
    uint32_t severity;
    struct id key; /* alert_key */
    char rule[32];
    uint16_t events_len;
    uint8_t events[8 * ALERT_EVENTS_MAX]; /* be64 seqs: the first that joined it */
};

#define VIEWS_MINUTE_US 60000000
struct minute_row { /* statistics of one minute of eff time */
    uint64_t events, logins, logins_failed, refusals, sessions, agents;
};

/* The fold, to be handed to the store's projector. Deterministic and total. */
struct view_fold views_fold_port(void);

/* Look-ups: ERR_NOT_FOUND. ERR_MALFORMED: the views on disk are not what they should be (here and
 * below). Names compare as account names do: ASCII case folded. */
MUST_USE enum err views_user(const struct rows *r, const struct id *user, struct user_row *out);
MUST_USE enum err views_user_named(const struct rows *r, struct span name, struct user_row *out);
MUST_USE enum err views_machine(
    const struct rows *r, const struct id *machine, struct machine_row *out);
MUST_USE enum err views_code(const struct rows *r, const struct id *code, struct code_row *out);
MUST_USE enum err views_session(
    const struct rows *r, const struct id *session, struct session_row *out);

/* Lists, newest first (by when they were made; ids break ties). `after` (NULL: from the newest) is
 * page.last of the page before: VIEWS_POSITION_BYTES opaque bytes; any bytes are safe. At most
 * `limit` rows go to each(), and at most VIEWS_LOOKED_MAX rows are looked at, those that are left
 * out included, so a page may be short, even empty, and the list still go on: `more` says whether,
 * `last` where. When each() says false that row was the last, and `more` is true. */
#define VIEWS_POSITION_BYTES 24
#define VIEWS_LOOKED_MAX     2000
struct views_position {
    uint8_t b[VIEWS_POSITION_BYTES];
};
struct views_page {
    const struct views_position *after;
    uint32_t limit;
    bool more; /* out, as is last */
    struct views_position last;
};
MUST_USE enum err views_users(const struct rows *r, struct views_page *page,
    bool (*each)(void *arg, const struct user_row *row), void *arg);
/* filter may be NULL. issuer (may be NULL): guests of other issuers are left out. Removed machines
 * are in no list, only looked up. */
MUST_USE enum err views_machines(const struct rows *r, struct views_page *page,
    const struct filter *filter, const struct id *issuer, int64_t now_us,
    bool (*each)(void *arg, const struct machine_row *row), void *arg);
/* issuer/owner/user NULL: everybody's. */
MUST_USE enum err views_codes(const struct rows *r, struct views_page *page,
    const struct id *issuer, bool (*each)(void *arg, const struct code_row *row), void *arg);
MUST_USE enum err views_keys(const struct rows *r, struct views_page *page,
    const struct id *machine, bool (*each)(void *arg, const struct key_row *row), void *arg);
MUST_USE enum err views_invites(const struct rows *r, struct views_page *page,
    bool (*each)(void *arg, const struct invite_row *row), void *arg);
MUST_USE enum err views_families(const struct rows *r, struct views_page *page,
    const struct id *user, bool (*each)(void *arg, const struct family_row *row), void *arg);
MUST_USE enum err views_sessions(const struct rows *r, struct views_page *page,
    const struct id *owner, bool (*each)(void *arg, const struct session_row *row), void *arg);
/* open_only: without those that were acknowledged. */
MUST_USE enum err views_alerts(const struct rows *r, struct views_page *page, bool open_only,
    bool (*each)(void *arg, const struct alert_row *row), void *arg);
struct id views_alert_id(uint64_t seq);
MUST_USE enum err views_alert(const struct rows *r, uint64_t seq, struct alert_row *out);
/* Oldest first; at most VIEWS_LOOKED_MAX. */
MUST_USE enum err views_channels(const struct rows *r, const struct id *session,
    bool (*each)(void *arg, const struct channel_row *row), void *arg);

/* Statistics: the minutes from <= minute < to that had events, oldest first, at most limit of them
 * (and VIEWS_LOOKED_MAX). 0: open. minute_us: when the minute began. */
MUST_USE enum err views_minutes(const struct rows *r, int64_t from_us, int64_t to_us,
    uint32_t limit, bool (*each)(void *arg, int64_t minute_us, const struct minute_row *row),
    void *arg);

/* Events by index: all that are given must hold, whichever index is the most selective. Ascending
 * by seq, from `after` + 1 (has_after false: from the start). each() gets seqs only: records are
 * read from the log. At most `limit`, and at most about VIEWS_LOOKED_MAX index entries a call, so a
 * page may be short, even empty, and there still be more. *next: the next call's `after`; also when
 * *more is false, for who waits for new events. When each() says false that seq was the last, and
 * *more is true. */
struct events_query {
    bool has_type, has_user, has_machine, has_session, has_address;
    uint32_t type_count;
    uint32_t types[16];
    struct id user, machine, session; /* user: actor or subject */
    uint8_t address[16];
    int64_t from_us, to_us; /* from <= eff < to; 0: open */
    bool has_after;
    uint64_t after;
    uint32_t limit;
};
MUST_USE enum err views_events(const struct rows *r, const struct events_query *query,
    bool (*each)(void *arg, uint64_t seq), void *arg, uint64_t *next, bool *more);

#endif
