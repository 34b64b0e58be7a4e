/* routes_misc.c: health, the page at "/", the API's description, the relay's doors, and what only
 * the owner of the state folder may do. Runs on loops. */
#include "http/routes_handlers.h"

#include <inttypes.h>

#include "http/agents.h"
#include "http/channels.h"
#include "http/openapi.h"
#include "http/reply.h"
#include "http/routes_json.h"

static enum pace
text_reply(struct walk *w, uint16_t status, const char *type, struct span body, bool is_static)
{
    struct response response;

    response_init(&response, status);
    reply_headers(&response, walk_request(w));
    response_body(&response, type, body);
    response.body_static = is_static;
    http_reply(w->loop, w->ref, &response);
    return walk_spoke(w);
}

/* ---- health ---- */

enum pace
healthz_reply(struct walk *w)
{
    return text_reply(w, 200, "text/plain; charset=utf-8", span_str("ok\n"), true);
}

enum pace
readyz_reply(struct walk *w)
{
    struct app_health health = {0};
    char text[256];

    w->app->health(w->app->health_ctx, &health);
    snprintf(text, sizeof(text), "%s\n",
        health.ready         ? "ready"
        : health.why != NULL ? health.why
                             : "not ready");
    return text_reply(
        w, health.ready ? 200 : 503, "text/plain; charset=utf-8", span_str(text), false);
}

/* ---- pages ---- */

enum pace
openapi_reply(struct walk *w)
{
    return text_reply(w, 200, "application/yaml; charset=utf-8",
        span_of(openapi_yaml, (size_t)(openapi_yaml_end - openapi_yaml)), true);
}

enum pace
home_reply(struct walk *w)
{
    static const char page[] =
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<title>Gatehouse</title>\n<h1>Gatehouse</h1>\n"
        "<p>This server lets technicians help people at their machines, and keeps a log of who\n"
        "came in, what they did, and why it let them.</p>\n"
        "<p>For programs: <a href=\"/openapi.yaml\">the API</a>,\n"
        "<a href=\"/log/checkpoint\">the head of the log</a>.</p>\n</html>\n";

    return text_reply(w, 200, "text/html; charset=utf-8", span_of(page, sizeof(page) - 1), true);
}

/* ---- the relay: who answers there knows its credentials ---- */

enum pace
relay_agent_reply(struct walk *w)
{
    struct loop *loop = w->loop;
    struct ref ref = walk_hand_over(w);

    agents_request(loop, ref, http_request(loop, ref));
    return PACE_DONE;
}

enum pace
relay_channel_reply(struct walk *w)
{
    struct loop *loop = w->loop;
    struct ref ref = walk_hand_over(w);

    channels_dial_request(loop, ref, http_request(loop, ref));
    return PACE_DONE;
}

enum pace
relay_attach_reply(struct walk *w)
{
    struct loop *loop = w->loop;
    struct span service = w->params[1];
    struct id session;
    struct ref ref;

    if (!walk_param_id(w, 0, ID_SESSION, &session))
        return PACE_DONE;
    ref = walk_hand_over(w);
    channels_attach_request(loop, ref, http_request(loop, ref), &session, service);
    return PACE_DONE;
}

/* ---- /admin/: admin.sock only ---- */

static void
sum_counters(const struct app *app, struct json_write *json)
{
    struct loop_counters all = {0}, one;
    unsigned loops = http_server_loops(app->server);

    for (unsigned i = 0; i < loops; i++) {
        loop_counters_read(http_server_loop(app->server, i), &one);
        all.requests += one.requests;
        all.refused_requests += one.refused_requests;
        all.refused_caps += one.refused_caps;
        all.accepted += one.accepted;
        all.relay_bytes += one.relay_bytes;
        all.connections += one.connections;
        all.websockets += one.websockets;
        all.relays_open += one.relays_open;
    }
    json_write_object(json, "counters");
    json_write_uint(json, "loops", loops);
    json_write_uint(json, "accepted", all.accepted);
    json_write_uint(json, "requests", all.requests);
    json_write_uint(json, "refused_requests", all.refused_requests);
    json_write_uint(json, "refused_connections", all.refused_caps);
    json_write_uint(json, "connections", all.connections);
    json_write_uint(json, "websockets", all.websockets);
    json_write_uint(json, "relays", all.relays_open);
    json_write_uint(json, "relay_bytes", all.relay_bytes);
    json_write_end(json);
}

enum pace
status_reply(struct walk *w)
{
    struct app_health health = {0};
    struct json_write json;

    w->app->health(w->app->health_ctx, &health);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_str(&json, "version", GATEHOUSE_VERSION);
    json_write_str(&json, "origin", w->app->origin);
    json_write_str(&json, "root_key", w->app->root_vkey);
    json_write_str(&json, "public_url", w->app->public_url);
    json_write_bool(&json, "ready", health.ready);
    if (!health.ready && health.why != NULL)
        json_write_str(&json, "why", health.why);
    json_write_uint(&json, "durable", ledger_thread_durable(w->app->ledger));
    json_write_uint(&json, "head", health.head);
    json_write_uint(&json, "views_position", health.views_position);
    json_write_int(&json, "views_age_us", health.views_age_us);
    json_write_bool(&json, "views_failing", health.views_failing);
    json_write_bool(&json, "clock_unsure", health.clock_unsure);
    json_write_bool(&json, "low_space", health.low_space);
    json_time(&json, "time", ledger_thread_eff_us(w->app->ledger));
    sum_counters(w->app, &json);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}

/* Whoever owns the state folder copies the log's file without us; that he did is said here, before
 * he begins. */
struct command *
export_command(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_EXPORT_AUDIT, 0);

    if (cmd != NULL)
        cmd->export_audit.action = "log";
    return cmd;
}

enum pace
export_reply(struct walk *w)
{
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_uint(&json, "seq", w->verdict.first_seq);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}

struct command *
clock_accept_command(struct walk *w)
{
    return walk_command(w, CMD_ACCEPT_CLOCK, 0);
}

struct rotate_in {
    struct span key;
    bool log_key;
};

static const struct json_field rotate_fields[] = {
    {.name = "key",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = 16,
        .offset = offsetof(struct rotate_in, key)},
};

bool
rotate_parse(struct walk *w)
{
    struct rotate_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_body(w, rotate_fields, 1, in, NULL))
        return false;
    in->log_key = span_is(in->key, "log");
    if (in->log_key || span_is(in->key, "event"))
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "key must be event or log.", "key");
    return false;
}

/* The next secret is made and synced before the event that names it: a few milliseconds of this
 * loop, once in a long while. */
struct command *
rotate_command(struct walk *w)
{
    const struct rotate_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ROTATE_KEY, 0);

    if (cmd == NULL)
        return NULL;
    if (w->app->rotate(w->app->rotate_ctx, in->log_key, &cmd->rotate_key) == OK)
        return cmd;
    command_free(cmd);
    return NULL; /* one is under way, or the disk refused: 503, and the server's log says why */
}

enum pace
rotate_reply(struct walk *w)
{
    const struct rotate_in *in = w->in;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_str(&json, "key", in->log_key ? "log" : "event");
    json_write_uint(&json, "seq", w->verdict.first_seq);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}
