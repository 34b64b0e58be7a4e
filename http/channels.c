/* channels.c: a loop's channels, each on the loop of its technician:
 *   attach -> (durable) 101, held -> agent told
 *   -> agent dials back -> (durable) moved here, 101, held
 *   -> relay -> end -> agent signs -> channel.closed
 * An attached channel whose agent never came ends as session.detached, here. */
#include "http/channels_internal.h"

#include "http/ask.h"

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

struct channel *
channels_find(struct loop *loop, const struct id *id)
{
    struct channel *c;

    HASH_FIND(hh, app_loop_of(loop)->channels->by_id, id->b, ID_BYTES, c);
    return c;
}

void
channels_drop(struct channel *c)
{
    loop_timer_stop(c->loop, &c->timer);
    directory_drop_channel(app_of(c->loop)->directory, &c->place.channel);
    HASH_DEL(app_loop_of(c->loop)->channels->by_id, c);
    free(c);
}

/* ---- before the relay ---- */

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

void
channels_nothing_expected(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message)
{
    (void)user;
    (void)opcode;
    (void)message;
    ws_close(loop, ref, 1008, "not yet");
}

const struct ws_handlers channels_orphan_handlers = {
    .on_message = channels_nothing_expected,
    .on_close = orphan_closed,
};

void
channels_detach(struct channel *c, const char *why)
{
    struct command *cmd = command_new(CMD_DETACH, 0);

    ws_set_handlers(c->loop, c->technician, &channels_orphan_handlers, NULL);
    if (cmd != NULL) {
        cmd->caller.kind = CALLER_SERVER;
        cmd->detach.session = c->place.session;
        cmd->detach.channel = c->place.channel;
        cmd->detach.why = why;
        ask_insist(c->loop, cmd, NULL);
    }
    channels_drop(c);
}

static void
channel_timed(struct loop *loop, struct timer *timer)
{
    struct channel *c = (struct channel *)((char *)timer - offsetof(struct channel, timer));

    switch (c->state) {
    case CHANNEL_DIALLING:
        ws_close(loop, c->technician, 1013, "the agent did not dial back");
        channels_detach(c, "agent_silent");
        return;
    case CHANNEL_SIGNING: channels_close(c, NULL, "no_answer"); return;
    case CHANNEL_CLOSED: channels_drop(c); return;
    case CHANNEL_OPEN: return;
    }
}

struct channel *
channels_add(struct loop *loop, struct ref technician, const struct verdict *verdict)
{
    struct app *app = app_of(loop);
    struct channel *c;

    if (HASH_COUNT(app_loop_of(loop)->channels->by_id) >= CHANNELS_PER_LOOP ||
        (c = calloc(1, sizeof(*c))) == NULL)
        return NULL;
    c->loop = loop;
    c->technician = technician;
    c->timer.fn = channel_timed;
    c->net = verdict->reply.net;
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
