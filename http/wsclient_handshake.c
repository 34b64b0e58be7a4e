/* wsclient_handshake.c: the opening handshake of a client's WebSocket: the request with its
 * credentials (wiped when sent), and the answer, which upgrades or refuses. */
#include "http/wsclient_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base64.h"

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

enum err
wsclient_request_build(struct wsclient *ws, const struct wsclient_options *o)
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

void
wsclient_request_wipe(struct wsclient *ws)
{
    if (ws->request != NULL)
        sodium_memzero(ws->request, ws->request_len);
    free(ws->request);
    ws->request = NULL;
}

void
wsclient_request_send(struct wsclient *ws)
{
    while (ws->request_at < ws->request_len && stream_can_write(&ws->stream)) {
        size_t n;

        if (stream_write(&ws->stream, ws->request + ws->request_at,
                ws->request_len - ws->request_at, &n) == STREAM_BROKEN) {
            wsclient_fail(
                ws, ERR_CLOSED, "%s closed the connection", client_url(ws->client)->authority);
            return;
        }
        ws->request_at += n;
    }
    if (ws->request_at == ws->request_len) {
        wsclient_request_wipe(ws);
        ws->phase = PHASE_HEAD;
    }
}

/* ---- the answer ---- */

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
        wsclient_fail(ws, ERR_MISMATCH, "%s %s", client_url(ws->client)->authority, what);
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

void
wsclient_answer_read(struct wsclient *ws)
{
    size_t behind;
    enum err err;

    wsclient_fill(ws);
    if (ws->phase == PHASE_HEAD) {
        err = answer_parse(span_of(ws->in, ws->in_fill), &ws->answer);
        if (err == ERR_SHORT && ws->in_ended)
            wsclient_fail(ws, ERR_CLOSED, "%s closed the connection without an answer",
                client_url(ws->client)->authority);
        if (err == ERR_SHORT)
            return;
        if (err != OK) {
            wsclient_fail(ws, ERR_MALFORMED, "%s answers, but not as an HTTP/1.1 server should",
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
