/* control.h: the messages of an agent's control connection (docs/agents.md). Each is one canonical
 * msgpack array [kind, map] in one binary WebSocket message of at most CONTROL_BYTES_MAX; the
 * tables in control.c say which members a kind has. Both sides scan, bound and type all of it
 * before anything is acted on. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include "core/err.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/span.h"

#define CONTROL_NONCE_BYTES 32
#define CONTROL_SALT_BYTES  16
#define CONTROL_SIG_BYTES   64

enum control_kind {
    /* server to agent */
    CONTROL_CHALLENGE = 1, /* first, once */
    CONTROL_WELCOME = 2,   /* the hello was verified and is durable */
    CONTROL_REFUSED = 3,   /* then the socket closes with 1008 */
    CONTROL_OFFER = 4,     /* somebody asks for a session */
    CONTROL_OPEN = 5,      /* dial back for this channel */
    CONTROL_END = 6,       /* the session is over */
    CONTROL_HEAD = 7,      /* a newer checkpoint */
    CONTROL_CLOSE = 8,     /* a channel ended: sign what you saw, within 2 s */
    /* agent to server */
    CONTROL_HELLO = 16,
    CONTROL_CONSENT = 17,
    CONTROL_CHANNEL_REFUSED = 18,
    CONTROL_CLOSED = 19,
    CONTROL_BYE = 20,
};

enum control_sender { CONTROL_BY_SERVER, CONTROL_BY_AGENT };

/* Numbers in the map in brackets. Absent members are zero. Texts of either side are foreign to the
 * other: escape before showing. */
struct control_challenge {
    uint8_t nonce[CONTROL_NONCE_BYTES]; /* [1] */
    struct span origin;                 /* [2] */
    struct span root_vkey;              /* [3] */
    struct span checkpoint;             /* [4] may be empty */
    uint64_t protocol;                  /* [5] STATEMENT_PROTOCOL */
};

struct control_welcome {
    struct id machine;    /* [1] */
    struct span origin;   /* [2] */
    bool guest;           /* [3] gone with its session */
    struct span words;    /* [4] absent unless enrolled by code */
    struct id connection; /* [5] */
};

struct control_refused {
    struct span code;   /* [1] */
    struct span detail; /* [2] */
};

struct control_offer {
    struct id session;                  /* [1] */
    struct span technician;             /* [2] display name */
    struct span reason;                 /* [3] may be absent */
    uint8_t nonce[CONTROL_NONCE_BYTES]; /* [4] the consent statement's server nonce */
    bool ask;                           /* [5] a person must say yes */
    uint64_t expires_s;                 /* [6] */
};

struct control_open {
    struct id session;                  /* [1] */
    struct id channel;                  /* [2] */
    struct span service;                /* [3] */
    struct span ticket;                 /* [4] goes back in Authorization: Gatehouse-Ticket */
    uint8_t nonce[CONTROL_NONCE_BYTES]; /* [5] the channel statement's server nonce */
    uint64_t cols, rows;                /* [6] [7] shell: absent means 80 x 24 */
    struct span term;                   /* [8] shell: absent means xterm-256color */
};

struct control_end {
    struct id session; /* [1] */
    struct span why;   /* [2] */
};

struct control_head {
    struct span checkpoint; /* [1] */
};

struct control_close {
    struct id channel;                  /* [1] */
    uint64_t to_agent_bytes;            /* [2] as the server counted */
    uint64_t to_technician_bytes;       /* [3] */
    uint8_t nonce[CONTROL_NONCE_BYTES]; /* [4] the close statement's server nonce */
};

/* hello and consent: a statement with its signature, and the personal map it commits to. */
struct control_said {
    struct span statement;            /* [1] */
    uint8_t sig[CONTROL_SIG_BYTES];   /* [2] */
    uint8_t salt[CONTROL_SALT_BYTES]; /* [3] */
    struct span personal;             /* [4] */
};

struct control_channel_refused {
    struct id channel;  /* [1] */
    struct span code;   /* [2] service_off, service_failed, unknown_session, busy, internal */
    struct span detail; /* [3] */
};

struct control_closed {
    struct span statement;          /* [1] */
    uint8_t sig[CONTROL_SIG_BYTES]; /* [2] */
};

struct control_bye {
    struct span why; /* [1] */
};

struct control {
    enum control_kind kind;
    union {
        struct control_challenge challenge;
        struct control_welcome welcome;
        struct control_refused refused;
        struct control_offer offer;
        struct control_open open;
        struct control_end end;
        struct control_head head;
        struct control_close close;
        struct control_said said; /* CONTROL_HELLO, CONTROL_CONSENT */
        struct control_channel_refused channel_refused;
        struct control_closed closed;
        struct control_bye bye;
    };
};

/* "offer"; static storage. */
const char *control_name(enum control_kind kind);

/* ERR_MALFORMED: a member is missing or out of its bounds; ERR_LIMIT: does not fit. */
enum err control_encode(
    const struct control *message, uint8_t *out, size_t cap, size_t *len) MUST_USE;

/* Scans and decodes what `sender` sent; spans borrow from `bytes`. On failure `why` (may be NULL)
 * says what was wrong in at most CONTROL_WHY_MAX - 1 characters, fit for a close frame's reason.
 * ERR_LIMIT: longer than CONTROL_BYTES_MAX; else ERR_MALFORMED. */
#define CONTROL_WHY_MAX 120
enum err control_decode(enum control_sender sender, struct span bytes, struct control *out,
    char why[CONTROL_WHY_MAX]) MUST_USE;

/* The personal maps that statements commit to. */
struct personal_hello {
    struct span machine_name; /* [1] */
    struct span host_name;    /* [2] */
    struct span os_user;      /* [3] */
};

struct personal_consent {
    struct span technician; /* [1] as it was shown */
    struct span reason;     /* [2] as it was shown; absent if none was */
};

enum err personal_hello_encode(
    const struct personal_hello *p, uint8_t *out, size_t cap, size_t *len) MUST_USE;
enum err personal_hello_decode(struct span map, struct personal_hello *out) MUST_USE;
enum err personal_consent_encode(
    const struct personal_consent *p, uint8_t *out, size_t cap, size_t *len) MUST_USE;
enum err personal_consent_decode(struct span map, struct personal_consent *out) MUST_USE;

#endif
