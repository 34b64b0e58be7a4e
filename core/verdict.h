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
    uint64_t cause[4];
    uint32_t cause_count;
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
