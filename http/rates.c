/* rates.c: a table of sliding minutes, one per token family. Any loop. */
#include "http/rates.h"

#include <pthread.h>

#define PROBES 8 /* families whose hashes meet share this many places */

struct rate {
    struct id family; /* nil: free */
    uint64_t second;  /* of the newest count */
    uint32_t total;
    uint32_t streams;
    uint16_t counts[RATES_WINDOW_S]; /* by second modulo the window */
};

struct rates {
    pthread_mutex_t lock;
    struct rate rates[RATES_TOKENS_MAX];
};

struct rates *
rates_new(void)
{
    struct rates *r = calloc(1, sizeof(*r));

    if (r != NULL)
        INVARIANT(pthread_mutex_init(&r->lock, NULL) == 0);
    return r;
}

void
rates_free(struct rates *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* Family ids are random, so their own bytes spread them. Never NULL unless `make` is false: then
 * only what is there. */
static struct rate *
rate_find(struct rates *r, const struct id *family, bool make)
{
    struct rate *stillest = NULL;
    uint32_t at;

    memcpy(&at, family->b, sizeof(at));
    for (uint32_t i = 0; i < PROBES; i++) {
        struct rate *rate = &r->rates[(at + i) % RATES_TOKENS_MAX];

        if (id_equal(&rate->family, family))
            return rate;
        if (id_is_nil(&rate->family)) {
            stillest = rate;
            break;
        }
        if (rate->streams == 0 && (stillest == NULL || rate->second < stillest->second))
            stillest = rate;
    }
    if (!make || stillest == NULL)
        return make ? &r->rates[at % RATES_TOKENS_MAX] : NULL;
    *stillest = (struct rate){.family = *family};
    return stillest;
}

/* Forgets the seconds that left the window. */
static void
rate_slide(struct rate *rate, uint64_t now_s)
{
    if (now_s <= rate->second)
        return;
    if (now_s - rate->second >= RATES_WINDOW_S) {
        memset(rate->counts, 0, sizeof(rate->counts));
        rate->total = 0;
    } else {
        for (uint64_t s = rate->second + 1; s <= now_s; s++) {
            rate->total -= rate->counts[s % RATES_WINDOW_S];
            rate->counts[s % RATES_WINDOW_S] = 0;
        }
    }
    rate->second = now_s;
}

/* Seconds until the oldest count leaves the window. */
static uint32_t
rate_frees_in(const struct rate *rate)
{
    for (uint32_t i = 1; i <= RATES_WINDOW_S; i++)
        if (rate->counts[(rate->second + i) % RATES_WINDOW_S] > 0)
            return i;
    return 0;
}

bool
rates_take(struct rates *r, const struct id *family, uint64_t now_s, int64_t eff_us,
    struct limit_fact *out)
{
    struct rate *rate;
    bool within;

    pthread_mutex_lock(&r->lock);
    rate = rate_find(r, family, true);
    rate_slide(rate, now_s);
    within = rate->total < RATES_PER_MINUTE;
    if (within) {
        rate->counts[rate->second % RATES_WINDOW_S]++;
        rate->total++;
    }
    *out = (struct limit_fact){
        .count = rate->total, .limit = RATES_PER_MINUTE, .window_s = RATES_WINDOW_S};
    out->frees_us = eff_us + (int64_t)rate_frees_in(rate) * US_PER_S;
    pthread_mutex_unlock(&r->lock);
    return within;
}

bool
rates_stream_begin(struct rates *r, const struct id *family, uint64_t now_s)
{
    struct rate *rate;
    bool within;

    pthread_mutex_lock(&r->lock);
    rate = rate_find(r, family, true);
    rate_slide(rate, now_s);
    within = rate->streams < RATES_STREAMS;
    if (within)
        rate->streams++;
    pthread_mutex_unlock(&r->lock);
    return within;
}

void
rates_stream_end(struct rates *r, const struct id *family)
{
    struct rate *rate;

    pthread_mutex_lock(&r->lock);
    if ((rate = rate_find(r, family, false)) != NULL && rate->streams > 0)
        rate->streams--;
    pthread_mutex_unlock(&r->lock);
}
