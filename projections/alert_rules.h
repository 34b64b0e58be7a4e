/* alert_rules.h: which events are worth somebody's attention, as one table. An event opens at most
 * one alert, named by its seq and the rule; what follows of the same rule about the same thing
 * joins the open one, until somebody acknowledges it. Pure. */
#ifndef PROJECTIONS_ALERT_RULES_H
#define PROJECTIONS_ALERT_RULES_H

#include "core/event.h"

enum alert_severity { ALERT_NOTICE = 1, ALERT_WARNING, ALERT_CRITICAL };

struct alert_rule {
    const char *name;
    enum alert_severity severity;
    const char *meaning; /* a sentence for people: what may have happened, and what to do */
};

#define ALERT_RULES_MAX 32

/* NULL: the event opens none. *about: what it is about (an id of the event); nil: everybody. */
const struct alert_rule *alert_rule_of(const struct event *ev, struct id *about);
/* NULL: no such rule. Static storage. */
const struct alert_rule *alert_rule_named(struct span name);
const char *alert_severity_name(uint32_t severity);

/* The map key of rule and thing. */
struct tag alert_key(const struct alert_rule *rule, const struct id *about);

#endif
