/* views_fold_alert.c: alerts as rows. Opened, joined and acknowledged as projections/alerts.c does
 * it for the world, so that what is listed can be acknowledged. Projector's thread. */
#include "projections/alert_rules.h"
#include "projections/views_fold.h"

static struct key
open_key(const struct tag *alert)
{
    struct key key = {.len = 0};

    key_u8(&key, LOOKUP_ALERT);
    key_bytes(&key, alert->b, TAG_BYTES);
    return key;
}

static uint64_t
open_count(struct folding *f)
{
    struct key key = {.len = 0};
    struct span value;

    key_u8(&key, LOOKUP_ALERTS_OPEN);
    return fold_get(f, TABLE_LOOKUP, &key, &value) && value.len == 8 ? key_read_u64(value.ptr) : 0;
}

static void
open_count_set(struct folding *f, uint64_t count)
{
    struct key key = {.len = 0}, value = {.len = 0};

    key_u8(&key, LOOKUP_ALERTS_OPEN);
    key_u64(&value, count);
    fold_set(f, TABLE_LOOKUP, &key, key_span(&value));
}

/* The open alert of this key. */
static bool
alert_open(struct folding *f, const struct tag *alert, struct alert_row *row)
{
    struct key key = open_key(alert);
    struct span value;
    struct id id;

    if (!fold_get(f, TABLE_LOOKUP, &key, &value) || value.len != ID_BYTES)
        return false;
    memcpy(id.b, value.ptr, ID_BYTES);
    return fold_row(f, TABLE_ALERTS, &id, row);
}

static void
alert_names_event(struct alert_row *row, uint64_t seq)
{
    if (row->events_len == sizeof(row->events))
        return;
    for (int i = 0; i < 8; i++)
        row->events[row->events_len++] = (uint8_t)(seq >> (56 - 8 * i));
}

static void
alert_opened(struct folding *f, const struct alert_rule *rule, const struct tag *alert)
{
    const struct event *ev = f->ev;
    struct alert_row row = {.alert = views_alert_id(ev->seq),
        .user = ev->subject.user,
        .machine = ev->subject.machine,
        .session = ev->subject.session,
        .seq = ev->seq,
        .last_seq = ev->seq,
        .count = 1,
        .opened_us = f->now_us,
        .last_us = f->now_us,
        .severity = rule->severity};
    struct key key = open_key(alert);

    memcpy(row.key.b, alert->b, ID_BYTES);
    if (id_is_nil(&row.user) && ev->actor.kind == ACTOR_USER)
        row.user = ev->actor.id;
    row_put_text(row.rule, sizeof(row.rule), span_str(rule->name));
    alert_names_event(&row, ev->seq);
    if (!fold_add(f, TABLE_ALERTS, &row))
        return;
    fold_set(f, TABLE_LOOKUP, &key, span_of(row.alert.b, ID_BYTES));
    open_count_set(f, open_count(f) + 1);
}

static void
alert_acknowledged(struct folding *f)
{
    struct id id = views_alert_id(fields_u64(&f->ev->data, FIELD_ALERT_SEQ));
    struct alert_row row;
    struct tag alert;
    struct key key;

    if (!fold_row(f, TABLE_ALERTS, &id, &row) || row.acked_seq != 0 ||
        !span_is(fields_span(&f->ev->data, FIELD_ALERT_RULE), row.rule))
        return;
    row.acked_seq = f->ev->seq;
    row.acked_us = f->now_us;
    if (f->ev->actor.kind == ACTOR_USER)
        row.acked_by = f->ev->actor.id;
    fold_put(f, TABLE_ALERTS, &row);
    memcpy(alert.b, row.key.b, TAG_BYTES);
    key = open_key(&alert);
    fold_unset(f, TABLE_LOOKUP, &key);
    open_count_set(f, open_count(f) - 1);
}

void
views_fold_alerts(struct folding *f)
{
    static const struct id everybody;
    const struct alert_rule *rule;
    struct alert_row row;
    struct tag alert;
    struct id about;

    if (f->ev->type == EV_ALERT_ACKNOWLEDGED) {
        alert_acknowledged(f);
        return;
    }
    if ((rule = alert_rule_of(f->ev, &about)) == NULL)
        return;
    alert = alert_key(rule, &about);
    if (!alert_open(f, &alert, &row)) {
        if (open_count(f) >= ALERTS_OPEN_MAX)
            alert = alert_key(rule, &everybody);
        if (open_count(f) < ALERTS_OPEN_MAX || !alert_open(f, &alert, &row)) {
            alert_opened(f, rule, &alert);
            return;
        }
    }
    row.count++;
    row.last_seq = f->ev->seq;
    row.last_us = f->now_us;
    alert_names_event(&row, f->ev->seq);
    fold_put(f, TABLE_ALERTS, &row);
}
