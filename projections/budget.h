/* budget.h: what strangers may write to the log, all together: attempts_per_s on average,
 * attempts_burst at once. It bounds how fast anonymous traffic can fill the disk, and how many
 * support codes can be tried from however many addresses. One number: until when all that was
 * written is paid for, at attempts_per_s. Pure; ledger thread. */
#ifndef PROJECTIONS_BUDGET_H
#define PROJECTIONS_BUDGET_H

#include "core/facts.h"

struct budget {
    int64_t paid_us; /* eff; what lies before now is no debt */
};

void budget_take(struct budget *b, const struct policy *policy, int64_t eff_us);
void budget_fact(
    const struct budget *b, const struct policy *policy, int64_t eff_us, struct budget_fact *out);

#endif
