/* relay.c: two WebSockets of one loop joined. The hot path: a read of up to 256 KiB is unmasked and
 * closed up in place (our headers are shorter than masked ones) and written to the other side in
 * one go; only what its socket does not take is copied, and then nothing more is read until that
 * has gone. Frames that come in parts go on as fragments, so each side is always between two frames
 * and can be pinged. Never looks at payload. On the loop's thread only; no lock. */
#include "http/relay.h"

#include "http/relay_internal.h"
#include "http/ws.h"

#include <sys/socket.h>

#define PROGRESS_MS 1000

struct relay {
    struct conn *side[2]; /* by enum relay_side; NULL: on its own again, or gone */
    struct relay_counts counts;
    const struct relay_handlers *handlers;
    void *user;
    uint64_t progress_ms; /* of the last on_progress */
    bool paused;
    bool over;
    enum relay_why why;
    enum relay_side who;
    uint16_t code;
    uint8_t reason_len;
    uint8_t reason[WS_CONTROL_MAX - 2];
    struct relay *next_ending;
};

static const struct conn_ops relay_ops;

static struct conn *
other_side(const struct conn *conn)
{
    return conn->ws->relay
        ->side[conn->ws->side == RELAY_TECHNICIAN ? RELAY_AGENT : RELAY_TECHNICIAN];
}

/* ---- the end ---- */

/* Notes why, once; the owner hears of it at the end of the turn. */
static void
relay_over(struct loop *loop, struct relay *relay, enum relay_why why, enum relay_side who,
    uint16_t code, struct span reason)
{
    if (relay->over)
        return;
    relay->over = true;
    relay->why = why;
    relay->who = who;
    relay->code = code;
    relay->reason_len =
        (uint8_t)(reason.len < sizeof(relay->reason) ? reason.len : sizeof(relay->reason));
    if (relay->reason_len > 0)
        memcpy(relay->reason, reason.ptr, relay->reason_len);
    relay->next_ending = loop->relays_ending;
    loop->relays_ending = relay;
}

void
relays_turn(struct loop *loop)
{
    struct relay *relay;

    while ((relay = loop->relays_ending) != NULL) {
        loop->relays_ending = relay->next_ending;
        COUNT_DOWN(loop, relays_open);
        relay->handlers->on_end(loop, relay->user, &relay->counts, relay->why, relay->who,
            relay->code, span_of(relay->reason, relay->reason_len));
        free(relay);
    }
}

/* One side has ended by itself, or is to end: the other gets what is queued for it, then a close
 * frame. `conn` itself is left to the caller. */
static void
relay_part(struct conn *conn, enum relay_why why, uint16_t code, struct span reason)
{
    struct relay *relay = conn->ws->relay;
    enum relay_side who = (enum relay_side)conn->ws->side;
    struct conn *other = other_side(conn);

    relay_over(conn->loop, relay, why, who, code, reason);
    conn->ws->relay = NULL;
    relay->side[RELAY_TECHNICIAN] = relay->side[RELAY_AGENT] = NULL;
    if (other == NULL)
        return;
    other->ws->relay = NULL;
    if (other->ended)
        return;
    switch (why) {
    case RELAY_CLOSED: ws_abandon(other, code, reason); break;
    case RELAY_PROTOCOL:
        ws_abandon(other, 1001, span_str("the other side broke the protocol"));
        break;
    case RELAY_STALLED: ws_abandon(other, 1001, span_str("the other side has stalled")); break;
    case RELAY_STOPPING: ws_abandon(other, 1001, span_str("server is stopping")); break;
    default: ws_abandon(other, 1001, span_str("the other side is gone")); break;
    }
}

/* A side closed, or broke the rules and is closed: its last frames go out, nothing more comes in.
 */
static void
relay_side_closed(struct conn *conn, enum relay_why why, uint16_t code, struct span reason)
{
    struct ws *ws = conn->ws;

    relay_part(conn, why, code, reason);
    ws_send_close(conn, code, span_of(NULL, 0));
    COUNT_DOWN(conn->loop, websockets);
    conn_linger(conn);
    ws_free(ws);
}

/* ---- the hot path ---- */

/* What is ready to go to the other side; begins in the headroom of the read buffer. */
struct outgoing {
    uint8_t *start, *end;
};

static void
outgoing_send(struct outgoing *out, struct conn *to)
{
    conn_send_now(to, out->start, (size_t)(out->end - out->start));
    out->start = out->end;
}

/* A piece of a binary message becomes a frame of its own. There is room for its header: what we
 * write is never longer than what we read, but for one header at the front, which the headroom
 * holds. */
static void
forward_binary(struct conn *conn, const struct ws_piece *piece, struct outgoing *out)
{
    uint64_t len = piece->len;

    out->end += wsframe_write(
        out->end, piece->last, piece->first ? WSFRAME_BINARY : WSFRAME_CONTINUATION, len, NULL);
    INVARIANT(out->end <= piece->bytes);
    wsframe_mask(out->end, piece->bytes, piece->len, piece->mask, piece->offset);
    out->end += len;
    if (conn->ws->side == RELAY_TECHNICIAN) {
        conn->ws->relay->counts.to_agent += len;
        if (len > 0)
            conn->ws->relay->counts.last_technician_ms = loop_now_ms(conn->loop);
    } else {
        conn->ws->relay->counts.to_technician += len;
    }
    COUNT(conn->loop, relay_bytes, len);
}

/* Text is control: gathered, checked, and sent on whole. 0, or the code to fail with. */
static uint16_t
forward_text(struct conn *conn, struct conn *to, const struct ws_piece *piece, struct outgoing *out)
{
    struct ws *ws = conn->ws;
    uint8_t *room;

    if (ws->message_len > RELAY_TEXT_BYTES_MAX)
        return 1009;
    if (piece->len > 0) {
        if ((room = buffer_room(&ws->message, piece->len)) == NULL)
            return 1011;
        wsframe_mask(room, piece->bytes, piece->len, piece->mask, piece->offset);
        ws->message.end += piece->len;
        if (!wsframe_utf8(&ws->utf8, span_of(room, piece->len)))
            return 1007;
    }
    if (!piece->last)
        return 0;
    if (ws->utf8 != 0)
        return 1007;
    if (!bucket_take(
            &ws->text_rate, loop_now_ms(conn->loop), RELAY_TEXT_PER_SECOND, RELAY_TEXT_BURST))
        return 1008;
    outgoing_send(out, to); /* what came before it goes before it */
    if (!to->ended)
        ws_send_frame(to, WSFRAME_TEXT, ws->message.ptr, buffer_len(&ws->message));
    buffer_fini(&ws->message);
    return 0;
}

static void
relay_progress(struct conn *conn)
{
    struct relay *relay = conn->ws->relay;
    uint64_t now = loop_now_ms(conn->loop);

    if (relay->handlers->on_progress == NULL || now - relay->progress_ms < PROGRESS_MS)
        return;
    relay->progress_ms = now;
    relay->handlers->on_progress(conn->loop, relay->user, &relay->counts);
}

static void
relay_on_bytes(struct conn *conn, uint8_t *bytes, size_t len)
{
    struct outgoing out = {bytes - LOOP_HEADROOM, bytes - LOOP_HEADROOM};
    uint8_t *at = bytes, *end = bytes + len;
    struct conn *to = other_side(conn);
    struct ws *ws = conn->ws;
    struct ws_piece piece;
    struct span reason = {0};
    uint16_t code = 0, fail = 0;
    enum ws_pull pull = WS_PULL_DATA;

    while (fail == 0 && (pull = ws_pull(ws, &at, end, &piece, &code)) != WS_PULL_MORE) {
        if (pull == WS_PULL_BAD)
            fail = code;
        else if (pull == WS_PULL_CONTROL)
            fail = ws_control(conn, &code, &reason);
        else if (piece.opcode == WSFRAME_BINARY)
            forward_binary(conn, &piece, &out);
        else
            fail = forward_text(conn, to, &piece, &out);
    }
    if (out.end > out.start)
        outgoing_send(&out, to);
    if (fail == WS_PEER_CLOSED)
        relay_side_closed(conn, RELAY_CLOSED, code, reason);
    else if (fail != 0)
        relay_side_closed(conn, RELAY_PROTOCOL, fail, span_of(NULL, 0));
    else
        relay_progress(conn);
}

/* ---- what the connection tells ---- */

static size_t
relay_room(const struct conn *conn)
{
    return conn->ws->relay->paused || conn_queued(other_side(conn)) > 0 ? 0 : RELAY_READ_BYTES;
}

static void
relay_on_hangup(struct conn *conn)
{
    (void)conn; /* what it sent before is still to be read; then comes the end of input */
}

static void
relay_on_drained(struct conn *conn)
{
    struct conn *other = other_side(conn);

    other->heard_ms = loop_now_ms(conn->loop); /* its silence was ours: we did not read */
    conn_touch(other);
}

static void
relay_on_deadline(struct conn *conn)
{
    bool reading = relay_room(conn) > 0;

    if (!reading) /* judged by the other side's stall clock, not by its silence */
        conn->heard_ms = loop_now_ms(conn->loop);
    ws_keepalive(conn);
}

static void
relay_on_stall(struct conn *conn)
{
    conn->ws->end = WS_END_SLOW;
    conn_end(conn);
}

static void
relay_on_end(struct conn *conn)
{
    struct ws *ws = conn->ws;
    enum relay_why why = ws->end == WS_END_SLOW   ? RELAY_STALLED
                         : ws->end == WS_END_DEAD ? RELAY_DEAD
                                                  : RELAY_GONE;

    if (ws->relay != NULL) /* NULL: the other side ended first, in this turn */
        relay_part(conn, why, 1006, span_of(NULL, 0));
    COUNT_DOWN(conn->loop, websockets);
    ws_free(ws);
    conn->ws = NULL;
}

static void
relay_on_stop(struct conn *conn)
{
    relay_part(conn, RELAY_STOPPING, 1001, span_of(NULL, 0));
    ws_abandon(conn, 1001, span_str("server is stopping"));
}

static const struct conn_ops relay_ops = {
    .room = relay_room,
    .on_bytes = relay_on_bytes,
    .on_eof = conn_end,
    .on_hangup = relay_on_hangup,
    .on_drained = relay_on_drained,
    .on_deadline = relay_on_deadline,
    .on_stall = relay_on_stall,
    .on_end = relay_on_end,
    .on_stop = relay_on_stop,
};

/* ---- the app's side ---- */

static void
relay_join(struct relay *relay, struct conn *conn, enum relay_side side)
{
    struct ws *ws = conn->ws;

    relay->side[side] = conn;
    ws->relay = relay;
    ws->side = (uint8_t)side;
    ws->handlers = NULL;
    ws->hold = false;
    ws->message_max = WS_MESSAGE_BYTES_MAX;
    conn->ops = &relay_ops;
    conn->heard_ms = loop_now_ms(conn->loop);
    conn_touch(conn);
}

enum err
relay_pair(struct loop *loop, struct ref technician, struct ref agent,
    const struct relay_handlers *handlers, void *user)
{
    struct conn *a = ws_get(loop, technician), *b = ws_get(loop, agent);
    struct relay *relay;

    if (a == NULL || b == NULL || a == b)
        return ERR_NOT_FOUND;
    if (a->ws->message_opcode != 0 || b->ws->message_opcode != 0)
        return ERR_MALFORMED;
    if ((relay = calloc(1, sizeof(*relay))) == NULL)
        return ERR_MEMORY;
    relay->handlers = handlers;
    relay->user = user;
    relay->counts.last_technician_ms = relay->progress_ms = loop_now_ms(loop);
    relay_join(relay, a, RELAY_TECHNICIAN);
    relay_join(relay, b, RELAY_AGENT);
    COUNT(loop, relays, 1);
    COUNT(loop, relays_open, 1);
    return OK;
}

static struct relay *
relay_of(struct loop *loop, struct ref ref)
{
    struct conn *conn = conn_get(loop, ref);

    return conn != NULL && conn->ops == &relay_ops ? conn->ws->relay : NULL;
}

/* At once: with nothing queued the peer gets a close frame and the end; else a reset, because what
 * the kernel holds for it must not go out any more either. */
static void
relay_drop(struct conn *conn, uint16_t code, struct span reason)
{
    struct ws *ws = conn->ws;

    COUNT_DOWN(conn->loop, websockets);
    if (conn_queued(conn) == 0) {
        ws_send_close(conn, code, reason);
        conn_linger(conn);
    } else {
        conn_reset(conn);
    }
    ws_free(ws);
}

bool
relay_cut(struct loop *loop, struct ref side, uint16_t code, const char *reason)
{
    struct relay *relay = relay_of(loop, side);
    struct span why = span_str(reason != NULL ? reason : "");

    if (relay == NULL)
        return false;
    relay_over(loop, relay, RELAY_CUT, RELAY_NEITHER, code, why);
    for (int i = 0; i < 2; i++) {
        struct conn *conn = relay->side[i];

        relay->side[i] = NULL;
        conn->ws->relay = NULL;
        if (!conn->ended)
            relay_drop(conn, code, why);
    }
    return true;
}

bool
relay_pause(struct loop *loop, struct ref side, bool paused)
{
    struct relay *relay = relay_of(loop, side);

    if (relay == NULL)
        return false;
    relay->paused = paused;
    for (int i = 0; i < 2; i++)
        conn_touch(relay->side[i]);
    return true;
}

bool
relay_counts_read(struct loop *loop, struct ref side, struct relay_counts *counts)
{
    struct relay *relay = relay_of(loop, side);

    if (relay == NULL)
        return false;
    *counts = relay->counts;
    return true;
}
