/* channels.c: the life of a channel, on the technician's loop:
 *   attach -> (durable) 101, held -> agent told -> agent dials back -> (durable) moved here, 101,
 * held
 *   -> relay -> end -> agent signs -> channel.closed
 * An attached channel whose agent never came ends as session.detached. */
#include "http/channels.h"

#include <sodium.h>
#include <uthash.h>

#include "core/base64.h"
#include "core/statement.h"
#include "core/text.h"
#include "core/vault.h"
#include "http/agents.h"
#include "http/ask.h"
#include "http/auth.h"
#include "http/caller.h"
#include "http/credential.h"
#include "http/cuts.h"
#include "http/relay.h"
#include "http/reply.h"

enum channel_state {
    CHANNEL_DIALLING, /* the technician waits for the agent */
    CHANNEL_OPEN,     /* the relay pumps */
    CHANNEL_SIGNING,  /* over; waiting for the agent's close statement */
    CHANNEL_CLOSED,   /* channel.closed is on its way; a late statement is attested apart */
};

struct channel {
    struct loop *loop;
    struct channel_place place; /* as in the directory */
    enum channel_state state;
    struct ref technician, agent;
    struct timer timer;
    uint8_t close_nonce[32];
    uint64_t opened_ms, to_agent, to_technician, duration_ms, touched_ms;
    const char *why;
    UT_hash_handle hh;
};

struct channels {
    struct channel *by_id;
};

enum err
channels_start(struct app *app)
{
    for (unsigned i = 0; i < http_server_loops(app->server); i++)
        if ((app->loops[i].channels = calloc(1, sizeof(struct channels))) == NULL)
            return ERR_MEMORY;
    return OK;
}

void
channels_stop(struct app *app)
{
    for (unsigned i = 0; i < APP_LOOPS_MAX && app->loops[i].channels != NULL; i++) {
        struct channel *c, *next;

        HASH_ITER (hh, app->loops[i].channels->by_id, c, next) {
            HASH_DEL(app->loops[i].channels->by_id, c);
            free(c);
        }
        free(app->loops[i].channels);
        app->loops[i].channels = NULL;
    }
}

static struct channel *
channel_find(struct loop *loop, const struct id *id)
{
    struct channel *c;

    HASH_FIND(hh, app_loop_of(loop)->channels->by_id, id->b, ID_BYTES, c);
    return c;
}

static void
channel_free(struct channel *c)
{
    loop_timer_stop(c->loop, &c->timer);
    directory_drop_channel(app_of(c->loop)->directory, &c->place.channel);
    HASH_DEL(app_loop_of(c->loop)->channels->by_id, c);
    free(c);
}

/* ---- the end ---- */

static void
fill_said(struct command *cmd, const struct agent_said *said, struct signed_statement *out)
{
    out->verified = true;
    out->purpose = span_str(purpose_name(PURPOSE_CLOSE));
    out->statement = command_copy(cmd, span_of(said->statement, said->statement_len));
    out->sig = command_copy(cmd, span_of(said->sig, sizeof(said->sig)));
    memcpy(out->device_key, said->device_key, 32);
}

static void
channel_was_closed(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    struct channel *c = channel_find(loop, &cmd->close_channel.channel);

    (void)ref;
    (void)user;
    (void)verdict;
    if (c != NULL)
        directory_settle_channel(app_of(loop)->directory, &c->place.channel);
}

/* said NULL: agent_why says why there is no statement. */
static void
channel_close(struct channel *c, const struct agent_said *said, const char *agent_why)
{
    struct command *cmd = command_new(CMD_CLOSE_CHANNEL, STATEMENT_BYTES_MAX + 256);
    struct close_channel *close;
    struct statement st;

    if (cmd == NULL)
        return; /* the timer comes again */
    close = &cmd->close_channel;
    cmd->caller.kind = CALLER_SERVER;
    close->session = c->place.session;
    close->channel = c->place.channel;
    close->to_agent_bytes = c->to_agent;
    close->to_technician_bytes = c->to_technician;
    close->duration_us = c->duration_ms * 1000;
    close->why = c->why;
    close->agent_why = agent_why;
    if (said != NULL) {
        fill_said(cmd, said, &close->said);
        if (statement_decode(PURPOSE_CLOSE, close->said.statement, &st) == OK &&
            st.exit_status > 0) {
            close->has_exit = true;
            close->exit_status = (int64_t)st.exit_status - 1;
        }
    }
    c->state = CHANNEL_CLOSED;
    loop_timer_set(c->loop, &c->timer, CHANNEL_LATE_MS);
    ask_insist(c->loop, cmd, channel_was_closed);
}

/* The relay is over: the agent is asked what it saw. */
static void
channel_sign(struct channel *c)
{
    struct control message = {.kind = CONTROL_CLOSE};

    c->state = CHANNEL_SIGNING;
    randombytes_buf(c->close_nonce, sizeof(c->close_nonce));
    message.close.channel = c->place.channel;
    message.close.to_agent_bytes = c->to_agent;
    message.close.to_technician_bytes = c->to_technician;
    memcpy(message.close.nonce, c->close_nonce, sizeof(c->close_nonce));
    if (!agents_send(c->loop, &c->place.machine, &message)) {
        channel_close(c, NULL, "agent_gone");
        return;
    }
    loop_timer_set(c->loop, &c->timer, CHANNEL_ATTEST_MS);
}

static const char *
why_of(enum relay_why why, enum relay_side side)
{
    bool agent = side == RELAY_AGENT;

    switch (why) {
    case RELAY_CLOSED: return agent ? "agent_closed" : "technician_closed";
    case RELAY_GONE: return agent ? "agent_gone" : "technician_gone";
    case RELAY_PROTOCOL: return agent ? "agent_protocol" : "technician_protocol";
    case RELAY_STALLED: return agent ? "agent_stalled" : "technician_stalled";
    case RELAY_DEAD: return agent ? "agent_dead" : "technician_dead";
    case RELAY_CUT: return "cut";
    case RELAY_STOPPING: return "server_stopping";
    }
    return "unknown";
}

static void
channel_relayed(struct loop *loop, void *user, const struct relay_counts *counts,
    enum relay_why why, enum relay_side side, uint16_t code, struct span reason)
{
    struct channel *c = user;

    (void)code;
    (void)reason;
    c->to_agent = counts->to_agent;
    c->to_technician = counts->to_technician;
    c->duration_ms = loop_now_ms(loop) - c->opened_ms;
    c->why = why_of(why, side);
    channel_sign(c);
}

static void
channel_progress(struct loop *loop, void *user, const struct relay_counts *counts)
{
    struct channel *c = user;

    if (counts->last_technician_ms == c->touched_ms)
        return;
    c->touched_ms = counts->last_technician_ms;
    ledger_thread_touch(app_of(loop)->ledger, &c->place.session);
}

static const struct relay_handlers relay_handlers = {
    .on_progress = channel_progress,
    .on_end = channel_relayed,
};

static void
orphan_closed(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    (void)loop;
    (void)ref;
    (void)user;
    (void)end;
    (void)code;
    (void)reason;
}

static void
nothing_expected(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message)
{
    (void)user;
    (void)opcode;
    (void)message;
    ws_close(loop, ref, 1008, "not yet");
}

/* A socket whose channel is no more, or not yet: its end concerns nobody. */
static const struct ws_handlers orphan_handlers = {
    .on_message = nothing_expected,
    .on_close = orphan_closed,
};

/* Before the relay: nothing passed, so it is the technician who was detached. */
static void
channel_detach(struct channel *c, const char *why)
{
    struct command *cmd = command_new(CMD_DETACH, 0);

    ws_set_handlers(c->loop, c->technician, &orphan_handlers, NULL);
    if (cmd != NULL) {
        cmd->caller.kind = CALLER_SERVER;
        cmd->detach.session = c->place.session;
        cmd->detach.channel = c->place.channel;
        cmd->detach.why = why;
        ask_insist(c->loop, cmd, NULL);
    }
    channel_free(c);
}

static void
channel_timed(struct loop *loop, struct timer *timer)
{
    struct channel *c = (struct channel *)((char *)timer - offsetof(struct channel, timer));

    switch (c->state) {
    case CHANNEL_DIALLING:
        ws_close(loop, c->technician, 1013, "the agent did not dial back");
        channel_detach(c, "agent_silent");
        return;
    case CHANNEL_SIGNING: channel_close(c, NULL, "no_answer"); return;
    case CHANNEL_CLOSED: channel_free(c); return;
    case CHANNEL_OPEN: return;
    }
}

/* ---- attach: the technician ---- */

static void
technician_closed(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    struct channel *c = user;

    (void)loop;
    (void)ref;
    (void)end;
    (void)code;
    (void)reason;
    if (c->state == CHANNEL_DIALLING)
        channel_detach(c, "technician_gone");
}

static const struct ws_handlers technician_handlers = {
    .on_message = nothing_expected,
    .on_close = technician_closed,
};

struct terminal {
    unsigned cols, rows;
    char term[65];
};

/* "80x24 xterm-256color", from our own client; a browser cannot send it and resizes at once. */
static void
terminal_read(const struct request *request, struct terminal *out)
{
    const struct span *field = http_field(request, "gatehouse-terminal");
    char text[80];

    *out = (struct terminal){0};
    if (field == NULL || field->len >= sizeof(text))
        return;
    memcpy(text, field->ptr, field->len);
    text[field->len] = '\0';
    if (sscanf(text, "%4ux%4u %64[A-Za-z0-9.+-]", &out->cols, &out->rows, out->term) != 3)
        *out = (struct terminal){0};
}

static bool
tell_agent(struct channel *c, const struct verdict *verdict, const struct terminal *terminal)
{
    struct control message = {.kind = CONTROL_OPEN};
    struct control_open *open = &message.open;

    open->session = c->place.session;
    open->channel = c->place.channel;
    open->service = span_str(c->place.service);
    open->ticket = span_of(verdict->reply.ticket, verdict->reply.ticket_len);
    memcpy(open->nonce, c->place.nonce, sizeof(open->nonce));
    if (strcmp(c->place.service, "shell") == 0 && terminal->cols > 0 && terminal->rows > 0) {
        open->cols = terminal->cols;
        open->rows = terminal->rows;
        open->term = span_str(terminal->term);
    }
    return agents_send(c->loop, &c->place.machine, &message);
}

static struct channel *
channel_new(struct loop *loop, struct ref technician, const struct verdict *verdict)
{
    struct app *app = app_of(loop);
    struct channel *c;

    if (HASH_COUNT(app_loop_of(loop)->channels->by_id) >= CHANNELS_PER_LOOP ||
        (c = calloc(1, sizeof(*c))) == NULL)
        return NULL;
    c->loop = loop;
    c->technician = technician;
    c->timer.fn = channel_timed;
    c->place = (struct channel_place){.channel = verdict->reply.channel,
        .session = verdict->reply.session,
        .machine = verdict->reply.machine,
        .loop = loop_index(loop)};
    memcpy(c->place.nonce, verdict->reply.nonce, sizeof(c->place.nonce));
    snprintf(c->place.service, sizeof(c->place.service), "%s", verdict->reply.service);
    if (directory_put_channel(app->directory, &c->place) != OK) {
        free(c);
        return NULL;
    }
    HASH_ADD(hh, app_loop_of(loop)->channels->by_id, place.channel, ID_BYTES, c);
    return c;
}

/* Attached in the log, and then nothing came of it. */
static void
detach_orphan(struct loop *loop, const struct verdict *verdict, const char *why)
{
    struct command *cmd = command_new(CMD_DETACH, 0);

    if (cmd == NULL)
        return;
    cmd->caller.kind = CALLER_SERVER;
    cmd->detach.session = verdict->reply.session;
    cmd->detach.channel = verdict->reply.channel;
    cmd->detach.why = why;
    ask_insist(loop, cmd, NULL);
}

static void
technician_attached(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    const struct request *request = http_request(loop, ref);
    struct terminal terminal;
    struct channel *c;

    (void)user;
    (void)cmd;
    if (request == NULL) {
        if (verdict->refusal == REFUSE_NONE)
            detach_orphan(loop, verdict, "technician_gone");
        return;
    }
    if (verdict->refusal != REFUSE_NONE) {
        reply_refusal(loop, ref, verdict, false);
        return;
    }
    terminal_read(request, &terminal);
    if ((c = channel_new(loop, ref, verdict)) == NULL) {
        detach_orphan(loop, verdict, "busy");
        reply_busy(loop, ref);
        return;
    }
    if (http_upgrade(loop, ref,
            &(struct ws_options){.subprotocol = TECHNICIAN_SUBPROTOCOL,
                .handlers = &technician_handlers,
                .user = c,
                .hold = true}) != OK) {
        channel_detach(c, "bad_handshake");
        return;
    }
    loop_timer_set(loop, &c->timer, CHANNEL_DIAL_MS);
    if (!tell_agent(c, verdict, &terminal)) {
        ws_close(loop, ref, 1013, "the machine's agent is not connected");
        channel_detach(c, "agent_gone");
    }
}

/* "gatehouse.v1, ticket.<b64url>": both, in any order, nothing else. */
static bool
ticket_of(const struct request *request, uint8_t *out, size_t cap, size_t *len)
{
    const struct span *field = http_field(request, "sec-websocket-protocol");
    struct span rest, ticket = {NULL, 0};
    bool versioned = false;

    if (field == NULL || http_field_count(request, "sec-websocket-protocol") != 1)
        return false;
    rest = *field;
    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        struct span item = span_of(rest.ptr, comma == NULL ? rest.len : (size_t)(comma - rest.ptr));

        rest = comma == NULL ? (struct span){NULL, 0} : span_of(comma + 1, rest.len - item.len - 1);
        while (item.len > 0 && item.ptr[0] == ' ')
            item = span_of(item.ptr + 1, item.len - 1);
        while (item.len > 0 && item.ptr[item.len - 1] == ' ')
            item.len--;
        if (span_is(item, TECHNICIAN_SUBPROTOCOL))
            versioned = true;
        else if (item.len > 7 && memcmp(item.ptr, "ticket.", 7) == 0 && ticket.ptr == NULL)
            ticket = span_of(item.ptr + 7, item.len - 7);
        else
            return false;
    }
    return versioned && ticket.ptr != NULL &&
           base64_decode(BASE64_URL, ticket, out, cap, len) == OK;
}

/* A browser always sends Origin: it must be ours. A command line sends none: the ticket is the only
 * credential on these sockets. */
static bool
origin_allowed(struct loop *loop, struct ref ref, const struct request *request)
{
    const struct span *origin = http_field(request, "origin");
    const char *expected = app_of(loop)->public_url;
    char detail[512], seen[256];

    if (origin == NULL || auth_origin(app_of(loop), request))
        return true;
    text_escape(*origin, seen, sizeof(seen));
    snprintf(detail, sizeof(detail), "Origin: expected %s, received %s.",
        expected[0] == '\0' ? "none (no public URL is configured)" : expected, seen);
    reply_no(loop, ref, PROBLEM_ORIGIN, detail, "Origin");
    return false;
}

/* "tcp/NAME" in the path is "tcp:NAME" everywhere else. */
static struct span
service_of_path(struct command *cmd, struct span path)
{
    struct span service = command_copy(cmd, path);

    if (service.len > 4 && memcmp(service.ptr, "tcp/", 4) == 0)
        cmd->arena[service.ptr - cmd->arena + 3] = ':';
    return service;
}

void
channels_attach_request(struct loop *loop, struct ref ref, const struct request *request,
    const struct id *session, struct span service)
{
    uint8_t ticket[TICKET_BYTES_MAX];
    struct command *cmd;
    size_t len;

    if (!request->wants_websocket) {
        reply_no(loop, ref, PROBLEM_UPGRADE, "Sessions are attached by WebSocket.", NULL);
        return;
    }
    if (!origin_allowed(loop, ref, request))
        return;
    if (!ticket_of(request, ticket, sizeof(ticket), &len)) {
        reply_no(loop, ref, PROBLEM_UNAUTHENTICATED,
            "The subprotocols must be " TECHNICIAN_SUBPROTOCOL " and ticket.<ticket>.",
            "Sec-WebSocket-Protocol");
        return;
    }
    if (service.len > PLACE_SERVICE_BYTES - 1 ||
        (cmd = command_new(CMD_ATTACH, CALLER_ARENA + TICKET_BYTES_MAX + PLACE_SERVICE_BYTES)) ==
            NULL) {
        reply_no(loop, ref, PROBLEM_NOT_FOUND, NULL, NULL);
        return;
    }
    caller_address(app_of(loop), request, cmd, NULL);
    cmd->caller.kind = CALLER_NOBODY; /* neither cookie nor Authorization is read here */
    cmd->attach.ticket = command_copy(cmd, span_of(ticket, len));
    cmd->attach.session = *session;
    cmd->attach.service = service_of_path(cmd, service);
    sodium_memzero(ticket, sizeof(ticket));
    if (!ask(loop, cmd, &(struct ask_options){.fn = technician_attached, .ref = ref}))
        reply_busy(loop, ref);
}

/* ---- dial back: the agent ---- */

/* On the technician's loop, with the channel's id in `user` (malloc). */
static void
agent_arrived(struct loop *loop, struct ref ref, const struct request *request, void *user)
{
    struct channel *c = channel_find(loop, user);

    free(user);
    if (c == NULL || request == NULL) {
        if (request != NULL)
            reply_no(loop, ref, PROBLEM_GONE, "The technician has left.", NULL);
        if (c != NULL && c->state == CHANNEL_DIALLING) {
            ws_close(loop, c->technician, 1013, "busy");
            c->why = "busy";
            channel_sign(c);
        }
        return;
    }
    c->agent = ref;
    c->opened_ms = loop_now_ms(loop);
    if (http_upgrade(loop, ref,
            &(struct ws_options){
                .subprotocol = CHANNEL_SUBPROTOCOL, .handlers = &orphan_handlers, .hold = true}) ==
            OK &&
        relay_pair(loop, c->technician, c->agent, &relay_handlers, c) == OK) {
        c->state = CHANNEL_OPEN;
        loop_timer_stop(loop, &c->timer);
        return;
    }
    /* channel.opened is in the log, so channel.closed must be: with no byte in it. */
    ws_close(loop, c->technician, 1011, "the agent's socket failed");
    http_drop(loop, ref);
    c->why = "agent_gone";
    channel_sign(c);
}

static void
agent_dialled(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    struct app *app = app_of(loop);
    struct channel_place place;
    struct id *channel;

    (void)user;
    (void)cmd;
    if (verdict->refusal != REFUSE_NONE) {
        reply_refusal(loop, ref, verdict, false);
        return;
    }
    if (!directory_find_channel(app->directory, &verdict->reply.channel, &place)) {
        reply_no(loop, ref, PROBLEM_GONE, "The technician has left.", NULL);
        return;
    }
    if ((channel = malloc(sizeof(*channel))) == NULL) {
        reply_busy(loop, ref);
        return;
    }
    *channel = place.channel;
    switch (
        http_move(loop, ref, http_server_loop(app->server, place.loop), agent_arrived, channel)) {
    case OK: return;
    case ERR_MALFORMED:
        reply_no(loop, ref, PROBLEM_MALFORMED, "Bytes behind the handshake.", NULL);
        break;
    default: reply_busy(loop, ref); break;
    }
    free(channel);
}

static const char *
dial_check(struct app *app, const struct channel_credential *cred, struct statement *st,
    struct agent_place *agent)
{
    struct channel_place place;

    if (statement_decode(PURPOSE_CHANNEL, cred->statement, st) != OK)
        return "The channel statement is malformed.";
    if (!directory_find_channel(app->directory, &st->channel, &place) ||
        !id_equal(&place.session, &st->session) || !id_equal(&place.machine, &st->machine) ||
        !span_is(st->service, place.service) ||
        sodium_memcmp(place.nonce, st->server_nonce, sizeof(place.nonce)) != 0)
        return "The channel statement answers no open channel.";
    if (!directory_find_agent(app->directory, &st->machine, agent))
        return "The machine's agent is not connected.";
    if (statement_verify(
            PURPOSE_CHANNEL, app->origin, cred->statement, cred->sig, agent->device_key) != OK)
        return "The channel statement's signature does not verify.";
    return NULL;
}

static bool
dial_is_channel(struct loop *loop, struct ref ref, const struct request *request)
{
    const struct span *protocol = http_field(request, "sec-websocket-protocol");

    if (!request->wants_websocket) {
        reply_no(loop, ref, PROBLEM_UPGRADE, "Channels are WebSockets.", NULL);
        return false;
    }
    if (protocol == NULL || !span_is(*protocol, CHANNEL_SUBPROTOCOL)) {
        reply_no(loop, ref, PROBLEM_BAD_FIELD, "The subprotocol must be " CHANNEL_SUBPROTOCOL ".",
            "Sec-WebSocket-Protocol");
        return false;
    }
    return true;
}

void
channels_dial_request(struct loop *loop, struct ref ref, const struct request *request)
{
    const struct span *authorization = http_field(request, "authorization");
    struct app *app = app_of(loop);
    struct channel_credential cred;
    struct agent_place agent;
    struct statement st;
    struct command *cmd;
    const char *fault;

    if (!dial_is_channel(loop, ref, request))
        return;
    if (authorization == NULL || credential_parse_ticket(*authorization, &cred) != OK) {
        reply_no(
            loop, ref, PROBLEM_UNAUTHENTICATED, "A channel ticket is needed.", "Authorization");
        return;
    }
    if ((fault = dial_check(app, &cred, &st, &agent)) != NULL) {
        reply_no(loop, ref, PROBLEM_FORBIDDEN, fault, NULL);
        return;
    }
    cmd = command_new(
        CMD_OPEN_CHANNEL, CALLER_ARENA + TICKET_BYTES_MAX + 64 + STATEMENT_BYTES_MAX + 128);
    if (cmd == NULL) {
        reply_busy(loop, ref);
        return;
    }
    caller_address(app, request, cmd, NULL);
    cmd->caller.kind = CALLER_AGENT;
    cmd->caller.machine = agent.machine;
    cmd->caller.connection = agent.connection;
    cmd->open_channel.ticket = command_copy(cmd, cred.ticket);
    cmd->open_channel.said.verified = true;
    cmd->open_channel.said.purpose = span_str(purpose_name(PURPOSE_CHANNEL));
    cmd->open_channel.said.statement = command_copy(cmd, cred.statement);
    cmd->open_channel.said.sig = command_copy(cmd, cred.sig);
    memcpy(cmd->open_channel.said.device_key, agent.device_key, 32);
    if (!ask(loop, cmd, &(struct ask_options){.fn = agent_dialled, .ref = ref}))
        reply_busy(loop, ref);
}

/* ---- what the agent says about a channel ---- */

static void
channel_attest(struct channel *c, const struct agent_said *said)
{
    struct command *cmd = command_new(CMD_ATTEST_CHANNEL, STATEMENT_BYTES_MAX + 256);

    if (cmd == NULL)
        return;
    cmd->caller.kind = CALLER_AGENT;
    cmd->caller.machine = c->place.machine;
    cmd->attest_channel.session = c->place.session;
    cmd->attest_channel.channel = c->place.channel;
    fill_said(cmd, said, &cmd->attest_channel.said);
    ask_insist(c->loop, cmd, NULL);
    channel_free(c);
}

static void
agent_said_here(struct loop *loop, struct ref ref, void *arg)
{
    struct agent_said *said = arg;
    struct channel *c = channel_find(loop, &said->place.channel);
    struct statement st;
    char reason[100];

    (void)ref;
    if (c == NULL)
        goto out;
    if (said->refused) {
        if (c->state == CHANNEL_DIALLING) {
            snprintf(reason, sizeof(reason), "agent: %s", said->code);
            ws_close(loop, c->technician, 1013, reason);
            channel_detach(c, "agent_refused");
        }
        goto out;
    }
    if (statement_decode(PURPOSE_CLOSE, span_of(said->statement, said->statement_len), &st) != OK ||
        sodium_memcmp(st.server_nonce, c->close_nonce, sizeof(c->close_nonce)) != 0 ||
        !id_equal(&st.session, &c->place.session) || !id_equal(&st.machine, &c->place.machine))
        goto out;
    if (c->state == CHANNEL_SIGNING)
        channel_close(c, said, NULL);
    else if (c->state == CHANNEL_CLOSED)
        channel_attest(c, said);
out:
    sodium_memzero(said, sizeof(*said));
    free(said);
}

void
channels_agent_said(struct loop *from, struct agent_said *said)
{
    struct loop *to = http_server_loop(app_of(from)->server, said->place.loop);

    if (!loop_post(to, agent_said_here, (struct ref){0}, said))
        free(said); /* the channel then closes without a co-signature, and says so */
}

/* ---- cuts ---- */

static void
channel_cut(struct channel *c)
{
    if (c->state == CHANNEL_DIALLING) {
        ws_close(c->loop, c->technician, 1008, "the session has ended");
        channel_detach(c, "cut");
    } else if (c->state == CHANNEL_OPEN) {
        relay_cut(c->loop, c->technician, 1008, "the session has ended");
    }
}

static void
channels_cut_where(struct loop *loop, const struct id *session)
{
    struct channel *c, *next;

    HASH_ITER (hh, app_loop_of(loop)->channels->by_id, c, next)
        if (session == NULL || id_equal(&c->place.session, session))
            channel_cut(c);
}

void
channels_cut_session(struct loop *loop, const struct id *session)
{
    channels_cut_where(loop, session);
}

void
channels_cut_all(struct loop *loop)
{
    channels_cut_where(loop, NULL);
}

/* ---- an orderly end ---- */

#define ENDING_POLL_MS 64

struct ending {
    struct loop *loop;
    struct id session;
    struct ref ref;
    channels_closed_fn done;
    void *user;
    uint64_t until_ms;
    struct timer timer;
};

static void
ending_look(struct loop *loop, struct timer *timer)
{
    struct ending *e = (struct ending *)((char *)timer - offsetof(struct ending, timer));

    if (directory_session_channels(app_of(loop)->directory, &e->session) > 0 &&
        loop_now_ms(loop) < e->until_ms) {
        loop_timer_set(loop, &e->timer, ENDING_POLL_MS);
        return;
    }
    e->done(loop, e->ref, e->user);
    free(e);
}

void
channels_close_session(struct loop *loop, const struct id *session, struct ref ref,
    channels_closed_fn done, void *user)
{
    struct ending *e = calloc(1, sizeof(*e));

    cuts_add(app_of(loop), CUT_SESSION, session);
    if (e == NULL) {
        done(loop, ref, user);
        return;
    }
    *e = (struct ending){.loop = loop,
        .session = *session,
        .ref = ref,
        .done = done,
        .user = user,
        .until_ms = loop_now_ms(loop) + CHANNEL_ATTEST_MS + 500,
        .timer = {.fn = ending_look}};
    ending_look(loop, &e->timer);
}
