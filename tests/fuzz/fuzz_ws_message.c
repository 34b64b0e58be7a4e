/* fuzz_ws_message.c: frames to messages, beside wslay as a second reader. All that we accept wslay
 * accepts too, and finds the same messages in it; however the bytes are cut, we find the same. */
#include "http/ws.h"

#include <stdlib.h>
#include <wslay/wslay.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader found: opcode, length, bytes of each message and control frame, one after another.
 */
struct found {
    uint8_t *bytes;
    size_t len, cap;
};

static void
found_add(struct found *found, uint8_t opcode, const uint8_t *bytes, size_t len)
{
    uint32_t len32 = (uint32_t)len;

    if (found->cap - found->len < len + 5) {
        found->cap = found->cap * 2 + len + 64;
        found->bytes = realloc(found->bytes, found->cap);
        INVARIANT(found->bytes != NULL);
    }
    found->bytes[found->len] = opcode;
    memcpy(found->bytes + found->len + 1, &len32, 4);
    if (len > 0)
        memcpy(found->bytes + found->len + 5, bytes, len);
    found->len += len + 5;
}

/* True: the peer closed, or broke a rule: no more is read. */
static bool
found_control(struct ws *ws, struct found *found)
{
    struct span reason, payload = span_of(ws->control, ws->control_len);
    uint16_t code;

    if (ws->frame.opcode == WSFRAME_CLOSE &&
        (wsframe_close_parse(payload, &code, &reason) != OK || (code >= 1012 && code <= 1014)))
        return true; /* 1012 to 1014 were registered after wslay was written */
    found_add(found, ws->frame.opcode, payload.ptr, payload.len);
    return ws->frame.opcode == WSFRAME_CLOSE;
}

/* True while it may go on. */
static bool
ours_read(struct ws *ws, uint8_t *bytes, size_t len, struct found *found)
{
    uint8_t *at = bytes, *end = bytes + len, *room;
    struct ws_piece piece;
    uint16_t code;

    for (;;) {
        switch (ws_pull(ws, &at, end, &piece, &code)) {
        case WS_PULL_MORE: return true;
        case WS_PULL_BAD: return false;
        case WS_PULL_CONTROL:
            if (found_control(ws, found))
                return false;
            break;
        case WS_PULL_DATA:
            room = buffer_room(&ws->message, piece.len + 1);
            INVARIANT(room != NULL);
            wsframe_mask(room, piece.bytes, piece.len, piece.mask, piece.offset);
            ws->message.end += piece.len;
            if (piece.opcode == WSFRAME_TEXT &&
                (!wsframe_utf8(&ws->utf8, span_of(room, piece.len)) ||
                    (piece.last && ws->utf8 != 0)))
                return false;
            if (piece.last) {
                found_add(
                    found, piece.opcode, buffer_bytes(&ws->message), buffer_len(&ws->message));
                buffer_fini(&ws->message);
            }
        }
    }
}

static void
ours(const uint8_t *data, size_t size, size_t cut, struct found *found)
{
    struct ws ws = {.message_max = WS_MESSAGE_BYTES_MAX};
    uint8_t *copy = malloc(size + 1);

    memcpy(copy, data, size);
    if (ours_read(&ws, copy, cut, found))
        (void)ours_read(&ws, copy + cut, size - cut, found);
    buffer_fini(&ws.message);
    free(copy);
}

struct theirs {
    const uint8_t *at, *end;
    struct found found;
};

static ssize_t
theirs_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *user)
{
    struct theirs *theirs = user;
    size_t n = (size_t)(theirs->end - theirs->at);

    (void)flags;
    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = n < len ? n : len;
    memcpy(buf, theirs->at, n);
    theirs->at += n;
    return (ssize_t)n;
}

static void
theirs_message(
    wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct theirs *theirs = user;

    (void)ctx;
    found_add(&theirs->found, arg->opcode, arg->msg, arg->msg_length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wslay_event_callbacks callbacks = {
        .recv_callback = theirs_recv, .on_msg_recv_callback = theirs_message};
    struct theirs theirs = {.at = data, .end = data + size};
    struct found whole = {0}, parts = {0};
    wslay_event_context_ptr ctx;

    ours(data, size, size, &whole);
    ours(data, size, size > 0 ? data[size - 1] % size : 0, &parts);
    INVARIANT(whole.len == parts.len &&
              (whole.len == 0 || memcmp(whole.bytes, parts.bytes, whole.len) == 0));
    INVARIANT(wslay_event_context_server_init(&ctx, &callbacks, &theirs) == 0);
    wslay_event_config_set_max_recv_msg_length(ctx, WS_MESSAGE_BYTES_MAX);
    (void)wslay_event_recv(ctx);
    wslay_event_context_free(ctx);
    /* wslay may go on where we stopped (it takes long forms of lengths), never the other way round
     */
    INVARIANT(theirs.found.len >= whole.len &&
              (whole.len == 0 || memcmp(theirs.found.bytes, whole.bytes, whole.len) == 0));
    free(whole.bytes);
    free(parts.bytes);
    free(theirs.found.bytes);
    return 0;
}
