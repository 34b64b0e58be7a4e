/* http_answer.c: what goes out for a request: an answer, a stream, or 101 and no HTTP any more.
 * Each closes the connection where its request said so, and never answers twice. On the loop's
 * thread only. */
#include "http/http.h"
#include "http/ws.h"

/* The answer is queued (or, for a stream, all of it has gone): from here on the old ref is dead, so
 * that nobody can answer the next request in its name. */
static void
http_answered(struct conn *conn)
{
    struct http *http = conn->http;

    http->close =
        http->close || http->exchange == NULL || http->exchange->close || conn->loop->stopping;
    exchange_free(http->exchange);
    http->exchange = NULL;
    http->phase = HTTP_SENT;
    conn_rename(conn);
    conn_no_deadline(conn);
    conn->sent = true; /* on_drained follows, even if nothing is left to send */
    conn_touch(conn);
}

/* Queues the head. False: it could not be built; a bare 500 went out instead. */
static bool
http_send_head(
    struct conn *conn, const struct response *response, enum response_framing framing, bool close)
{
    static const char failed[] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";
    char head[HTTP_HEAD_BYTES_MAX];
    size_t len;

    if (response_head(response, framing, close, loop_date(conn->loop), head, sizeof(head), &len) ==
        OK) {
        conn_send(conn, head, len);
        return true;
    }
    server_log(conn->loop->server, "a response could not be built (status %u)", response->status);
    conn_send(conn, failed, sizeof(failed) - 1);
    conn->http->close = true;
    return false;
}

static void
http_answer(struct conn *conn, const struct response *response)
{
    struct http *http = conn->http;
    bool head_only = http->exchange != NULL && http->exchange->request.method == METHOD_HEAD;
    bool bodiless = response->status == 204 || response->status == 304;

    http->close = http->close || response->close || conn->loop->stopping ||
                  http->exchange == NULL || http->exchange->close;
    if (http_send_head(conn, response, bodiless ? FRAMING_NONE : FRAMING_LENGTH, http->close) &&
        !bodiless && !head_only) {
        if (response->body_static)
            conn->tail = response->body;
        else
            conn_send(conn, response->body.ptr, response->body.len);
    }
    http_answered(conn);
}

void
http_refuse(struct conn *conn, uint16_t status)
{
    struct response response;
    char body[160];
    int n = snprintf(body, sizeof(body),
        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"code\":\"http_%u\"}\n",
        response_reason(status), status, status);

    COUNT(conn->loop, refused_requests, 1);
    response_init(&response, status);
    response.close = true;
    response_add_str(&response, "Cache-Control", "no-store");
    response_add_str(&response, "X-Content-Type-Options", "nosniff");
    if (status == 426) {
        response_add_str(&response, "Upgrade", "websocket");
        response_add_str(&response, "Sec-WebSocket-Version", "13");
    }
    response_body(&response, "application/problem+json", span_of(body, (size_t)n));
    http_answer(conn, &response);
}

void
http_reply(struct loop *loop, struct ref ref, const struct response *response)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_APP);

    if (conn != NULL)
        http_answer(conn, response);
}

/* ---- streams ---- */

void
http_stream_begin(struct loop *loop, struct ref ref, const struct response *response,
    void (*on_drain)(struct loop *loop, struct ref ref, void *user), void *user)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_APP);
    struct exchange *exchange;
    bool close;

    if (conn == NULL)
        return;
    exchange = conn->http->exchange;
    exchange->chunked_out = !exchange->request.http10;
    exchange->on_drain = on_drain;
    exchange->drain_user = user;
    close = exchange->close || response->close || conn->http->close || loop->stopping;
    conn->http->close = close;
    if (!http_send_head(
            conn, response, exchange->chunked_out ? FRAMING_CHUNKED : FRAMING_CLOSE, close)) {
        http_answered(conn); /* writes to the dead ref come to nothing */
        return;
    }
    conn->http->phase = HTTP_STREAM;
}

bool
http_stream_write(struct loop *loop, struct ref ref, struct span bytes)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_STREAM);
    struct exchange *exchange;
    char size[24];

    if (conn == NULL)
        return false;
    exchange = conn->http->exchange;
    if (bytes.len == 0 || exchange->request.method == METHOD_HEAD)
        return true;
    if (conn_queued(conn) + bytes.len > HTTP_STREAM_QUEUE_MAX) {
        conn_end(conn);
        return false;
    }
    if (exchange->chunked_out)
        conn_send(conn, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", bytes.len));
    conn_send(conn, bytes.ptr, bytes.len);
    if (exchange->chunked_out)
        conn_send(conn, "\r\n", 2);
    exchange->drain_wanted = conn_queued(conn) >= HTTP_STREAM_HIGH;
    return !exchange->drain_wanted && !conn->ended;
}

void
http_stream_end(struct loop *loop, struct ref ref)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_STREAM);

    if (conn == NULL)
        return;
    if (conn->http->exchange->chunked_out && conn->http->exchange->request.method != METHOD_HEAD)
        conn_send(conn, "0\r\n\r\n", 5);
    http_answered(conn);
}

void
http_stream_abort(struct loop *loop, struct ref ref)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_STREAM);

    if (conn != NULL)
        conn_end(conn);
}

/* ---- no HTTP any more ---- */

enum err
http_upgrade(struct loop *loop, struct ref ref, const struct ws_options *options)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_APP);
    struct exchange *exchange;
    struct response response;
    char accept[HEAD_ACCEPT_LEN + 1];
    struct http *http;
    enum err err;

    if (conn == NULL)
        return ERR_NOT_FOUND;
    http = conn->http;
    exchange = http->exchange;
    if (!exchange->request.wants_websocket || buffer_len(&http->in) > 0 || loop->stopping) {
        http_refuse(conn, loop->stopping ? 503 : 400);
        return ERR_MALFORMED;
    }
    response_init(&response, 101);
    head_accept(*http_field(&exchange->request, "sec-websocket-key"), accept);
    response_add_str(&response, "Upgrade", "websocket");
    response_add_str(&response, "Sec-WebSocket-Accept", accept);
    if (options->subprotocol != NULL)
        response_add_str(&response, "Sec-WebSocket-Protocol", options->subprotocol);
    if (!http_send_head(conn, &response, FRAMING_NONE, false)) {
        http_answered(conn);
        return ERR_MALFORMED;
    }
    if ((err = ws_open(conn, options)) != OK) { /* conn->http is overwritten only on success */
        http->phase = HTTP_SENT;                /* the caller knows: no on_gone */
        conn_end(conn);
        return err;
    }
    http_close(http);
    return OK;
}
