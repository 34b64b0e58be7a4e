/* alerts.h: the part of the world about alerts that nobody has acknowledged yet. Ledger thread. */
#ifndef PROJECTIONS_ALERTS_H
#define PROJECTIONS_ALERTS_H

#include "core/event.h"
#include "core/facts.h"
#include "projections/alert_rules.h"
#include "projections/idmap.h"

struct world;

struct alert {
    uint64_t seq, last_seq, count; /* the event that opened it; the last that joined it; of all */
    const struct alert_rule *rule;
    struct tag key;
};

/* At most ALERTS_OPEN_MAX about single things; beyond, one for each rule takes the rest. */
struct alerts {
    struct idmap by_key, by_seq; /* struct alert; by_seq owns none */
};

void alerts_init(struct alerts *a);
void alerts_fini(struct alerts *a);
void alerts_fold(struct world *w, const struct event *ev);
/* The open alert of this seq; NULL. */
struct alert *alert_find(const struct world *w, uint64_t seq);

#endif
