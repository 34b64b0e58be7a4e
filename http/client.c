/* client.c: calls: connect, send, read the head, read the body. One thread. Never decides what an
 * answer means; never retries what may have had an effect. */
#include "http/client.h"

#include "core/limits.h"
#include "http/answer.h"
#include "http/chunked.h"
#include "http/tls.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct server_url url;
    struct tls_client *tls;
    struct stream idle; /* open and unused, for the next call */
    const volatile sig_atomic_t *stop;
};

enum phase {
    PHASE_CONNECT,
    PHASE_SEND,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_DONE,
    PHASE_FAILED,
};

struct call {
    struct client *client;
    struct stream stream;
    enum phase phase;
    bool reused; /* over a connection that may have died meanwhile */
    bool safe;   /* GET or HEAD: may be sent again */
    bool head_only;
    int64_t deadline_ms;
    int answer_ms;
    bool endless;
    client_sink sink;
    void *sink_ctx;
    uint8_t *out; /* head and body of the request; wiped when sent */
    size_t out_len, out_at;
    uint8_t head[HTTP_HEAD_BYTES_MAX + CLIENT_READ_BYTES];
    size_t head_fill;
    struct answer answer;
    struct chunked chunked;
    uint64_t left; /* of a body with a length */
    uint8_t *body;
    size_t body_len, body_cap;
    enum err failure;
    char why[STREAM_WHY_MAX + 60];
};

enum err
client_new(const char *url, const char *ca_file, struct client **out, char *why, size_t why_len)
{
    struct client *client = calloc(1, sizeof(*client));
    const char *what = "";
    enum err err;

    if (client == NULL) {
        snprintf(why, why_len, "out of memory");
        return ERR_MEMORY;
    }
    stream_init(&client->idle);
    if ((err = url_parse(span_str(url), &client->url, &what)) != OK) {
        snprintf(why, why_len, "server URL %s", what);
        free(client);
        return err;
    }
    if (client->url.scheme == URL_HTTPS &&
        (err = tls_client_new(ca_file, &client->tls, why, why_len)) != OK) {
        free(client);
        return err;
    }
    *out = client;
    return OK;
}

void
client_free(struct client *client)
{
    if (client == NULL)
        return;
    stream_fini(&client->idle);
    tls_client_free(client->tls);
    free(client);
}

const struct server_url *
client_url(const struct client *client)
{
    return &client->url;
}

void
client_stop_at(struct client *client, const volatile sig_atomic_t *stop)
{
    client->stop = stop;
}

void
client_dial(struct client *client, struct stream *stream)
{
    const struct server_url *url = &client->url;

    if (url->scheme == URL_UNIX)
        stream_connect_unix(stream, url->host, CLIENT_CONNECT_MS);
    else
        stream_connect(stream, url->host, url->port,
            url->scheme == URL_HTTP ? REACH_LOOPBACK : REACH_ANY, client->tls, CLIENT_CONNECT_MS);
}

static void __attribute__((format(printf, 3, 4)))
fail(struct call *call, enum err failure, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(call->why, sizeof(call->why), format, args);
    va_end(args);
    call->failure = failure;
    call->phase = PHASE_FAILED;
}

/* A header value of ours must not be able to begin a new line. */
static bool
value_ok(const char *value)
{
    for (; *value != '\0'; value++)
        if ((unsigned char)*value < 0x20 || (unsigned char)*value >= 0x7f)
            return false;
    return true;
}

static bool
request_ok(const struct client_request *r)
{
    if (r->target[0] != '/' || strchr(r->target, ' ') != NULL || !value_ok(r->target) ||
        !value_ok(r->method))
        return false;
    if (r->authorization != NULL && !value_ok(r->authorization))
        return false;
    for (size_t i = 0; i < 4 && r->extra[i].name != NULL; i++)
        if (!value_ok(r->extra[i].name) || !value_ok(r->extra[i].value))
            return false;
    return true;
}

struct writer {
    char *buf;
    size_t cap, len;
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(w->buf == NULL ? NULL : w->buf + w->len, w->buf == NULL ? 0 : w->cap - w->len,
        format, args);
    va_end(args);
    INVARIANT(n >= 0);
    w->len += (size_t)n;
}

static void
head_put(struct writer *w, const struct client *client, const struct client_request *r)
{
    put(w, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gatehouse/%s\r\n", r->method, r->target,
        client->url.authority, GATEHOUSE_VERSION);
    if (r->authorization != NULL)
        put(w, "Authorization: %s\r\n", r->authorization);
    for (size_t i = 0; i < 4 && r->extra[i].name != NULL; i++)
        put(w, "%s: %s\r\n", r->extra[i].name, r->extra[i].value);
    if (r->body.ptr != NULL)
        put(w, "Content-Type: %s\r\nContent-Length: %zu\r\n",
            r->content_type != NULL ? r->content_type : "application/json", r->body.len);
    else if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0)
        put(w, "Content-Length: 0\r\n");
    put(w, "\r\n");
}

static enum err
request_build(struct call *call, const struct client_request *r)
{
    struct writer w = {0};

    head_put(&w, call->client, r); /* measures */
    w.cap = w.len + 1;
    w.len = 0;
    call->out_len = w.cap - 1 + r->body.len;
    if ((call->out = malloc(call->out_len + 1)) == NULL)
        return ERR_MEMORY;
    w.buf = (char *)call->out;
    head_put(&w, call->client, r);
    if (r->body.len > 0)
        memcpy(call->out + w.len, r->body.ptr, r->body.len);
    return OK;
}

static void
request_wipe(struct call *call)
{
    if (call->out != NULL)
        sodium_memzero(call->out, call->out_len);
    free(call->out);
    call->out = NULL;
}

/* An idle connection that the server has closed meanwhile is readable. */
static bool
idle_usable(struct client *client)
{
    struct pollfd p = {.fd = client->idle.rfd, .events = POLLIN};

    return client->idle.state == STREAM_OPEN && poll(&p, 1, 0) == 0;
}

static void
connection_begin(struct call *call, bool may_reuse)
{
    call->phase = PHASE_CONNECT;
    call->reused = false;
    call->out_at = 0;
    call->head_fill = 0;
    if (may_reuse && idle_usable(call->client)) {
        call->stream = call->client->idle;
        stream_init(&call->client->idle);
        call->reused = true;
        call->stream.out_ready = true;
        return;
    }
    stream_fini(&call->client->idle);
    client_dial(call->client, &call->stream);
}

enum err
call_new(struct client *client, const struct client_request *request, struct call **out)
{
    struct call *call = calloc(1, sizeof(*call));

    *out = NULL;
    if (call == NULL)
        return ERR_MEMORY;
    INVARIANT(request_ok(request));
    call->client = client;
    call->answer_ms = request->answer_ms > 0 ? request->answer_ms : CLIENT_ANSWER_MS;
    call->sink = request->sink;
    call->sink_ctx = request->sink_ctx;
    call->endless = request->endless;
    call->head_only = strcmp(request->method, "HEAD") == 0;
    call->safe = call->head_only || strcmp(request->method, "GET") == 0;
    stream_init(&call->stream);
    if (request_build(call, request) != OK) {
        free(call);
        return ERR_MEMORY;
    }
    connection_begin(call, true);
    *out = call;
    return OK;
}

void
call_free(struct call *call)
{
    if (call == NULL)
        return;
    request_wipe(call);
    stream_fini(&call->stream);
    if (call->body != NULL)
        sodium_memzero(call->body, call->body_cap);
    free(call->body);
    sodium_memzero(call->head, sizeof(call->head));
    free(call);
}

void
call_prepare(struct call *call, struct pollset *ps)
{
    bool ended = call->phase == PHASE_DONE || call->phase == PHASE_FAILED;

    if (ended || (call->phase == PHASE_CONNECT && call->stream.state >= STREAM_OPEN))
        pollset_deadline(ps, ps->now_ms);
    else
        stream_prepare(&call->stream, ps, call->phase == PHASE_HEAD || call->phase == PHASE_BODY,
            call->phase == PHASE_SEND);
    if (call->deadline_ms != 0 && !ended)
        pollset_deadline(ps, call->deadline_ms);
}

static void
step_send(struct call *call)
{
    while (call->out_at < call->out_len && stream_can_write(&call->stream)) {
        size_t n;
        enum stream_io io =
            stream_write(&call->stream, call->out + call->out_at, call->out_len - call->out_at, &n);

        if (io == STREAM_BROKEN && call->reused && call->safe) {
            stream_fini(&call->stream);
            connection_begin(call, false);
            return;
        }
        if (io == STREAM_BROKEN) {
            fail(call, ERR_CLOSED, "%s closed the connection: %s", call->client->url.authority,
                call->stream.why);
            return;
        }
        call->out_at += n;
    }
    if (call->out_at == call->out_len) {
        if (!call->reused || !call->safe)
            request_wipe(call); /* else it may have to be sent once more */
        call->phase = PHASE_HEAD;
    }
}

static enum err
body_keep(struct call *call, struct span piece)
{
    if (piece.len > CLIENT_BODY_BYTES_MAX - call->body_len)
        return ERR_LIMIT;
    if (call->body_len + piece.len > call->body_cap) {
        size_t cap = call->body_cap == 0 ? 4096 : call->body_cap * 2;
        uint8_t *grown;

        while (cap < call->body_len + piece.len)
            cap *= 2;
        if ((grown = malloc(cap)) == NULL)
            return ERR_MEMORY;
        if (call->body != NULL) {
            memcpy(grown, call->body, call->body_len);
            sodium_memzero(call->body, call->body_cap); /* tokens come this way */
            free(call->body);
        }
        call->body = grown;
        call->body_cap = cap;
    }
    memcpy(call->body + call->body_len, piece.ptr, piece.len);
    call->body_len += piece.len;
    return OK;
}

static bool
body_take(struct call *call, struct span piece)
{
    bool sunk = call->sink != NULL && call->answer.status >= 200 && call->answer.status <= 299;
    enum err err = OK;

    if (piece.len > 0)
        err = sunk ? call->sink(call->sink_ctx, piece) : body_keep(call, piece);
    if (err == ERR_LIMIT && !sunk)
        fail(call, err, "the answer is longer than %d bytes", CLIENT_BODY_BYTES_MAX);
    else if (err != OK)
        fail(call, err, "the answer could not be taken: %s", err_name(err));
    return err == OK;
}

static void
body_done(struct call *call, bool nothing_behind)
{
    request_wipe(call);
    call->phase = PHASE_DONE;
    if (call->answer.keep_alive && nothing_behind) {
        stream_fini(&call->client->idle);
        call->client->idle = call->stream;
        stream_init(&call->stream);
    } else {
        stream_fini(&call->stream);
    }
}

/* Bytes of the body, from behind the head or from the stream. */
static void
body_feed(struct call *call, struct span in)
{
    struct span piece;
    bool done = false;

    switch (call->answer.body) {
    case ANSWER_NO_BODY: body_done(call, in.len == 0); return;
    case ANSWER_LENGTH:
        piece = span_of(in.ptr, in.len < call->left ? in.len : (size_t)call->left);
        if (!body_take(call, piece))
            return;
        call->left -= piece.len;
        if (call->left == 0)
            body_done(call, piece.len == in.len);
        return;
    case ANSWER_UNTIL_CLOSE: (void)body_take(call, in); return;
    case ANSWER_CHUNKED: break;
    }
    while (in.len > 0 && !done) {
        if (chunked_next(&call->chunked, &in, &piece, &done) != OK) {
            fail(call, ERR_MALFORMED, "the answer breaks HTTP's chunked coding");
            return;
        }
        if (!body_take(call, piece))
            return;
    }
    if (done)
        body_done(call, in.len == 0);
}

static void
head_feed(struct call *call)
{
    struct span in = span_of(call->head, call->head_fill);
    enum err err = answer_parse(in, &call->answer);
    size_t behind;

    if (err == ERR_SHORT)
        return;
    if (err != OK || call->answer.status < 200) {
        fail(call, ERR_MALFORMED, "%s answers, but not as an HTTP/1.1 server should",
            call->client->url.authority);
        return;
    }
    if (call->head_only)
        call->answer.body = ANSWER_NO_BODY;
    call->phase = PHASE_BODY;
    call->left = call->answer.length;
    behind = call->head_fill - call->answer.head_len;
    if (call->answer.body == ANSWER_LENGTH && call->left == 0)
        call->answer.body = ANSWER_NO_BODY;
    if (behind > 0 || call->answer.body == ANSWER_NO_BODY)
        body_feed(call, span_of(call->head + call->answer.head_len, behind));
}

static void
ended_early(struct call *call, enum stream_io io)
{
    const char *host = call->client->url.authority;

    if (call->phase == PHASE_BODY && call->answer.body == ANSWER_UNTIL_CLOSE && io == STREAM_EOF)
        body_done(call, false);
    else if (call->phase == PHASE_HEAD && call->head_fill == 0 && call->reused && call->safe) {
        stream_fini(&call->stream);
        connection_begin(call, false);
    } else
        fail(call, ERR_CLOSED, "%s closed the connection before its answer was complete%s%s", host,
            io == STREAM_BROKEN ? ": " : "", io == STREAM_BROKEN ? call->stream.why : "");
}

static void
step_read(struct call *call, int64_t now_ms)
{
    uint8_t piece[CLIENT_READ_BYTES];

    while ((call->phase == PHASE_HEAD || call->phase == PHASE_BODY) &&
           stream_can_read(&call->stream)) {
        bool in_head = call->phase == PHASE_HEAD;
        enum stream_io io;
        size_t n;

        if (in_head)
            io = stream_read(&call->stream, call->head + call->head_fill,
                sizeof(call->head) - call->head_fill, &n);
        else
            io = stream_read(&call->stream, piece, sizeof(piece), &n);
        if (io == STREAM_AGAIN)
            return;
        if (io != STREAM_DONE) {
            ended_early(call, io);
            return;
        }
        if (in_head) {
            call->head_fill += n;
            head_feed(call);
        } else {
            body_feed(call, span_of(piece, n));
        }
        call->deadline_ms = call->endless && call->phase == PHASE_BODY
                                ? 0
                                : now_ms + (in_head ? call->answer_ms : CLIENT_BODY_MS);
    }
    sodium_memzero(piece, sizeof(piece));
}

enum call_state
call_step(struct call *call, const struct pollset *ps)
{
    if (call->phase < PHASE_DONE) {
        stream_step(&call->stream, ps);
        if (call->stream.state == STREAM_FAILED)
            fail(call, call->stream.failure, "%s", call->stream.why);
    }
    if (call->phase == PHASE_CONNECT && call->stream.state == STREAM_OPEN) {
        call->phase = PHASE_SEND;
        call->deadline_ms = ps->now_ms + call->answer_ms;
    }
    if (call->phase == PHASE_SEND)
        step_send(call);
    if (call->phase == PHASE_HEAD || call->phase == PHASE_BODY)
        step_read(call, ps->now_ms);
    if (call->phase < PHASE_DONE && call->phase != PHASE_CONNECT && call->deadline_ms != 0 &&
        ps->now_ms >= call->deadline_ms)
        fail(call, ERR_TIMEOUT, "%s does not answer", call->client->url.authority);
    return call->phase == PHASE_DONE     ? CALL_DONE
           : call->phase == PHASE_FAILED ? CALL_FAILED
                                         : CALL_GOING;
}

unsigned
call_status(const struct call *call)
{
    return call->answer.status;
}

struct span
call_body(const struct call *call)
{
    return span_of(call->body, call->body_len);
}

const struct span *
call_field(const struct call *call, const char *name)
{
    return answer_field(&call->answer, name);
}

const char *
call_why(const struct call *call)
{
    return call->why;
}

enum err
call_failure(const struct call *call)
{
    return call->failure;
}

bool
client_stopped(const struct client *client, struct pollset *ps)
{
    if (client->stop == NULL)
        return false;
    pollset_deadline(ps, ps->now_ms + CLIENT_STOP_MS);
    return *client->stop != 0;
}

enum err
client_call(struct client *client, const struct client_request *request, struct call **out)
{
    enum call_state state = CALL_GOING;
    enum err err = call_new(client, request, out);

    if (err != OK)
        return err;
    while (state == CALL_GOING) {
        struct pollset ps;

        pollset_init(&ps);
        call_prepare(*out, &ps);
        if (client_stopped(client, &ps)) {
            fail(*out, ERR_CLOSED, "interrupted");
            return ERR_CLOSED;
        }
        if (pollset_wait(&ps) != OK) {
            fail(*out, ERR_IO, "poll failed");
            return ERR_IO;
        }
        state = call_step(*out, &ps);
    }
    return state == CALL_DONE ? OK : (*out)->failure;
}

size_t
client_escape(struct span text, char *out, size_t size)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        char piece[3] = {'%', hex[c >> 4], hex[c & 15]};

        if (plain)
            piece[0] = (char)c;
        for (size_t k = 0; k < (plain ? 1u : 3u); k++, len++)
            if (len + 1 < size)
                out[len] = piece[k];
    }
    if (size > 0)
        out[len < size ? len : size - 1] = '\0';
    return len;
}
