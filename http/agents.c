/* agents.c: agents' control connections, from admission to the end. Each runs on its own loop. */
#include "http/agents.h"

#include <sodium.h>
#include <uthash.h>

#include "core/pack.h"
#include "core/statement.h"
#include "core/text.h"
#include "core/words.h"
#include "http/ask.h"
#include "http/caller.h"
#include "http/channels.h"
#include "http/credential.h"
#include "http/reply.h"

#define GREET_ARENA (STATEMENT_BYTES_MAX + 8 * 1024)

enum agent_state {
    AGENT_EXPECTED, /* challenge sent, hello not there */
    AGENT_PROVING,  /* hello is with the ledger */
    AGENT_LIVE,     /* has presence */
    AGENT_ENDING,
};

struct offer_place {
    struct id session; /* nil: free */
    uint8_t nonce[32];
};

struct agent {
    struct loop *loop;
    struct ref ref;
    enum agent_state state;
    uint8_t nonce[CONTROL_NONCE_BYTES];
    struct id connection, machine;
    bool has_address;
    uint8_t address[16]; /* as it was admitted */
    bool recheck;        /* an allow list changed while the hello was with the ledger */
    uint8_t device_key[32];
    struct command *greet; /* holds address and credential until the hello; wiped when freed */
    struct timer hello_timer;
    struct offer_place offers[AGENT_OFFERS_MAX];
    struct id told[AGENT_OFFERS_MAX]; /* sessions it heard of; the oldest gives way */
    unsigned told_next;
    UT_hash_handle hh; /* by connection */
};

struct agents {
    struct agent *by_connection;
};

enum err
agents_start(struct app *app)
{
    for (unsigned i = 0; i < http_server_loops(app->server); i++)
        if ((app->loops[i].agents = calloc(1, sizeof(struct agents))) == NULL)
            return ERR_MEMORY;
    return OK;
}

static void
agent_free(struct agent *a)
{
    loop_timer_stop(a->loop, &a->hello_timer);
    HASH_DEL(app_loop_of(a->loop)->agents->by_connection, a);
    command_free(a->greet);
    sodium_memzero(a, sizeof(*a));
    free(a);
}

/* After the loops have ended: on_close was called for each connection. */
void
agents_stop(struct app *app)
{
    for (unsigned i = 0; i < APP_LOOPS_MAX; i++) {
        free(app->loops[i].agents);
        app->loops[i].agents = NULL;
    }
}

static bool
agent_send(struct agent *a, const struct control *message)
{
    uint8_t bytes[CONTROL_BYTES_MAX];
    size_t len;

    if (control_encode(message, bytes, sizeof(bytes), &len) != OK)
        return false;
    return ws_send(a->loop, a->ref, WS_BINARY, span_of(bytes, len)) == OK;
}

static void
agent_refuse(struct agent *a, const char *code, const char *detail)
{
    struct control message = {.kind = CONTROL_REFUSED};

    message.refused.code = span_str(code);
    message.refused.detail = span_str(detail == NULL ? "" : detail);
    a->state = AGENT_ENDING;
    (void)agent_send(a, &message);
    ws_close(a->loop, a->ref, 1008, code);
}

static void
hello_late(struct loop *loop, struct timer *timer)
{
    struct agent *a = (struct agent *)((char *)timer - offsetof(struct agent, hello_timer));

    (void)loop;
    agent_refuse(a, "hello_timeout", "No hello came within 10 seconds.");
}

/* ---- hello ---- */

static struct span
keep(struct command *cmd, struct span bytes)
{
    return bytes.len == 0 ? (struct span){NULL, 0} : command_copy(cmd, bytes);
}

/* Copies a verified statement into the command. */
static void
keep_said(struct command *cmd, enum purpose purpose, const struct control_said *said,
    const uint8_t device_key[32], struct signed_statement *out)
{
    out->verified = true;
    out->purpose = span_str(purpose_name(purpose));
    out->statement = keep(cmd, said->statement);
    out->sig = keep(cmd, span_of(said->sig, sizeof(said->sig)));
    out->salt = keep(cmd, span_of(said->salt, sizeof(said->salt)));
    out->personal = keep(cmd, said->personal);
    memcpy(out->device_key, device_key, 32);
}

/* The words go with the code: both sides can compute them from what only they know. */
static struct span
keep_words(struct command *cmd, const struct agent *a, const struct statement *st)
{
    char text[WORDS_TEXT_MAX];
    unsigned words[2];

    if (cmd->greet_agent.admitted.credential != CREDENTIAL_CODE)
        return (struct span){NULL, 0};
    statement_words(
        cmd->greet_agent.admitted.code, st->device_key, a->nonce, st->agent_nonce, words);
    words_text(words, text);
    return command_copy(cmd, span_str(text));
}

/* NULL: it holds; else the refusal's detail. */
static const char *
hello_check(const struct agent *a, const struct control_said *said, struct statement *st,
    struct personal_hello *personal)
{
    const struct app *app = app_of(a->loop);
    struct hash commitment;

    if (statement_decode(PURPOSE_HELLO, said->statement, st) != OK)
        return "The hello statement is malformed.";
    if (st->protocol != STATEMENT_PROTOCOL)
        return "The agent speaks another protocol version.";
    if (sodium_memcmp(st->server_nonce, a->nonce, sizeof(a->nonce)) != 0)
        return "The hello answers another challenge.";
    if (st->credential != (uint64_t)a->greet->greet_agent.admitted.credential)
        return "The hello names another credential than the request.";
    if (statement_verify(PURPOSE_HELLO, app->origin, said->statement,
            span_of(said->sig, sizeof(said->sig)), st->device_key) != OK)
        return "The hello's signature does not verify.";
    statement_personal(said->salt, said->personal, &commitment);
    if (!hash_equal(&commitment, &st->personal))
        return "The names beside the hello are not those it commits to.";
    if (personal_hello_decode(said->personal, personal) != OK)
        return "The names beside the hello are malformed.";
    if (text_check(TEXT_MACHINE, personal->machine_name) != TEXT_OK)
        return "The machine's name is not acceptable.";
    return NULL;
}

/* Insists: until it is answered, somebody may be connected who must not be. */
static void
agent_recheck(struct agent *a)
{
    struct command *cmd = command_new(CMD_RECHECK_AGENT, 0);

    INVARIANT(cmd != NULL);
    cmd->caller.kind = CALLER_SERVER;
    cmd->caller.has_address = a->has_address;
    memcpy(cmd->caller.address, a->address, sizeof(a->address));
    cmd->recheck_agent = (struct recheck_agent){a->machine, a->connection};
    a->recheck = false;
    ask_insist(a->loop, cmd, NULL);
}

/* On the ledger's thread: from this verdict on the machine is online, so whoever is told that may
 * ask for its place. */
static void
agent_placed(
    struct loop *loop, struct ref ref, const struct command *cmd, const struct verdict *verdict)
{
    struct agent_place place = {.machine = verdict->reply.machine,
        .connection = cmd->greet_agent.connection,
        .loop = loop_index(loop),
        .ref = ref};

    memcpy(place.device_key, cmd->greet_agent.hello.device_key, sizeof(place.device_key));
    if (verdict->refusal == REFUSE_NONE &&
        directory_put_agent(app_of(loop)->directory, &place) != OK)
        return; /* agent_greeted finds no place, and ends it */
}

static void
agent_greeted(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    struct app *app = app_of(loop);
    struct agent *a = ws_user(loop, ref);
    struct control message = {.kind = CONTROL_WELCOME};
    struct agent_place place;

    (void)user;
    if (a == NULL || a->state != AGENT_PROVING) {
        /* It hung up meanwhile, and on_close could not tell: the ledger hears it now. */
        if (verdict->refusal == REFUSE_NONE) {
            directory_drop_agent(
                app->directory, &verdict->reply.machine, &cmd->greet_agent.connection);
            agents_report_gone(loop, &verdict->reply.machine, &cmd->greet_agent.connection);
        }
        return;
    }
    if (verdict->refusal != REFUSE_NONE) {
        agent_refuse(a, refusal_row(verdict->refusal)->code, verdict->detail);
        return;
    }
    a->state = AGENT_LIVE;
    a->machine = verdict->reply.machine;
    if (!directory_find_agent(app->directory, &a->machine, &place)) {
        ws_close(loop, ref, 1011, "out of memory");
        return;
    }
    message.welcome.machine = a->machine;
    message.welcome.origin = span_str(app->origin);
    message.welcome.guest = verdict->reply.guest;
    message.welcome.words = cmd->greet_agent.words;
    message.welcome.connection = a->connection;
    if (!agent_send(a, &message))
        ws_close(loop, ref, 1011, "the welcome did not fit");
    if (a->recheck)
        agent_recheck(a);
}

static void
agent_hello(struct agent *a, const struct control_said *said)
{
    struct personal_hello personal;
    struct statement st;
    struct greet_agent *greet = &a->greet->greet_agent;
    const char *fault = hello_check(a, said, &st, &personal);
    struct command *cmd = a->greet;

    loop_timer_stop(a->loop, &a->hello_timer);
    if (fault != NULL) {
        agent_refuse(a, "bad_statement", fault);
        return;
    }
    memcpy(a->device_key, st.device_key, 32);
    keep_said(cmd, PURPOSE_HELLO, said, st.device_key, &greet->hello);
    greet->name = keep(cmd, personal.machine_name);
    greet->host_name = keep(cmd, personal.host_name);
    greet->os = keep(cmd, st.os);
    greet->version = keep(cmd, st.version);
    greet->services = keep(cmd, st.services);
    greet->words = keep_words(cmd, a, &st);
    greet->connection = a->connection;
    cmd->caller.connection = a->connection;
    a->greet = NULL; /* the ledger's now */
    a->state = AGENT_PROVING;
    if (!ask(a->loop, cmd,
            &(struct ask_options){.fn = agent_greeted, .decided = agent_placed, .ref = a->ref}))
        agent_refuse(a, "busy", "The server is busy; try again shortly.");
}

/* ---- what a live agent says ---- */

static struct offer_place *
offer_find(struct agent *a, const struct id *session)
{
    for (size_t i = 0; i < AGENT_OFFERS_MAX; i++)
        if (id_equal(&a->offers[i].session, session))
            return &a->offers[i];
    return NULL;
}

static void
agent_consent(struct agent *a, const struct control_said *said)
{
    const struct app *app = app_of(a->loop);
    struct offer_place *offer;
    struct hash commitment;
    struct command *cmd;
    struct statement st;

    if (statement_decode(PURPOSE_CONSENT, said->statement, &st) != OK ||
        (offer = offer_find(a, &st.session)) == NULL || id_is_nil(&st.session) ||
        sodium_memcmp(st.server_nonce, offer->nonce, sizeof(st.server_nonce)) != 0 ||
        statement_verify(PURPOSE_CONSENT, app->origin, said->statement,
            span_of(said->sig, sizeof(said->sig)), a->device_key) != OK) {
        ws_close(a->loop, a->ref, 1008, "consent that answers no offer");
        return;
    }
    statement_personal(said->salt, said->personal, &commitment);
    if (!hash_equal(&commitment, &st.personal) || !id_equal(&st.machine, &a->machine)) {
        ws_close(a->loop, a->ref, 1008, "consent that commits to something else");
        return;
    }
    offer->session = (struct id){0}; /* one answer an offer */
    if ((cmd = command_new(CMD_ANSWER_CONSENT, GREET_ARENA)) == NULL)
        return;
    cmd->caller.kind = CALLER_AGENT;
    cmd->caller.machine = a->machine;
    cmd->caller.connection = a->connection;
    cmd->answer_consent.session = st.session;
    cmd->answer_consent.granted = st.answer == 1;
    cmd->answer_consent.mode = st.mode == 2 ? "yes-flag" : "prompt";
    keep_said(cmd, PURPOSE_CONSENT, said, a->device_key, &cmd->answer_consent.said);
    if (!ask(a->loop, cmd, &(struct ask_options){0}))
        ws_close(a->loop, a->ref, 1013, "busy"); /* it reconnects and is asked again */
}

static void
agent_about_channel(struct agent *a, const struct control *message)
{
    struct app *app = app_of(a->loop);
    struct agent_said *said = calloc(1, sizeof(*said));
    struct statement st;
    struct id channel;

    if (said == NULL)
        return;
    if (message->kind == CONTROL_CHANNEL_REFUSED) {
        size_t n = message->channel_refused.code.len;

        channel = message->channel_refused.channel;
        said->refused = true;
        if (n >= sizeof(said->code))
            n = sizeof(said->code) - 1;
        memcpy(said->code, message->channel_refused.code.ptr, n);
    } else {
        const struct control_closed *closed = &message->closed;

        if (statement_decode(PURPOSE_CLOSE, closed->statement, &st) != OK ||
            closed->statement.len > sizeof(said->statement) ||
            statement_verify(PURPOSE_CLOSE, app->origin, closed->statement,
                span_of(closed->sig, sizeof(closed->sig)), a->device_key) != OK) {
            free(said);
            ws_close(a->loop, a->ref, 1008, "close statement that does not verify");
            return;
        }
        channel = st.channel;
        memcpy(said->device_key, a->device_key, 32);
        memcpy(said->statement, closed->statement.ptr, closed->statement.len);
        said->statement_len = closed->statement.len;
        memcpy(said->sig, closed->sig, sizeof(said->sig));
    }
    /* A channel of another machine, or long gone: nobody to tell. */
    if (!directory_find_channel(app->directory, &channel, &said->place) ||
        !id_equal(&said->place.machine, &a->machine)) {
        free(said);
        return;
    }
    channels_agent_said(a->loop, said);
}

static void
agent_live(struct agent *a, const struct control *message)
{
    switch (message->kind) {
    case CONTROL_CONSENT: agent_consent(a, &message->said); return;
    case CONTROL_CLOSED:
    case CONTROL_CHANNEL_REFUSED: agent_about_channel(a, message); return;
    case CONTROL_BYE: ws_close(a->loop, a->ref, 1000, "bye"); return;
    default: ws_close(a->loop, a->ref, 1008, "unexpected message"); return;
    }
}

static void
agent_message(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span bytes)
{
    struct agent *a = user;
    struct control message;
    char why[CONTROL_WHY_MAX];

    (void)ref;
    if (opcode != WS_BINARY) {
        ws_close(loop, a->ref, 1003, "control messages are binary");
        return;
    }
    if (control_decode(CONTROL_BY_AGENT, bytes, &message, why) != OK) {
        ws_close(loop, a->ref, 1008, why);
        return;
    }
    if (a->state == AGENT_EXPECTED && message.kind == CONTROL_HELLO)
        agent_hello(a, &message.said);
    else if (a->state == AGENT_LIVE)
        agent_live(a, &message);
    else if (a->state != AGENT_ENDING)
        agent_refuse(a, "unexpected_message", "A hello must come first, and once.");
}

void
agents_report_gone(struct loop *loop, const struct id *machine, const struct id *connection)
{
    struct command *cmd = command_new(CMD_AGENT_GONE, 0);

    if (cmd == NULL)
        return;
    cmd->caller.kind = CALLER_AGENT;
    cmd->caller.machine = *machine;
    cmd->caller.connection = *connection;
    cmd->agent_gone.why = "gone";
    ask_insist(loop, cmd, NULL);
}

static void
agent_closed(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    struct agent *a = user;

    (void)ref;
    (void)end;
    (void)code;
    (void)reason;
    directory_drop_agent(app_of(loop)->directory, &a->machine, &a->connection);
    /* Whom a stopping server sends away has not gone: server.stopped says it for all of them. */
    if (!loop_is_stopping(loop) && !id_is_nil(&a->machine))
        agents_report_gone(loop, &a->machine, &a->connection);
    agent_free(a);
}

static const struct ws_handlers agent_handlers = {
    .on_message = agent_message,
    .on_close = agent_closed,
    .message_max = CONTROL_BYTES_MAX,
};

/* ---- admission ---- */

static void
agent_challenge(struct agent *a)
{
    struct app *app = app_of(a->loop);
    struct control message = {.kind = CONTROL_CHALLENGE};
    char note[4096];
    size_t len = 0;

    if (app->tiles.checkpoint(app->tiles.ctx, note, sizeof(note), &len) != OK)
        len = 0;
    randombytes_buf(a->nonce, sizeof(a->nonce));
    memcpy(message.challenge.nonce, a->nonce, sizeof(a->nonce));
    message.challenge.origin = span_str(app->origin);
    message.challenge.root_vkey = span_str(app->root_vkey);
    message.challenge.checkpoint = span_of(note, len);
    message.challenge.protocol = STATEMENT_PROTOCOL;
    loop_timer_set(a->loop, &a->hello_timer, AGENT_HELLO_MS);
    if (!agent_send(a, &message))
        ws_close(a->loop, a->ref, 1011, "the challenge did not fit");
}

/* The greeting holds the address and the credential as they were admitted. */
static struct command *
greeting_of(const struct command *admit)
{
    struct command *cmd = command_new(CMD_GREET_AGENT, GREET_ARENA);
    struct greet_agent *greet;

    if (cmd == NULL)
        return NULL;
    greet = &cmd->greet_agent;
    cmd->caller = admit->caller;
    cmd->caller.kind = CALLER_AGENT;
    cmd->caller.address_text = keep(cmd, admit->caller.address_text);
    cmd->caller.proxy_text = keep(cmd, admit->caller.proxy_text);
    cmd->caller.user_agent = keep(cmd, admit->caller.user_agent);
    greet->admitted = admit->admit_agent;
    greet->admitted.code = keep(cmd, admit->admit_agent.code);
    greet->admitted.key_secret = keep(cmd, admit->admit_agent.key_secret);
    return cmd;
}

static void
agent_admitted(
    struct loop *loop, struct ref ref, void *user, struct command *cmd, struct verdict *verdict)
{
    struct agent *a;

    (void)user;
    if (http_request(loop, ref) == NULL)
        return; /* it hung up while it was being admitted */
    if (verdict->refusal != REFUSE_NONE) {
        reply_refusal(loop, ref, verdict);
        return;
    }
    if ((a = calloc(1, sizeof(*a))) == NULL || (a->greet = greeting_of(cmd)) == NULL) {
        free(a);
        reply_busy(loop, ref);
        return;
    }
    a->loop = loop;
    a->ref = ref;
    a->has_address = a->greet->caller.has_address;
    memcpy(a->address, a->greet->caller.address, sizeof(a->address));
    a->hello_timer.fn = hello_late;
    randombytes_buf(a->connection.b, ID_BYTES);
    HASH_ADD(hh, app_loop_of(loop)->agents->by_connection, connection, ID_BYTES, a);
    if (http_upgrade(loop, ref,
            &(struct ws_options){
                .subprotocol = AGENT_SUBPROTOCOL, .handlers = &agent_handlers, .user = a}) != OK) {
        agent_free(a);
        return;
    }
    agent_challenge(a);
}

static bool
offers_subprotocol(const struct request *request, const char *name)
{
    const struct span *field = http_field(request, "sec-websocket-protocol");

    return field != NULL && span_is(*field, name);
}

void
agents_request(struct loop *loop, struct ref ref, const struct request *request)
{
    const struct span *authorization = http_field(request, "authorization");
    struct command *cmd;

    if (!request->wants_websocket) {
        reply_no(loop, ref, PROBLEM_UPGRADE, "Agents connect by WebSocket.", NULL);
        return;
    }
    if (!offers_subprotocol(request, AGENT_SUBPROTOCOL)) {
        reply_no(loop, ref, PROBLEM_BAD_FIELD,
            "The subprotocol must be " AGENT_SUBPROTOCOL "; other versions are not spoken.",
            "Sec-WebSocket-Protocol");
        return;
    }
    if (authorization == NULL || http_field_count(request, "authorization") != 1 ||
        (cmd = command_new(CMD_ADMIT_AGENT, CALLER_ARENA + CREDENTIAL_ARENA)) == NULL) {
        reply_no(loop, ref, PROBLEM_UNAUTHENTICATED, "A support code, key or device is needed.",
            "Authorization");
        return;
    }
    caller_address(app_of(loop), request, cmd, NULL);
    cmd->caller.kind = CALLER_NOBODY;
    if (credential_parse(*authorization, cmd, &cmd->admit_agent) != OK) {
        command_free(cmd);
        reply_no(loop, ref, PROBLEM_UNAUTHENTICATED,
            "Authorization is none of Gatehouse-Code, Gatehouse-Key and Gatehouse-Device.",
            "Authorization");
        return;
    }
    if (!ask(loop, cmd, &(struct ask_options){.fn = agent_admitted, .ref = ref}))
        reply_busy(loop, ref);
}

/* ---- from other loops ---- */

struct envelope {
    struct id connection;
    struct offer_place offer; /* to be remembered, unless its session is nil */
    bool ask;                 /* ... and an answer to it is expected */
    size_t len;
    uint8_t bytes[];
};

static void
envelope_arrived(struct loop *loop, struct ref ref, void *arg)
{
    struct envelope *e = arg;
    struct agent *a;
    struct offer_place *place;
    static const struct id nil;

    ask_settle(loop); /* it may be the agent's own welcome that still waits there */
    a = ws_user(loop, ref);
    if (a == NULL || a->state != AGENT_LIVE || !id_equal(&a->connection, &e->connection))
        goto out;
    if (!id_is_nil(&e->offer.session))
        a->told[a->told_next++ % AGENT_OFFERS_MAX] = e->offer.session;
    if (e->ask) {
        if ((place = offer_find(a, &nil)) == NULL)
            place = &a->offers[0]; /* the oldest unanswered one times out by itself */
        *place = e->offer;
    }
    if (ws_send(loop, ref, WS_BINARY, span_of(e->bytes, e->len)) != OK)
        ws_close(loop, ref, 1013, "it reads too slowly");
out:
    free(e);
}

static bool
agents_post(struct loop *loop, const struct id *machine, const struct control *message,
    const struct offer_place *offer, bool ask)
{
    struct app *app = app_of(loop);
    struct agent_place place;
    struct envelope *e;
    struct loop *to;

    if (!directory_find_agent(app->directory, machine, &place))
        return false;
    if ((e = calloc(1, sizeof(*e) + CONTROL_BYTES_MAX)) == NULL)
        return false;
    e->connection = place.connection;
    if (offer != NULL)
        e->offer = *offer;
    e->ask = ask;
    if (control_encode(message, e->bytes, CONTROL_BYTES_MAX, &e->len) != OK)
        goto fail;
    to = http_server_loop(app->server, place.loop);
    if (!loop_post(to, envelope_arrived, place.ref, e))
        goto fail;
    return true;
fail:
    free(e);
    return false;
}

bool
agents_send(struct loop *loop, const struct id *machine, const struct control *message)
{
    return agents_post(loop, machine, message, NULL, false);
}

bool
agents_offer(struct loop *loop, const struct id *machine, const struct control_offer *offer)
{
    struct control message = {.kind = CONTROL_OFFER, .offer = *offer};
    struct offer_place place = {.session = offer->session};

    memcpy(place.nonce, offer->nonce, sizeof(place.nonce));
    return agents_post(loop, machine, &message, &place, offer->ask);
}

void
agents_end_session(struct loop *loop, const struct id *session)
{
    struct control message = {
        .kind = CONTROL_END, .end = {.session = *session, .why = span_str("ended")}};
    struct agent *a, *next;

    HASH_ITER (hh, app_loop_of(loop)->agents->by_connection, a, next)
        for (size_t i = 0; i < AGENT_OFFERS_MAX && a->state == AGENT_LIVE; i++) {
            if (!id_equal(&a->told[i], session))
                continue;
            a->told[i] = (struct id){0};
            (void)agent_send(a, &message); /* one that takes nothing any more is ended by that */
        }
}

/* What was said before still goes out (the end of its session, to a guest); nothing else does. */
void
agents_drop(struct loop *loop, const struct id *connection)
{
    struct agent *a;

    HASH_FIND(hh, app_loop_of(loop)->agents->by_connection, connection->b, ID_BYTES, a);
    if (a == NULL)
        return;
    a->state = AGENT_ENDING;
    directory_drop_agent(app_of(loop)->directory, &a->machine, &a->connection);
    ws_close(loop, a->ref, 1008, "this connection is not wanted any more");
}

void
agents_recheck(struct loop *loop, const struct id *machine)
{
    struct agent *a, *next;

    HASH_ITER (hh, app_loop_of(loop)->agents->by_connection, a, next)
        if (a->state == AGENT_PROVING)
            a->recheck = true; /* whose it is, is not known yet */
        else if (a->state == AGENT_LIVE && (id_is_nil(machine) || id_equal(&a->machine, machine)))
            agent_recheck(a);
}
