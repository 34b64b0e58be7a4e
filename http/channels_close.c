/* channels_close.c: how a relayed channel ends: the agent is asked what it saw, signs it, and
 * channel.closed holds both counts. A signature that comes too late is attested apart. On the
 * technician's loop. */
#include "http/channels_internal.h"

#include <sodium.h>

#include "core/statement.h"
#include "http/agents.h"
#include "http/ask.h"

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
    struct channel *c = channels_find(loop, &cmd->close_channel.channel);

    (void)ref;
    (void)user;
    (void)verdict;
    if (c != NULL)
        directory_settle_channel(app_of(loop)->directory, &c->place.channel);
}

void
channels_close(struct channel *c, const struct agent_said *said, const char *agent_why)
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

void
channels_sign(struct channel *c)
{
    struct control message = {.kind = CONTROL_CLOSE};

    c->state = CHANNEL_SIGNING;
    randombytes_buf(c->close_nonce, sizeof(c->close_nonce));
    message.close.channel = c->place.channel;
    message.close.to_agent_bytes = c->to_agent;
    message.close.to_technician_bytes = c->to_technician;
    memcpy(message.close.nonce, c->close_nonce, sizeof(c->close_nonce));
    if (!agents_send(c->loop, &c->place.machine, &message)) {
        channels_close(c, NULL, "agent_gone");
        return;
    }
    loop_timer_set(c->loop, &c->timer, CHANNEL_ATTEST_MS);
}

/* ---- what the relay tells ---- */

static const char *
why_of(const struct app *app, enum relay_why why, enum relay_side side)
{
    bool agent = side == RELAY_AGENT;

    switch (why) {
    case RELAY_CLOSED: return agent ? "agent_closed" : "technician_closed";
    case RELAY_GONE: return agent ? "agent_gone" : "technician_gone";
    case RELAY_PROTOCOL: return agent ? "agent_protocol" : "technician_protocol";
    case RELAY_STALLED: return agent ? "agent_stalled" : "technician_stalled";
    case RELAY_DEAD: return agent ? "agent_dead" : "technician_dead";
    case RELAY_CUT: return app->ending ? "server_stopping" : "cut";
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
    c->why = why_of(app_of(loop), why, side);
    channels_sign(c);
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

const struct relay_handlers channels_relay_handlers = {
    .on_progress = channel_progress,
    .on_end = channel_relayed,
};

/* ---- what the agent says ---- */

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
    channels_drop(c);
}

static void
agent_said_here(struct loop *loop, struct ref ref, void *arg)
{
    struct agent_said *said = arg;
    struct channel *c = channels_find(loop, &said->place.channel);
    struct statement st;
    char reason[100];

    (void)ref;
    if (c == NULL)
        goto out;
    if (said->refused) {
        if (c->state == CHANNEL_DIALLING) {
            snprintf(reason, sizeof(reason), "agent: %s", said->code);
            ws_close(loop, c->technician, 1013, reason);
            channels_detach(c, "agent_refused");
        }
        goto out;
    }
    if (statement_decode(PURPOSE_CLOSE, span_of(said->statement, said->statement_len), &st) != OK ||
        sodium_memcmp(st.server_nonce, c->close_nonce, sizeof(c->close_nonce)) != 0 ||
        !id_equal(&st.session, &c->place.session) || !id_equal(&st.machine, &c->place.machine))
        goto out;
    if (c->state == CHANNEL_SIGNING)
        channels_close(c, said, NULL);
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
