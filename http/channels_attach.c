/* channels_attach.c: the technician's end of a channel, from the request with its one-time ticket
 * to a socket that is held until the agent has dialled back. On the technician's loop. */
#include "http/channels_internal.h"

#include <sodium.h>

#include "core/base64.h"
#include "core/text.h"
#include "core/vault.h"
#include "http/agents.h"
#include "http/ask.h"
#include "http/auth.h"
#include "http/caller.h"
#include "http/reply.h"

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
        channels_detach(c, "technician_gone");
}

static const struct ws_handlers technician_handlers = {
    .on_message = channels_nothing_expected,
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
        reply_refusal(loop, ref, verdict);
        return;
    }
    terminal_read(request, &terminal);
    if ((c = channels_add(loop, ref, verdict)) == NULL) {
        detach_orphan(loop, verdict, "busy");
        reply_busy(loop, ref);
        return;
    }
    if (http_upgrade(loop, ref,
            &(struct ws_options){.subprotocol = TECHNICIAN_SUBPROTOCOL,
                .handlers = &technician_handlers,
                .user = c,
                .hold = true}) != OK) {
        channels_detach(c, "bad_handshake");
        return;
    }
    loop_timer_set(loop, &c->timer, CHANNEL_DIAL_MS);
    if (!tell_agent(c, verdict, &terminal)) {
        ws_close(loop, ref, 1013, "the machine's agent is not connected");
        channels_detach(c, "agent_gone");
    }
}

/* ---- the request ---- */

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
    if (app_of(loop)->ending) {
        reply_busy(loop, ref);
        return;
    }
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
