/* channel.c: one service, one WebSocket to the server, and the bytes between them. Neither side is
 * read faster than the other takes: what is under way is in the WebSocket's two fixed buffers. One
 * thread; a channel gets a bounded share of each turn. */
#include "core/base64.h"
#include "http/channel_text.h"
#include "tools/agent/agent.h"
#include "tools/agent/pty.h"
#include "tools/agent/say.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_PER_TURN 16
#define DRAIN_MS        200  /* a shell's last words, when something still holds its terminal */
#define ORPHAN_KILL_MS  3000 /* from SIGHUP to SIGKILL */
#define DIAL_MS         10000
#define EOF_AGAIN_MS    500

struct agent_channel *
channel_find(struct agent *a, const struct id *id)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (a->channels[i].phase != CHANNEL_FREE && id_equal(&a->channels[i].id, id))
            return &a->channels[i];
    return NULL;
}

static void
refuse(struct agent *a, const struct id *channel, const char *code, const char *detail)
{
    struct control message = {.kind = CONTROL_CHANNEL_REFUSED,
        .channel_refused = {*channel, span_str(code), span_str(detail)}};
    char text[ID_TEXT_BYTES];

    id_text(ID_CHANNEL, channel, text);
    say("channel %s refused: %s", text, detail);
    if (link_send(a, &message) != OK)
        say("... and the server could not be told");
}

/* ---- the end ---- */

/* The shell goes with its channel: first asked, then made to. */
static void
orphan(struct agent *a, pid_t pid)
{
    (void)kill(-pid, SIGHUP);
    (void)kill(-pid, SIGCONT); /* a stopped one could not hear it */
    for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++) {
        if (a->orphans[i].pid != 0)
            continue;
        a->orphans[i] = (struct agent_orphan){pid, pollset_clock_ms() + ORPHAN_KILL_MS};
        return;
    }
    (void)kill(-pid, SIGKILL);
}

static void
authorization_wipe(struct agent_channel *ch)
{
    if (ch->authorization != NULL)
        sodium_memzero(ch->authorization, strlen(ch->authorization));
    free(ch->authorization);
    ch->authorization = NULL;
}

void
channel_end(struct agent *a, struct agent_channel *ch, const char *why)
{
    if (ch->phase >= CHANNEL_DIALLING) {
        struct agent_record *r = record_make(a, &ch->id);

        r->session = ch->session;
        r->to_agent_bytes = ch->to_agent_bytes;
        r->to_technician_bytes = ch->to_technician_bytes;
        r->exit_status = ch->exited ? (uint64_t)ch->exit_status + 1 : 0;
        snprintf(r->why, sizeof(r->why), "%s", why);
    }
    stream_fini(&ch->local); /* closing a PTY's master hangs up its session too */
    if (ch->pid > 0 && !ch->exited)
        orphan(a, ch->pid);
    wsclient_free(ch->ws);
    authorization_wipe(ch);
    *ch = (struct agent_channel){.phase = CHANNEL_FREE};
    stream_init(&ch->local);
}

void
channels_end_session(struct agent *a, const struct id *session, const char *why)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (a->channels[i].phase != CHANNEL_FREE && id_equal(&a->channels[i].session, session))
            channel_end(a, &a->channels[i], why);
}

/* What is still queued goes first; then both sides say goodbye. */
static void
begin_closing(struct agent_channel *ch, uint16_t code, const char *why)
{
    wsclient_close(ch->ws, code, why);
    wsclient_flush(ch->ws);
    ch->phase = CHANNEL_CLOSING;
    ch->why = why;
}

void
channel_child(struct agent *a, pid_t pid, int wait_status)
{
    for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++)
        if (a->orphans[i].pid == pid)
            a->orphans[i].pid = 0;
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct agent_channel *ch = &a->channels[i];

        if (ch->phase == CHANNEL_FREE || ch->pid != pid)
            continue;
        ch->exited = true;
        ch->exit_status = pty_status(wait_status);
        ch->drain_until_ms = pollset_clock_ms() + DRAIN_MS;
    }
}

bool
channels_idle(const struct agent *a)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (a->channels[i].phase != CHANNEL_FREE)
            return false;
    for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++)
        if (a->orphans[i].pid != 0)
            return false;
    return true;
}

/* ---- the beginning ---- */

static const struct agent_service *
service_find(const struct agent *a, struct span name)
{
    for (size_t i = 0; i < a->options.service_count; i++)
        if (span_is(name, a->options.services[i].name))
            return &a->options.services[i];
    return NULL;
}

/* Ticket, statement and signature, as the header carries them. NULL: no memory. */
static char *
authorization_make(struct agent *a, const struct control_open *open)
{
    static const char scheme[] = "Gatehouse-Ticket ";
    struct statement st = {.purpose = PURPOSE_CHANNEL,
        .machine = a->machine,
        .session = open->session,
        .channel = open->channel,
        .service = open->service};
    uint8_t body[STATEMENT_BYTES_MAX], sig[CONTROL_SIG_BYTES];
    struct span parts[3];
    size_t at = sizeof(scheme) - 1, cap = sizeof(scheme) + 3, n;
    char *out;

    memcpy(st.server_nonce, open->nonce, STATEMENT_NONCE);
    randombytes_buf(st.agent_nonce, STATEMENT_NONCE);
    parts[0] = open->ticket;
    parts[1] = span_of(body, agent_sign(a, &st, body, sig));
    parts[2] = span_of(sig, sizeof(sig));
    for (size_t i = 0; i < 3; i++)
        cap += base64_encoded_len(BASE64_URL, parts[i].len);
    if ((out = malloc(cap)) == NULL)
        return NULL;
    memcpy(out, scheme, at);
    for (size_t i = 0; i < 3; i++) {
        if (i > 0)
            out[at++] = '.';
        INVARIANT(base64_encode(BASE64_URL, parts[i], out + at, cap - at, &n) == OK);
        at += n;
    }
    out[at] = '\0';
    return out;
}

/* TERM goes into an environment: letters, digits and a few marks. */
static void
term_take(struct agent_channel *ch, const struct control_open *open)
{
    bool good = open->term.len > 0;

    for (size_t i = 0; i < open->term.len; i++) {
        uint8_t c = open->term.ptr[i];

        good = good && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || strchr("-+._", c) != NULL);
    }
    snprintf(ch->term, sizeof(ch->term), "%.*s", good ? (int)open->term.len : 14,
        good ? (const char *)open->term.ptr : "xterm-256color");
    ch->cols = (uint16_t)(open->cols > 0 ? open->cols : 80);
    ch->rows = (uint16_t)(open->rows > 0 ? open->rows : 24);
}

static void
dial_back(struct agent *a, struct agent_channel *ch)
{
    struct wsclient_options options = {.target = "/relay/channel",
        .subprotocol = "gatehouse-channel.v1",
        .authorization = ch->authorization,
        .message_max = RELAY_TEXT_BYTES_MAX,
        .stream = true};

    ch->phase = CHANNEL_DIALLING;
    if (wsclient_new(a->client, &options, &ch->ws) != OK) {
        ch->phase = CHANNEL_REACHING;
        refuse(a, &ch->id, "internal", "no memory for a channel");
        channel_end(a, ch, "failed");
        return;
    }
    authorization_wipe(ch);
}

static const char *
not_allowed(struct agent *a, const struct control_open *open, const char **code)
{
    const struct agent_session *s = session_find(a, &open->session);

    *code = "unknown_session";
    if (s == NULL)
        return "this session was never offered here";
    if (!s->granted)
        return "nobody consented to this session";
    *code = "service_off";
    if (service_find(a, open->service) == NULL)
        return "this service is not turned on by the machine's owner";
    *code = "busy";
    if (channel_find(a, &open->channel) != NULL || record_find(a, &open->channel) != NULL)
        return "this channel is known already";
    return NULL;
}

void
channel_open(struct agent *a, const struct control_open *open)
{
    struct agent_channel *ch = a->channels;
    const char *code, *why = not_allowed(a, open, &code);

    while (why == NULL && ch < a->channels + AGENT_CHANNELS_MAX && ch->phase != CHANNEL_FREE)
        ch++;
    if (why == NULL && ch == a->channels + AGENT_CHANNELS_MAX)
        why = "too many channels are open";
    if (why != NULL) {
        refuse(a, &open->channel, code, why);
        return;
    }
    *ch = (struct agent_channel){.phase = CHANNEL_REACHING,
        .id = open->channel,
        .session = open->session,
        .service = service_find(a, open->service),
        .last_was_newline = true};
    stream_init(&ch->local);
    term_take(ch, open);
    if ((ch->authorization = authorization_make(a, open)) == NULL) {
        refuse(a, &ch->id, "internal", "no memory for a channel");
        channel_end(a, ch, "failed");
    } else if (ch->service->kind == SERVICE_SHELL) {
        dial_back(a, ch); /* the shell starts when somebody can see it */
    } else {
        stream_connect_to(&ch->local, &ch->service->addrs, ch->service->host,
            a->options.allow_remote ? REACH_NO_LINK_LOCAL : REACH_LOOPBACK, NULL, DIAL_MS);
    }
}

static void
step_reaching(struct agent *a, struct agent_channel *ch, const struct pollset *ps)
{
    switch (stream_step(&ch->local, ps)) {
    case STREAM_OPEN: dial_back(a, ch); return;
    case STREAM_FAILED:
        refuse(a, &ch->id, "service_failed", ch->local.why);
        channel_end(a, ch, "failed");
        return;
    default: return;
    }
}

static void
start_shell(struct agent *a, struct agent_channel *ch)
{
    struct pty_start start = {ch->cols, ch->rows, ch->term, ch->session};
    char why[128];
    int master;

    if (pty_spawn(&start, &master, &ch->pid, why, sizeof(why)) != OK) {
        say("shell: %s", why);
        ch->pid = 0;
        begin_closing(ch, 1011, "no_shell");
        return;
    }
    stream_adopt(&ch->local, master, master);
    (void)a;
}

static void
step_dialling(struct agent *a, struct agent_channel *ch)
{
    switch (wsclient_state(ch->ws)) {
    case WSC_OPENING: return;
    case WSC_OPEN:
        ch->phase = CHANNEL_MOVING;
        if (ch->service->kind == SERVICE_SHELL)
            start_shell(a, ch);
        return;
    case WSC_REFUSED:
        say("the server refused a channel: %s", wsclient_refusal(ch->ws)->said.detail);
        break;
    case WSC_CLOSED:
    case WSC_FAILED: say("channel: %s", wsclient_why(ch->ws)); break;
    }
    channel_end(a, ch, "failed");
}

/* ---- from the technician to the service ---- */

/* The far end will send no more. A socket learns it as half a close, a terminal by what a person
 * would type: a begun line is submitted, then comes the end-of-file character. Again from time to
 * time: a program that changes the terminal's mode as it starts reads the first one as nothing. */
static void
far_end_done(struct agent_channel *ch)
{
    if (ch->remote_ended)
        return;
    ch->remote_ended = true;
    if (ch->service->kind == SERVICE_SHELL)
        ch->eof_left = ch->last_was_newline ? 1 : 2;
    else
        stream_end_writes(&ch->local);
}

static bool
take_text(struct agent_channel *ch, struct span bytes)
{
    bool shell = ch->service->kind == SERVICE_SHELL;
    struct channel_text text;

    if (channel_text_parse(bytes, &text) != OK)
        return false;
    switch (text.kind) {
    case CHANNEL_RESIZE:
        if (shell && ch->local.rfd >= 0)
            pty_resize(ch->local.rfd, text.cols, text.rows);
        return shell;
    case CHANNEL_SIGNAL:
        if (shell && ch->local.rfd >= 0 && !ch->exited)
            pty_signal(ch->local.rfd, text.signal);
        return shell;
    case CHANNEL_EOF: far_end_done(ch); return true;
    case CHANNEL_EXIT: return false; /* only this side may say so */
    }
    return false;
}

static void
type_eof(struct agent_channel *ch)
{
    int64_t now_ms;

    if (!ch->remote_ended || ch->service->kind != SERVICE_SHELL || ch->exited)
        return;
    now_ms = pollset_clock_ms();
    if (ch->eof_left == 0 && now_ms >= ch->eof_again_ms)
        ch->eof_left = 1;
    while (ch->eof_left > 0 && ch->local.rfd >= 0 && stream_can_write(&ch->local)) {
        uint8_t key = ch->eof_left == 2 ? '\r' : pty_eof_char(ch->local.rfd);
        size_t n;

        if (stream_write(&ch->local, &key, 1, &n) != STREAM_DONE)
            return;
        ch->eof_left--;
        ch->eof_again_ms = now_ms + EOF_AGAIN_MS;
    }
}

/* Nobody takes the bytes any more: they are passed over, so that what follows is still seen. */
static size_t
deliver(struct agent_channel *ch, struct span piece)
{
    size_t n = 0;

    if (ch->deaf || ch->remote_ended)
        return piece.len;
    if (!stream_can_write(&ch->local))
        return 0;
    switch (stream_write(&ch->local, piece.ptr, piece.len, &n)) {
    case STREAM_DONE:
        ch->last_was_newline = piece.ptr[n - 1] == '\n' || piece.ptr[n - 1] == '\r';
        return n;
    case STREAM_AGAIN: return 0;
    case STREAM_EOF:
    case STREAM_BROKEN: ch->deaf = true; return piece.len;
    }
    return n;
}

static void
pump_in(struct agent_channel *ch)
{
    type_eof(ch);
    ch->stuck = false;
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        struct span piece;
        size_t n;

        switch (wsclient_next(ch->ws, &piece)) {
        case WSC_NOTHING: return;
        case WSC_TEXT:
            wsclient_used(ch->ws, piece.len);
            if (!take_text(ch, piece)) {
                begin_closing(ch, 1008, "bad_message");
                return;
            }
            type_eof(ch);
            break;
        case WSC_BINARY:
            n = deliver(ch, piece);
            ch->to_agent_bytes += n;
            wsclient_used(ch->ws, n);
            if (n < piece.len) {
                ch->stuck = !stream_can_write(&ch->local);
                return;
            }
            break;
        }
    }
}

/* ---- from the service to the technician ---- */

static void
pump_out(struct agent_channel *ch)
{
    for (int i = 0; i < PIECES_PER_TURN && !ch->local_ended && stream_can_read(&ch->local); i++) {
        uint8_t *place;
        size_t room = wsclient_room(ch->ws, &place), n;

        if (room == 0)
            return;
        switch (stream_read(&ch->local, place, room, &n)) {
        case STREAM_DONE:
            wsclient_commit(ch->ws, n);
            ch->to_technician_bytes += n;
            break;
        case STREAM_AGAIN: return;
        case STREAM_EOF:
        case STREAM_BROKEN: ch->local_ended = true; break;
        }
    }
}

static bool
send_text(struct agent_channel *ch, const struct channel_text *text)
{
    char out[CHANNEL_TEXT_MAX];
    size_t n = channel_text_format(text, out);

    return wsclient_send(ch->ws, WSFRAME_TEXT, span_of(out, n)) == OK;
}

/* The shell's exit ends the channel once its terminal is empty. */
static void
finish_shell(struct agent_channel *ch, int64_t now_ms)
{
    struct channel_text text = {.kind = CHANNEL_EXIT, .exit_status = ch->exit_status};
    uint8_t *place;

    if (!ch->exited)
        return;
    if (!ch->local_ended && (now_ms < ch->drain_until_ms || stream_can_read(&ch->local) ||
                                wsclient_room(ch->ws, &place) == 0))
        return;
    if (send_text(ch, &text))
        begin_closing(ch, 1000, "exited");
}

static void
finish_socket(struct agent_channel *ch)
{
    struct channel_text text = {.kind = CHANNEL_EOF};

    if (ch->local_ended && !ch->local_told)
        ch->local_told = send_text(ch, &text);
    if (ch->local_told && ch->remote_ended)
        begin_closing(ch, 1000, "done");
}

static const char *
why_ended(const struct agent_channel *ch)
{
    if (ch->why != NULL)
        return ch->why;
    return wsclient_state(ch->ws) == WSC_CLOSED ? "closed_by_server" : "connection_lost";
}

static void
step_moving(struct agent *a, struct agent_channel *ch, const struct pollset *ps)
{
    struct span piece;

    if (ch->local.state == STREAM_OPEN)
        stream_step(&ch->local, ps);
    if (ch->phase == CHANNEL_MOVING) {
        pump_in(ch);
        if (ch->phase == CHANNEL_MOVING)
            pump_out(ch);
        if (ch->phase == CHANNEL_MOVING && ch->service->kind == SERVICE_SHELL)
            finish_shell(ch, ps->now_ms);
        else if (ch->phase == CHANNEL_MOVING)
            finish_socket(ch);
        wsclient_flush(ch->ws);
    } else {
        while (wsclient_next(ch->ws, &piece) != WSC_NOTHING)
            wsclient_used(ch->ws, piece.len); /* until their close frame */
    }
    if (wsclient_state(ch->ws) != WSC_OPEN)
        channel_end(a, ch, why_ended(ch));
}

/* ---- the loop's side ---- */

static void
prepare_moving(struct agent_channel *ch, struct pollset *ps)
{
    uint8_t *place;

    if (ch->phase == CHANNEL_CLOSING) {
        wsclient_prepare(ch->ws, ps, true);
        return;
    }
    wsclient_prepare(ch->ws, ps, !ch->stuck);
    stream_prepare(&ch->local, ps, !ch->local_ended && wsclient_room(ch->ws, &place) > 0,
        ch->stuck || ch->eof_left > 0);
    if (ch->remote_ended && ch->service->kind == SERVICE_SHELL && ch->eof_left == 0 && !ch->exited)
        pollset_deadline(ps, ch->eof_again_ms);
    if (ch->exited && ps->now_ms < ch->drain_until_ms)
        pollset_deadline(ps, ch->drain_until_ms);
}

void
channels_prepare(struct agent *a, struct pollset *ps)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct agent_channel *ch = &a->channels[i];

        switch (ch->phase) {
        case CHANNEL_FREE: break;
        case CHANNEL_REACHING: stream_prepare(&ch->local, ps, false, false); break;
        case CHANNEL_DIALLING: wsclient_prepare(ch->ws, ps, false); break;
        case CHANNEL_MOVING:
        case CHANNEL_CLOSING: prepare_moving(ch, ps); break;
        }
    }
    for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++)
        if (a->orphans[i].pid != 0)
            pollset_deadline(ps, a->orphans[i].kill_at_ms);
}

void
channels_step(struct agent *a, const struct pollset *ps)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct agent_channel *ch = &a->channels[i];

        if (ch->ws != NULL)
            wsclient_step(ch->ws, ps);
        switch (ch->phase) {
        case CHANNEL_FREE: break;
        case CHANNEL_REACHING: step_reaching(a, ch, ps); break;
        case CHANNEL_DIALLING: step_dialling(a, ch); break;
        case CHANNEL_MOVING:
        case CHANNEL_CLOSING: step_moving(a, ch, ps); break;
        }
    }
    for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++) {
        if (a->orphans[i].pid == 0 || ps->now_ms < a->orphans[i].kill_at_ms)
            continue;
        (void)kill(-a->orphans[i].pid, SIGKILL);
        a->orphans[i].kill_at_ms = ps->now_ms + ORPHAN_KILL_MS;
    }
}
