/* wsclient.c: one WebSocket to the server, both buffers fixed. Owned by one thread. Never looks at
 * what binary messages hold. */
#include "http/wsclient.h"

#include "core/base64.h"
#include "core/text.h"
#include "http/answer.h"
#include "http/head.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTROL_RESERVE 2048  /* of the out buffer: for texts, pongs and the close frame */
#define FRAME_PAYLOAD   65528 /* longest that goes behind an 8-byte header; a multiple of 8 */
#define FRAME_HEADER    8
#define ROOM_LEAST      4096 /* less is not worth a frame */

enum phase {
    PHASE_CONNECT,
    PHASE_SEND,
    PHASE_HEAD,
    PHASE_REFUSAL, /* reading the body of an answer that is no 101 */
    PHASE_OPEN,
    PHASE_END,
};

struct wsclient {
    struct client *client;
    struct stream stream;
    enum phase phase;
    enum wsclient_state state;
    int64_t deadline_ms; /* of the handshake or of the closing */
    int64_t heard_ms;    /* last byte of the peer */
    bool reading;        /* the owner has room */
    char *request;       /* handshake; wiped when sent */
    size_t request_len, request_at;
    char accept[HEAD_ACCEPT_LEN + 1];
    char subprotocol[64];

    uint8_t *in; /* in[in_at .. in_fill) is not parsed yet */
    size_t in_at, in_fill, in_cap;
    bool in_ended; /* nothing will follow */
    bool more;     /* wsclient_next found something the last time */
    struct wsframe frame;
    uint64_t left;      /* payload of the current frame still to come; */
    bool in_frame;      /* ... 0 with in_frame: the frame ends here */
    uint8_t message_op; /* of the message under way; 0: none */
    bool stream_binary;
    uint8_t *message; /* whole messages are put together here */
    size_t message_len, message_max;
    bool message_given;
    size_t piece_len; /* handed out by wsclient_next, 0: none */

    uint8_t *out; /* out[out_at .. out_fill) is to be sent */
    size_t out_at, out_fill, out_cap;
    bool closing; /* our close frame is queued */
    uint8_t pong[125];
    uint8_t pong_len;
    bool pong_due;

    struct wsclient_refusal refusal;
    struct answer answer;
    uint16_t close_code;
    char close_reason[124];
    size_t close_reason_len;
    enum err failure;
    char why[STREAM_WHY_MAX + 60];
};

static void __attribute__((format(printf, 3, 4)))
fail(struct wsclient *ws, enum err failure, const char *format, ...)
{
    va_list args;

    if (ws->phase == PHASE_END)
        return;
    va_start(args, format);
    vsnprintf(ws->why, sizeof(ws->why), format, args);
    va_end(args);
    ws->failure = failure;
    ws->state = WSC_FAILED;
    ws->phase = PHASE_END;
}

/* ---- the handshake ---- */

static bool
plain(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

static int
request_format(const struct wsclient *ws, const struct wsclient_options *o, const char *key,
    char *out, size_t cap)
{
    char extra[2][256] = {"", ""};

    for (size_t i = 0; i < 2 && o->extra[i].name != NULL; i++) {
        INVARIANT(plain(o->extra[i].name) && plain(o->extra[i].value));
        snprintf(extra[i], sizeof(extra[i]), "%s: %s\r\n", o->extra[i].name, o->extra[i].value);
    }
    return snprintf(out, cap,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gatehouse/%s\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
        "Sec-WebSocket-Protocol: %s%s%s\r\n%s%s%s%s%s\r\n",
        o->target, client_url(ws->client)->authority, GATEHOUSE_VERSION, key, o->subprotocol,
        o->secret != NULL ? ", " : "", o->secret != NULL ? o->secret : "",
        o->authorization != NULL ? "Authorization: " : "",
        o->authorization != NULL ? o->authorization : "", o->authorization != NULL ? "\r\n" : "",
        extra[0], extra[1]);
}

static enum err
request_build(struct wsclient *ws, const struct wsclient_options *o)
{
    uint8_t nonce[16];
    char key[25] = "";
    size_t len;
    int n;

    INVARIANT(plain(o->target) && plain(o->subprotocol) && o->target[0] == '/');
    INVARIANT(o->secret == NULL || plain(o->secret));
    INVARIANT(o->authorization == NULL || plain(o->authorization));
    randombytes_buf(nonce, sizeof(nonce));
    INVARIANT(base64_encode(BASE64_STD, span_of(nonce, 16), key, sizeof(key) - 1, &len) == OK);
    head_accept(span_str(key), ws->accept);
    n = request_format(ws, o, key, NULL, 0);
    INVARIANT(n > 0);
    ws->request_len = (size_t)n;
    if ((ws->request = malloc(ws->request_len + 1)) == NULL)
        return ERR_MEMORY;
    request_format(ws, o, key, ws->request, ws->request_len + 1);
    return OK;
}

static void
request_wipe(struct wsclient *ws)
{
    if (ws->request != NULL)
        sodium_memzero(ws->request, ws->request_len);
    free(ws->request);
    ws->request = NULL;
}

enum err
wsclient_new(struct client *client, const struct wsclient_options *o, struct wsclient **out)
{
    struct wsclient *ws = calloc(1, sizeof(*ws));

    if (ws == NULL)
        return ERR_MEMORY;
    ws->client = client;
    stream_init(&ws->stream);
    ws->stream_binary = o->stream;
    ws->message_max = o->message_max;
    ws->in_cap = o->stream ? WSCLIENT_BUFFER : HTTP_HEAD_BYTES_MAX * 2;
    ws->out_cap = o->stream ? WSCLIENT_BUFFER : o->message_max + CONTROL_RESERVE;
    snprintf(ws->subprotocol, sizeof(ws->subprotocol), "%s", o->subprotocol);
    ws->in = malloc(ws->in_cap);
    ws->out = malloc(ws->out_cap);
    ws->message = malloc(ws->message_max);
    if (ws->in == NULL || ws->out == NULL || ws->message == NULL || request_build(ws, o) != OK) {
        wsclient_free(ws);
        return ERR_MEMORY;
    }
    client_dial(client, &ws->stream);
    *out = ws;
    return OK;
}

void
wsclient_free(struct wsclient *ws)
{
    if (ws == NULL)
        return;
    request_wipe(ws);
    stream_fini(&ws->stream);
    free(ws->in);
    free(ws->out);
    free(ws->message);
    free(ws);
}

static void
step_send(struct wsclient *ws)
{
    while (ws->request_at < ws->request_len && stream_can_write(&ws->stream)) {
        size_t n;

        if (stream_write(&ws->stream, ws->request + ws->request_at,
                ws->request_len - ws->request_at, &n) == STREAM_BROKEN) {
            fail(ws, ERR_CLOSED, "%s closed the connection", client_url(ws->client)->authority);
            return;
        }
        ws->request_at += n;
    }
    if (ws->request_at == ws->request_len) {
        request_wipe(ws);
        ws->phase = PHASE_HEAD;
    }
}

/* Fills the in buffer with what is there. */
static void
fill(struct wsclient *ws)
{
    if (ws->in_at == ws->in_fill)
        ws->in_at = ws->in_fill = 0;
    if (ws->in_fill == ws->in_cap && ws->in_at > 0) {
        memmove(ws->in, ws->in + ws->in_at, ws->in_fill - ws->in_at);
        ws->in_fill -= ws->in_at;
        ws->in_at = 0;
    }
    while (!ws->in_ended && ws->in_fill < ws->in_cap && stream_can_read(&ws->stream)) {
        size_t n;

        switch (stream_read(&ws->stream, ws->in + ws->in_fill, ws->in_cap - ws->in_fill, &n)) {
        case STREAM_DONE:
            ws->in_fill += n;
            ws->heard_ms = pollset_clock_ms();
            break;
        case STREAM_AGAIN: return;
        case STREAM_EOF:
        case STREAM_BROKEN: ws->in_ended = true; break;
        }
    }
}

static bool
field_is(const struct answer *answer, const char *name, const char *want)
{
    const struct span *value = answer_field(answer, name);

    return value != NULL && value->len == strlen(want) &&
           strncasecmp((const char *)value->ptr, want, value->len) == 0;
}

static void
check_upgrade(struct wsclient *ws)
{
    const struct answer *r = &ws->answer;
    const struct span *accept = answer_field(r, "sec-websocket-accept");
    const struct span *protocol = answer_field(r, "sec-websocket-protocol");
    const char *what = NULL;

    if (!field_is(r, "upgrade", "websocket") || !field_is(r, "connection", "upgrade"))
        what = "does not upgrade";
    else if (accept == NULL || !span_is(*accept, ws->accept))
        what = "answers another handshake";
    else if (protocol == NULL || !span_is(*protocol, ws->subprotocol))
        what = "speaks another protocol";
    else if (answer_field(r, "sec-websocket-extensions") != NULL)
        what = "uses an extension nobody asked for";
    if (what != NULL) {
        fail(ws, ERR_MISMATCH, "%s %s", client_url(ws->client)->authority, what);
        return;
    }
    ws->in_at = r->head_len;
    ws->more = ws->in_fill > ws->in_at; /* the first message came with the head */
    ws->phase = PHASE_OPEN;
    ws->state = WSC_OPEN;
    ws->deadline_ms = 0;
}

static void
refused(struct wsclient *ws, struct span body)
{
    const struct span *field = answer_field(&ws->answer, "retry-after");
    uint64_t seconds = 0;

    for (size_t i = 0; field != NULL && i < field->len && i < 6; i++)
        if (field->ptr[i] >= '0' && field->ptr[i] <= '9')
            seconds = seconds * 10 + (field->ptr[i] - '0');
    ws->refusal.status = ws->answer.status;
    ws->refusal.retry_after_s = (unsigned)seconds;
    problem_read(ws->answer.status, body, &ws->refusal.said);
    if (ws->answer.status >= 300 && ws->answer.status <= 399)
        snprintf(ws->refusal.said.detail, sizeof(ws->refusal.said.detail),
            "the server redirects, and credentials do not follow: give the final URL");
    ws->state = WSC_REFUSED;
    ws->phase = PHASE_END;
}

static void
step_head(struct wsclient *ws)
{
    size_t behind;
    enum err err;

    fill(ws);
    if (ws->phase == PHASE_HEAD) {
        err = answer_parse(span_of(ws->in, ws->in_fill), &ws->answer);
        if (err == ERR_SHORT && ws->in_ended)
            fail(ws, ERR_CLOSED, "%s closed the connection without an answer",
                client_url(ws->client)->authority);
        if (err == ERR_SHORT)
            return;
        if (err != OK) {
            fail(ws, ERR_MALFORMED, "%s answers, but not as an HTTP/1.1 server should",
                client_url(ws->client)->authority);
            return;
        }
        if (ws->answer.status == 101) {
            check_upgrade(ws);
            return;
        }
        ws->phase = PHASE_REFUSAL;
    }
    /* Bodies of refusals are short and have a length; what has not is told by its status. */
    behind = ws->in_fill - ws->answer.head_len;
    if (ws->answer.body == ANSWER_LENGTH && ws->answer.length <= HTTP_HEAD_BYTES_MAX / 2) {
        if (behind >= ws->answer.length)
            refused(ws, span_of(ws->in + ws->answer.head_len, (size_t)ws->answer.length));
        else if (ws->in_ended)
            refused(ws, span_of("", 0));
        return;
    }
    refused(ws, span_of("", 0));
}

/* ---- the loop ---- */

void
wsclient_prepare(struct wsclient *ws, struct pollset *ps, bool want_read)
{
    bool queued = ws->out_at < ws->out_fill;

    ws->reading = want_read;
    switch (ws->phase) {
    case PHASE_CONNECT:
        if (ws->stream.state >= STREAM_OPEN) /* AF_UNIX connects at once, or fails at once */
            pollset_deadline(ps, ps->now_ms);
        stream_prepare(&ws->stream, ps, false, false);
        break;
    case PHASE_SEND: stream_prepare(&ws->stream, ps, false, true); break;
    case PHASE_HEAD:
    case PHASE_REFUSAL: stream_prepare(&ws->stream, ps, true, false); break;
    case PHASE_OPEN:
        if ((ws->in_ended || ws->more) && want_read)
            pollset_deadline(ps, ps->now_ms);
        stream_prepare(&ws->stream, ps, want_read && !ws->in_ended, queued);
        if (!want_read)
            ws->heard_ms = ps->now_ms; /* whom we do not listen to cannot be heard */
        pollset_deadline(ps, ws->heard_ms + WS_DEAD_MS);
        break;
    case PHASE_END: pollset_deadline(ps, ps->now_ms); break;
    }
    if (ws->deadline_ms != 0)
        pollset_deadline(ps, ws->deadline_ms);
}

void
wsclient_flush(struct wsclient *ws)
{
    while (ws->phase == PHASE_OPEN && ws->out_at < ws->out_fill && stream_can_write(&ws->stream)) {
        size_t n;
        enum stream_io io =
            stream_write(&ws->stream, ws->out + ws->out_at, ws->out_fill - ws->out_at, &n);

        if (io == STREAM_BROKEN) {
            /* What the peer said before may still be read: a close frame tells more than an errno.
             */
            ws->out_at = ws->out_fill;
            ws->in_ended = ws->in_ended || !stream_can_read(&ws->stream);
            ws->stream.in_ready = true;
            break;
        }
        ws->out_at += n;
        if (io == STREAM_AGAIN)
            break;
    }
    if (ws->out_at == ws->out_fill)
        ws->out_at = ws->out_fill = 0;
}

static void
pong_flush(struct wsclient *ws)
{
    if (ws->pong_due && wsclient_send(ws, WSFRAME_PONG, span_of(ws->pong, ws->pong_len)) == OK)
        ws->pong_due = false;
}

static void
check_deadlines(struct wsclient *ws, int64_t now_ms)
{
    const char *host = client_url(ws->client)->authority;

    if (ws->phase == PHASE_END)
        return;
    if (ws->deadline_ms != 0 && now_ms >= ws->deadline_ms)
        fail(ws, ERR_TIMEOUT, ws->closing ? "%s does not close" : "%s does not answer", host);
    else if (ws->phase == PHASE_OPEN && now_ms >= ws->heard_ms + WS_DEAD_MS)
        fail(ws, ERR_TIMEOUT, "%s has fallen silent", host);
}

enum wsclient_state
wsclient_step(struct wsclient *ws, const struct pollset *ps)
{
    if (ws->phase == PHASE_END)
        return ws->state;
    stream_step(&ws->stream, ps);
    if (ws->stream.state == STREAM_FAILED)
        fail(ws, ws->stream.failure, "%s", ws->stream.why);
    if (ws->phase == PHASE_CONNECT && ws->stream.state == STREAM_OPEN) {
        ws->phase = PHASE_SEND;
        ws->heard_ms = ps->now_ms;
        ws->deadline_ms = ps->now_ms + CLIENT_ANSWER_MS;
    }
    if (ws->phase == PHASE_SEND)
        step_send(ws);
    if (ws->phase == PHASE_HEAD || ws->phase == PHASE_REFUSAL)
        step_head(ws);
    if (ws->phase == PHASE_OPEN) {
        pong_flush(ws);
        wsclient_flush(ws);
    }
    check_deadlines(ws, ps->now_ms);
    return ws->state;
}

enum wsclient_state
wsclient_state(const struct wsclient *ws)
{
    return ws->state;
}

/* ---- reading ---- */

static void
protocol_error(struct wsclient *ws, uint16_t code, const char *what)
{
    wsclient_close(ws, code, what);
    wsclient_flush(ws);
    fail(ws, ERR_MALFORMED, "%s breaks the WebSocket protocol: %s",
        client_url(ws->client)->authority, what);
}

static void
peer_closed(struct wsclient *ws, struct span payload)
{
    struct span reason;

    if (wsframe_close_parse(payload, &ws->close_code, &reason) != OK) {
        protocol_error(ws, 1002, "a malformed close frame");
        return;
    }
    ws->close_reason_len = reason.len;
    memcpy(ws->close_reason, reason.ptr, reason.len);
    if (!ws->closing)
        wsclient_close(ws, ws->close_code == 1005 ? 1000 : ws->close_code, "");
    wsclient_flush(ws);
    ws->state = WSC_CLOSED;
    ws->phase = PHASE_END;
}

static void
control_frame(struct wsclient *ws, struct span payload)
{
    switch (ws->frame.opcode) {
    case WSFRAME_CLOSE: peer_closed(ws, payload); return;
    case WSFRAME_PING: /* only the last one is owed an answer (section 5.5.3) */
        memcpy(ws->pong, payload.ptr, payload.len);
        ws->pong_len = (uint8_t)payload.len;
        ws->pong_due = true;
        pong_flush(ws);
        return;
    default: return; /* a pong */
    }
}

/* Reads a header. False: more bytes are needed, or the end. */
static bool
header_next(struct wsclient *ws)
{
    enum err err = wsframe_parse(span_of(ws->in + ws->in_at, ws->in_fill - ws->in_at), &ws->frame);
    const struct wsframe *f = &ws->frame;
    bool control = f->opcode >= WSFRAME_CLOSE;

    if (err == ERR_SHORT)
        return false;
    if (err != OK || f->masked) {
        protocol_error(ws, 1002, err != OK ? "a malformed frame" : "a masked frame");
        return false;
    }
    if (control) {
        if (ws->in_fill - ws->in_at < f->header_len + f->payload_len)
            return false;
        ws->in_at += f->header_len;
        control_frame(ws, span_of(ws->in + ws->in_at, (size_t)f->payload_len));
        ws->in_at += (size_t)f->payload_len;
        return ws->phase == PHASE_OPEN;
    }
    if ((f->opcode == WSFRAME_CONTINUATION) == (ws->message_op == 0)) {
        protocol_error(ws, 1002, "a message out of turn");
        return false;
    }
    if (f->opcode != WSFRAME_CONTINUATION) {
        ws->message_op = f->opcode;
        ws->message_len = 0;
    }
    ws->in_at += f->header_len;
    ws->left = f->payload_len;
    ws->in_frame = true;
    return true;
}

static bool
streaming(const struct wsclient *ws)
{
    return ws->stream_binary && ws->message_op == WSFRAME_BINARY;
}

/* Moves what is there into the message. True: the message is whole. */
static bool
message_gather(struct wsclient *ws)
{
    size_t there = ws->in_fill - ws->in_at;
    size_t n = ws->left < there ? (size_t)ws->left : there;

    if (ws->left > ws->message_max - ws->message_len) {
        protocol_error(ws, 1009, "a message that is too long");
        return false;
    }
    memcpy(ws->message + ws->message_len, ws->in + ws->in_at, n);
    ws->message_len += n;
    ws->in_at += n;
    ws->left -= n;
    if (ws->left > 0)
        return false;
    ws->in_frame = false;
    return ws->frame.fin;
}

static enum wsclient_got
message_give(struct wsclient *ws, struct span *bytes)
{
    enum wsclient_got got = ws->message_op == WSFRAME_TEXT ? WSC_TEXT : WSC_BINARY;

    *bytes = span_of(ws->message, ws->message_len);
    ws->message_op = 0;
    if (got == WSC_TEXT && !text_utf8(*bytes)) {
        protocol_error(ws, 1007, "text that is not UTF-8");
        return WSC_NOTHING;
    }
    return got;
}

static void
frame_end(struct wsclient *ws)
{
    ws->in_frame = false;
    if (ws->frame.fin)
        ws->message_op = 0;
}

static void
ended(struct wsclient *ws)
{
    fail(ws, ERR_CLOSED, "%s closed the connection%s%s", client_url(ws->client)->authority,
        ws->stream.why[0] != '\0' ? ": " : "", ws->stream.why);
}

static enum wsclient_got
next(struct wsclient *ws, struct span *bytes)
{
    bool filled = false;

    while (ws->phase == PHASE_OPEN) {
        size_t there = ws->in_fill - ws->in_at;

        if (ws->in_frame && streaming(ws)) {
            if (ws->left == 0) {
                frame_end(ws);
                continue;
            }
            if (there > 0) {
                ws->piece_len = ws->left < there ? (size_t)ws->left : there;
                *bytes = span_of(ws->in + ws->in_at, ws->piece_len);
                return WSC_BINARY;
            }
        } else if (ws->in_frame) {
            if (message_gather(ws))
                return message_give(ws, bytes);
            if (ws->phase != PHASE_OPEN || !ws->in_frame)
                continue;
        } else if (there > 0 && header_next(ws)) {
            continue;
        }
        if (ws->phase != PHASE_OPEN)
            break;
        if (filled && ws->in_ended)
            ended(ws);
        if (filled)
            break;
        fill(ws);
        filled = true;
    }
    return WSC_NOTHING;
}

enum wsclient_got
wsclient_next(struct wsclient *ws, struct span *bytes)
{
    enum wsclient_got got = next(ws, bytes);

    ws->more = got != WSC_NOTHING;
    return got;
}

void
wsclient_used(struct wsclient *ws, size_t n)
{
    if (ws->piece_len == 0)
        return;
    INVARIANT(n <= ws->piece_len);
    ws->in_at += n;
    ws->left -= n;
    ws->piece_len = 0;
}

/* ---- writing ---- */

static void
out_compact(struct wsclient *ws)
{
    if (ws->out_at == 0)
        return;
    memmove(ws->out, ws->out + ws->out_at, ws->out_fill - ws->out_at);
    ws->out_fill -= ws->out_at;
    ws->out_at = 0;
}

size_t
wsclient_room(struct wsclient *ws, uint8_t **place)
{
    size_t room;

    if (ws->phase != PHASE_OPEN || ws->closing)
        return 0;
    if (ws->out_at > ws->out_cap / 2)
        out_compact(ws);
    room = ws->out_cap - ws->out_fill;
    if (room < CONTROL_RESERVE + FRAME_HEADER + ROOM_LEAST)
        return 0;
    room -= CONTROL_RESERVE + FRAME_HEADER;
    *place = ws->out + ws->out_fill + FRAME_HEADER;
    return room < FRAME_PAYLOAD ? room : FRAME_PAYLOAD;
}

void
wsclient_commit(struct wsclient *ws, size_t len)
{
    uint8_t mask[4], header[WSFRAME_HEADER_MAX];
    uint8_t *payload = ws->out + ws->out_fill + FRAME_HEADER;
    size_t head;

    INVARIANT(len > 0 && len <= FRAME_PAYLOAD);
    randombytes_buf(mask, sizeof(mask));
    head = wsframe_write(header, true, WSFRAME_BINARY, len, mask);
    INVARIANT(head <= FRAME_HEADER);
    memcpy(ws->out + ws->out_fill, header, head);
    wsframe_mask(ws->out + ws->out_fill + head, payload, len, mask, 0);
    ws->out_fill += head + len;
}

enum err
wsclient_send(struct wsclient *ws, enum wsframe_opcode opcode, struct span payload)
{
    uint8_t mask[4];
    size_t head = wsframe_header_len(payload.len, true);

    if (ws->phase != PHASE_OPEN || ws->closing)
        return ERR_CLOSED;
    if (head + payload.len > ws->out_cap - ws->out_fill)
        out_compact(ws);
    if (head + payload.len > ws->out_cap - ws->out_fill)
        return ERR_FULL;
    randombytes_buf(mask, sizeof(mask));
    head = wsframe_write(ws->out + ws->out_fill, true, (uint8_t)opcode, payload.len, mask);
    wsframe_mask(ws->out + ws->out_fill + head, payload.ptr, payload.len, mask, 0);
    ws->out_fill += head + payload.len;
    return OK;
}

void
wsclient_close(struct wsclient *ws, uint16_t code, const char *reason)
{
    uint8_t payload[125];
    size_t len = strlen(reason);

    if (ws->phase != PHASE_OPEN || ws->closing)
        return;
    if (len > sizeof(payload) - 2)
        len = sizeof(payload) - 2;
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    memcpy(payload + 2, reason, len);
    if (wsclient_send(ws, WSFRAME_CLOSE, span_of(payload, len + 2)) != OK) {
        fail(ws, ERR_FULL, "the queue is full");
        return;
    }
    ws->closing = true;
    ws->deadline_ms = pollset_clock_ms() + WS_CLOSE_MS;
}

size_t
wsclient_queued(const struct wsclient *ws)
{
    return ws->out_fill - ws->out_at;
}

const struct wsclient_refusal *
wsclient_refusal(const struct wsclient *ws)
{
    return &ws->refusal;
}

const char *
wsclient_why(const struct wsclient *ws)
{
    return ws->why;
}

enum err
wsclient_failure(const struct wsclient *ws)
{
    return ws->failure;
}

uint16_t
wsclient_closed(const struct wsclient *ws, struct span *reason)
{
    *reason = span_of(ws->close_reason, ws->close_reason_len);
    return ws->close_code;
}
