/* agent.h: the whole agent: one struct, one thread, one loop. link.c speaks with the server,
 * channel.c moves bytes, consent.c asks the person, records.c remembers what was, to sign it. */
#ifndef TOOLS_AGENT_AGENT_H
#define TOOLS_AGENT_AGENT_H

#include "core/control.h"
#include "core/statement.h"
#include "http/client.h"
#include "http/pollset.h"
#include "http/wsclient.h"
#include "tools/agent/options.h"
#include "tools/agent/state.h"

#include <sys/types.h>

#define AGENT_SESSIONS_MAX 32
#define AGENT_CHANNELS_MAX 128
#define AGENT_RECORDS_MAX  256
#define AGENT_ORPHANS_MAX  128 /* shells told to end, not yet gone */

/* A session that was offered. */
struct agent_session {
    bool used;
    bool granted;    /* by the person, by --yes, or nobody had to be asked */
    bool asking;     /* an answer is still to be given */
    uint64_t number; /* age: the oldest gives way */
    struct id id;
    uint8_t nonce[CONTROL_NONCE_BYTES];
    int64_t deadline_ms; /* of the offer */
    char technician[NAME_BYTES_MAX + 1];
    char reason[NOTE_BYTES_MAX + 1];
    size_t technician_len, reason_len;
};

/* What is remembered of a channel after it ended, for its close statement. */
struct agent_record {
    bool used;
    uint64_t number;
    struct id channel, session;
    uint64_t to_agent_bytes, to_technician_bytes;
    uint64_t exit_status; /* status + 1; 0: none */
    char why[32];
};

enum channel_phase {
    CHANNEL_FREE,
    CHANNEL_REACHING, /* the service is being connected */
    CHANNEL_DIALLING, /* the server is being dialled back */
    CHANNEL_MOVING,
    CHANNEL_CLOSING, /* our close frame is queued */
};

struct agent_channel {
    enum channel_phase phase;
    struct id id, session;
    const struct agent_service *service;
    char term[65];
    uint16_t cols, rows;
    char *authorization; /* ticket, statement, signature; wiped once sent */
    struct stream local; /* service: a socket or the PTY's master */
    struct wsclient *ws;
    pid_t pid; /* of the shell, 0: none (any more) */
    bool exited;
    int exit_status;
    int64_t drain_until_ms; /* after the shell's exit: its last words */
    const char *why;        /* we closed it; static */
    bool stuck;             /* the service does not take what is there for it */
    bool deaf;              /* ... and never will again */
    bool local_ended;       /* the service will send no more */
    bool local_told;        /* ... and the other end knows */
    bool remote_ended;      /* the technician will send no more */
    bool last_was_newline;  /* of the bytes to the PTY */
    uint8_t eof_left;       /* keys to type: 2: return and end-of-file, 1: end-of-file */
    int64_t eof_again_ms;
    uint64_t to_agent_bytes, to_technician_bytes;
};

/* A shell whose channel has ended: SIGHUP was sent, SIGKILL follows. */
struct agent_orphan {
    pid_t pid;
    int64_t kill_at_ms;
};

struct prompt {
    int fd;  /* where answers come from; -1: nobody to ask */
    int out; /* where the question goes */
    bool tty;
    bool ended;                    /* the answers' side is closed */
    struct agent_session *session; /* the one that is asked about */
    char line[128];
    size_t line_len;
    int slot;
};

enum link_phase {
    LINK_WAITING, /* until retry_at_ms */
    LINK_DIALLING,
    LINK_CHALLENGED, /* open, the challenge is awaited */
    LINK_GREETED,    /* hello sent */
    LINK_UP,         /* welcome */
    LINK_LEAVING,    /* bye and close are queued */
};

struct link {
    enum link_phase phase;
    struct wsclient *ws;
    uint64_t credential; /* 1 code, 2 key, 3 device */
    char *authorization;
    int64_t retry_at_ms, deadline_ms;
    unsigned failures;  /* in a row */
    bool ever_answered; /* the server was there at least once */
    bool ever_up;
    uint8_t server_nonce[STATEMENT_NONCE], agent_nonce[STATEMENT_NONCE];
    char words[32];
    bool device_refused; /* the stored id is not known any more: the key is tried once */
};

struct agent {
    struct agent_options options;
    struct state state;
    struct client *client;
    struct link link;
    struct prompt prompt;
    struct id machine; /* from welcome or the state folder */
    bool known;        /* `machine` is set */
    bool guest;
    bool guest_served; /* a session was granted */
    bool guest_over;   /* its one session has ended: leave soon */
    int64_t leave_at_ms;
    struct agent_session sessions[AGENT_SESSIONS_MAX];
    struct agent_channel channels[AGENT_CHANNELS_MAX];
    struct agent_record records[AGENT_RECORDS_MAX];
    struct agent_orphan orphans[AGENT_ORPHANS_MAX];
    uint64_t counter;
    int signals; /* signalfd */
    int signals_slot;
    bool stopping;
    bool done;
    enum agent_exit exit;
};

/* link.c */
void link_start(struct agent *a);
void link_prepare(struct agent *a, struct pollset *ps);
void link_step(struct agent *a, const struct pollset *ps);
/* Sends a message if the link is up. ERR_CLOSED: it is not; ERR_FULL. */
enum err link_send(struct agent *a, const struct control *message) MUST_USE;
/* Says bye and ends in a moment. */
void link_leave(struct agent *a, const char *why);
void link_fini(struct agent *a);

/* messages.c: what the server says while the link is up */
void messages_take(struct agent *a, const struct control *message);
struct agent_session *session_find(struct agent *a, const struct id *id);
/* The person's (or --yes's) answer: signs and sends it. */
void session_answer(struct agent *a, struct agent_session *s, bool granted, bool prompted);
/* Signs by the device key; the body goes to `body`. INVARIANT: the statement is well-formed. */
size_t agent_sign(struct agent *a, const struct statement *st, uint8_t body[STATEMENT_BYTES_MAX],
    uint8_t sig[CONTROL_SIG_BYTES]);

/* channel.c */
void channel_open(struct agent *a, const struct control_open *open);
void channels_prepare(struct agent *a, struct pollset *ps);
void channels_step(struct agent *a, const struct pollset *ps);
/* Ends it here and now; a record stays. */
void channel_end(struct agent *a, struct agent_channel *ch, const char *why);
void channels_end_session(struct agent *a, const struct id *session, const char *why);
struct agent_channel *channel_find(struct agent *a, const struct id *id);
/* A child has exited. */
void channel_child(struct agent *a, pid_t pid, int wait_status);
bool channels_idle(const struct agent *a); /* no channel and no shell is left */

/* records.c */
struct agent_record *record_find(struct agent *a, const struct id *channel);
struct agent_record *record_make(struct agent *a, const struct id *channel);

/* consent.c */
void prompt_init(struct prompt *p);
void prompt_prepare(struct agent *a, struct pollset *ps);
void prompt_step(struct agent *a, const struct pollset *ps);
/* The session is gone or answered otherwise. */
void prompt_withdraw(struct agent *a, const struct agent_session *s);

#endif
