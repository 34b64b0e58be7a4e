/* http.c: one connection's requests, one at a time. A pipelined request waits in the buffer until
 * the answer before it has gone out. Every way to disagree about where a request ends closes the
 * connection. Never decides what an admitted request may do. On the loop's thread only. */
#include "http/http.h"

#define CHUNKED_READ_BYTES (16 * 1024)
#define HEAD_ROOM          (HTTP_HEAD_BYTES_MAX + 2) /* and an empty line before it */

static const struct conn_ops http_ops;

enum err
http_open(struct conn *conn)
{
    conn->http = calloc(1, sizeof(*conn->http));
    if (conn->http == NULL)
        return ERR_MEMORY;
    conn->http->in.wipes = true;
    conn->ops = &http_ops;
    return OK;
}

void
http_start(struct conn *conn)
{
    conn_deadline(conn, HTTP_HEAD_MS);
    conn_touch(conn);
}

void
exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    buffer_fini(&exchange->body);
    free(exchange);
}

void
http_close(struct http *http)
{
    buffer_fini(&http->in);
    exchange_free(http->exchange);
    free(http);
}

struct conn *
http_in_phase(struct loop *loop, struct ref ref, enum http_phase phase)
{
    struct conn *conn = conn_get(loop, ref);

    return conn != NULL && conn->ops == &http_ops && conn->http->phase == phase ? conn : NULL;
}

/* ---- requests ---- */

static void
http_whole(struct conn *conn)
{
    struct http *http = conn->http;
    const struct http_app *app = &conn->loop->server->options.app;
    struct exchange *exchange = http->exchange;

    exchange->request.body =
        span_of(exchange->body.ptr + exchange->body.start, buffer_len(&exchange->body));
    http->phase = HTTP_APP;
    conn_no_deadline(conn);
    COUNT(conn->loop, requests, 1);
    app->on_request(app->ctx, conn->loop, conn->ref, &exchange->request);
}

/* Takes from `in` what belongs to the body. True: the body is complete. The caller puts away what
 * is left of `in` before it tells the app, who may ask what came behind the request. */
static bool
http_body(struct conn *conn, struct span *in)
{
    struct exchange *exchange = conn->http->exchange;
    struct span piece;
    bool done = false;

    while (in->len > 0 && !done) {
        if (exchange->framing == HEAD_BODY_LENGTH) {
            size_t n = in->len < exchange->body_left ? in->len : (size_t)exchange->body_left;

            piece = span_of(in->ptr, n);
            *in = span_of(in->ptr + n, in->len - n);
            exchange->body_left -= n;
            done = exchange->body_left == 0;
        } else if (chunked_next(&exchange->chunked, in, &piece, &done) != OK) {
            http_refuse(conn, 400);
            return false;
        }
        if (piece.len > exchange->body_max - buffer_len(&exchange->body)) {
            http_refuse(conn, 413);
            return false;
        }
        if (buffer_add(&exchange->body, piece.ptr, piece.len) != OK) {
            http_refuse(conn, 503);
            return false;
        }
    }
    return done;
}

/* The head is read: fill in what the socket knows, and ask the app for its limits. */
static void
http_admit(struct conn *conn, struct head *head)
{
    struct http *http = conn->http;
    struct exchange *exchange = http->exchange;
    const struct http_app *app = &conn->loop->server->options.app;
    struct request *request = &exchange->request;
    struct http_admit admit;

    memcpy(&request->peer, &conn->peer, sizeof(conn->peer));
    request->peer_uid = conn->peer_uid;
    request->listener = conn->listen->id;
    request->tls = conn->tls != NULL;
    admit = app->on_head(app->ctx, conn->loop, conn->ref, request);
    exchange->body_max = admit.body_max;
    if (admit.refuse != 0) {
        http_refuse(conn, admit.refuse);
    } else if (exchange->framing == HEAD_BODY_NONE) {
        http_whole(conn);
    } else if (admit.body_max == 0 || exchange->body_left > admit.body_max) {
        http_refuse(conn, 413);
    } else {
        http->phase = HTTP_BODY;
        conn_deadline(conn, HTTP_BODY_MS);
        if (head->expects_continue && buffer_len(&http->in) == 0)
            conn_send(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
}

/* A whole head of `len` bytes is at the front of the buffer. */
static void
http_head(struct conn *conn, size_t len)
{
    struct http *http = conn->http;
    size_t fields = http->scan.lines - 1, first = http->scan.first;
    struct exchange *exchange;
    struct head head;
    uint8_t *bytes;
    uint16_t status;

    exchange = malloc(sizeof(*exchange) + fields * sizeof(exchange->fields[0]) + len - first);
    if (exchange == NULL) {
        http_refuse(conn, 503);
        return;
    }
    bytes = (uint8_t *)&exchange->fields[fields];
    memcpy(bytes, buffer_bytes(&http->in) + first, len - first);
    buffer_take(&http->in, len);
    http->scan = (struct head_scan){0};
    if ((status = head_parse(bytes, len - first, &head)) != 0) {
        free(exchange);
        http_refuse(conn, status);
        return;
    }
    INVARIANT(head.request.field_count == fields);
    memcpy(exchange->fields, head.fields, fields * sizeof(head.fields[0]));
    memset(exchange, 0, sizeof(*exchange));
    exchange->body.wipes = true;
    exchange->request = head.request;
    exchange->request.fields = exchange->fields;
    exchange->framing = head.body;
    exchange->body_left = head.body_len;
    exchange->close = head.close;
    http->exchange = exchange;
    http_admit(conn, &head);
}

/* Goes as far as the bytes in the buffer allow. */
static void
http_advance(struct conn *conn)
{
    struct http *http = conn->http;
    struct span in = span_of(http->in.ptr + http->in.start, buffer_len(&http->in));
    uint16_t status;
    size_t len;

    if (http->phase == HTTP_HEAD && in.len > 0) {
        if (http->scan.at == 0)
            conn_deadline(conn, HTTP_HEAD_MS);
        status = head_scan(&http->scan, in, &len);
        if (status == 200)
            http_head(conn, len);
        else if (status != 0)
            http_refuse(conn, status);
    }
    if (conn->ended || conn->ops != &http_ops || conn->http->phase != HTTP_BODY)
        return;
    len = buffer_len(&http->in);
    if (len > 0) {
        struct span left = span_of(buffer_bytes(&http->in), len);
        bool whole = http_body(conn, &left);

        buffer_take(&http->in, len - left.len);
        if (whole)
            http_whole(conn);
    }
}

/* ---- what the connection tells ---- */

static size_t
http_room(const struct conn *conn)
{
    const struct http *http = conn->http;

    switch (http->phase) {
    case HTTP_HEAD: return HEAD_ROOM - buffer_len(&http->in);
    case HTTP_BODY:
        return http->exchange->framing == HEAD_BODY_LENGTH ? (size_t)http->exchange->body_left
                                                           : CHUNKED_READ_BYTES;
    case HTTP_APP:
    case HTTP_STREAM:
    case HTTP_SENT:
    case HTTP_MOVED: break;
    }
    return 0;
}

static void
http_on_bytes(struct conn *conn, uint8_t *bytes, size_t len)
{
    struct http *http = conn->http;
    struct span in = span_of(bytes, len);
    bool whole = http->phase == HTTP_BODY && http_body(conn, &in);

    if (buffer_add(&http->in, in.ptr, in.len) != OK)
        conn_end(conn);
    else if (whole)
        http_whole(conn);
    else
        http_advance(conn);
}

/* No more can come: between requests that is the normal end, within one it cannot be answered. */
static void
http_on_eof(struct conn *conn)
{
    conn_end(conn);
}

/* While nobody reads, half a hang-up: the peer may still be waiting for its answer, so it gets it.
 */
static void
http_on_hangup(struct conn *conn)
{
    if (conn->http->phase != HTTP_HEAD && conn->http->phase != HTTP_BODY)
        conn->http->close = true;
}

static void
http_on_drained(struct conn *conn)
{
    struct http *http = conn->http;
    struct exchange *exchange = http->exchange;

    if (http->phase == HTTP_STREAM && exchange->drain_wanted) {
        exchange->drain_wanted = false;
        exchange->on_drain(conn->loop, conn->ref, exchange->drain_user);
    }
    if (http->phase != HTTP_SENT)
        return;
    if (http->close) {
        http_close(http);
        conn_linger(conn);
        return;
    }
    http->phase = HTTP_HEAD;
    conn_deadline(conn, HTTP_KEEPALIVE_MS);
    conn_touch(conn);
    http_advance(conn);
}

static void
http_on_deadline(struct conn *conn)
{
    struct http *http = conn->http;

    if (http->phase == HTTP_BODY || (http->phase == HTTP_HEAD && buffer_len(&http->in) > 0)) {
        COUNT(conn->loop, timeouts, 1);
        http_refuse(conn, 408);
    } else if (http->phase == HTTP_HEAD) {
        conn_end(conn);
    }
}

static void
http_on_end(struct conn *conn)
{
    struct http *http = conn->http;
    const struct http_app *app = &conn->loop->server->options.app;

    if (http->phase == HTTP_APP || http->phase == HTTP_STREAM)
        app->on_gone(app->ctx, conn->loop, conn->ref); /* which may still ask for its user */
    http_close(http);
    conn->http = NULL;
}

static void
http_on_stop(struct conn *conn)
{
    if (conn->http->phase == HTTP_HEAD)
        conn_end(conn);
    else
        conn->http->close = true;
}

static const struct conn_ops http_ops = {
    .room = http_room,
    .on_bytes = http_on_bytes,
    .on_eof = http_on_eof,
    .on_hangup = http_on_hangup,
    .on_drained = http_on_drained,
    .on_deadline = http_on_deadline,
    .on_stall = conn_end,
    .on_end = http_on_end,
    .on_stop = http_on_stop,
};

/* ---- the rest of the app's side ---- */

const struct request *
http_request(struct loop *loop, struct ref ref)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_APP);

    return conn != NULL ? &conn->http->exchange->request : NULL;
}

/* Also in on_head, while streaming, and in on_gone. */
static struct exchange *
exchange_of(struct loop *loop, struct ref ref)
{
    struct conn *conn = conn_find(loop, ref);

    return conn != NULL && conn->ops == &http_ops ? conn->http->exchange : NULL;
}

void
http_set_user(struct loop *loop, struct ref ref, void *user)
{
    struct exchange *exchange = exchange_of(loop, ref);

    if (exchange != NULL)
        exchange->user = user;
}

void *
http_user(struct loop *loop, struct ref ref)
{
    struct exchange *exchange = exchange_of(loop, ref);

    return exchange != NULL ? exchange->user : NULL;
}

void
http_drop(struct loop *loop, struct ref ref)
{
    struct conn *conn = conn_get(loop, ref);

    if (conn != NULL)
        conn_end(conn);
}

enum err
http_adopt(struct conn *conn, struct exchange *exchange)
{
    enum err err = http_open(conn);

    if (err != OK)
        return err;
    conn->http->exchange = exchange;
    conn->http->phase = HTTP_APP;
    return OK;
}
