/* ownership.h: the part of the world about sessions: who holds which, its channels, and the tickets
 * that were used. Ledger thread. */
#ifndef PROJECTIONS_OWNERSHIP_H
#define PROJECTIONS_OWNERSHIP_H

#include "core/event.h"
#include "core/facts.h"
#include "projections/idmap.h"
#include "projections/timers.h"

struct world;

/* Attached (the technician waits for the agent), then open, then closed. A closed one is kept for
 * CHANNEL_LINGER_S, because the agent may still attest how it closed; an open one may outlive its
 * session for a moment, until what it carried is told. */
struct channel {
    struct id channel, session;
    bool open, closed;
    int64_t attached_us, opened_us, closed_us;
    char service[64];
    uint8_t service_len;
    struct channel *next; /* of the same session */
    struct deadline end;  /* in world.reap, while not open */
};

/* Ended ones are kept for SESSION_LINGER_S, so that a late caller hears "ended". */
struct session {
    struct id session, owner, family, machine, agent_connection;
    enum session_state state;
    struct tag net, net_other; /* bound to, one per IP version; net_other nil: not learned */
    unsigned net_ip;           /* IP version of net; 0: not told */
    int64_t bound_us;
    struct tag suspect;   /* the last foreign network that was told */
    bool paused;          /* until a fresh proof */
    struct id offered_to; /* nil: nobody */
    int64_t offered_us;
    uint64_t requested_seq;
    int64_t requested_us, opened_us, expires_us, ended_us;
    int64_t asked_us;  /* since when it waits for consent: the request, or a transfer */
    bool left_open;    /* by a server that is gone: it is to end as server_restart */
    bool end_told;     /* session.ended was folded */
    int64_t active_us; /* last payload byte of the technician: told by the loops, in no digest */
    uint64_t n;
    uint32_t channels_open;
    uint64_t channels_total, to_agent_bytes, to_technician_bytes;
    struct channel *channels;
    struct session *older, *newer; /* live ones, in order of request */
    struct session *kin;           /* the next live one of the same login */
    struct deadline timer;         /* live: in world.due; ended: in world.reap */
};

struct used_ticket {
    struct tag ticket;
    int64_t used_us;
    struct used_ticket *newer;
};

struct ownership {
    struct idmap sessions, channels, tickets;
    struct idmap by_family; /* the first live session of a login; its kin follow */
    struct session *oldest, *newest;
    uint32_t live;
    struct used_ticket *ticket_oldest, *ticket_newest;
    uint32_t ticket_keep_s; /* longest life of a ticket since the server started */
};

void ownership_init(struct ownership *o);
void ownership_fini(struct ownership *o);
void ownership_fold(struct world *w, const struct event *ev);
void ownership_reap(struct world *w, struct deadline *t); /* an ended session, a closed channel */
void ownership_reap_tickets(struct world *w);
/* The deadlines of live sessions, after something else changed that they depend on: the family or
 * the machine `which`, or anything (NULL). */
void ownership_retime(struct world *w, const struct id *which);
/* A server began or stopped: no channel, no request, no ticket is left; open sessions are marked.
 */
void ownership_restart(struct world *w);
void ownership_touch(struct world *w, const struct id *session, int64_t eff_us);

struct session *session_find(const struct world *w, const struct id *session);
/* The first live session of a login; NULL: none. */
struct session *session_of_family(const struct world *w, const struct id *family);
struct channel *channel_find(const struct world *w, const struct id *channel);
/* Not past its linger. */
bool session_known(const struct session *s, int64_t eff_us);
bool channel_known(const struct world *w, const struct channel *c, int64_t eff_us);
bool ticket_used(const struct world *w, const struct tag *ticket, int64_t eff_us);
/* Why a live session is to end at eff_us: a static word, or NULL. */
const char *session_due_why(const struct world *w, const struct session *s, int64_t eff_us);

#endif
