/* channels_internal.h: one channel, for the files that share its life: channels_attach.c brings the
 * technician, channels_dial.c the agent, channels_close.c ends what was relayed, channels.c what
 * was not, channels_cut.c ends both because somebody said so. For channels*.c only. */
#ifndef HTTP_CHANNELS_INTERNAL_H
#define HTTP_CHANNELS_INTERNAL_H

#include <uthash.h>

#include "http/channels.h"
#include "http/relay.h"

enum channel_state {
    CHANNEL_DIALLING, /* the technician waits for the agent */
    CHANNEL_OPEN,     /* the relay pumps */
    CHANNEL_SIGNING,  /* over; waiting for the agent's close statement */
    CHANNEL_CLOSED,   /* channel.closed is on its way; a late statement is attested apart */
};

struct channel {
    struct loop *loop;
    struct channel_place place; /* as in the directory */
    enum channel_state state;
    struct ref technician, agent;
    struct timer timer;
    uint8_t close_nonce[32];
    uint64_t opened_ms, to_agent, to_technician, duration_ms, touched_ms;
    const char *why;
    struct tag net; /* the technician's */
    bool paused;    /* until the session's owner proves himself again */
    UT_hash_handle hh;
};

struct channels {
    struct channel *by_id;
};

struct channel *channels_find(struct loop *loop, const struct id *id);
/* Attached, as the verdict says. NULL: too many, or no memory. */
struct channel *channels_add(
    struct loop *loop, struct ref technician, const struct verdict *verdict);
void channels_drop(struct channel *c);
/* Before the relay: nothing passed, so it is the technician who was detached. Frees c. */
void channels_detach(struct channel *c, const char *why);

/* A socket whose channel is no more, or not yet: its end concerns nobody. */
extern const struct ws_handlers channels_orphan_handlers;
/* What a held socket says too early ends it. */
void channels_nothing_expected(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message);

/* With the channel as user: the relay's end is the channel's. */
extern const struct relay_handlers channels_relay_handlers;
/* It is over, c->why says why: the agent is asked what it saw. */
void channels_sign(struct channel *c);
/* Closes by event. said NULL: agent_why says why there is no statement. */
void channels_close(struct channel *c, const struct agent_said *said, const char *agent_why);

#endif
