/* routes_audit.c: reading the log as events: by filter, one, and the whole story of a thing. Each
 * reading is itself an event, decided before a byte leaves. Runs on loops. */
#include "http/routes_handlers.h"

#include <inttypes.h>

#include "core/addr.h"
#include "core/ascii.h"
#include "core/event_json.h"
#include "http/cursor.h"
#include "http/eventfeed.h"
#include "http/routes_json.h"

#define EVENTS_DEFAULT   100
#define EVENTS_MAX       1000 /* of a page */
#define STREAM_MAX       10000 /* of NDJSON and of a timeline: a longer one goes on behind its last */
#define READ_QUERY_BYTES 512
#define MINUTES_MAX      1440

struct audit_in {
    struct events_query query;
    uint32_t limit;
    bool ndjson;
    bool named; /* user is given by name: looked up when the right is granted */
    char name[ACCOUNT_BYTES_MAX + 1];
    uint64_t seq;
    const char *action;
    struct ascii read; /* what the event says of the question: no address, no name in it */
    char read_text[READ_QUERY_BYTES];
};

static bool
bad(struct walk *w, const char *name, const char *detail)
{
    walk_no(w, PROBLEM_BAD_FIELD, detail, name);
    return false;
}

/* ---- parameters ---- */

static bool
take_type(struct audit_in *in, uint32_t type)
{
    struct events_query *q = &in->query;

    if (q->type_count == sizeof(q->types) / sizeof(q->types[0]))
        return false;
    q->types[q->type_count++] = type;
    return true;
}

/* "session.opened" or "session.*" */
static bool
take_types(struct audit_in *in, struct span item)
{
    bool family = item.len > 2 && memcmp(item.ptr + item.len - 2, ".*", 2) == 0;
    const struct event_row *rows, *row;
    unsigned count;
    bool any = false;

    if (!family) {
        row = catalogue_event_named((const char *)item.ptr, item.len);
        return row != NULL && take_type(in, row->type);
    }
    rows = catalogue_events(&count);
    for (unsigned i = 0; i < count; i++) {
        if (strncmp(rows[i].name, (const char *)item.ptr, item.len - 1) != 0)
            continue;
        any = true;
        if (!take_type(in, rows[i].type))
            return false;
    }
    return any;
}

static bool
parse_type(struct walk *w, struct audit_in *in, struct span text)
{
    while (text.len > 0) {
        const uint8_t *comma = memchr(text.ptr, ',', text.len);
        struct span item = span_of(text.ptr, comma == NULL ? text.len : (size_t)(comma - text.ptr));

        text = comma == NULL ? (struct span){NULL, 0} : span_of(comma + 1, text.len - item.len - 1);
        if (!take_types(in, item))
            return bad(w, "type",
                "type must be up to 16 names of events, such as session.opened or session.*.");
    }
    in->query.has_type = true;
    return in->query.type_count > 0 || bad(w, "type", "type is empty.");
}

static bool
parse_user(struct walk *w, struct audit_in *in, struct span text)
{
    in->query.has_user = true;
    if (id_parse(ID_USER, text, &in->query.user) == OK)
        return true;
    if (text_check(TEXT_ACCOUNT, text) != TEXT_OK)
        return bad(w, "user", "user must be the id or the name of an account.");
    text_fold(text, in->name);
    in->named = true;
    return true;
}

static bool
parse_address(struct walk *w, struct audit_in *in, struct span text)
{
    struct addr addr;

    in->query.has_address = true;
    if (addr_parse(text, &addr) != OK)
        return bad(w, "ip", "ip must be an IPv4 or IPv6 address.");
    memcpy(in->query.address, addr.b, sizeof(in->query.address));
    return true;
}

static bool
parse_machine(struct walk *w, struct audit_in *in, struct span text)
{
    in->query.has_machine = true;
    return id_parse(ID_MACHINE, text, &in->query.machine) == OK ||
           bad(w, "machine", "machine must be the id of a machine.");
}

static bool
parse_session(struct walk *w, struct audit_in *in, struct span text)
{
    in->query.has_session = true;
    return id_parse(ID_SESSION, text, &in->query.session) == OK ||
           bad(w, "session", "session must be the id of a session.");
}

static bool
parse_from(struct walk *w, struct audit_in *in, struct span text)
{
    return event_time_parse(text, &in->query.from_us) == OK ||
           bad(w, "from", "from must be a time such as 2026-01-31T10:00:00Z.");
}

static bool
parse_to(struct walk *w, struct audit_in *in, struct span text)
{
    return event_time_parse(text, &in->query.to_us) == OK ||
           bad(w, "to", "to must be a time such as 2026-01-31T10:00:00Z.");
}

/* `secret`: the event of this reading does not repeat what was asked for. */
static const struct audit_parameter {
    const char *name;
    bool secret;
    bool (*parse)(struct walk *w, struct audit_in *in, struct span text);
} parameters[] = {
    {"type", false, parse_type},
    {"user", true, parse_user},
    {"ip", true, parse_address},
    {"machine", false, parse_machine},
    {"session", false, parse_session},
    {"from", false, parse_from},
    {"to", false, parse_to},
};

static void
tell(struct audit_in *in, const char *name, bool secret, struct span value)
{
    if (in->read.len > 0)
        ascii_str(&in->read, " ");
    ascii_str(&in->read, name);
    ascii_str(&in->read, "=");
    if (secret)
        ascii_str(&in->read, "*");
    else
        ascii_put(&in->read, value);
}

static bool
parse_parameters(struct walk *w, struct audit_in *in)
{
    char user[ID_TEXT_BYTES];

    for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        const struct audit_parameter *p = &parameters[i];
        const struct span *value = query_find(&w->query, p->name);

        if (value == NULL)
            continue;
        if (!p->parse(w, in, *value))
            return false;
        if (p->parse == parse_user && !in->named) {
            id_text(ID_USER, &in->query.user, user);
            tell(in, p->name, false, span_str(user));
        } else {
            tell(in, p->name, p->secret, *value);
        }
    }
    if (in->query.to_us != 0 && in->query.from_us > in->query.to_us)
        return bad(w, "from", "from is later than to.");
    return true;
}

static bool
accepts_ndjson(const struct request *request)
{
    struct http_list list = {.request = request, .name = "accept"};
    struct span item;

    while (http_list_next(&list, &item))
        if (item.len >= 20 && memcmp(item.ptr, "application/x-ndjson", 20) == 0)
            return true;
    return false;
}

static bool
parse_limit(struct walk *w, struct audit_in *in, uint32_t otherwise, uint32_t max)
{
    const struct span *text = query_find(&w->query, "limit");
    char detail[64];
    uint64_t n = otherwise;

    if (text != NULL && (ascii_number(*text, max, &n) != OK || n == 0)) {
        snprintf(detail, sizeof(detail), "limit must be 1 to %u.", max);
        return bad(w, "limit", detail);
    }
    in->limit = (uint32_t)n;
    return true;
}

static bool
cursor_scope_of(struct walk *w, char *text, size_t cap, struct cursor_scope *scope)
{
    size_t len;

    if (!query_scope(&w->query, text, cap, &len))
        return false;
    *scope = (struct cursor_scope){
        .path = w->route->path, .user = w->asker->caller.user, .filters = span_of(text, len)};
    return true;
}

static void
write_cursor(struct walk *w, uint64_t after, char *out, size_t cap)
{
    uint8_t position[CURSOR_POSITION_BYTES] = {0};
    char text[HTTP_TARGET_BYTES_MAX], cursor[CURSOR_TEXT] = "";
    struct cursor_scope scope;

    for (int i = 0; i < 8; i++)
        position[i] = (uint8_t)(after >> (56 - 8 * i));
    if (cursor_scope_of(w, text, sizeof(text), &scope))
        cursor_write(w->app->cursor_key, &scope, position, cursor);
    snprintf(out, cap, "%s", cursor);
}

static bool
parse_after(struct walk *w, struct audit_in *in)
{
    const struct span *after = query_find(&w->query, "after");
    const struct span *seq = query_find(&w->query, "after_seq");
    uint8_t position[CURSOR_POSITION_BYTES];
    char text[HTTP_TARGET_BYTES_MAX];
    struct cursor_scope scope;

    in->query.has_after = after != NULL || seq != NULL;
    if (after != NULL && seq != NULL)
        return bad(w, "after", "after and after_seq exclude each other.");
    if (seq != NULL)
        return ascii_number(*seq, INT64_MAX, &in->query.after) == OK ||
               bad(w, "after_seq", "after_seq must be the seq of an event.");
    if (after == NULL)
        return true;
    if (!cursor_scope_of(w, text, sizeof(text), &scope) ||
        cursor_read(w->app->cursor_key, &scope, *after, position) != OK) {
        walk_no(w, PROBLEM_BAD_CURSOR, "after must be the `next` of a page of this very question.",
            "after");
        return false;
    }
    for (int i = 0; i < 8; i++)
        in->query.after = in->query.after << 8 | position[i];
    return true;
}

static struct audit_in *
audit_in(struct walk *w, const char *action)
{
    struct audit_in *in = walk_in(w, sizeof(*in));

    if (in != NULL) {
        in->action = action;
        ascii_init(&in->read, in->read_text, sizeof(in->read_text));
    }
    return in;
}

bool
events_parse(struct walk *w)
{
    struct audit_in *in = audit_in(w, "events");

    if (in == NULL || !parse_parameters(w, in) || !parse_after(w, in))
        return false;
    in->ndjson = accepts_ndjson(walk_request(w));
    return parse_limit(
        w, in, in->ndjson ? STREAM_MAX : EVENTS_DEFAULT, in->ndjson ? STREAM_MAX : EVENTS_MAX);
}

/* The whole story of one thing. */
bool
timeline_parse(struct walk *w)
{
    struct audit_in *in = audit_in(w, "timeline");
    const struct events_query *q;

    if (in == NULL || !parse_parameters(w, in) || !parse_after(w, in))
        return false;
    q = &in->query;
    if (q->has_session + q->has_user + q->has_machine + q->has_address != 1)
        return bad(w, "session", "A timeline is of one session, user, machine or ip.");
    in->ndjson = accepts_ndjson(walk_request(w));
    return parse_limit(w, in, STREAM_MAX, STREAM_MAX);
}

bool
event_parse(struct walk *w)
{
    struct audit_in *in = audit_in(w, "event");

    if (in == NULL)
        return false;
    if (ascii_number(w->params[0], INT64_MAX, &in->seq) != OK) {
        walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
        return false;
    }
    tell(in, "seq", false, w->params[0]);
    return true;
}

struct command *
audit_command(struct walk *w)
{
    const struct audit_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_READ_AUDIT, READ_QUERY_BYTES);

    if (cmd != NULL) {
        cmd->read_audit.action = in->action;
        cmd->read_audit.query = command_copy(cmd, span_of(in->read_text, in->read.len));
    }
    return cmd;
}

/* ---- answers ---- */

/* An account's name stands for its id. A name that nobody has finds nothing. */
static bool
find_named(struct walk *w, struct audit_in *in)
{
    struct user_row row;
    struct rows rows;
    enum err err;

    if (!in->named)
        return true;
    if (w->app->views.begin(w->app->views.ctx, &rows) != OK) {
        walk_busy(w);
        return false;
    }
    err = views_user_named(&rows, span_str(in->name), &row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err != OK) {
        walk_no(w, PROBLEM_BAD_FIELD, "There is no account of that name.", "user");
        return false;
    }
    in->query.user = row.user;
    return true;
}

static bool
stream_is_one_too_many(struct walk *w, const struct audit_in *in)
{
    if (!in->ndjson || w->asker->caller.kind != CALLER_TOKEN)
        return false;
    w->streaming = rates_stream_begin(
        routes_rates(w->app), &w->asker->caller.family, loop_now_ms(w->loop) / 1000);
    if (!w->streaming)
        walk_no(w, PROBLEM_TOO_OFTEN, "A token may read two streams at a time.", NULL);
    return !w->streaming;
}

enum pace
events_reply(struct walk *w)
{
    struct audit_in *in = w->in;
    struct event_feed *feed;

    if (!find_named(w, in) || stream_is_one_too_many(w, in))
        return PACE_DONE;
    if ((feed = calloc(1, sizeof(*feed))) == NULL)
        return walk_busy(w);
    feed->query = in->query;
    feed->left = in->limit;
    feed->ndjson = in->ndjson;
    feed->cursor = write_cursor;
    return event_feed_start(w, feed);
}

enum pace
event_reply(struct walk *w)
{
    const struct audit_in *in = w->in;
    struct json_write json;
    enum err err;

    json_write_init(&json, NULL, NULL);
    err = event_write(w->app, &json, NULL, in->seq);
    if (err == OK)
        return walk_json(w, 200, &json, NULL, NULL);
    json_write_fini(&json);
    return walk_no(w, err == ERR_NOT_FOUND ? PROBLEM_NOT_FOUND : PROBLEM_INTERNAL, NULL, NULL);
}

/* ---- statistics ---- */

bool
stats_parse(struct walk *w)
{
    const struct span *by = query_find(&w->query, "by");
    struct audit_in *in = audit_in(w, "stats");

    if (in == NULL || !parse_parameters(w, in))
        return false;
    if (by != NULL && !span_is(*by, "minute"))
        return bad(w, "by", "by must be minute.");
    return parse_limit(w, in, MINUTES_MAX, MINUTES_MAX);
}

static bool
each_minute(void *arg, int64_t minute_us, const struct minute_row *row)
{
    struct json_write *json = arg;

    json_write_object(json, NULL);
    json_time(json, "time", minute_us);
    json_write_uint(json, "events", row->events);
    json_write_uint(json, "logins", row->logins);
    json_write_uint(json, "logins_failed", row->logins_failed);
    json_write_uint(json, "refusals", row->refusals);
    json_write_uint(json, "sessions", row->sessions);
    json_write_uint(json, "agents", row->agents);
    json_write_end(json);
    return true;
}

enum pace
stats_reply(struct walk *w)
{
    const struct audit_in *in = w->in;
    struct json_write json;
    struct rows rows;
    enum err err;

    if (w->app->views.begin(w->app->views.ctx, &rows) != OK)
        return walk_busy(w);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_array(&json, "items");
    err = views_minutes(&rows, in->query.from_us, in->query.to_us, in->limit, each_minute, &json);
    w->app->views.end(w->app->views.ctx, &rows);
    json_write_end(&json);
    json_write_uint(&json, "position", w->verdict.rests_on);
    json_write_end(&json);
    if (err == OK)
        return walk_json(w, 200, &json, NULL, NULL);
    json_write_fini(&json);
    return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
}
