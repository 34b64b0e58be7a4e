/* wsclient_write.c: what goes to the server: a queue of masked frames in one fixed buffer, part of
 * which is kept for control frames. */
#include "http/wsclient_internal.h"

#include <sodium.h>
#include <string.h>

#define FRAME_PAYLOAD 65528 /* longest that goes behind an 8-byte header; a multiple of 8 */
#define FRAME_HEADER  8
#define ROOM_LEAST    4096 /* less is not worth a frame */

static void
out_compact(struct wsclient *ws)
{
    if (ws->out_at == 0)
        return;
    memmove(ws->out, ws->out + ws->out_at, ws->out_fill - ws->out_at);
    ws->out_fill -= ws->out_at;
    ws->out_at = 0;
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

size_t
wsclient_queued(const struct wsclient *ws)
{
    return ws->out_fill - ws->out_at;
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
wsclient_pong_flush(struct wsclient *ws)
{
    if (ws->pong_due && wsclient_send(ws, WSFRAME_PONG, span_of(ws->pong, ws->pong_len)) == OK)
        ws->pong_due = false;
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
        wsclient_fail(ws, ERR_FULL, "the queue is full");
        return;
    }
    ws->closing = true;
    ws->deadline_ms = pollset_clock_ms() + WS_CLOSE_MS;
}
