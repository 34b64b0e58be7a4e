/* budget.c: a bucket of attempts as the time at which it will be full again (the generic cell rate
 * algorithm). Pure, total; ledger thread. */
#include "projections/budget.h"

static int64_t
price_us(const struct policy *policy)
{
    return US_PER_S / (int64_t)policy->attempts_per_s;
}

void
budget_take(struct budget *b, const struct policy *policy, int64_t eff_us)
{
    int64_t most = eff_us + price_us(policy) * (int64_t)policy->attempts_burst;

    b->paid_us = (b->paid_us > eff_us ? b->paid_us : eff_us) + price_us(policy);
    if (b->paid_us > most)
        b->paid_us = most; /* decided under another policy */
}

/* When one more fits into `burst`; at or before now: it does. */
static int64_t
free_us(const struct budget *b, const struct policy *policy, uint32_t burst)
{
    return b->paid_us - price_us(policy) * ((int64_t)burst - 1);
}

void
budget_fact(
    const struct budget *b, const struct policy *policy, int64_t eff_us, struct budget_fact *out)
{
    out->frees_us = free_us(b, policy, policy->attempts_burst / 4 * 3);
    out->codes_free_us = free_us(b, policy, policy->attempts_burst);
    out->spent = out->frees_us > eff_us;
    out->spent_for_codes = out->codes_free_us > eff_us;
}
