/* alerts.c: alerts from the event that opens them to the one that acknowledges them. Pure and
 * total, as accounts.c. Ledger thread. */
#include "projections/world.h"

void
alerts_init(struct alerts *a)
{
    idmap_init(&a->by_key);
    idmap_init(&a->by_seq);
}

void
alerts_fini(struct alerts *a)
{
    idmap_fini_all(&a->by_key);
    idmap_fini(&a->by_seq);
}

static struct tag
seq_key(uint64_t seq)
{
    struct tag key = {{0}};

    for (int i = 0; i < 8; i++)
        key.b[15 - i] = (uint8_t)(seq >> (8 * i));
    return key;
}

struct alert *
alert_find(const struct world *w, uint64_t seq)
{
    struct tag key = seq_key(seq);

    return idmap_find(&w->alerts.by_seq, key.b);
}

static void
alert_opened(struct alerts *all, const struct alert_rule *rule, struct tag key, uint64_t seq)
{
    struct alert *a = calloc(1, sizeof(*a));
    struct tag at = seq_key(seq);

    INVARIANT(a != NULL);
    *a = (struct alert){.seq = seq, .last_seq = seq, .count = 1, .rule = rule, .key = key};
    idmap_put(&all->by_key, key.b, a);
    idmap_put(&all->by_seq, at.b, a);
}

static void
alert_acknowledged(struct world *w, const struct event *ev)
{
    struct alert *a = alert_find(w, fields_u64(&ev->data, FIELD_ALERT_SEQ));
    struct tag at;

    if (a == NULL || !span_is(fields_span(&ev->data, FIELD_ALERT_RULE), a->rule->name)) {
        world_stray(w);
        return;
    }
    at = seq_key(a->seq);
    idmap_drop(&w->alerts.by_seq, at.b);
    idmap_drop(&w->alerts.by_key, a->key.b);
    free(a);
}

void
alerts_fold(struct world *w, const struct event *ev)
{
    static const struct id everybody;
    struct alerts *all = &w->alerts;
    const struct alert_rule *rule;
    struct alert *a;
    struct tag key;
    struct id about;

    if (ev->type == EV_ALERT_ACKNOWLEDGED) {
        alert_acknowledged(w, ev);
        return;
    }
    if ((rule = alert_rule_of(ev, &about)) == NULL)
        return;
    key = alert_key(rule, &about);
    a = idmap_find(&all->by_key, key.b);
    if (a == NULL && all->by_key.count >= ALERTS_OPEN_MAX) {
        key = alert_key(rule, &everybody);
        a = idmap_find(&all->by_key, key.b);
    }
    if (a == NULL) {
        if (alert_find(w, ev->seq) == NULL) /* an odd log may say a seq twice */
            alert_opened(all, rule, key, ev->seq);
        return;
    }
    a->count++;
    a->last_seq = ev->seq;
}
