/* wsclient.c: one WebSocket to the server, from dialling to its end: phases, deadlines, and what
 * the owner asks about it. Both buffers are fixed. Owned by one thread. Never looks at what binary
 * messages hold. */
#include "http/wsclient_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void __attribute__((format(printf, 3, 4)))
wsclient_fail(struct wsclient *ws, enum err failure, const char *format, ...)
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
    if (ws->in == NULL || ws->out == NULL || ws->message == NULL ||
        wsclient_request_build(ws, o) != OK) {
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
    wsclient_request_wipe(ws);
    stream_fini(&ws->stream);
    free(ws->in);
    free(ws->out);
    free(ws->message);
    free(ws);
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

static void
check_deadlines(struct wsclient *ws, int64_t now_ms)
{
    const char *host = client_url(ws->client)->authority;

    if (ws->phase == PHASE_END)
        return;
    if (ws->deadline_ms != 0 && now_ms >= ws->deadline_ms)
        wsclient_fail(
            ws, ERR_TIMEOUT, ws->closing ? "%s does not close" : "%s does not answer", host);
    else if (ws->phase == PHASE_OPEN && now_ms >= ws->heard_ms + WS_DEAD_MS)
        wsclient_fail(ws, ERR_TIMEOUT, "%s has fallen silent", host);
}

enum wsclient_state
wsclient_step(struct wsclient *ws, const struct pollset *ps)
{
    if (ws->phase == PHASE_END)
        return ws->state;
    stream_step(&ws->stream, ps);
    if (ws->stream.state == STREAM_FAILED)
        wsclient_fail(ws, ws->stream.failure, "%s", ws->stream.why);
    if (ws->phase == PHASE_CONNECT && ws->stream.state == STREAM_OPEN) {
        ws->phase = PHASE_SEND;
        ws->heard_ms = ps->now_ms;
        ws->deadline_ms = ps->now_ms + CLIENT_ANSWER_MS;
    }
    if (ws->phase == PHASE_SEND)
        wsclient_request_send(ws);
    if (ws->phase == PHASE_HEAD || ws->phase == PHASE_REFUSAL)
        wsclient_answer_read(ws);
    if (ws->phase == PHASE_OPEN) {
        wsclient_pong_flush(ws);
        wsclient_flush(ws);
    }
    check_deadlines(ws, ps->now_ms);
    return ws->state;
}

/* ---- what became of it ---- */

enum wsclient_state
wsclient_state(const struct wsclient *ws)
{
    return ws->state;
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
