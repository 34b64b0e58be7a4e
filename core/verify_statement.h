/* verify_statement.h: the agents' words in a log. An event that rests on one must carry it, it must
 * say what the event says, and the device that the machine is bound to must have signed it: so who
 * runs the server cannot invent a consent. Part of core/verify.h. */
#ifndef CORE_VERIFY_STATEMENT_H
#define CORE_VERIFY_STATEMENT_H

#include "core/event.h"
#include "core/statement.h"

/* A statement's signature, to be checked by whoever has time. Borrowed from the record. */
struct statement_job {
    bool there;
    enum purpose purpose;
    struct span statement, sig;
    uint8_t pk[32];
};

/* Which device key each machine is bound to, by the events so far. */
struct devices;

struct devices *devices_new(void); /* NULL: no memory */
void devices_free(struct devices *d);

/* The next event. NULL when all is well so far, and *job is what is left to check; else what is
 * wrong (static; verify_no_memory is not the log's fault). */
extern const char verify_no_memory[];
const char *verify_statement(struct devices *d, const struct event *ev, struct statement_job *job);

#endif
