/* routes_session.c: sessions from request to end: asking, waiting for consent, tickets, notes.
 * Runs on loops. Channels are ended before the session is, so that its last event holds their
 * bytes.
 */
#include "http/routes_handlers.h"

#include <sodium.h>

#include "core/ascii.h"
#include "core/base64.h"
#include "core/control.h"
#include "core/service.h"
#include "core/text.h"
#include "core/vault.h"
#include "http/agents.h"
#include "http/ask.h"
#include "http/channels.h"
#include "http/routes_json.h"

#define WAIT_MAX_S   30
#define WAIT_POLL_MS 128

struct session_in {
    struct id session, machine;
    struct span machine_text, reason, note, service, to;
    char folded[ACCOUNT_BYTES_MAX + 1];
    char reason_text[TEXT_ROW_BYTES];
    bool accept;
    uint64_t wait_until_ms, seen_position;
    bool waited, closing, closed;
};

/* ---- ask for one ---- */

static const struct json_field open_fields[] = {
    {.name = "machine",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = ID_TEXT_BYTES,
        .offset = offsetof(struct session_in, machine_text)},
    {.name = "reason",
        .kind = JSON_KIND_RULED,
        .text_kind = TEXT_REASON,
        .offset = offsetof(struct session_in, reason)},
};

bool
session_open_parse(struct walk *w)
{
    struct session_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_body(w, open_fields, 2, in, NULL))
        return false;
    if (id_parse(ID_MACHINE, in->machine_text, &in->machine) == OK)
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "machine must be the id of a machine.", "machine");
    return false;
}

struct command *
session_open(struct walk *w)
{
    const struct session_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_OPEN_SESSION, NOTE_BYTES_MAX);

    if (cmd != NULL) {
        cmd->open_session.machine = in->machine;
        cmd->open_session.reason = command_copy(cmd, in->reason);
    }
    return cmd;
}

/* The request is durable: the agent is told who wants what. If nobody takes the offer, the session
 * ends instead of waiting for an answer that cannot come. */
static void
offer(struct walk *w)
{
    const struct session_in *in = w->in;
    const struct reply *reply = &w->verdict.reply;
    struct control_offer message = {.session = reply->session,
        .reason = in->reason,
        .ask = reply->asks_consent,
        .expires_s = (uint64_t)((reply->expires_us - w->verdict.eff_us) / US_PER_S)};
    struct user_row row = {0};
    struct command *cmd;
    struct rows rows;

    if (w->app->views.begin(w->app->views.ctx, &rows) == OK) {
        if (views_user(&rows, &reply->user, &row) != OK)
            row = (struct user_row){0};
        w->app->views.end(w->app->views.ctx, &rows);
    }
    message.technician = span_str(row.display[0] != '\0' ? row.display : "a technician");
    memcpy(message.nonce, reply->nonce, sizeof(message.nonce));
    if (agents_offer(w->loop, &reply->machine, &message) ||
        (cmd = command_new(CMD_END_SESSION, 0)) == NULL)
        return;
    cmd->caller.kind = CALLER_SERVER;
    cmd->end_session = (struct end_session){.session = reply->session, .why = "agent_gone"};
    ask_insist(w->loop, cmd, NULL);
}

enum pace
session_opened_reply(struct walk *w)
{
    const struct reply *reply = &w->verdict.reply;
    bool opened = reply->state == SESSION_OPEN;
    struct json_write json;

    offer(w);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_SESSION, &reply->session);
    json_write_str(&json, "state", session_state_name(reply->state));
    json_write_object(&json, "machine");
    json_id(&json, "id", ID_MACHINE, &reply->machine);
    json_write_end(&json);
    json_write_bool(&json, "asks_consent", reply->asks_consent);
    json_expires_in(&json, reply->expires_us, w->verdict.eff_us);
    json_write_end(&json);
    return walk_json(w, opened ? 201 : 202, &json, NULL, NULL);
}

/* ---- hand one over ---- */

static const struct json_field transfer_fields[] = {
    {.name = "to",
        .kind = JSON_KIND_RULED,
        .text_kind = TEXT_ACCOUNT,
        .offset = offsetof(struct session_in, to)},
    {.name = "accept", .kind = JSON_KIND_BOOL, .offset = offsetof(struct session_in, accept)},
};

/* Its owner says to whom, or who was named says yes. */
bool
transfer_parse(struct walk *w)
{
    struct session_in *in = walk_in(w, sizeof(*in));

    if (in == NULL || !walk_param_id(w, 0, ID_SESSION, &in->session) ||
        !walk_body(w, transfer_fields, 2, in, NULL))
        return false;
    if ((in->to.len > 0) == in->accept) {
        walk_no(w, PROBLEM_BAD_FIELD, "Either to (an account's name) or accept (true).", "to");
        return false;
    }
    if (in->to.len > 0)
        text_fold(in->to, in->folded);
    return true;
}

struct command *
transfer(struct walk *w)
{
    const struct session_in *in = w->in;
    struct command *cmd =
        walk_command(w, in->accept ? CMD_ACCEPT_TRANSFER : CMD_OFFER_TRANSFER, ACCOUNT_BYTES_MAX);

    if (cmd == NULL)
        return NULL;
    if (in->accept) {
        cmd->accept_transfer.session = in->session;
    } else {
        cmd->offer_transfer.session = in->session;
        cmd->offer_transfer.to = command_copy(cmd, span_str(in->folded));
    }
    return cmd;
}

/* The person at the machine is told the reason once more. */
static void
find_reason(struct walk *w, struct session_in *in)
{
    struct session_row *row = calloc(1, sizeof(*row));
    struct rows rows;

    if (row != NULL && w->app->views.begin(w->app->views.ctx, &rows) == OK) {
        if (views_session(&rows, &in->session, row) == OK) {
            memcpy(in->reason_text, row->reason, sizeof(in->reason_text));
            in->reason = span_str(in->reason_text);
        }
        w->app->views.end(w->app->views.ctx, &rows);
    }
    free(row);
}

enum pace
transfer_reply(struct walk *w)
{
    const struct reply *reply = &w->verdict.reply;
    struct session_in *in = w->in;
    struct json_write json;

    if (in->accept) {
        find_reason(w, in);
        return session_opened_reply(w);
    }
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_SESSION, &reply->session);
    json_id(&json, "offered_to", ID_USER, &reply->user);
    json_expires_in(&json, reply->expires_us, w->verdict.eff_us);
    json_write_end(&json);
    return walk_json(w, 202, &json, NULL, NULL);
}

/* ---- look at one, or wait for consent ---- */

static bool
wait_take(struct walk *w, struct session_in *in)
{
    const struct span *text = query_find(&w->query, "wait");
    uint64_t wait_s = 0;

    if (text != NULL && ascii_number(*text, WAIT_MAX_S, &wait_s) != OK) {
        walk_no(w, PROBLEM_BAD_FIELD, "wait must be 0 to 30 seconds.", "wait");
        return false;
    }
    if (wait_s > 0)
        in->wait_until_ms = loop_now_ms(w->loop) + wait_s * 1000;
    return true;
}

bool
session_id_parse(struct walk *w)
{
    struct session_in *in = walk_in(w, sizeof(*in));

    return in != NULL && walk_param_id(w, 0, ID_SESSION, &in->session) && wait_take(w, in);
}

static struct command *
authorize(struct walk *w, enum action action)
{
    struct command *cmd = walk_authorize(w, action);

    if (cmd != NULL)
        cmd->authorize.session = ((const struct session_in *)w->in)->session;
    return cmd;
}

struct command *
session_authorize(struct walk *w)
{
    return authorize(w, ACTION_SESSION_READ);
}

/* Whoever waits is asked for his right before and after. */
struct command *
session_admit(struct walk *w)
{
    w->skip = ((const struct session_in *)w->in)->wait_until_ms == 0;
    return w->skip ? NULL : session_authorize(w);
}

static enum err
find_session(struct walk *w, struct session_row *row)
{
    const struct session_in *in = w->in;
    struct rows rows;
    enum err err = w->app->views.begin(w->app->views.ctx, &rows);

    if (err != OK)
        return err;
    err = views_session(&rows, &in->session, row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err == OK && !walk_sees_all(w) && !id_equal(&row->owner, &w->asker->caller.user) &&
        !id_equal(&row->offered_to, &w->asker->caller.user))
        return ERR_NOT_FOUND;
    return err;
}

/* Until consent was given or refused, or the time is up. Looks again only when the views moved. */
enum pace
session_wait(struct walk *w)
{
    struct session_in *in = w->in;
    uint64_t position = w->app->views.position(w->app->views.ctx);
    struct session_row *row;
    bool waits = true;

    if (in->wait_until_ms == 0 || loop_now_ms(w->loop) >= in->wait_until_ms)
        return PACE_NEXT;
    if (position != in->seen_position) {
        in->seen_position = position;
        if ((row = calloc(1, sizeof(*row))) == NULL)
            return walk_busy(w);
        waits = find_session(w, row) == OK && row->state == SESSION_REQUESTED;
        free(row);
    }
    return waits ? walk_sleep(w, WAIT_POLL_MS) : PACE_NEXT;
}

static bool
each_channel(void *arg, const struct channel_row *row)
{
    channel_json(arg, NULL, row);
    return true;
}

enum pace
session_reply(struct walk *w)
{
    const struct session_in *in = w->in;
    struct session_row *row = calloc(1, sizeof(*row));
    struct json_write json;
    struct rows rows;
    enum err err;

    if (row == NULL || (err = find_session(w, row)) != OK ||
        w->app->views.begin(w->app->views.ctx, &rows) != OK) {
        bool missing = row != NULL && err == ERR_NOT_FOUND;

        free(row);
        return missing ? walk_not_found(w) : walk_busy(w);
    }
    json_write_init(&json, NULL, NULL);
    session_json_open(&json, NULL, row, ledger_thread_eff_us(w->app->ledger));
    free(row);
    json_write_array(&json, "channels");
    err = views_channels(&rows, &in->session, each_channel, &json);
    w->app->views.end(w->app->views.ctx, &rows);
    json_write_end(&json);
    json_write_uint(&json, "position", w->verdict.rests_on);
    json_write_end(&json);
    if (err != OK) {
        json_write_fini(&json);
        return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    }
    return walk_json(w, 200, &json, NULL, NULL);
}

/* ---- end one ---- */

struct command *
session_may_end(struct walk *w)
{
    return authorize(w, ACTION_SESSION_END);
}

static void
session_closed(struct loop *loop, struct ref ref, void *user)
{
    struct walk *w = walk_get(loop, ref);
    struct session_in *in = w->in;

    (void)user;
    in->closed = true;
    w->waiting = false;
    if (!in->closing) /* at once: session_close goes on by itself */
        walk_run(w);
}

/* No byte passes after this, and the agent signs what it saw. */
enum pace
session_close(struct walk *w)
{
    struct session_in *in = w->in;

    if (in->closed)
        return PACE_NEXT;
    in->closing = true;
    w->waiting = true;
    channels_close_session(w->loop, &in->session, w->self, session_closed, NULL);
    in->closing = false;
    return in->closed ? PACE_NEXT : PACE_WAIT;
}

struct command *
session_end(struct walk *w)
{
    struct command *cmd = walk_command(w, CMD_END_SESSION, 0);

    if (cmd != NULL)
        cmd->end_session = (struct end_session){
            .session = ((const struct session_in *)w->in)->session, .why = "terminated"};
    return cmd;
}

/* ---- notes and tickets ---- */

static const struct json_field note_fields[] = {
    {.name = "note",
        .kind = JSON_KIND_RULED,
        .required = true,
        .text_kind = TEXT_NOTE,
        .offset = offsetof(struct session_in, note)},
};

bool
session_note_parse(struct walk *w)
{
    return session_id_parse(w) && walk_body(w, note_fields, 1, w->in, NULL);
}

struct command *
session_note(struct walk *w)
{
    const struct session_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_NOTE_SESSION, NOTE_BYTES_MAX);

    if (cmd != NULL) {
        cmd->note_session.session = in->session;
        cmd->note_session.note = command_copy(cmd, in->note);
    }
    return cmd;
}

static const struct json_field ticket_fields[] = {
    {.name = "service",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = SERVICE_BYTES_MAX,
        .offset = offsetof(struct session_in, service)},
};

bool
ticket_parse(struct walk *w)
{
    const struct session_in *in;
    struct service service;

    if (!session_id_parse(w) || !walk_body(w, ticket_fields, 1, w->in, NULL))
        return false;
    in = w->in;
    if (service_parse(in->service, &service) == OK)
        return true;
    walk_no(w, PROBLEM_BAD_FIELD, "service must be shell, desktop or tcp:NAME.", "service");
    return false;
}

struct command *
ticket_issue(struct walk *w)
{
    const struct session_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ISSUE_TICKET, SERVICE_BYTES_MAX);

    if (cmd != NULL) {
        cmd->issue_ticket.session = in->session;
        cmd->issue_ticket.service = command_copy(cmd, in->service);
    }
    return cmd;
}

enum pace
ticket_reply(struct walk *w)
{
    struct reply *reply = &w->verdict.reply;
    char text[2 * TICKET_BYTES_MAX];
    struct json_write json;
    size_t len;

    if (base64_encode(
            BASE64_URL, span_of(reply->ticket, reply->ticket_len), text, sizeof(text), &len) != OK)
        return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_text(&json, "ticket", span_of(text, len));
    json_write_str(&json, "service", reply->service);
    json_expires_in(&json, reply->expires_us, w->verdict.eff_us);
    json_write_end(&json);
    sodium_memzero(text, sizeof(text));
    return walk_json(w, 201, &json, NULL, NULL);
}
