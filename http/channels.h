/* channels.h: a technician's socket and an agent's, joined. GET /relay/sessions/{id}/{service}
 * attaches (one-time ticket); the agent is told to dial back (GET /relay/channel, ticket and signed
 * statement); its connection moves to the technician's loop, and the relay pumps. At the end the
 * agent signs what it saw, and the channel is closed by an event. */
#ifndef HTTP_CHANNELS_H
#define HTTP_CHANNELS_H

#include "http/app.h"
#include "http/directory.h"

#define CHANNEL_DIAL_MS        15000 /* for the agent to dial back */
#define CHANNEL_ATTEST_MS      2000  /* for its signed close */
#define CHANNEL_LATE_MS        30000 /* a later one is attested apart */
#define CHANNELS_PER_LOOP      4096
#define TECHNICIAN_SUBPROTOCOL "gatehouse.v1"
#define CHANNEL_SUBPROTOCOL    "gatehouse-channel.v1"

MUST_USE enum err channels_start(struct app *app);
void channels_stop(struct app *app);

/* Each answers its request in any case. service: "shell", "desktop" or "tcp/NAME", as in the path.
 */
void channels_attach_request(struct loop *loop, struct ref ref, const struct request *request,
    const struct id *session, struct span service);
void channels_dial_request(struct loop *loop, struct ref ref, const struct request *request);

/* Ends all channels of all loops, because the server is about to stop, and waits until they are
 * closed by events while agents can still sign. No other begins. Main thread; at most
 * CHANNEL_ATTEST_MS and half a second. */
void channels_end_all(struct app *app);

/* The loop's own channels of a session: no byte passes after this. */
void channels_cut_session(struct loop *loop, const struct id *session);
void channels_cut_all(struct loop *loop);
/* No byte passes either way until resumed; then only for technicians of these networks. */
void channels_pause_session(struct loop *loop, const struct id *session);
void channels_resume_session(struct loop *loop, const struct id *session, const struct tag nets[2]);

/* From the agent's loop: what it said about a channel that lives on place->loop. */
struct agent_said {
    struct channel_place place;
    bool refused; /* channel_refused, with code; else a signed close */
    char code[32];
    uint8_t device_key[32];
    uint8_t statement[4096];
    size_t statement_len;
    uint8_t sig[64];
};
/* Takes said (malloc). */
void channels_agent_said(struct loop *from, struct agent_said *said);

/* Cuts all channels of a session on all loops and calls done when they have been closed by events
 * (or had none), so that session.ended holds their bytes. At most CHANNEL_ATTEST_MS later. */
typedef void (*channels_closed_fn)(struct loop *loop, struct ref ref, void *user);
void channels_close_session(struct loop *loop, const struct id *session, struct ref ref,
    channels_closed_fn done, void *user);

#endif
