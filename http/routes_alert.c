/* routes_alert.c: one alert with the events that it rests on, and its acknowledgement. Looking at
 * alerts is reading the log. Runs on loops. */
#include "http/routes_handlers.h"

#include "core/ascii.h"
#include "http/routes_json.h"
#include "projections/alert_rules.h"

#define RULE_TEXT 32

struct alert_in {
    uint64_t seq;
    struct span rule, note; /* rule: of the path */
    char rule_text[RULE_TEXT];
};

void
alert_json(struct json_write *w, const char *key, const struct alert_row *row)
{
    const struct alert_rule *rule = alert_rule_named(span_str(row->rule));
    char id[64];

    snprintf(id, sizeof(id), "%llu-%s", (unsigned long long)row->seq, row->rule);
    json_write_object(w, key);
    json_write_str(w, "id", id);
    json_write_str(w, "rule", row->rule);
    json_write_str(w, "severity", alert_severity_name(row->severity));
    json_write_str(w, "state", row->acked_seq == 0 ? "open" : "acknowledged");
    json_write_str(w, "meaning", rule == NULL ? "" : rule->meaning);
    json_write_uint(w, "count", row->count);
    json_time(w, "opened", row->opened_us);
    json_time(w, "last", row->last_us);
    json_id(w, "session", ID_SESSION, &row->session);
    json_id(w, "machine", ID_MACHINE, &row->machine);
    json_id(w, "user", ID_USER, &row->user);
    json_write_array(w, "events");
    for (size_t at = 0; at + 8 <= row->events_len; at += 8) {
        uint64_t seq = 0;

        for (size_t i = 0; i < 8; i++)
            seq = seq << 8 | row->events[at + i];
        json_write_uint(w, NULL, seq);
    }
    json_write_end(w);
    json_write_uint(w, "last_event", row->last_seq);
    if (row->acked_seq != 0) {
        json_write_object(w, "acknowledged");
        json_id(w, "by", ID_USER, &row->acked_by);
        json_time(w, "at", row->acked_us);
        json_write_uint(w, "event", row->acked_seq);
        json_write_end(w);
    }
    json_write_end(w);
}

struct command *
alerts_command(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_READ_AUDIT, 0);

    if (cmd != NULL)
        cmd->read_audit.action = "alerts";
    return cmd;
}

/* "SEQ-RULE"; whatever is not of that form is not there. */
static struct alert_in *
alert_take(struct walk *w)
{
    struct alert_in *in = walk_in(w, sizeof(*in));
    struct span text = w->params[0];
    const uint8_t *dash = memchr(text.ptr, '-', text.len);

    if (in == NULL)
        return NULL;
    if (dash != NULL) {
        in->rule = span_of(dash + 1, text.len - (size_t)(dash - text.ptr) - 1);
        if (in->rule.len > 0 && in->rule.len < sizeof(in->rule_text) &&
            ascii_number(span_of(text.ptr, (size_t)(dash - text.ptr)), INT64_MAX, &in->seq) == OK) {
            memcpy(in->rule_text, in->rule.ptr, in->rule.len);
            return in;
        }
    }
    walk_not_found(w);
    return NULL;
}

bool
alert_parse(struct walk *w)
{
    return alert_take(w) != NULL;
}

enum pace
alert_reply(struct walk *w)
{
    const struct alert_in *in = w->in;
    struct alert_row row;
    struct json_write json;
    struct rows rows;
    enum err err;

    if (w->app->views.begin(w->app->views.ctx, &rows) != OK)
        return walk_busy(w);
    err = views_alert(&rows, in->seq, &row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err != OK || strcmp(row.rule, in->rule_text) != 0)
        return err == OK || err == ERR_NOT_FOUND ? walk_not_found(w)
                                                 : walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    json_write_init(&json, NULL, NULL);
    alert_json(&json, NULL, &row);
    return walk_json(w, 200, &json, NULL, NULL);
}

static const struct json_field ack_fields[] = {
    {.name = "note",
        .kind = JSON_KIND_RULED,
        .text_kind = TEXT_NOTE,
        .offset = offsetof(struct alert_in, note)},
};

bool
alert_ack_parse(struct walk *w)
{
    struct alert_in *in = alert_take(w);

    return in != NULL && walk_body(w, ack_fields, 1, in, NULL);
}

struct command *
alert_ack(struct walk *w)
{
    const struct alert_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ACK_ALERT, RULE_TEXT + NOTE_BYTES_MAX);

    if (cmd != NULL) {
        cmd->ack_alert.seq = in->seq;
        cmd->ack_alert.rule = command_copy(cmd, span_str(in->rule_text));
        cmd->ack_alert.note = command_copy(cmd, in->note);
    }
    return cmd;
}
