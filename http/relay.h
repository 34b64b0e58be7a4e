/* relay.h: two WebSockets of one loop joined into a pipe. Bytes of binary messages pass through
 * unread (message bounds need not survive: a message may arrive as several fragments, RFC 6455
 * section 5.4) and are counted; short text messages pass through whole; pings, pongs and closes are
 * answered here. Reading from one side stops while the other is full, so TCP's own back-pressure
 * reaches the sender. On the loop's thread only. */
#ifndef HTTP_RELAY_H
#define HTTP_RELAY_H

#include "http/server.h"

enum relay_side {
    RELAY_TECHNICIAN,
    RELAY_AGENT,
    RELAY_NEITHER,
};

enum relay_why {
    RELAY_CLOSED,   /* `side` closed; code and reason are its own */
    RELAY_GONE,     /* `side` vanished without a close */
    RELAY_PROTOCOL, /* `side` broke the WebSocket protocol or a limit; code says which */
    RELAY_STALLED,  /* `side` took nothing for RELAY_STALL_MS */
    RELAY_DEAD,     /* `side` answered no ping for WS_DEAD_MS */
    RELAY_CUT,      /* relay_cut */
    RELAY_STOPPING, /* the server stops */
};

struct relay_counts {
    uint64_t to_agent;           /* payload bytes of binary messages from the technician ... */
    uint64_t to_technician;      /* ... and from the agent, taken in and passed on */
    uint64_t last_technician_ms; /* loop_now_ms of the technician's last payload byte */
};

struct relay_handlers {
    /* At most once a second while bytes flow. May be NULL. */
    void (*on_progress)(struct loop *loop, void *user, const struct relay_counts *counts);
    /* Once, when both sockets have ended or were told to. Both refs are dead or closing. */
    void (*on_end)(struct loop *loop, void *user, const struct relay_counts *counts,
        enum relay_why why, enum relay_side side, uint16_t code, struct span reason);
};

/* Joins two upgraded sockets, best held since their upgrade (ws_options.hold). Their ws_handlers
 * are not called any more. ERR_NOT_FOUND: one of the refs is dead or not an open WebSocket; nothing
 * has changed for the other. */
enum err relay_pair(struct loop *loop, struct ref technician, struct ref agent,
    const struct relay_handlers *handlers, void *user) MUST_USE;

/* Ends the relay that `side` (either ref) belongs to, at once: no byte passes after this call, both
 * sockets get a close frame if they can take one without waiting, and are dropped in this turn.
 * on_end follows in this turn. False: no such relay any more (http_drop then ends a socket that is
 * still delivering what was queued before its partner left). */
bool relay_cut(struct loop *loop, struct ref side, uint16_t code, const char *reason);

/* Stops or resumes both directions (nothing is read, what is queued stays queued). */
bool relay_pause(struct loop *loop, struct ref side, bool paused);

bool relay_counts_read(struct loop *loop, struct ref side, struct relay_counts *counts);

#endif
