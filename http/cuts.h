/* cuts.h: what must drop at once, told to every loop: sessions that ended, agents' connections that
 * were replaced or revoked; and that an allow list changed, so that each asks for its own agents. A
 * notice is state plus a wake-up: a ring that each loop reads at its own pace; one that falls a
 * whole ring behind drops everything it relays, rather than miss a cut. Pauses of sessions, and
 * their ends, go the same way.
 */
#ifndef HTTP_CUTS_H
#define HTTP_CUTS_H

#include "core/verdict.h"
#include "http/app.h"

#define CUTS_RING 4096

enum cut_kind {
    CUT_SESSION,
    CUT_CONNECTION,
    CUT_RECHECK,
    CUT_EVERYTHING,
    CUT_CHANNELS, /* of a session that goes on */
    CUT_PAUSE,
    CUT_RESUME,
};

struct cut {
    enum cut_kind kind;
    struct id id;
    struct tag nets[2]; /* CUT_RESUME: sockets of other networks are cut */
};

struct cuts;

MUST_USE enum err cuts_start(struct app *app);
void cuts_stop(struct app *app);

/* Any thread (the ledger's, for every verdict): nothing is granted by a cut, so it does not wait
 * for durability. */
void cuts_from_verdict(struct app *app, const struct reply *reply);
void cuts_add(struct app *app, enum cut_kind kind, const struct id *id);

#endif
