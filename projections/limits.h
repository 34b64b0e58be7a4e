/* limits.h: exact sliding windows. A key (network tag, account tag, user id, or nil for "all") has
 * at most `count` slots in any window of `window_s`: a slot taken at t is held while now < t +
 * window, and free exactly at t + window. Everything is O(1) or O(log count) and bounded: at most
 * LIMITS_KEYS_MAX keys per rule; when they are used up, keys that are not known yet share one
 * bucket, which is counted for an alert; keys that are known keep theirs. Keys without a slot in
 * the window are given up in the order of their last use, so that every process gives up the same.
 * Only the fold writes here: an attempt that was refused makes no event and takes no slot. */
#ifndef PROJECTIONS_LIMITS_H
#define PROJECTIONS_LIMITS_H

#include "core/event.h"
#include "core/facts.h"
#include "projections/idmap.h"

struct bucket {
    struct tag key;
    int64_t touched_us;           /* last slot taken: the bucket lives until touched_us + window */
    struct bucket *older, *newer; /* in order of touched_us */
    uint32_t head, count, cap;    /* ring of slot times, oldest at head */
    int64_t *at;                  /* cap grows up to the rule's count */
};

struct window {
    uint32_t limit, window_s; /* limit 0: the rule is off */
    struct idmap keys;
    struct bucket *oldest, *newest;
    struct bucket shared;   /* for new keys while the table is full */
    uint64_t shared_events; /* how many slots were ever taken there */
};

struct limits {
    struct window windows[RULE_COUNT];
};

/* What a rule counts by: the caller's networks, the account name typed, the user (or the device),
 * or nil for all. False: there is no such key here (no address, nobody), and the rule does not
 * apply. */
bool limits_key(enum rule rule, const struct tags *tags, const struct id *user, struct tag *key);

void limits_init(struct limits *l, const struct policy *policy);
void limits_fini(struct limits *l);
/* Another policy: what was out of its window before stays out; of more slots than the new count
 * the newest are kept. */
void limits_adopt(struct limits *l, const struct policy *policy, int64_t eff_us);
void limits_take(struct limits *l, enum rule rule, const struct tag *key, int64_t eff_us);
/* Gives back the slot taken at `at_us`, if it is still held. */
void limits_give_back(struct limits *l, enum rule rule, const struct tag *key, int64_t at_us);
void limits_fact(const struct limits *l, enum rule rule, const struct tag *key, int64_t eff_us,
    struct limit_fact *out);

/* For digests: the slot times of a bucket still held at eff_us, oldest first. */
uint32_t bucket_held(const struct bucket *b, uint32_t window_s, int64_t eff_us, uint32_t *first);
int64_t bucket_at(const struct bucket *b, uint32_t i);
bool bucket_live(const struct bucket *b, uint32_t window_s, int64_t eff_us);

#endif
