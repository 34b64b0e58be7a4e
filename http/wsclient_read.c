/* wsclient_read.c: what the server sends: frames, whole messages or pieces of them, control frames.
 * Each way to break the protocol ends the connection with its close code. */
#include "http/wsclient_internal.h"

#include <string.h>

#include "core/text.h"

void
wsclient_fill(struct wsclient *ws)
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

static void
protocol_error(struct wsclient *ws, uint16_t code, const char *what)
{
    wsclient_close(ws, code, what);
    wsclient_flush(ws);
    wsclient_fail(ws, ERR_MALFORMED, "%s breaks the WebSocket protocol: %s",
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
        wsclient_pong_flush(ws);
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
    wsclient_fail(ws, ERR_CLOSED, "%s closed the connection%s%s", client_url(ws->client)->authority,
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
        wsclient_fill(ws);
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
