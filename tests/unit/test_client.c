/* test_client.c: the client side of HTTP and WebSocket against peers that say what a table tells
 * them to, whole and byte by byte: which URLs are servers, which answers are believed, which frames
 * are a conversation. */
#include "http/answer.h"
#include "http/channel_text.h"
#include "http/client.h"
#include "http/head.h"
#include "http/url.h"
#include "http/wsclient.h"

#include "tests/unit/testing.h"

#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- URLs ---- */

static const struct url_case {
    const char *text;
    enum err want;
    const char *host;
    unsigned port;
    const char *authority;
} urls[] = {
    {"https://help.example", OK, "help.example", 443, "help.example"},
    {"https://Help.Example:8443/", OK, "help.example", 8443, "help.example:8443"},
    {"HTTPS://help.example:443", OK, "help.example", 443, "help.example"},
    {"https://192.0.2.7:9000", OK, "192.0.2.7", 9000, "192.0.2.7:9000"},
    {"https://[2001:db8::1]", OK, "2001:db8::1", 443, "[2001:db8::1]"},
    {"https://[2001:db8::1]:8443", OK, "2001:db8::1", 8443, "[2001:db8::1]:8443"},
    {"http://127.0.0.1:8080", OK, "127.0.0.1", 8080, "127.0.0.1:8080"},
    {"http://127.9.9.9", OK, "127.9.9.9", 80, "127.9.9.9"},
    {"http://[::1]:8080", OK, "::1", 8080, "[::1]:8080"},
    {"http://localhost", OK, "localhost", 80, "localhost"},
    {"unix:/run/gatehouse/admin.sock", OK, "/run/gatehouse/admin.sock", 0, "localhost"},
    {"http://help.example", ERR_DENIED, NULL, 0, NULL},
    {"http://192.0.2.7", ERR_DENIED, NULL, 0, NULL},
    {"http://localhost.evil.example", ERR_DENIED, NULL, 0, NULL},
    {"http://127.0.0.1.evil.example", ERR_DENIED, NULL, 0, NULL},
    {"http://[::ffff:192.0.2.7]", ERR_DENIED, NULL, 0, NULL},
    {"", ERR_MALFORMED, NULL, 0, NULL},
    {"help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"ftp://help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"wss://help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://", ERR_MALFORMED, NULL, 0, NULL},
    {"https:///", ERR_MALFORMED, NULL, 0, NULL},
    {"https://user@help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://user:secret@help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example/path", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example?q", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example#f", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example\\@evil", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help%2eexample", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example:", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example:0", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example:65536", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example:+1", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example:443:443", ERR_MALFORMED, NULL, 0, NULL},
    {"https://2001:db8::1", ERR_MALFORMED, NULL, 0, NULL},
    {"https://[2001:db8::1", ERR_MALFORMED, NULL, 0, NULL},
    {"https://[2001:db8::1]x", ERR_MALFORMED, NULL, 0, NULL},
    {"https://[help.example]", ERR_MALFORMED, NULL, 0, NULL},
    {"https://-help.example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help..example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help example", ERR_MALFORMED, NULL, 0, NULL},
    {"https://help.example\r\nHost: evil", ERR_MALFORMED, NULL, 0, NULL},
    {"unix:", ERR_MALFORMED, NULL, 0, NULL},
};

static void
urls_are_origins_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(urls); i++) {
        struct server_url url;
        const char *why = NULL;
        char text[URL_TEXT_MAX];
        enum err err = url_parse(span_str(urls[i].text), &url, &why);

        if (err != urls[i].want)
            fail_msg("%s: %s", urls[i].text, err_name(err));
        if (err != OK) {
            assert_non_null(why);
            continue;
        }
        assert_string_equal(url.host, urls[i].host);
        assert_int_equal(url.port, urls[i].port);
        assert_string_equal(url.authority, urls[i].authority);
        url_format(&url, text); /* what is printed parses to the same server */
        assert_int_equal(url_parse(span_str(text), &url, &why), OK);
        assert_string_equal(url.host, urls[i].host);
        assert_int_equal(url.port, urls[i].port);
    }
}

/* ---- heads of answers ---- */

#define OK_LINE "HTTP/1.1 200 OK\r\n"

static const struct answer_case {
    const char *what, *head;
    enum err want;
    enum answer_body body;
    uint64_t length;
} answers[] = {
    {"a length", OK_LINE "Content-Length: 5\r\n\r\n", OK, ANSWER_LENGTH, 5},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", OK, ANSWER_LENGTH, 0},
    {"chunks", OK_LINE "Transfer-Encoding: chunked\r\n\r\n", OK, ANSWER_CHUNKED, 0},
    {"until close", OK_LINE "\r\n", OK, ANSWER_UNTIL_CLOSE, 0},
    {"204", "HTTP/1.1 204 No Content\r\n\r\n", OK, ANSWER_NO_BODY, 0},
    {"101", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", OK, ANSWER_NO_BODY, 0},
    {"not yet whole", OK_LINE "Content-Length: 5\r\n", ERR_SHORT, 0, 0},
    {"ends in CR", OK_LINE "\r", ERR_SHORT, 0, 0},
    {"nothing", "", ERR_SHORT, 0, 0},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"HTTP/2", "HTTP/2 200\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"ssh", "SSH-2.0-OpenSSH_9.2\r\n", ERR_MALFORMED, 0, 0},
    {"a bare LF", "HTTP/1.1 200 OK\n\n", ERR_MALFORMED, 0, 0},
    {"a bare CR", "HTTP/1.1 200 OK\rX\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"two digits", "HTTP/1.1 20 OK\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"four digits", "HTTP/1.1 2000 OK\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"status 099", "HTTP/1.1 099 OK\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"two lengths", OK_LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"length and chunks", OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ERR_MALFORMED, 0, 0},
    {"a signed length", OK_LINE "Content-Length: +5\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"a list of lengths", OK_LINE "Content-Length: 5, 5\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"a length of 2^63", OK_LINE "Content-Length: 9223372036854775808\r\n\r\n", ERR_MALFORMED, 0,
        0},
    {"gzip", OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"a folded field", OK_LINE "X: a\r\n b\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"a blank before the colon", OK_LINE "X : a\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"no colon", OK_LINE "X\r\n\r\n", ERR_MALFORMED, 0, 0},
    {"a control in a value", OK_LINE "X: \x01\r\n\r\n", ERR_MALFORMED, 0, 0},
};

static void
answers_are_read_without_leniency(void **state)
{
    static struct answer answer;

    (void)state;
    for (size_t i = 0; i < ROWS(answers); i++) {
        const struct answer_case *c = &answers[i];
        enum err err = answer_parse(span_str(c->head), &answer);

        if (err != c->want)
            fail_msg("%s: %s", c->what, err_name(err));
        if (err != OK)
            continue;
        assert_int_equal(answer.body, c->body);
        assert_int_equal(answer.length, c->length);
        assert_int_equal(answer.head_len, strlen(c->head));
        for (size_t cut = 0; cut < strlen(c->head); cut++)
            assert_int_equal(answer_parse(span_of(c->head, cut), &answer), ERR_SHORT);
    }
}

static void
endless_heads_are_refused(void **state)
{
    static struct answer answer;
    static char head[HTTP_HEAD_BYTES_MAX + 100];
    size_t n = (size_t)snprintf(head, sizeof(head), OK_LINE);

    (void)state;
    for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
        n += (size_t)snprintf(head + n, sizeof(head) - n, "A: b\r\n");
    snprintf(head + n, sizeof(head) - n, "\r\n");
    assert_int_equal(answer_parse(span_str(head), &answer), ERR_LIMIT);
    n = (size_t)snprintf(head, sizeof(head), OK_LINE "A: ");
    memset(head + n, 'a', sizeof(head) - n);
    assert_int_equal(answer_parse(span_of(head, HTTP_HEAD_BYTES_MAX), &answer), ERR_SHORT);
    assert_int_equal(answer_parse(span_of(head, HTTP_HEAD_BYTES_MAX + 1), &answer), ERR_LIMIT);
}

/* ---- a peer that plays a script ---- */

struct peer {
    char path[108], folder[64];
    int listener;
    const char *script;
    size_t script_len;
    bool slowly;          /* byte by byte */
    bool websocket;       /* answer the handshake first */
    const char *together; /* sent with the head of the handshake */
    bool stay;            /* keep the connection until the client leaves */
    char request[16384];
    size_t request_len;
    uint8_t rest[65536]; /* what came behind the request */
    size_t rest_len;
    pthread_t thread;
};

static void
peer_write(const struct peer *p, int fd, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        ssize_t n = send(fd, bytes + i, p->slowly ? 1 : len - i, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        i += (size_t)n;
    }
}

static void
peer_handshake(const struct peer *p, int fd)
{
    const char *key = strstr(p->request, "Sec-WebSocket-Key: ");
    char accept[HEAD_ACCEPT_LEN + 1], head[512];
    int n;

    assert_non_null(key);
    head_accept(span_of(key + 19, 24), accept);
    n = snprintf(head, sizeof(head),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: gatehouse.v1\r\n\r\n%s",
        accept, p->together != NULL ? p->together : "");
    peer_write(p, fd, head, (size_t)n);
}

static void *
peer_run(void *arg)
{
    struct peer *p = arg;
    int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    ssize_t n;

    while (fd >= 0 && strstr(p->request, "\r\n\r\n") == NULL &&
           (n = read(fd, p->request + p->request_len, sizeof(p->request) - 1 - p->request_len)) > 0)
        p->request_len += (size_t)n;
    if (p->websocket)
        peer_handshake(p, fd);
    peer_write(p, fd, p->script, p->script_len);
    if (!p->stay)
        (void)shutdown(fd, SHUT_WR);
    while ((n = read(fd, p->rest + p->rest_len, sizeof(p->rest) - p->rest_len)) > 0)
        p->rest_len += (size_t)n;
    close(fd);
    return NULL;
}

static struct client *
peer_start(struct peer *p)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct client *client;
    char url[128], why[200];

    snprintf(p->folder, sizeof(p->folder), "/tmp/gatehouse-test-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof(p->path), "%s/s", p->folder);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", p->path);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(p->listener, 4), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
    snprintf(url, sizeof(url), "unix:%s", p->path);
    assert_int_equal(client_new(url, NULL, &client, why, sizeof(why)), OK);
    return client;
}

static void
peer_end(struct peer *p)
{
    pthread_join(p->thread, NULL);
    close(p->listener);
    unlink(p->path);
    rmdir(p->folder);
}

static const struct call_case {
    const char *what, *script;
    enum err want;
    unsigned status;
    const char *body;
} calls[] = {
    {"a length", OK_LINE "Content-Length: 5\r\n\r\nhello", OK, 200, "hello"},
    {"no body", "HTTP/1.1 204 No Content\r\n\r\n", OK, 204, ""},
    {"an empty body", OK_LINE "Content-Length: 0\r\n\r\n", OK, 200, ""},
    {"chunks", OK_LINE "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", OK,
        200, "hello"},
    {"until close", OK_LINE "\r\nhello", OK, 200, "hello"},
    {"a refusal", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", OK, 404, "{}"},
    {"a redirect is an answer",
        "HTTP/1.1 302 Found\r\nLocation: http://evil/\r\n"
        "Content-Length: 0\r\n\r\n",
        OK, 302, ""},
    {"cut in the body", OK_LINE "Content-Length: 6\r\n\r\nhello", ERR_CLOSED, 0, NULL},
    {"cut in the head", OK_LINE "Content-Le", ERR_CLOSED, 0, NULL},
    {"cut in a chunk", OK_LINE "Transfer-Encoding: chunked\r\n\r\n3\r\nhe", ERR_CLOSED, 0, NULL},
    {"a bad chunk", OK_LINE "Transfer-Encoding: chunked\r\n\r\nx\r\nhel\r\n", ERR_MALFORMED, 0,
        NULL},
    {"nothing", "", ERR_CLOSED, 0, NULL},
    {"something else", "SSH-2.0-x\r\n", ERR_MALFORMED, 0, NULL},
    {"an interim answer", "HTTP/1.1 100 Continue\r\n\r\n" OK_LINE "\r\n", ERR_MALFORMED, 0, NULL},
};

static void
calls_end_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ROWS(calls); i++) {
        static struct peer peer;
        const struct call_case *c = &calls[i / 2];
        const struct client_request request = {.method = "POST",
            .target = "/api/auth/login",
            .authorization = "Bearer secret",
            .body = span_str("{\"a\":1}"),
            .extra = {{"Idempotency-Key", "k1"}}};
        struct client *client;
        struct call *call;
        enum err err;

        peer = (struct peer){
            .script = c->script, .script_len = strlen(c->script), .slowly = i % 2 == 1};
        client = peer_start(&peer);
        err = client_call(client, &request, &call);
        if (err != c->want)
            fail_msg("%s: %s (%s)", c->what, err_name(err), call_why(call));
        if (err == OK) {
            assert_int_equal(call_status(call), c->status);
            assert_true(span_is(call_body(call), c->body));
        }
        call_free(call);
        client_free(client);
        peer_end(&peer);
        assert_non_null(
            strstr(peer.request, "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\n"));
        assert_non_null(strstr(peer.request, "\r\nAuthorization: Bearer secret\r\n"));
        assert_non_null(strstr(peer.request, "\r\nIdempotency-Key: k1\r\n"));
        assert_non_null(strstr(peer.request, "\r\nContent-Length: 7\r\n"));
    }
}

static enum err
count_bytes(void *ctx, struct span piece)
{
    *(size_t *)ctx += piece.len;
    return *(size_t *)ctx > 5 ? ERR_FULL : OK;
}

static void
a_sink_takes_the_body_and_may_stop_it(void **state)
{
    static struct peer peer;
    size_t taken = 0;
    struct client_request request = {
        .method = "GET", .target = "/", .sink = count_bytes, .sink_ctx = &taken};
    static const char more[] = OK_LINE "\r\nhello!";
    struct client *client;
    struct call *call;

    (void)state;
    peer = (struct peer){.script = more, .script_len = sizeof(more) - 1};
    client = peer_start(&peer);
    assert_int_equal(client_call(client, &request, &call), ERR_FULL);
    assert_int_equal(taken, 6);
    call_free(call);
    client_free(client);
    peer_end(&peer);
}

static void
a_silent_server_is_given_up(void **state)
{
    static struct peer peer;
    struct client_request request = {.method = "GET", .target = "/", .answer_ms = 100};
    struct client *client;
    struct call *call;

    (void)state;
    peer = (struct peer){.script = "", .stay = true};
    client = peer_start(&peer);
    assert_int_equal(client_call(client, &request, &call), ERR_TIMEOUT);
    call_free(call);
    client_free(client);
    peer_end(&peer);
}

static void
a_stop_flag_interrupts(void **state)
{
    static struct peer peer;
    static volatile sig_atomic_t stop = 1;
    struct client_request request = {.method = "GET", .target = "/"};
    struct client *client;
    struct call *call;

    (void)state;
    peer = (struct peer){.script = "", .stay = true};
    client = peer_start(&peer);
    client_stop_at(client, &stop);
    assert_int_equal(client_call(client, &request, &call), ERR_CLOSED);
    call_free(call);
    client_free(client);
    peer_end(&peer);
}

/* ---- WebSocket ---- */

/* What a peer sends behind the handshake, and what is read of it: b:, t: messages, then how it
 * ends.
 */
static const struct ws_case {
    const char *what;
    const char *script;
    size_t len;
    const char *want;   /* whole messages */
    const char *pieces; /* as a stream: binary is run together; NULL: the same */
} conversations[] = {
#define SCRIPT(bytes) bytes, sizeof(bytes) - 1
    {"two messages", SCRIPT("\x82\x02hi\x81\x02yo"), "b:hi t:yo gone", NULL},
    {"fragments", SCRIPT("\x02\x02he\x00\x02ll\x80\x01o"), "b:hello gone", "b:hello gone"},
    {"fragments with a ping between", SCRIPT("\x02\x02he\x89\x01p\x80\x03llo"), "b:hello gone",
        NULL},
    {"a fragmented text", SCRIPT("\x01\x01\xc3\x80\x01\xa9"), "t:\xc3\xa9 gone", NULL},
    {"an empty message", SCRIPT("\x82\x00\x82\x01x"), "b: b:x gone", "b:x gone"},
    {"a close",
        SCRIPT("\x88\x05\x03\xe8"
               "bye\x82\x01x"),
        "closed 1000 bye", NULL},
    {"an empty close", SCRIPT("\x88\x00"), "closed 1005 ", NULL},
    {"a pong nobody asked for", SCRIPT("\x8a\x01x\x82\x01y"), "b:y gone", NULL},
    {"a masked frame", SCRIPT("\x82\x81\x01\x02\x03\x04x"), "failed", NULL},
    {"a reserved bit", SCRIPT("\xc2\x01x"), "failed", NULL},
    {"an unknown opcode", SCRIPT("\x83\x01x"), "failed", NULL},
    {"a long ping", SCRIPT("\x89\x7e\x00\x7e"), "failed", NULL},
    {"a length not in its shortest form", SCRIPT("\x82\x7e\x00\x01x"), "failed", NULL},
    {"a continuation of nothing", SCRIPT("\x80\x01x"), "failed", NULL},
    {"a message inside a message", SCRIPT("\x02\x01x\x82\x01y"), "failed", "b:x failed"},
    {"text that is not UTF-8", SCRIPT("\x81\x02\xc3\x28"), "failed", NULL},
    {"a close of one byte", SCRIPT("\x88\x01\x03"), "failed", NULL},
    {"a close with a code nobody may send", SCRIPT("\x88\x02\x03\xed"), "failed", NULL},
    {"a text that is too long", SCRIPT("\x81\x7e\x01\x01"), "failed", NULL},
    {"a cut header", SCRIPT("\x82"), "gone", NULL},
    {"a cut message", SCRIPT("\x82\x05hel"), "gone", "b:hel gone"},
    {"nothing", SCRIPT(""), "gone", NULL},
};

static void
append(char *out, size_t size, const char *format, int n, const char *s)
{
    size_t at = strlen(out);

    snprintf(out + at, size - at, format, n, s);
}

/* Reads until the end and writes down what it saw. `greedy` false: one byte of a piece at a time.
 */
static void
converse(struct wsclient *ws, bool greedy, char *out, size_t size)
{
    bool in_piece = false;

    out[0] = '\0';
    for (;;) {
        enum wsclient_got got;
        struct pollset ps;
        struct span bytes, reason;
        size_t n;

        pollset_init(&ps);
        wsclient_prepare(ws, &ps, true);
        assert_int_equal(pollset_wait(&ps), OK);
        (void)wsclient_step(ws, &ps);
        while ((got = wsclient_next(ws, &bytes)) != WSC_NOTHING) {
            n = got == WSC_TEXT || greedy ? bytes.len : 1;
            if (got == WSC_TEXT || !in_piece)
                append(out, size, got == WSC_TEXT ? "%.0dt:%s" : "%.0db:%s", 0, "");
            append(out, size, "%.*s", (int)n, (const char *)bytes.ptr);
            wsclient_used(ws, n);
            in_piece = !greedy;
            if (greedy)
                append(out, size, "%.0d%s", 0, " ");
        }
        if (wsclient_state(ws) == WSC_OPENING || wsclient_state(ws) == WSC_OPEN)
            continue;
        if (in_piece)
            append(out, size, "%.0d%s", 0, " ");
        n = wsclient_state(ws) == WSC_CLOSED ? wsclient_closed(ws, &reason) : 0;
        if (n != 0) {
            append(out, size, "closed %d %s", (int)n, "");
            append(out, size, "%.*s", (int)reason.len, (const char *)reason.ptr);
        } else {
            append(out, size, "%.0d%s", 0, wsclient_failure(ws) == ERR_CLOSED ? "gone" : "failed");
        }
        return;
    }
}

static const struct wsclient_options ws_options = {.target = "/relay/agent",
    .subprotocol = "gatehouse.v1",
    .secret = "ticket.abc",
    .authorization = "Gatehouse-Code 123456789",
    .message_max = 256};

static void
conversations_end_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4 * ROWS(conversations); i++) {
        static struct peer peer;
        const struct ws_case *c = &conversations[i / 4];
        struct wsclient_options options = ws_options;
        struct client *client;
        struct wsclient *ws;
        char seen[512];
        const char *want;

        options.stream = i % 4 >= 2;
        want = options.stream && c->pieces != NULL ? c->pieces : c->want;
        peer = (struct peer){
            .script = c->script, .script_len = c->len, .slowly = i % 2 == 1, .websocket = true};
        client = peer_start(&peer);
        assert_int_equal(wsclient_new(client, &options, &ws), OK);
        converse(ws, !options.stream || strstr(want, "t:") != NULL, seen, sizeof(seen));
        if (strcmp(seen, want) != 0)
            fail_msg("%s (%zu): read '%s', want '%s'", c->what, i % 4, seen, want);
        wsclient_free(ws);
        client_free(client);
        peer_end(&peer);
        assert_non_null(
            strstr(peer.request, "\r\nSec-WebSocket-Protocol: gatehouse.v1, ticket.abc\r\n"));
        assert_non_null(strstr(peer.request, "\r\nAuthorization: Gatehouse-Code 123456789\r\n"));
    }
}

static const struct handshake_case {
    const char *what, *script;
    const char *want;
} handshakes[] = {
    {"a problem",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 55\r\n"
        "Content-Type: application/problem+json\r\n\r\n"
        "{\"code\":\"too_often\",\"detail\":\"Too many\\u001b attempts\"}",
        "429 17 too_often Too many\\x1b attempts"},
    {"no body", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "503 0  the server answered with status 503"},
    {"a page", "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>",
        "404 0  the server answered with status 404"},
    {"a redirect", "HTTP/1.1 308 Moved\r\nLocation: https://evil/\r\nContent-Length: 0\r\n\r\n",
        "308 0  the server redirects, and credentials do not follow: give the final URL"},
    {"no accept",
        "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Protocol: gatehouse.v1\r\n\r\n",
        "localhost answers another handshake"},
    {"a false accept",
        "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: gatehouse.v1\r\n\r\n",
        "localhost answers another handshake"},
    {"no upgrade", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n", "localhost does not upgrade"},
    {"not HTTP", "SSH-2.0-x\r\n", "localhost answers, but not as an HTTP/1.1 server should"},
    {"nothing", "", "localhost closed the connection without an answer"},
};

static void
handshakes_end_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ROWS(handshakes); i++) {
        static struct peer peer;
        const struct handshake_case *c = &handshakes[i / 2];
        const struct wsclient_refusal *r;
        struct client *client;
        struct wsclient *ws;
        char seen[512], text[700];

        peer = (struct peer){
            .script = c->script, .script_len = strlen(c->script), .slowly = i % 2 == 1};
        client = peer_start(&peer);
        assert_int_equal(wsclient_new(client, &ws_options, &ws), OK);
        converse(ws, true, seen, sizeof(seen));
        r = wsclient_refusal(ws);
        if (wsclient_state(ws) == WSC_REFUSED)
            snprintf(text, sizeof(text), "%u %u %s %s", r->status, r->retry_after_s, r->said.code,
                r->said.detail);
        else
            snprintf(text, sizeof(text), "%s", wsclient_why(ws));
        if (strcmp(text, c->want) != 0)
            fail_msg("%s: '%s'", c->what, text);
        wsclient_free(ws);
        client_free(client);
        peer_end(&peer);
    }
}

/* What we send is masked, framed and whole; a ping is answered, a close too. */
static void
frames_are_sent_as_the_protocol_wants(void **state)
{
    static struct peer peer;
    static const char script[] = "\x89\x02hi\x88\x02\x03\xe8";
    static uint8_t sent[20000];
    struct wsclient_options options = ws_options;
    struct client *client;
    struct wsclient *ws;
    char seen[512], kinds[64] = "";
    uint8_t *place;
    size_t at = 0;

    (void)state;
    options.stream = true;
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)(i * 7);
    peer = (struct peer){
        .script = script, .script_len = sizeof(script) - 1, .websocket = true, .stay = true};
    client = peer_start(&peer);
    assert_int_equal(wsclient_new(client, &options, &ws), OK);
    while (wsclient_state(ws) == WSC_OPENING) {
        struct pollset ps;

        pollset_init(&ps);
        wsclient_prepare(ws, &ps, false);
        assert_int_equal(pollset_wait(&ps), OK);
        (void)wsclient_step(ws, &ps);
    }
    for (size_t len = 1; len <= sizeof(sent); len = len * 27 + 98) { /* 1, 125, 3473 */
        assert_true(wsclient_room(ws, &place) >= len);
        memcpy(place, sent, len);
        wsclient_commit(ws, len);
    }
    assert_int_equal(wsclient_send(ws, WSFRAME_TEXT, span_str("{\"eof\":true}")), OK);
    converse(ws, true, seen, sizeof(seen));
    assert_string_equal(seen, "closed 1000 ");
    wsclient_free(ws);
    client_free(client);
    peer_end(&peer);
    while (at < peer.rest_len) {
        struct wsframe f;
        uint8_t payload[20000];

        assert_int_equal(wsframe_parse(span_of(peer.rest + at, peer.rest_len - at), &f), OK);
        assert_true(f.masked && f.fin && f.payload_len <= sizeof(payload));
        at += f.header_len;
        wsframe_mask(payload, peer.rest + at, (size_t)f.payload_len, f.mask, 0);
        at += (size_t)f.payload_len;
        append(kinds, sizeof(kinds), "%d:%s", f.opcode, "");
        append(kinds, sizeof(kinds), "%d %s", (int)f.payload_len, "");
        if (f.opcode == WSFRAME_BINARY)
            assert_memory_equal(payload, sent, (size_t)f.payload_len);
        if (f.opcode == WSFRAME_PONG)
            assert_memory_equal(payload, "hi", 2);
    }
    assert_string_equal(kinds, "2:1 2:125 2:3473 1:12 10:2 8:2 ");
}

/* What came with the head of the handshake is not waited for a second time. */
static void
a_message_that_came_with_the_handshake_is_seen_at_once(void **state)
{
    static struct peer peer;
    struct wsclient_options options = ws_options;
    struct client *client;
    struct wsclient *ws;
    struct pollset ps;
    struct span bytes;

    (void)state;
    options.stream = true;
    peer = (struct peer){.script = "", .websocket = true, .together = "\x82\x02hi", .stay = true};
    client = peer_start(&peer);
    assert_int_equal(wsclient_new(client, &options, &ws), OK);
    while (wsclient_state(ws) == WSC_OPENING) {
        pollset_init(&ps);
        wsclient_prepare(ws, &ps, false);
        assert_int_equal(pollset_wait(&ps), OK);
        (void)wsclient_step(ws, &ps);
    }
    pollset_init(&ps);
    wsclient_prepare(ws, &ps, true);
    assert_true(ps.deadline_ms <= ps.now_ms);
    assert_int_equal(wsclient_next(ws, &bytes), WSC_BINARY);
    assert_true(span_is(bytes, "hi"));
    wsclient_free(ws);
    client_free(client);
    peer_end(&peer);
}

/* The queue is bounded; what does not fit is refused, not kept. */
static void
the_queue_is_bounded(void **state)
{
    static struct peer peer;
    struct wsclient_options options = ws_options;
    struct client *client;
    struct wsclient *ws;
    uint8_t *place;
    size_t room, queued = 0;

    (void)state;
    options.stream = true;
    peer = (struct peer){.script = "", .websocket = true, .stay = true};
    client = peer_start(&peer);
    assert_int_equal(wsclient_new(client, &options, &ws), OK);
    while (wsclient_state(ws) == WSC_OPENING) {
        struct pollset ps;

        pollset_init(&ps);
        wsclient_prepare(ws, &ps, false);
        assert_int_equal(pollset_wait(&ps), OK);
        (void)wsclient_step(ws, &ps);
    }
    while ((room = wsclient_room(ws, &place)) > 0) { /* never flushed */
        memset(place, 0, room);
        wsclient_commit(ws, room);
        queued += room;
    }
    assert_in_range(queued, WSCLIENT_BUFFER / 2, WSCLIENT_BUFFER);
    assert_in_range(wsclient_queued(ws), queued, WSCLIENT_BUFFER);
    /* ... and a control text still goes in. */
    assert_int_equal(wsclient_send(ws, WSFRAME_TEXT, span_str("{\"exit\":0}")), OK);
    wsclient_free(ws);
    client_free(client);
    peer_end(&peer);
}

/* ---- channel texts ---- */

static const struct text_case {
    const char *json;
    enum err want;
    struct channel_text text;
} texts[] = {
    {"{\"resize\":[80,24]}", OK, {.kind = CHANNEL_RESIZE, .cols = 80, .rows = 24}},
    {"{\"signal\":\"INT\"}", OK, {.kind = CHANNEL_SIGNAL, .signal = SIGINT}},
    {"{\"eof\":true}", OK, {.kind = CHANNEL_EOF}},
    {"{\"exit\":0}", OK, {.kind = CHANNEL_EXIT}},
    {"{\"exit\":255}", OK, {.kind = CHANNEL_EXIT, .exit_status = 255}},
    {"{\"exit\":256}", ERR_MALFORMED, {0}},
    {"{\"exit\":-1}", ERR_MALFORMED, {0}},
    {"{\"exit\":\"0\"}", ERR_MALFORMED, {0}},
    {"{\"eof\":false}", ERR_MALFORMED, {0}},
    {"{\"eof\":1}", ERR_MALFORMED, {0}},
    {"{\"resize\":[80]}", ERR_MALFORMED, {0}},
    {"{\"resize\":[80,24,1]}", ERR_MALFORMED, {0}},
    {"{\"resize\":[0,24]}", ERR_MALFORMED, {0}},
    {"{\"resize\":[4097,24]}", ERR_MALFORMED, {0}},
    {"{\"resize\":[80.5,24]}", ERR_MALFORMED, {0}},
    {"{\"signal\":\"SEGV\"}", ERR_MALFORMED, {0}},
    {"{\"signal\":\"SIGINT\"}", ERR_MALFORMED, {0}},
    {"{\"eof\":true,\"exit\":0}", ERR_MALFORMED, {0}},
    {"{\"eof\":true,\"eof\":true}", ERR_MALFORMED, {0}},
    {"{\"what\":1}", ERR_MALFORMED, {0}},
    {"{}", ERR_MALFORMED, {0}},
    {"[]", ERR_MALFORMED, {0}},
    {"", ERR_MALFORMED, {0}},
    {"{\"eof\":true} x", ERR_MALFORMED, {0}},
};

static void
channel_texts_say_one_thing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(texts); i++) {
        struct channel_text text;
        char out[CHANNEL_TEXT_MAX];

        if (channel_text_parse(span_str(texts[i].json), &text) != texts[i].want)
            fail_msg("%s", texts[i].json);
        if (texts[i].want != OK)
            continue;
        assert_memory_equal(&text, &texts[i].text, sizeof(text));
        assert_true(span_is(span_of(out, channel_text_format(&text, out)), texts[i].json));
    }
}

static void
targets_are_escaped(void **state)
{
    char out[64];

    (void)state;
    assert_int_equal(client_escape(span_str("name:web* tag:a/b"), out, sizeof(out)), 27);
    assert_string_equal(out, "name%3Aweb%2A%20tag%3Aa%2Fb");
    assert_int_equal(client_escape(span_str("abc"), out, 3), 3);
    assert_string_equal(out, "ab");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_origins_and_nothing_else),
        cmocka_unit_test(answers_are_read_without_leniency),
        cmocka_unit_test(endless_heads_are_refused),
        cmocka_unit_test(calls_end_as_the_table_says),
        cmocka_unit_test(a_sink_takes_the_body_and_may_stop_it),
        cmocka_unit_test(a_silent_server_is_given_up),
        cmocka_unit_test(a_stop_flag_interrupts),
        cmocka_unit_test(conversations_end_as_the_table_says),
        cmocka_unit_test(handshakes_end_as_the_table_says),
        cmocka_unit_test(frames_are_sent_as_the_protocol_wants),
        cmocka_unit_test(a_message_that_came_with_the_handshake_is_seen_at_once),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(channel_texts_say_one_thing),
        cmocka_unit_test(targets_are_escaped),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
