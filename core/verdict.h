/* verdict.h: the ledger's answer to one command. Granted or refused, it rests on all events below
 * `rests_on`: nothing of it may leave the server before `durable >= rests_on` (a count of events).
 */
#ifndef CORE_VERDICT_H
#define CORE_VERDICT_H

#include "core/decision.h"

struct verdict {
    enum refusal refusal;
    const char *field, *detail; /* static or NULL */
    struct limit_fact limit;
    /* Behind a refusal: for callers who may read the log, the events by number; for anonymous ones,
     * whose own attempt was recorded, that event's random id: it tells them nothing, and helps who
     * looks into it. Others learn neither: it would tell them apart what is not theirs from what is
     * not there. */
    uint64_t cause[CAUSES_MAX];
    uint32_t cause_count;
    struct id reference; /* nil: none */
    uint64_t
        rests_on; /* number of events the world held when this was decided (its own included) */
    uint64_t first_seq; /* of its own events */
    uint32_t event_count;
    int64_t eff_us; /* when it was decided */
    struct reply reply;
};

/* The receiver frees; wipes. */
void verdict_free(struct verdict *v);

#endif
