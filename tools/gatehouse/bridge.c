/* bridge.c: bytes between a channel and something local. One thread; a bounded share of each turn.
 */
#include "tools/gatehouse/bridge.h"

#include "core/text.h"
#include "http/channel_text.h"
#include "tools/gatehouse/terminal.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECES_PER_TURN 16

static void __attribute__((format(printf, 2, 3))) end(struct bridge *b, const char *format, ...)
{
    va_list args;

    b->phase = BRIDGE_ENDED;
    if (format[0] == '\0')
        return;
    va_start(args, format);
    vsnprintf(b->why, sizeof(b->why), format, args);
    va_end(args);
}

static enum err
ticket_ask(struct bridge *b)
{
    char target[96], json[64];
    struct api_request request = {.method = "POST", .target = target};

    snprintf(target, sizeof(target), "/api/sessions/%s/tickets", b->options.session);
    snprintf(json, sizeof(json), "{\"service\":\"%s\"}", b->options.service);
    request.json = span_str(json);
    return api_begin(b->api, &request, &b->ticket);
}

enum err
bridge_new(struct api *api, const struct bridge_options *options, struct bridge **out)
{
    struct bridge *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        close(options->rfd);
        if (options->wfd != options->rfd)
            close(options->wfd);
        return ERR_MEMORY;
    }
    b->api = api;
    b->options = *options;
    b->exit_status = -1;
    stream_adopt(&b->local, options->rfd, options->wfd);
    b->filtered = malloc(BRIDGE_SLICE + TERMFILTER_HELD);
    b->first = malloc(options->first.len + 1);
    if (b->filtered == NULL || b->first == NULL || ticket_ask(b) != OK) {
        bridge_free(b);
        return ERR_MEMORY;
    }
    if (options->first.len > 0)
        memcpy(b->first, options->first.ptr, options->first.len);
    b->first_len = options->first.len;
    *out = b;
    return OK;
}

/* Descriptors that others share, a pipeline's, are left as they were. */
static void
flags_restore(struct bridge *b)
{
    if (b->options.rflags >= 0 && b->local.rfd >= 0)
        (void)fcntl(b->local.rfd, F_SETFL, b->options.rflags);
    if (b->options.wflags >= 0 && b->local.wfd >= 0)
        (void)fcntl(b->local.wfd, F_SETFL, b->options.wflags);
}

void
bridge_free(struct bridge *b)
{
    if (b == NULL)
        return;
    flags_restore(b);
    call_free(b->ticket);
    wsclient_free(b->ws);
    stream_fini(&b->local);
    free(b->filtered);
    free(b->first);
    free(b);
}

/* ---- the beginning ---- */

static void
path_of(const struct bridge *b, char *out, size_t size)
{
    bool tcp = strncmp(b->options.service, "tcp:", 4) == 0;

    snprintf(out, size, "/relay/sessions/%s/%s%s", b->options.session, tcp ? "tcp/" : "",
        b->options.service + (tcp ? 4 : 0));
}

static bool
dial(struct bridge *b, const struct json_reply *json)
{
    char path[160], secret[1100] = "ticket.", terminal[96];
    struct wsclient_options o = {.target = path,
        .subprotocol = "gatehouse.v1",
        .secret = secret,
        .message_max = RELAY_TEXT_BYTES_MAX,
        .stream = true};
    bool good = json_reply_copy(json, "ticket", secret + 7, sizeof(secret) - 7);

    for (const char *p = secret; *p != '\0'; p++)
        good = good && ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                           (*p >= 'a' && *p <= 'z') || strchr("-_.", *p) != NULL);
    path_of(b, path, sizeof(path));
    if (b->options.cols > 0) {
        snprintf(terminal, sizeof(terminal), "%ux%u %s", b->options.cols, b->options.rows,
            terminal_name());
        o.extra[0] = (struct client_header){"Gatehouse-Terminal", terminal};
    }
    good = good && wsclient_new(b->api->client, &o, &b->ws) == OK;
    sodium_memzero(secret, sizeof(secret));
    return good;
}

static void
step_ticket(struct bridge *b, const struct pollset *ps)
{
    struct json_reply *json;

    if (call_step(b->ticket, ps) == CALL_GOING)
        return;
    if (api_judge(b->api, b->ticket) != OK) {
        b->session_gone = b->api->status == 404 || strcmp(b->api->problem, "session_ended") == 0;
        end(b, "%s", b->api->why);
    } else if (json_reply_parse(call_body(b->ticket), &json) != OK) {
        end(b, "the server's answer has no ticket");
    } else {
        b->phase = BRIDGE_DIALLING;
        if (!dial(b, json))
            end(b, "the server's answer has no ticket");
        json_reply_free(json);
    }
    call_free(b->ticket);
    b->ticket = NULL;
}

static void
step_dialling(struct bridge *b)
{
    switch (wsclient_state(b->ws)) {
    case WSC_OPENING: return;
    case WSC_OPEN: b->phase = BRIDGE_MOVING; return;
    case WSC_REFUSED: end(b, "%s", wsclient_refusal(b->ws)->said.detail); return;
    case WSC_CLOSED:
    case WSC_FAILED: end(b, "%s", wsclient_why(b->ws)); return;
    }
}

/* ---- from the machine ---- */

/* Writes filtered bytes. False: the local side takes no more for now. */
static bool
filtered_flush(struct bridge *b)
{
    while (b->filtered_at < b->filtered_len) {
        size_t n;

        if (b->deaf || b->local.wfd < 0)
            break;
        if (!stream_can_write(&b->local))
            return false;
        switch (stream_write(
            &b->local, b->filtered + b->filtered_at, b->filtered_len - b->filtered_at, &n)) {
        case STREAM_DONE: b->filtered_at += n; break;
        case STREAM_AGAIN: return false;
        case STREAM_EOF:
        case STREAM_BROKEN: b->deaf = true; break;
        }
    }
    b->filtered_at = b->filtered_len = 0;
    return true;
}

static size_t
deliver(struct bridge *b, struct span piece)
{
    size_t n = 0;

    if (b->deaf || b->remote_ended)
        return piece.len;
    if (b->options.filter) {
        if (!filtered_flush(b))
            return 0;
        if (piece.len > BRIDGE_SLICE)
            piece.len = BRIDGE_SLICE;
        b->filtered_len = termfilter_feed(&b->filter, piece, b->filtered);
        (void)filtered_flush(b);
        return piece.len;
    }
    if (!stream_can_write(&b->local))
        return 0;
    switch (stream_write(&b->local, piece.ptr, piece.len, &n)) {
    case STREAM_DONE:
    case STREAM_AGAIN: return n;
    case STREAM_EOF:
    case STREAM_BROKEN: break;
    }
    b->deaf = true;
    return piece.len;
}

static bool
take_text(struct bridge *b, struct span bytes)
{
    struct channel_text text;

    if (channel_text_parse(bytes, &text) != OK)
        return false;
    switch (text.kind) {
    case CHANNEL_EXIT: b->exit_status = text.exit_status; return true;
    case CHANNEL_EOF:
        if (!b->remote_ended) {
            if (b->options.wflags >= 0)
                (void)fcntl(b->local.wfd, F_SETFL, b->options.wflags);
            stream_end_writes(&b->local);
        }
        b->remote_ended = true;
        return true;
    case CHANNEL_RESIZE:
    case CHANNEL_SIGNAL: return false; /* only to the machine */
    }
    return false;
}

static void
close_with(struct bridge *b, uint16_t code, const char *reason)
{
    if (b->phase != BRIDGE_MOVING)
        return;
    wsclient_close(b->ws, code, reason);
    wsclient_flush(b->ws);
    b->phase = BRIDGE_CLOSING;
}

static void
pump_in(struct bridge *b)
{
    b->stuck = false;
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        struct span piece;
        size_t n;

        if (!filtered_flush(b)) {
            b->stuck = true;
            return;
        }
        switch (wsclient_next(b->ws, &piece)) {
        case WSC_NOTHING: return;
        case WSC_TEXT:
            wsclient_used(b->ws, piece.len);
            if (!take_text(b, piece)) {
                snprintf(b->why, sizeof(b->why),
                    "the machine sent something that is no control message");
                close_with(b, 1008, "bad_message");
                return;
            }
            break;
        case WSC_BINARY:
            n = deliver(b, piece);
            wsclient_used(b->ws, n);
            if (n < piece.len && !b->options.filter) {
                b->stuck = !stream_can_write(&b->local);
                return;
            }
            break;
        }
    }
}

/* ---- to the machine ---- */

static bool
send_text(struct bridge *b, const struct channel_text *text)
{
    char out[CHANNEL_TEXT_MAX];
    size_t n = channel_text_format(text, out);

    return wsclient_send(b->ws, WSFRAME_TEXT, span_of(out, n)) == OK;
}

/* Copies into one message. False: no room now. */
static bool
send_bytes(struct bridge *b, const uint8_t *bytes, size_t *at, size_t len)
{
    while (*at < len) {
        uint8_t *place;
        size_t room = wsclient_room(b->ws, &place);

        if (room == 0)
            return false;
        if (room > len - *at)
            room = len - *at;
        memcpy(place, bytes + *at, room);
        wsclient_commit(b->ws, room);
        *at += room;
    }
    return true;
}

static const char help[] = "\r\n~.  disconnect\r\n~~  send ~\r\n~?  this help\r\n";

static void
type(struct bridge *b, struct span in)
{
    while (in.len > 0) {
        size_t used, len;
        enum termkeys_found found =
            termkeys_feed(&b->keys, in, &used, b->pending_keys + b->keys_len, &len);

        b->keys_len += len;
        in = span_of(in.ptr + used, in.len - used);
        if (found == TERMKEYS_DISCONNECT) {
            b->disconnect = true;
            return;
        }
        if (found == TERMKEYS_HELP)
            (void)!write(b->options.wfd, help, sizeof(help) - 1);
    }
}

static void
pump_keys(struct bridge *b)
{
    uint8_t bytes[BRIDGE_KEYS];
    size_t n;

    if (!send_bytes(b, b->pending_keys, &b->keys_at, b->keys_len))
        return;
    b->keys_at = b->keys_len = 0;
    if (!stream_can_read(&b->local))
        return;
    switch (stream_read(&b->local, bytes, sizeof(bytes), &n)) {
    case STREAM_DONE:
        type(b, span_of(bytes, n));
        (void)send_bytes(b, b->pending_keys, &b->keys_at, b->keys_len);
        break;
    case STREAM_AGAIN: break;
    case STREAM_EOF:
    case STREAM_BROKEN: b->local_ended = true; break;
    }
}

static void
pump_out(struct bridge *b)
{
    if (!send_bytes(b, b->first, &b->first_at, b->first_len))
        return;
    if (b->options.keys) {
        pump_keys(b);
        return;
    }
    for (int i = 0; i < PIECES_PER_TURN && !b->local_ended && stream_can_read(&b->local); i++) {
        uint8_t *place;
        size_t room = wsclient_room(b->ws, &place), n;

        if (room == 0)
            return;
        switch (stream_read(&b->local, place, room, &n)) {
        case STREAM_DONE: wsclient_commit(b->ws, n); break;
        case STREAM_AGAIN: return;
        case STREAM_EOF:
        case STREAM_BROKEN: b->local_ended = true; break;
        }
    }
}

/* ---- the end ---- */

static void
finish(struct bridge *b)
{
    struct channel_text text = {.kind = CHANNEL_EOF};

    if (b->local_ended && !b->local_told)
        b->local_told = send_text(b, &text);
    if (b->disconnect || (b->deaf && (b->local_ended || b->local.rfd != b->local.wfd))) {
        close_with(b, 1000, "disconnected"); /* by the person, or nobody reads what we write */
    } else if (b->local_told && b->remote_ended && filtered_flush(b)) {
        b->clean = true;
        close_with(b, 1000, "done");
    }
}

static void
connection_over(struct bridge *b)
{
    struct span reason;
    char text[300];
    uint16_t code;

    (void)filtered_flush(b);
    if (wsclient_state(b->ws) != WSC_CLOSED) {
        if (b->phase == BRIDGE_CLOSING)
            end(b, "%s", "");
        else
            end(b, "%s", wsclient_why(b->ws));
        return;
    }
    code = wsclient_closed(b->ws, &reason);
    text_escape(reason, text, sizeof(text));
    if (b->exit_status >= 0 || code == 1000 || b->phase == BRIDGE_CLOSING) {
        b->clean = b->clean || code == 1000 || b->exit_status >= 0;
        end(b, "%s", "");
    } else {
        end(b, "the server closed the connection: %s (%u)", text[0] != '\0' ? text : "no reason",
            code);
    }
}

void
bridge_close(struct bridge *b)
{
    if (b->phase == BRIDGE_MOVING)
        close_with(b, 1000, "disconnected");
    else if (b->phase != BRIDGE_CLOSING)
        end(b, "%s", "");
}

void
bridge_resize(struct bridge *b, uint16_t cols, uint16_t rows)
{
    struct channel_text text = {.kind = CHANNEL_RESIZE, .cols = cols, .rows = rows};

    b->options.cols = cols;
    b->options.rows = rows;
    if (b->phase == BRIDGE_MOVING)
        (void)send_text(b, &text);
}

/* ---- the loop's side ---- */

void
bridge_prepare(struct bridge *b, struct pollset *ps)
{
    uint8_t *place;
    bool room;

    switch (b->phase) {
    case BRIDGE_TICKET: call_prepare(b->ticket, ps); return;
    case BRIDGE_DIALLING: wsclient_prepare(b->ws, ps, false); return;
    case BRIDGE_CLOSING: wsclient_prepare(b->ws, ps, true); return;
    case BRIDGE_ENDED: pollset_deadline(ps, ps->now_ms); return;
    case BRIDGE_MOVING: break;
    }
    room = wsclient_room(b->ws, &place) > 0;
    wsclient_prepare(b->ws, ps, !b->stuck);
    stream_prepare(&b->local, ps, room && !b->local_ended && !b->disconnect, b->stuck);
}

static void
step_moving(struct bridge *b, const struct pollset *ps)
{
    struct span piece;

    stream_step(&b->local, ps);
    if (b->phase == BRIDGE_MOVING)
        pump_in(b);
    if (b->phase == BRIDGE_MOVING)
        pump_out(b);
    if (b->phase == BRIDGE_MOVING)
        finish(b);
    if (b->phase == BRIDGE_CLOSING)
        while (wsclient_next(b->ws, &piece) != WSC_NOTHING)
            wsclient_used(b->ws, piece.len);
    wsclient_flush(b->ws);
    if (wsclient_state(b->ws) != WSC_OPEN)
        connection_over(b);
}

bool
bridge_step(struct bridge *b, const struct pollset *ps)
{
    if (b->ws != NULL && b->phase != BRIDGE_ENDED)
        wsclient_step(b->ws, ps);
    switch (b->phase) {
    case BRIDGE_TICKET: step_ticket(b, ps); break;
    case BRIDGE_DIALLING: step_dialling(b); break;
    case BRIDGE_MOVING:
    case BRIDGE_CLOSING: step_moving(b, ps); break;
    case BRIDGE_ENDED: break;
    }
    return b->phase != BRIDGE_ENDED;
}
