/* due.c: the earliest ends, in order of their time. Pure reading. Ledger thread. */
#include "projections/due.h"

#include "projections/facts.h"

static void
due_add(struct facts *facts, enum due_kind kind, const struct id *id, const char *why)
{
    facts->due[facts->due_count++] = (struct due){kind, *id, why};
}

static void
due_session(const struct world *w, const struct id *id, int64_t eff_us, struct facts *facts)
{
    const struct session *s = session_find(w, id);
    const char *why = session_due_why(w, s, eff_us);

    if (why == NULL)
        return;
    due_add(facts, s->state == SESSION_OPEN ? DUE_SESSION : DUE_REQUEST, id, why);
    facts_session(s, &facts->ending[facts->ending_count++]);
}

/* One guest at a time: its facts are in facts->machine. */
static void
due_guest(const struct world *w, const struct id *id, int64_t eff_us, struct facts *facts)
{
    const struct machine *m = machine_find(w, id);
    const char *why = guest_due_why(w, m, eff_us);

    if (facts->machine.found) {
        facts->due_more = true;
        return;
    }
    if (why == NULL)
        return;
    due_add(facts, DUE_GUEST, id, why);
    facts_machine(m, &facts->machine);
}

void
due_gather(const struct world *w, int64_t eff_us, struct facts *facts)
{
    struct deadline *list[TIMERS_LIST_MAX];
    uint32_t n = timers_list(&w->due, eff_us, TIMERS_LIST_MAX, list, &facts->due_more);

    for (uint32_t i = 0; i < n; i++) {
        if (facts->due_count == DUE_MAX) {
            facts->due_more = true;
            return;
        }
        switch ((enum world_timer)list[i]->kind) {
        case TIMER_CODE: due_add(facts, DUE_CODE, &list[i]->id, "expired"); break;
        case TIMER_SESSION: due_session(w, &list[i]->id, eff_us, facts); break;
        default: due_guest(w, &list[i]->id, eff_us, facts); break;
        }
    }
}
