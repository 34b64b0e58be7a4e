/* channels_dial.c: the agent's end of a channel: its request, checked on the loop it came to, then
 * the connection's move to the technician's loop, where the relay begins. */
#include "http/channels_internal.h"

#include <sodium.h>

#include "core/statement.h"
#include "core/vault.h"
#include "http/ask.h"
#include "http/caller.h"
#include "http/credential.h"
#include "http/reply.h"

/* On the technician's loop, with the channel's id in `user` (malloc). */
static void
agent_arrived(struct loop *loop, struct ref ref, const struct request *request, void *user)
{
    struct channel *c = channels_find(loop, user);

    free(user);
    if (c == NULL || request == NULL) {
        if (request != NULL)
            reply_no(loop, ref, PROBLEM_GONE, "The technician has left.", NULL);
        if (c != NULL && c->state == CHANNEL_DIALLING) {
            ws_close(loop, c->technician, 1013, "busy");
            c->why = "busy";
            channels_sign(c);
        }
        return;
    }
    c->agent = ref;
    c->opened_ms = loop_now_ms(loop);
    if (http_upgrade(loop, ref,
            &(struct ws_options){.subprotocol = CHANNEL_SUBPROTOCOL,
                .handlers = &channels_orphan_handlers,
                .hold = true}) == OK &&
        relay_pair(loop, c->technician, c->agent, &channels_relay_handlers, c) == OK) {
        c->state = CHANNEL_OPEN;
        loop_timer_stop(loop, &c->timer);
        if (c->paused)
            (void)relay_pause(loop, c->technician, true);
        return;
    }
    /* channel.opened is in the log, so channel.closed must be: with no byte in it. */
    ws_close(loop, c->technician, 1011, "the agent's socket failed");
    http_drop(loop, ref);
    c->why = "agent_gone";
    channels_sign(c);
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
        reply_refusal(loop, ref, verdict);
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

/* ---- the request ---- */

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
