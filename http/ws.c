/* ws.c: WebSockets of the server: frames to messages, control frames, close handshake, pings. Own
 * code and not a library's: the relay needs the frames in place, and an idle agent may not cost 4
 * KiB of frame buffer. Never looks inside a message beyond UTF-8. On the loop's thread only. */
#include "http/ws.h"

static const struct conn_ops ws_ops;

bool
bucket_take(struct bucket *bucket, uint64_t now_ms, uint32_t per_second, uint32_t burst)
{
    uint64_t gone = (now_ms - bucket->at_ms) * per_second; /* thousandths that leaked out */

    bucket->at_ms = now_ms;
    bucket->level = gone < bucket->level ? bucket->level - (uint32_t)gone : 0;
    if (bucket->level + 1000 > burst * 1000)
        return false;
    bucket->level += 1000;
    return true;
}

/* ---- reading ---- */

/* A frame header, possibly begun in an earlier read. */
static enum err
pull_header(struct ws *ws, uint8_t **at, uint8_t *end)
{
    enum err err;

    if (ws->header_len == 0) {
        err = wsframe_parse(span_of(*at, (size_t)(end - *at)), &ws->frame);
        if (err == OK)
            *at += ws->frame.header_len;
        if (err != ERR_SHORT)
            return err;
    }
    do {
        if (*at == end)
            return ERR_SHORT;
        ws->header[ws->header_len++] = *(*at)++;
        err = wsframe_parse(span_of(ws->header, ws->header_len), &ws->frame);
    } while (err == ERR_SHORT);
    ws->header_len = 0;
    return err;
}

/* May this frame come now, and may it be so long? 0, or the code to close with. */
static uint16_t
pull_begin(struct ws *ws)
{
    const struct wsframe *frame = &ws->frame;

    if (!frame->masked)
        return 1002;
    if (frame->opcode >= WSFRAME_CLOSE) {
        ws->control_len = 0;
    } else {
        if ((frame->opcode == WSFRAME_CONTINUATION) != (ws->message_opcode != 0))
            return 1002;
        if (ws->message_opcode == 0) {
            ws->message_opcode = frame->opcode;
            ws->message_begun = false;
            ws->message_len = 0;
            ws->utf8 = 0;
        }
        if (frame->payload_len > ws->message_max - ws->message_len)
            return 1009;
        ws->message_len += frame->payload_len;
    }
    ws->frame_left = frame->payload_len;
    ws->in_frame = true;
    return 0;
}

enum ws_pull
ws_pull(struct ws *ws, uint8_t **at, uint8_t *end, struct ws_piece *piece, uint16_t *code)
{
    uint64_t offset;
    size_t n;

    if (!ws->in_frame) {
        switch (pull_header(ws, at, end)) {
        case OK: break;
        case ERR_SHORT: return WS_PULL_MORE;
        default: *code = 1002; return WS_PULL_BAD;
        }
        if ((*code = pull_begin(ws)) != 0)
            return WS_PULL_BAD;
    }
    n = (size_t)(end - *at);
    if (n > ws->frame_left)
        n = (size_t)ws->frame_left;
    if (n == 0 && ws->frame_left > 0)
        return WS_PULL_MORE;
    offset = ws->frame.payload_len - ws->frame_left;
    ws->frame_left -= n;
    ws->in_frame = ws->frame_left > 0;
    if (ws->frame.opcode >= WSFRAME_CLOSE) {
        wsframe_mask(ws->control + offset, *at, n, ws->frame.mask, offset);
        ws->control_len = (uint8_t)(offset + n);
        *at += n;
        return ws->in_frame ? WS_PULL_MORE : WS_PULL_CONTROL;
    }
    *piece = (struct ws_piece){.opcode = ws->message_opcode,
        .first = !ws->message_begun,
        .last = !ws->in_frame && ws->frame.fin,
        .bytes = *at,
        .len = n,
        .mask = ws->frame.mask,
        .offset = offset};
    ws->message_begun = true;
    if (piece->last)
        ws->message_opcode = 0;
    *at += n;
    return WS_PULL_DATA;
}

/* ---- sending ---- */

void
ws_send_frame(struct conn *conn, uint8_t opcode, const void *bytes, size_t len)
{
    uint8_t header[WSFRAME_HEADER_MAX];

    conn_send(conn, header, wsframe_write(header, true, opcode, len, NULL));
    conn_send(conn, bytes, len);
}

void
ws_send_close(struct conn *conn, uint16_t code, struct span reason)
{
    uint8_t payload[WS_CONTROL_MAX];
    size_t len = reason.len < sizeof(payload) - 2 ? reason.len : sizeof(payload) - 2;

    if (conn->ws->close_sent)
        return;
    conn->ws->close_sent = true;
    if (code == 1005) { /* "none given": said by giving none */
        ws_send_frame(conn, WSFRAME_CLOSE, NULL, 0);
        return;
    }
    while (len < reason.len && len > 0 && (reason.ptr[len] & 0xc0) == 0x80)
        len--; /* not inside a character */
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    if (len > 0)
        memcpy(payload + 2, reason.ptr, len);
    ws_send_frame(conn, WSFRAME_CLOSE, payload, len + 2);
}

/* ---- control frames and the end ---- */

#define PONG_QUEUE_MAX 4096 /* a peer that reads no pongs gets no more of them */

uint16_t
ws_control(struct conn *conn, uint16_t *code, struct span *reason)
{
    struct ws *ws = conn->ws;
    struct span payload = span_of(ws->control, ws->control_len);

    if (!bucket_take(
            &ws->control_rate, loop_now_ms(conn->loop), WS_CONTROL_PER_SECOND, WS_CONTROL_BURST))
        return 1008;
    switch (ws->frame.opcode) {
    case WSFRAME_PING:
        if (!ws->close_sent && conn_queued(conn) < PONG_QUEUE_MAX)
            ws_send_frame(conn, WSFRAME_PONG, payload.ptr, payload.len);
        return 0;
    case WSFRAME_CLOSE:
        switch (wsframe_close_parse(payload, code, reason)) {
        case OK: ws_send_close(conn, *code, span_of(NULL, 0)); return WS_PEER_CLOSED;
        case ERR_MISMATCH: return 1007;
        default: return 1002;
        }
    default: return 0; /* a pong: hearing it was its purpose */
    }
}

void
ws_free(struct ws *ws)
{
    buffer_fini(&ws->message);
    free(ws);
}

/* The close handshake is over, or cut short by a protocol error: tell the owner, then let the last
 * frames go out. */
static void
ws_over(struct conn *conn, enum ws_end end, uint16_t code, struct span reason)
{
    struct ws *ws = conn->ws;

    COUNT_DOWN(conn->loop, websockets);
    conn_linger(conn); /* first: the handler must find the ref dead */
    if (ws->handlers != NULL)
        ws->handlers->on_close(conn->loop, conn->ref, ws->user, end, code, reason);
    ws_free(ws);
}

static void
ws_fail(struct conn *conn, uint16_t code)
{
    ws_send_close(conn, code, span_of(NULL, 0));
    ws_over(conn, WS_END_PROTOCOL, code, span_of(NULL, 0));
}

void
ws_abandon(struct conn *conn, uint16_t code, struct span reason)
{
    struct ws *ws = conn->ws;

    ws->handlers = NULL;
    ws->relay = NULL;
    ws->hold = false;
    conn->ops = &ws_ops;
    ws_send_close(conn, code, reason);
    conn_deadline(conn, WS_CLOSE_MS);
    conn_touch(conn);
}

void
ws_keepalive(struct conn *conn)
{
    struct ws *ws = conn->ws;

    if (!ws->hold && loop_now_ms(conn->loop) - conn->heard_ms >= WS_DEAD_MS) {
        COUNT(conn->loop, timeouts, 1);
        ws->end = WS_END_DEAD;
        conn_end(conn);
        return;
    }
    /* With bytes waiting the stall clock judges; a held socket's pong would stay unread. */
    if (conn_queued(conn) == 0 && !ws->hold)
        ws_send_frame(conn, WSFRAME_PING, NULL, 0);
    conn_deadline(conn, WS_PING_MS);
}

/* ---- messages ---- */

/* Gathers a message, or hands it on. 0, or the code to close with. */
static uint16_t
ws_piece_take(struct conn *conn, const struct ws_piece *piece)
{
    struct ws *ws = conn->ws;
    uint8_t *bytes = piece->bytes;
    bool whole = piece->first && piece->last; /* stays where it is */
    struct buffer message;

    if (!whole && piece->len > 0) {
        if ((bytes = buffer_room(&ws->message, piece->len)) == NULL)
            return 1011;
        ws->message.end += piece->len;
    }
    wsframe_mask(bytes, piece->bytes, piece->len, piece->mask, piece->offset);
    if (piece->opcode == WSFRAME_TEXT &&
        (!wsframe_utf8(&ws->utf8, span_of(bytes, piece->len)) || (piece->last && ws->utf8 != 0)))
        return 1007;
    if (!piece->last)
        return 0;
    message = ws->message;
    ws->message = (struct buffer){0};
    if (ws->handlers != NULL && !ws->close_sent)
        ws->handlers->on_message(conn->loop, conn->ref, ws->user, (enum ws_opcode)piece->opcode,
            whole ? span_of(bytes, piece->len)
                  : span_of(message.ptr + message.start, buffer_len(&message)));
    buffer_fini(&message); /* ours: the handler may have ended the connection */
    return 0;
}

static void
ws_on_bytes(struct conn *conn, uint8_t *bytes, size_t len)
{
    uint8_t *at = bytes, *end = bytes + len;
    struct ws *ws = conn->ws;
    struct ws_piece piece;
    struct span reason;
    uint16_t code, fail = 0;

    while (conn->ops == &ws_ops && !conn->ended) {
        switch (ws_pull(ws, &at, end, &piece, &code)) {
        case WS_PULL_MORE: return;
        case WS_PULL_DATA: fail = ws->close_sent ? 0 : ws_piece_take(conn, &piece); break;
        case WS_PULL_CONTROL: fail = ws_control(conn, &code, &reason); break;
        case WS_PULL_BAD: fail = code; break;
        }
        if (fail == WS_PEER_CLOSED)
            ws_over(conn, WS_END_CLOSED, code, reason);
        else if (fail != 0)
            ws_fail(conn, fail);
    }
    if (!conn->ended && at < end && conn->ops != &ws_ops && conn->http != NULL)
        conn->ops->on_bytes(conn, at, (size_t)(end - at)); /* a handler has made it a relay's */
}

static size_t
ws_room(const struct conn *conn)
{
    return conn->ws->hold ? 0 : RELAY_READ_BYTES;
}

static void
ws_on_hangup(struct conn *conn)
{
    if (conn->ws->hold)
        conn_end(conn);
}

static void
ws_on_drained(struct conn *conn)
{
    struct ws *ws = conn->ws;

    if (!ws->drain_wanted)
        return;
    ws->drain_wanted = false;
    if (ws->handlers != NULL && ws->handlers->on_drain != NULL)
        ws->handlers->on_drain(conn->loop, conn->ref, ws->user);
}

static void
ws_on_deadline(struct conn *conn)
{
    if (!conn->ws->close_sent)
        ws_keepalive(conn);
    else if (conn_queued(conn) > 0) /* what is before our close has not gone yet */
        conn_deadline(conn, WS_CLOSE_MS);
    else
        conn_end(conn);
}

static void
ws_on_stall(struct conn *conn)
{
    conn->ws->end = WS_END_SLOW;
    conn_end(conn);
}

static void
ws_on_end(struct conn *conn)
{
    struct ws *ws = conn->ws;

    COUNT_DOWN(conn->loop, websockets);
    if (ws->handlers != NULL)
        ws->handlers->on_close(conn->loop, conn->ref, ws->user, ws->end, 1006, span_of(NULL, 0));
    ws_free(ws);
    conn->ws = NULL;
}

static void
ws_on_stop(struct conn *conn)
{
    ws_send_close(conn, 1001, span_str("server is stopping"));
    conn->ws->hold = false;
    conn->ws->end = WS_END_DROPPED;
    conn_deadline(conn, WS_CLOSE_MS);
    conn_touch(conn);
}

static const struct conn_ops ws_ops = {
    .room = ws_room,
    .on_bytes = ws_on_bytes,
    .on_eof = conn_end,
    .on_hangup = ws_on_hangup,
    .on_drained = ws_on_drained,
    .on_deadline = ws_on_deadline,
    .on_stall = ws_on_stall,
    .on_end = ws_on_end,
    .on_stop = ws_on_stop,
};

/* ---- the app's side ---- */

enum err
ws_open(struct conn *conn, const struct ws_options *options)
{
    struct ws *ws = calloc(1, sizeof(*ws));

    if (ws == NULL)
        return ERR_MEMORY;
    ws->handlers = options->handlers;
    ws->user = options->user;
    ws->hold = options->hold;
    ws->end = WS_END_GONE;
    ws->message_max = WS_MESSAGE_BYTES_MAX;
    if (options->handlers != NULL && options->handlers->message_max > 0 &&
        options->handlers->message_max < ws->message_max)
        ws->message_max = options->handlers->message_max;
    conn->ws = ws;
    conn->ops = &ws_ops;
    conn->stall_ms = RELAY_STALL_MS;
    COUNT(conn->loop, upgrades, 1);
    COUNT(conn->loop, websockets, 1);
    conn_deadline(conn, WS_PING_MS);
    conn_touch(conn);
    return OK;
}

struct conn *
ws_get(struct loop *loop, struct ref ref)
{
    struct conn *conn = conn_get(loop, ref);

    return conn != NULL && conn->ops == &ws_ops && !conn->ws->close_sent ? conn : NULL;
}

void
ws_release(struct loop *loop, struct ref ref)
{
    struct conn *conn = ws_get(loop, ref);

    if (conn == NULL)
        return;
    conn->ws->hold = false;
    conn->heard_ms = loop_now_ms(loop);
    conn_touch(conn);
}

enum err
ws_send(struct loop *loop, struct ref ref, enum ws_opcode opcode, struct span message)
{
    struct conn *conn = ws_get(loop, ref);

    if (conn == NULL)
        return ERR_CLOSED;
    if (message.len > WS_QUEUE_BYTES_MAX || conn_queued(conn) > WS_QUEUE_BYTES_MAX - message.len) {
        conn->ws->drain_wanted = true;
        return ERR_FULL;
    }
    ws_send_frame(conn, (uint8_t)opcode, message.ptr, message.len);
    return conn->ended ? ERR_CLOSED : OK;
}

void
ws_close(struct loop *loop, struct ref ref, uint16_t code, const char *reason)
{
    struct conn *conn = ws_get(loop, ref);

    if (conn == NULL)
        return;
    ws_send_close(conn, code, span_str(reason != NULL ? reason : ""));
    conn->ws->hold = false;
    conn->ws->end = WS_END_CLOSED;
    conn_deadline(conn, WS_CLOSE_MS);
    conn_touch(conn);
}

void
ws_set_handlers(struct loop *loop, struct ref ref, const struct ws_handlers *handlers, void *user)
{
    struct conn *conn = conn_get(loop, ref); /* also one that is closing: on_close is to come */

    if (conn == NULL || conn->ops != &ws_ops)
        return;
    conn->ws->handlers = handlers;
    conn->ws->user = user;
}

void *
ws_user(struct loop *loop, struct ref ref)
{
    struct conn *conn = ws_get(loop, ref);

    return conn != NULL ? conn->ws->user : NULL;
}
