/* test_engine.c: the network engine over real sockets: two loops, plain and TLS, driven by a client
 * that keeps the rules and by one that does not.
 * The app is small, the engine is the real one.
 * threads: yes */
#include "engine_kit.h"

#include "http/relay.h"

#include <pthread.h>
#include <stdatomic.h>

static struct {
    struct http_server *server;
    struct tls_server *tls;
    struct tls_client *client;
    uint16_t plain, secure;
    char folder[64], cert[96], key[96];
    atomic_uint gone;
    atomic_uint later;
} kit;

/* ---- the app ---- */

static struct http_admit
app_on_head(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    (void)ctx;
    http_set_user(loop, ref, NULL);
    if (span_is(request->path, "/refused"))
        return (struct http_admit){.refuse = 405};
    if (span_is(request->path, "/echo"))
        return (struct http_admit){.body_max = HTTP_BODY_BYTES_MAX};
    return (struct http_admit){0};
}

static void
reply_text(struct loop *loop, struct ref ref, uint16_t status, const char *text)
{
    struct response response;

    response_init(&response, status);
    response_body(&response, "text/plain", span_str(text));
    http_reply(loop, ref, &response);
}

struct stream {
    size_t left;
    uint8_t next;
};

static void
stream_on(struct loop *loop, struct ref ref, void *user)
{
    struct stream *stream = user;
    uint8_t bytes[10000];
    bool more = true;

    while (stream->left > 0 && more) {
        size_t n = stream->left < sizeof(bytes) ? stream->left : sizeof(bytes);

        for (size_t i = 0; i < n; i++)
            bytes[i] = stream->next++;
        stream->left -= n;
        more = http_stream_write(loop, ref, span_of(bytes, n));
    }
    if (stream->left == 0) {
        http_stream_end(loop, ref);
        free(stream);
    }
}

static void
stream_start(struct loop *loop, struct ref ref, size_t len)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct response response;

    stream->left = len;
    http_set_user(loop, ref, stream);
    response_init(&response, 200);
    http_stream_begin(loop, ref, &response, stream_on, stream);
    stream_on(loop, ref, stream);
}

static void
echo_message(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message)
{
    (void)user;
    if (span_is(message, "close me"))
        ws_close(loop, ref, 4000, "as asked");
    else if (ws_send(loop, ref, opcode, message) == ERR_FULL)
        ws_close(loop, ref, 1008, "reads nothing");
}

static struct {
    atomic_int end, code;
    atomic_uint count;
} echo_closed;

static void
echo_close(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    (void)loop;
    (void)ref;
    (void)user;
    (void)reason;
    atomic_store(&echo_closed.end, (int)end);
    atomic_store(&echo_closed.code, code);
    atomic_fetch_add(&echo_closed.count, 1);
}

static const struct ws_handlers echo_handlers = {
    .on_message = echo_message, .on_close = echo_close};

static void
moved(struct loop *loop, struct ref ref, const struct request *request, void *user)
{
    char text[64];

    (void)user;
    assert_non_null(request);
    snprintf(text, sizeof(text), "loop %u, %zu bytes of path", loop_index(loop), request->path.len);
    reply_text(loop, ref, 200, text);
}

/* ---- the app's relay: /tech/N and /agent/N meet on loop 1 ---- */

#define PAIRS 8

static struct pair {
    struct ref side[2];
    unsigned have;
    atomic_int why, who, code;
    atomic_ullong to_agent, to_technician;
    atomic_uint ended;
} pairs[PAIRS];

static void
pair_end(struct loop *loop, void *user, const struct relay_counts *counts, enum relay_why why,
    enum relay_side side, uint16_t code, struct span reason)
{
    struct pair *pair = user;

    (void)loop;
    (void)reason;
    atomic_store(&pair->why, (int)why);
    atomic_store(&pair->who, (int)side);
    atomic_store(&pair->code, code);
    atomic_store(&pair->to_agent, counts->to_agent);
    atomic_store(&pair->to_technician, counts->to_technician);
    atomic_fetch_add(&pair->ended, 1);
}

static const struct relay_handlers pair_handlers = {.on_end = pair_end};

static void
held_close(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    (void)loop;
    (void)ref;
    (void)user;
    (void)end;
    (void)code;
    (void)reason;
    atomic_fetch_add(&kit.gone, 1);
}

static const struct ws_handlers held_handlers = {.on_close = held_close};

static void
meet(struct loop *loop, struct ref ref, const struct request *request, void *user)
{
    struct ws_options options = {.handlers = &held_handlers, .hold = true};
    bool technician = request->path.ptr[1] == 't';
    struct pair *pair = &pairs[request->path.ptr[request->path.len - 1] - '0'];

    (void)user;
    assert_int_equal(http_upgrade(loop, ref, &options), OK);
    pair->side[technician ? RELAY_TECHNICIAN : RELAY_AGENT] = ref;
    if (++pair->have == 2)
        assert_int_equal(relay_pair(loop, pair->side[RELAY_TECHNICIAN], pair->side[RELAY_AGENT],
                             &pair_handlers, pair),
            OK);
}

static void
cut_now(struct loop *loop, struct ref ref, void *arg)
{
    struct pair *pair = arg;

    (void)ref;
    relay_cut(loop, pair->side[RELAY_AGENT], 1008, "terminated");
}

static void
app_on_request(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    struct http_server *server = kit.server;

    (void)ctx;
    if (span_is(request->path, "/hello")) {
        reply_text(loop, ref, 200, "hello\n");
    } else if (span_is(request->path, "/echo")) {
        struct response response;

        response_init(&response, 200);
        response_body(&response, "application/octet-stream", request->body);
        http_reply(loop, ref, &response);
    } else if (span_is(request->path, "/stream")) {
        stream_start(loop, ref, strtoul((const char *)request->query.ptr, NULL, 10));
    } else if (span_is(request->path, "/later")) {
        atomic_fetch_add(&kit.later, 1);
    } else if (span_is(request->path, "/split")) {
        struct response response;

        response_init(&response, 200);
        response_add_str(&response, "Location", "/a\r\nSet-Cookie: evil=1");
        http_reply(loop, ref, &response);
    } else if (span_is(request->path, "/moved")) {
        struct loop *to =
            http_server_loop(server, (loop_index(loop) + 1) % http_server_loops(server));

        if (http_move(loop, ref, to, moved, NULL) != OK)
            reply_text(loop, ref, 400, "cannot move");
    } else if (span_is(request->path, "/ws")) {
        struct ws_options options = {.handlers = &echo_handlers};

        if (!request->wants_websocket)
            reply_text(loop, ref, 400, "not a handshake");
        else if (http_upgrade(loop, ref, &options) != OK)
            return; /* the engine has answered 400 */
    } else if (request->wants_websocket &&
               (request->path.ptr[1] == 't' || request->path.ptr[1] == 'a')) {
        assert_int_equal(http_move(loop, ref, http_server_loop(server, 1), meet, NULL), OK);
    } else {
        reply_text(loop, ref, 404, "nothing here");
    }
}

static void
app_on_gone(void *ctx, struct loop *loop, struct ref ref)
{
    (void)ctx;
    free(http_user(loop, ref)); /* a stream that broke off */
    atomic_fetch_add(&kit.gone, 1);
}

static int
start(void **state)
{
    struct http_listen listen[] = {
        {.address = "127.0.0.1", .id = 1}, {.address = "127.0.0.1", .tls = true, .id = 2}};
    struct http_server_options options = {.loops = 2, .listen = listen, .listen_count = 2};
    char why[256];

    (void)state;
    snprintf(kit.folder, sizeof(kit.folder), "/tmp/gatehouse-engine-XXXXXX");
    assert_non_null(mkdtemp(kit.folder));
    snprintf(kit.cert, sizeof(kit.cert), "%s/crt", kit.folder);
    snprintf(kit.key, sizeof(kit.key), "%s/key", kit.folder);
    kit_certificate(kit.cert, kit.key, -60, 3600);
    assert_int_equal(tls_server_new(kit.cert, kit.key, &kit.tls, why, sizeof(why)), OK);
    assert_int_equal(tls_client_new(kit.cert, &kit.client, why, sizeof(why)), OK);
    options.tls = kit.tls;
    options.app = (struct http_app){
        .on_head = app_on_head, .on_request = app_on_request, .on_gone = app_on_gone};
    if (http_server_new(&options, &kit.server, why, sizeof(why)) != OK)
        fail_msg("%s", why);
    assert_int_equal(http_server_start(kit.server), OK);
    kit.plain = http_server_port(kit.server, 0);
    kit.secure = http_server_port(kit.server, 1);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    http_server_stop(kit.server, 200);
    http_server_free(kit.server);
    tls_server_free(kit.tls);
    tls_client_free(kit.client);
    unlink(kit.cert);
    unlink(kit.key);
    rmdir(kit.folder);
    return 0;
}

/* Both ways in, one after the other. */
static struct peer
peer_either(int tls)
{
    return tls ? peer_connect(kit.secure, kit.client) : peer_connect(kit.plain, NULL);
}

static bool
wait_for(atomic_uint *what, unsigned value, unsigned ms)
{
    for (uint64_t end = kit_now_ms() + ms; kit_now_ms() < end; kit_sleep_ms(5)) {
        if (atomic_load(what) >= value)
            return true;
    }
    return false;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HOST      "Host: localhost\r\n"

/* ---- HTTP ---- */

static void
keeps_a_connection_alive(void **state)
{
    char body[256];

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);

        for (int i = 0; i < 20; i++) {
            assert_int_equal(peer_ask(&peer, GET("/hello"), body, sizeof(body)), 200);
            assert_string_equal(body, "hello\n");
        }
        peer_close(&peer);
    }
}

static void
answers_pipelined_requests_in_order(void **state)
{
    char text[4096];

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);
        const char *requests =
            GET("/hello") "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                          "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                          "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                          "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/never");
        const char *a, *b, *c;

        assert_true(peer_send(&peer, requests, strlen(requests)));
        peer_recv_to_end(&peer, text, sizeof(text));
        assert_non_null(a = strstr(text, "hello\n"));
        assert_non_null(b = strstr(a, "\r\n\r\nabc"));
        assert_non_null(c = strstr(b, "\r\n\r\ndef"));
        assert_non_null(c = strstr(c, "hello\n"));
        assert_string_equal(c, "hello\n"); /* and nothing after the close */
        peer_close(&peer);
    }
}

static void
takes_a_request_byte_by_byte(void **state)
{
    const char *request =
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    char head[1024], body[4] = {0};

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);

        for (const char *p = request; *p != '\0'; p++)
            assert_true(peer_send(&peer, p, 1));
        assert_true(peer_recv_head(&peer, head, sizeof(head)));
        assert_int_equal(head_status(head), 200);
        assert_true(peer_recv_all(&peer, body, 3));
        assert_string_equal(body, "abc");
        peer_close(&peer);
    }
}

/* Each is answered once with that status, and the connection ends. */
struct refusal_case {
    const char *request;
    int status;
};

static const struct refusal_case refusal_cases[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\n" HOST "\n", 400},
    {"GET / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n0\r\n\r\n",
        400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
        400},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413},
    {"POST /hello HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", 413},
    {"POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 413},
    {"GET /refused HTTP/1.1\r\n" HOST "\r\n", 405},
    {"BREW /pot HTTP/1.1\r\n" HOST "\r\n", 501},
    {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505},
    {"GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n\r\n",
        426},
    {"\x16\x03\x01\x02", 400},
};

static void
refuses_and_closes(void **state)
{
    char text[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(refusal_cases) / sizeof(refusal_cases[0]); i++) {
        const struct refusal_case *c = &refusal_cases[i];
        struct peer peer = peer_connect(kit.plain, NULL);
        uint64_t before = kit_now_ms();

        assert_true(peer_send(&peer, c->request, strlen(c->request)));
        /* what follows must never be taken for another request */
        (void)peer_send(&peer, GET("/hello"), strlen(GET("/hello")));
        shutdown(peer.fd, SHUT_WR);
        peer_recv_to_end(&peer, text, sizeof(text));
        if (head_status(text) != c->status)
            fail_msg("%s\nanswered: %s", c->request, text);
        assert_null(strstr(text + 9, "HTTP/1.1 "));
        assert_non_null(strstr(text, "Connection: close\r\n"));
        assert_true(kit_now_ms() - before < 5000);
        peer_close(&peer);
    }
}

static void
limits_bodies_and_heads(void **state)
{
    size_t len = 70000;
    char *text = malloc(len + 1), body[65536 + 1], request[256];
    struct peer peer;

    (void)state;
    /* exactly the limit */
    memset(text, 'x', len);
    peer = peer_connect(kit.plain, NULL);
    snprintf(
        request, sizeof(request), "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n");
    assert_true(peer_send(&peer, request, strlen(request)));
    assert_true(peer_send(&peer, text, 65536));
    assert_int_equal(peer_ask(&peer, "", body, sizeof(body)), 200);
    assert_int_equal(strlen(body), 65536);
    /* one more in chunks */
    snprintf(request, sizeof(request),
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n10001\r\n");
    assert_true(peer_send(&peer, request, strlen(request)));
    (void)peer_send(&peer, text, 65537);
    assert_int_equal(peer_ask(&peer, "", body, sizeof(body)), 413);
    peer_close(&peer);
    /* heads */
    peer = peer_connect(kit.plain, NULL);
    assert_true(peer_send(&peer, "GET / HTTP/1.1\r\nX: ", 19));
    (void)peer_send(&peer, text, 20000);
    assert_int_equal(peer_ask(&peer, "", body, sizeof(body)), 431);
    peer_close(&peer);
    peer = peer_connect(kit.plain, NULL);
    assert_true(peer_send(&peer, "GET /", 5));
    (void)peer_send(&peer, text, 9000);
    assert_int_equal(peer_ask(&peer, "", body, sizeof(body)), 414);
    peer_close(&peer);
    free(text);
}

static void
says_continue_when_asked(void **state)
{
    struct peer peer = peer_connect(kit.plain, NULL);
    const char *request =
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    char head[1024], body[16];

    (void)state;
    assert_true(peer_send(&peer, request, strlen(request)));
    assert_true(peer_recv_head(&peer, head, sizeof(head)));
    assert_string_equal(head, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(peer_ask(&peer, "abc", body, sizeof(body)), 200);
    assert_string_equal(body, "abc");
    peer_close(&peer);
}

static void
streams_with_back_pressure(void **state)
{
    static uint8_t bytes[65536];
    char head[1024];

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);
        const char *request = "GET /stream?20000000 HTTP/1.0\r\n\r\n";
        size_t len = 0;
        ssize_t n;

        assert_true(peer_send(&peer, request, strlen(request)));
        assert_true(peer_recv_head(&peer, head, sizeof(head)));
        while ((n = peer_recv(&peer, bytes, sizeof(bytes))) > 0) {
            for (ssize_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], (uint8_t)(len + (size_t)i));
            len += (size_t)n;
        }
        assert_int_equal(len, 20000000);
        peer_close(&peer);
    }
}

static void
ends_a_stream_with_the_last_chunk(void **state)
{
    struct peer peer = peer_connect(kit.plain, NULL);
    char text[4096];

    (void)state;
    assert_true(peer_send(&peer, GET("/stream?5"), strlen(GET("/stream?5"))));
    assert_true(peer_recv_head(&peer, text, sizeof(text)));
    assert_non_null(strstr(text, "Transfer-Encoding: chunked\r\n"));
    assert_true(peer_recv_all(&peer, text, 15));
    assert_memory_equal(text, "5\r\n\0\1\2\3\4\r\n0\r\n\r\n", 15);
    assert_int_equal(peer_ask(&peer, GET("/hello"), text, sizeof(text)), 200);
    peer_close(&peer);
}

static void
tells_the_app_who_left(void **state)
{
    unsigned gone = atomic_load(&kit.gone), later = atomic_load(&kit.later);
    struct linger hard = {1, 0};
    struct peer peer;

    (void)state;
    peer = peer_connect(kit.plain, NULL);
    assert_true(peer_send(&peer, GET("/later"), strlen(GET("/later"))));
    assert_true(wait_for(&kit.later, later + 1, 2000));
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    peer_close(&peer); /* reset */
    assert_true(wait_for(&kit.gone, gone + 1, 2000));
    /* a stream that nobody reads */
    peer = peer_connect(kit.plain, NULL);
    assert_true(peer_send(&peer, GET("/stream?100000000"), strlen(GET("/stream?100000000"))));
    kit_sleep_ms(50);
    peer_close(&peer);
    assert_true(wait_for(&kit.gone, gone + 2, 2000));
}

static void
cannot_split_a_response(void **state)
{
    struct peer peer = peer_connect(kit.plain, NULL);
    char text[1024];

    (void)state;
    assert_true(peer_send(&peer, GET("/split"), strlen(GET("/split"))));
    peer_recv_to_end(&peer, text, sizeof(text));
    assert_int_equal(head_status(text), 500);
    assert_null(strstr(text, "evil"));
    peer_close(&peer);
}

/* ---- hand-over ---- */

static void
moves_a_request_to_another_loop(void **state)
{
    char text[256], request[512];

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);
        char first[256], second[256];

        assert_int_equal(peer_ask(&peer, GET("/moved"), first, sizeof(first)), 200);
        assert_int_equal(peer_ask(&peer, GET("/moved"), second, sizeof(second)), 200);
        assert_string_not_equal(first, second); /* there, and back again */
        assert_int_equal(peer_ask(&peer, GET("/hello"), text, sizeof(text)), 200);
        snprintf(request, sizeof(request), "%sX", GET("/moved"));
        assert_int_equal(peer_ask(&peer, request, text, sizeof(text)), 400); /* bytes behind */
        peer_close(&peer);
    }
}

/* ---- WebSocket ---- */

static void
echoes_messages(void **state)
{
    static uint8_t in[WS_MESSAGE_BYTES_MAX], out[WS_MESSAGE_BYTES_MAX];
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 300000};
    struct wsframe frame;

    (void)state;
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 31 + (i >> 9));
    for (int tls = 0; tls < 2; tls++) {
        struct peer peer = peer_either(tls);

        assert_int_equal(ws_ask(&peer, "/ws"), 101);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            assert_true(ws_put(&peer, true, WSFRAME_BINARY, out, sizes[i]));
            assert_int_equal(ws_take(&peer, &frame, in, sizeof(in)), WSFRAME_BINARY);
            assert_int_equal(frame.payload_len, sizes[i]);
            assert_memory_equal(in, out, sizes[i]);
        }
        /* in parts, with a ping between them */
        assert_true(ws_put(&peer, false, WSFRAME_TEXT, "k\xc3", 2));
        assert_true(ws_put(&peer, true, WSFRAME_PING, "hi", 2));
        assert_true(ws_put(&peer, false, WSFRAME_CONTINUATION, "", 0));
        assert_true(ws_put(&peer, true, WSFRAME_CONTINUATION, "\xb6ln", 3));
        assert_int_equal(ws_take(&peer, &frame, in, sizeof(in)), WSFRAME_PONG);
        assert_memory_equal(in, "hi", 2);
        assert_int_equal(ws_take(&peer, &frame, in, sizeof(in)), WSFRAME_TEXT);
        assert_int_equal(frame.payload_len, 5);
        assert_memory_equal(in, "k\xc3\xb6ln", 5);
        /* the largest message */
        assert_true(ws_put(&peer, true, WSFRAME_BINARY, out, sizeof(out) - 64));
        assert_int_equal(ws_take(&peer, &frame, in, sizeof(in)), WSFRAME_BINARY);
        assert_memory_equal(in, out, sizeof(out) - 64);
        assert_true(ws_put(&peer, true, WSFRAME_CLOSE,
            "\x03\xe8"
            "bye",
            5));
        assert_int_equal(ws_take_close(&peer), 1000);
        assert_int_equal(peer_recv(&peer, in, 1), 0);
        peer_close(&peer);
    }
}

struct ws_case {
    const char *name;
    const char *bytes;
    size_t len;
    int code;
};

#define M "\0\0\0\0" /* a mask that changes nothing */
static const struct ws_case ws_cases[] = {
    {"unmasked",
        "\x81\x01"
        "a",
        3, 1002},
    {"RSV1", "\xc1\x81" M "a", 7, 1002},
    {"RSV2", "\xa1\x81" M "a", 7, 1002},
    {"RSV3", "\x91\x81" M "a", 7, 1002},
    {"opcode 3", "\x83\x80" M, 6, 1002},
    {"opcode 7", "\x87\x80" M, 6, 1002},
    {"opcode 11", "\x8b\x80" M, 6, 1002},
    {"opcode 15", "\x8f\x80" M, 6, 1002},
    {"continuation of nothing", "\x80\x81" M "a", 7, 1002},
    {"new message inside one",
        "\x01\x81" M "a"
        "\x81\x81" M "b",
        14, 1002},
    {"ping in parts", "\x09\x80" M, 6, 1002},
    {"ping of 126", "\x89\xfe\x00\x7e" M, 8, 1002},
    {"length not shortest, 16", "\x82\xfe\x00\x05" M "abcde", 13, 1002},
    {"length not shortest, 64", "\x82\xff\0\0\0\0\0\0\x00\x05" M "abcde", 19, 1002},
    {"length 2^63", "\x82\xff\x80\0\0\0\0\0\0\0" M, 14, 1002},
    {"too long at once", "\x82\xff\0\0\0\0\0\x10\0\x01" M, 14, 1009},
    {"too long in sum",
        "\x02\x81" M "a"
        "\x80\xff\0\0\0\0\0\x10\0\0" M,
        21, 1009},
    {"text not UTF-8", "\x81\x82" M "\xc3\x28", 8, 1007},
    {"text surrogate", "\x81\x83" M "\xed\xa0\x80", 9, 1007},
    {"text ends inside a character", "\x81\x81" M "\xc3", 7, 1007},
    {"text bad in second part",
        "\x01\x81" M "\xc3"
        "\x80\x81" M "\x28",
        14, 1007},
    {"close of 1 byte", "\x88\x81" M "\x03", 7, 1002},
    {"close 999", "\x88\x82" M "\x03\xe7", 8, 1002},
    {"close 1005", "\x88\x82" M "\x03\xed", 8, 1002},
    {"close 1006", "\x88\x82" M "\x03\xee", 8, 1002},
    {"close 2999", "\x88\x82" M "\x0b\xb7", 8, 1002},
    {"close reason not UTF-8", "\x88\x83" M "\x03\xe8\xff", 9, 1007},
    {"close", "\x88\x82" M "\x03\xe8", 8, 1000},
    {"close 3000", "\x88\x82" M "\x0b\xb8", 8, 3000},
    {"close without code", "\x88\x80" M, 6, 1005},
    {"asked to close", "\x81\x88" M "close me", 14, 4000},
};

static void
closes_with_the_right_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ws_cases) / sizeof(ws_cases[0]); i++) {
        struct peer peer = peer_connect(kit.plain, NULL);
        int code;

        assert_int_equal(ws_ask(&peer, "/ws"), 101);
        assert_true(peer_send(&peer, ws_cases[i].bytes, ws_cases[i].len));
        if ((code = ws_take_close(&peer)) != ws_cases[i].code)
            fail_msg("%s: closed with %d", ws_cases[i].name, code);
        peer_close(&peer);
    }
}

static void
cuts_ping_floods(void **state)
{
    struct peer peer = peer_connect(kit.plain, NULL);

    (void)state;
    assert_int_equal(ws_ask(&peer, "/ws"), 101);
    for (int i = 0; i < WS_CONTROL_BURST + 20; i++) {
        if (!ws_put(&peer, true, WSFRAME_PING, "x", 1))
            break;
    }
    assert_int_equal(ws_take_close(&peer), 1008);
    peer_close(&peer);
}

static void
tells_why_a_websocket_ended(void **state)
{
    struct peer peer;
    unsigned count;

    (void)state;
    kit_sleep_ms(50); /* earlier tests' closes */
    count = atomic_load(&echo_closed.count);
    peer = peer_connect(kit.plain, NULL);
    assert_int_equal(ws_ask(&peer, "/ws"), 101);
    peer_close(&peer);
    assert_true(wait_for(&echo_closed.count, count + 1, 2000));
    assert_int_equal(atomic_load(&echo_closed.end), WS_END_GONE);
    peer = peer_connect(kit.plain, NULL);
    assert_int_equal(ws_ask(&peer, "/ws"), 101);
    assert_true(ws_put(&peer, true, WSFRAME_CLOSE, "\x0f\xa1", 2));
    assert_true(wait_for(&echo_closed.count, count + 2, 2000));
    assert_int_equal(atomic_load(&echo_closed.end), WS_END_CLOSED);
    assert_int_equal(atomic_load(&echo_closed.code), 4001);
    peer_close(&peer);
}

static void
refuses_frames_before_the_101(void **state)
{
    struct peer peer = peer_connect(kit.plain, NULL);
    const char *request =
        "GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n\x81\x81....";
    char text[1024];

    (void)state;
    assert_true(peer_send(&peer, request, strlen(request)));
    peer_recv_to_end(&peer, text, sizeof(text));
    assert_int_equal(head_status(text), 400);
    peer_close(&peer);
}

/* ---- relay ---- */

#define RELAY_TEST_BYTES (64u * 1024 * 1024)
#define RELAY_TEST_SEED  0x9e3779b97f4a7c15u

struct flow {
    struct peer *peer;
    uint64_t seed;
    bool slow; /* reader: stops now and then, so that the other side fills up */
    bool right;
};

static void
flow_fill(uint8_t *bytes, size_t len, uint64_t *state)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        memcpy(bytes + i, state, 8);
    }
}

static void *
flow_send(void *arg)
{
    struct flow *flow = arg;
    static const size_t sizes[] = {16384, 8, 65536, 120, 262144, 128, 4096};
    uint8_t *bytes = malloc(262144);
    size_t left = RELAY_TEST_BYTES;

    for (size_t i = 0; left > 0; i++) {
        size_t n = sizes[i % 7] < left ? sizes[i % 7] : left;
        bool part = i % 5 == 0 && n < left;

        flow_fill(bytes, n, &flow->seed);
        /* every fifth message in two fragments */
        if (part)
            flow->right =
                ws_put(flow->peer, false, WSFRAME_BINARY, bytes, n / 16 * 8) &&
                ws_put(flow->peer, true, WSFRAME_CONTINUATION, bytes + n / 16 * 8, n - n / 16 * 8);
        else
            flow->right = ws_put(flow->peer, true, WSFRAME_BINARY, bytes, n);
        if (!flow->right)
            break;
        if (i == 10)
            ws_put(flow->peer, true, WSFRAME_TEXT, "{\"resize\":[80,24]}", 18);
        left -= n;
    }
    free(bytes);
    return NULL;
}

/* All bytes that come must be the sender's, in order: the generator is run again beside them, which
 * is stricter than a hash and names the place. */
static void *
flow_receive(void *arg)
{
    struct flow *flow = arg;
    uint8_t *bytes = malloc(WS_MESSAGE_BYTES_MAX), want[8];
    size_t got = 0, texts = 0;
    uint64_t pauses = 0;
    struct wsframe frame;
    int opcode;

    flow->right = true;
    while (flow->right && got < RELAY_TEST_BYTES) {
        opcode = ws_take(flow->peer, &frame, bytes, WS_MESSAGE_BYTES_MAX);
        if (opcode == WSFRAME_TEXT) {
            texts++;
            flow->right = frame.payload_len == 18;
            continue;
        }
        if (opcode != WSFRAME_BINARY && opcode != WSFRAME_CONTINUATION) {
            flow->right = false;
            break;
        }
        for (size_t i = 0; i < frame.payload_len; i++) {
            if (got % 8 == 0)
                flow_fill(want, 8, &flow->seed);
            flow->right = flow->right && bytes[i] == want[got % 8];
            got++;
        }
        if (flow->slow && got / (16u << 20) > pauses) {
            pauses++;
            kit_sleep_ms(100);
        }
    }
    flow->right = flow->right && got == RELAY_TEST_BYTES && texts == 1;
    free(bytes);
    return NULL;
}

static void
relay_both_ways(int tls, unsigned number)
{
    char path[16];
    struct peer technician, agent;
    struct pair *pair = &pairs[number];
    struct flow flows[4];
    pthread_t threads[4];

    technician = peer_either(tls);
    agent = peer_either(tls);
    snprintf(path, sizeof(path), "/tech/%u", number);
    assert_int_equal(ws_ask(&technician, path), 101);
    snprintf(path, sizeof(path), "/agent/%u", number);
    assert_int_equal(ws_ask(&agent, path), 101);
    flows[0] = (struct flow){.peer = &technician, .seed = 1};
    flows[1] = (struct flow){.peer = &agent, .seed = 1, .slow = true};
    flows[2] = (struct flow){.peer = &agent, .seed = 2};
    flows[3] = (struct flow){.peer = &technician, .seed = 2};
    if (tls) { /* a session is for one thread at a time: one direction after the other */
        for (int i = 0; i < 4; i += 2) {
            for (int k = i; k < i + 2; k++)
                pthread_create(&threads[k], NULL, k % 2 == 0 ? flow_send : flow_receive, &flows[k]);
            for (int k = i; k < i + 2; k++)
                pthread_join(threads[k], NULL);
        }
    } else {
        for (int k = 0; k < 4; k++)
            pthread_create(&threads[k], NULL, k % 2 == 0 ? flow_send : flow_receive, &flows[k]);
        for (int k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
    }
    for (int k = 0; k < 4; k++) {
        if (!flows[k].right)
            fail_msg("flow %d of pair %u", k, number);
    }
    assert_true(ws_put(&technician, true, WSFRAME_CLOSE,
        "\x0f\xa2"
        "done",
        6));
    assert_int_equal(ws_take_close(&agent), 4002); /* goes through, code and all */
    assert_int_equal(ws_take_close(&technician), 4002);
    assert_true(wait_for(&pair->ended, 1, 2000));
    assert_int_equal(atomic_load(&pair->why), RELAY_CLOSED);
    assert_int_equal(atomic_load(&pair->who), RELAY_TECHNICIAN);
    assert_int_equal(atomic_load(&pair->code), 4002);
    assert_int_equal(atomic_load(&pair->to_agent), RELAY_TEST_BYTES);
    assert_int_equal(atomic_load(&pair->to_technician), RELAY_TEST_BYTES);
    peer_close(&technician);
    peer_close(&agent);
}

static void
relays_both_ways_plain(void **state)
{
    (void)state;
    relay_both_ways(0, 0);
}

static void
relays_both_ways_over_tls(void **state)
{
    (void)state;
    relay_both_ways(1, 1);
}

static void
relay_open(unsigned number, struct peer *technician, struct peer *agent)
{
    char path[16];

    *technician = peer_either(0);
    *agent = peer_either(1);
    snprintf(path, sizeof(path), "/agent/%u", number);
    assert_int_equal(ws_ask(agent, path), 101);
    snprintf(path, sizeof(path), "/tech/%u", number);
    assert_int_equal(ws_ask(technician, path), 101);
}

/* The agent reads nothing, all buffers are full: the cut comes through within a second all the
 * same. */
static void
cuts_with_a_stalled_reader(void **state)
{
    static uint8_t bytes[65536];
    struct timeval brief = {0, 300000};
    struct peer technician, agent;
    struct pair *pair = &pairs[2];
    size_t sent = 0;
    uint64_t before;

    (void)state;
    relay_open(2, &technician, &agent);
    setsockopt(technician.fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
    while (sent < 512u << 20 && ws_put(&technician, true, WSFRAME_BINARY, bytes, sizeof(bytes)))
        sent += sizeof(bytes);
    assert_true(sent < 512u << 20); /* back-pressure has reached the sender */
    before = kit_now_ms();
    assert_true(loop_post(http_server_loop(kit.server, 1), cut_now, (struct ref){0}, pair));
    assert_true(wait_for(&pair->ended, 1, 1000));
    while (peer_recv(&technician, bytes, sizeof(bytes)) > 0)
        continue;
    while (peer_recv(&agent, bytes, sizeof(bytes)) > 0)
        continue;
    assert_true(kit_now_ms() - before < 1000);
    assert_int_equal(atomic_load(&pair->why), RELAY_CUT);
    peer_close(&technician);
    peer_close(&agent);
}

static void
says_who_vanished(void **state)
{
    struct peer technician, agent;
    struct pair *pair = &pairs[3];
    uint8_t in[16];
    struct wsframe frame;

    (void)state;
    relay_open(3, &technician, &agent);
    assert_true(ws_put(&agent, true, WSFRAME_BINARY, "last words", 10));
    peer_close(&agent);
    assert_int_equal(ws_take(&technician, &frame, in, sizeof(in)), WSFRAME_BINARY);
    assert_memory_equal(in, "last words", 10);
    assert_int_equal(ws_take_close(&technician), 1001);
    assert_true(wait_for(&pair->ended, 1, 2000));
    assert_int_equal(atomic_load(&pair->why), RELAY_GONE);
    assert_int_equal(atomic_load(&pair->who), RELAY_AGENT);
    assert_int_equal(atomic_load(&pair->to_technician), 10);
    peer_close(&technician);
}

static void
closes_both_when_one_breaks_the_rules(void **state)
{
    static const struct ws_case cases[] = {
        {"text too long", NULL, RELAY_TEXT_BYTES_MAX + 1, 1009},
        {"unmasked",
            "\x82\x01"
            "a",
            3, 1002},
    };
    static uint8_t long_text[RELAY_TEXT_BYTES_MAX + 1];

    (void)state;
    memset(long_text, 'x', sizeof(long_text));
    for (unsigned i = 0; i < 2; i++) {
        struct peer technician, agent;
        struct pair *pair = &pairs[4 + i];

        relay_open(4 + i, &technician, &agent);
        if (cases[i].bytes == NULL)
            assert_true(ws_put(&technician, true, WSFRAME_TEXT, long_text, sizeof(long_text)));
        else
            assert_true(peer_send(&technician, cases[i].bytes, cases[i].len));
        assert_int_equal(ws_take_close(&technician), cases[i].code);
        assert_int_equal(ws_take_close(&agent), 1001);
        assert_true(wait_for(&pair->ended, 1, 2000));
        assert_int_equal(atomic_load(&pair->why), RELAY_PROTOCOL);
        assert_int_equal(atomic_load(&pair->code), cases[i].code);
        peer_close(&technician);
        peer_close(&agent);
    }
}

/* ---- the server as a whole ---- */

static void
names_a_port_that_is_taken(void **state)
{
    struct http_listen listen = {.address = "127.0.0.1", .port = kit.plain};
    struct http_server_options options = {.loops = 1,
        .listen = &listen,
        .listen_count = 1,
        .app = {.on_head = app_on_head, .on_request = app_on_request, .on_gone = app_on_gone}};
    struct http_server *second;
    char why[256], port[16];

    (void)state;
    assert_int_equal(http_server_new(&options, &second, why, sizeof(why)), ERR_EXISTS);
    snprintf(port, sizeof(port), "%u", kit.plain);
    assert_non_null(strstr(why, port));
}

static void
reloads_its_certificate(void **state)
{
    struct peer before = peer_either(1), after;
    struct tls_client *client;
    char why[256], body[64], other[96];

    (void)state;
    assert_int_equal(peer_ask(&before, GET("/hello"), body, sizeof(body)), 200);
    /* a key that is another's: the old pair stays */
    snprintf(other, sizeof(other), "%s/other", kit.folder);
    kit_certificate(other, kit.key, -60, 3600);
    assert_int_equal(tls_server_reload(kit.tls, why, sizeof(why)), ERR_MISMATCH);
    assert_non_null(strstr(why, "does not belong"));
    after = peer_either(1);
    assert_int_equal(peer_ask(&after, GET("/hello"), body, sizeof(body)), 200);
    peer_close(&after);
    /* expired, and not valid yet */
    kit_certificate(kit.cert, kit.key, -3600, -60);
    assert_int_equal(tls_server_reload(kit.tls, why, sizeof(why)), ERR_MISMATCH);
    assert_non_null(strstr(why, "expired"));
    kit_certificate(kit.cert, kit.key, 60, 3600);
    assert_int_equal(tls_server_reload(kit.tls, why, sizeof(why)), ERR_MISMATCH);
    assert_non_null(strstr(why, "not valid yet"));
    /* a new pair: new connections see it, old ones go on */
    kit_certificate(kit.cert, kit.key, -60, 3600);
    chmod(kit.key, 0644);
    assert_int_equal(tls_server_reload(kit.tls, why, sizeof(why)), ERR_DENIED);
    chmod(kit.key, 0600);
    assert_int_equal(tls_server_reload(kit.tls, why, sizeof(why)), OK);
    assert_int_equal(peer_ask(&before, GET("/hello"), body, sizeof(body)), 200);
    assert_int_equal(tls_client_new(kit.cert, &client, why, sizeof(why)), OK);
    after = peer_connect(kit.secure, client);
    assert_int_equal(peer_ask(&after, GET("/hello"), body, sizeof(body)), 200);
    peer_close(&after);
    peer_close(&before);
    tls_client_free(kit.client);
    kit.client = client;
    unlink(other);
}

static void
a_client_trusts_nobody_else(void **state)
{
    char cert[96], key[96], why[256];
    struct tls_client *client;
    struct peer peer;
    struct tls *tls;

    (void)state;
    snprintf(cert, sizeof(cert), "%s/crt2", kit.folder);
    snprintf(key, sizeof(key), "%s/key2", kit.folder);
    kit_certificate(cert, key, -60, 3600);
    assert_int_equal(tls_client_new(cert, &client, why, sizeof(why)), OK);
    peer = peer_connect(kit.secure, NULL);
    assert_int_equal(tls_connect(client, peer.fd, "localhost", &tls), OK);
    assert_int_equal(tls_handshake(tls), TLS_FAILED);
    tls_free(tls);
    peer_close(&peer);
    peer = peer_connect(kit.secure, NULL); /* right certificate, wrong name */
    assert_int_equal(tls_connect(kit.client, peer.fd, "other.example", &tls), OK);
    assert_int_equal(tls_handshake(tls), TLS_FAILED);
    assert_non_null(strstr(tls_why(tls), "ostname"));
    tls_free(tls);
    peer_close(&peer);
    tls_client_free(client);
    unlink(cert);
    unlink(key);
}

static void
counts_come_back_to_nothing(void **state)
{
    struct loop_counters counters;
    unsigned open = 1;

    (void)state;
    for (int i = 0; i < 600 && open > 0; i++) {
        open = 0;
        for (unsigned k = 0; k < http_server_loops(kit.server); k++) {
            loop_counters_read(http_server_loop(kit.server, k), &counters);
            open += counters.connections + counters.websockets + counters.relays_open;
        }
        kit_sleep_ms(10);
    }
    assert_int_equal(open, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_connection_alive),
        cmocka_unit_test(answers_pipelined_requests_in_order),
        cmocka_unit_test(takes_a_request_byte_by_byte),
        cmocka_unit_test(refuses_and_closes),
        cmocka_unit_test(limits_bodies_and_heads),
        cmocka_unit_test(says_continue_when_asked),
        cmocka_unit_test(streams_with_back_pressure),
        cmocka_unit_test(ends_a_stream_with_the_last_chunk),
        cmocka_unit_test(tells_the_app_who_left),
        cmocka_unit_test(cannot_split_a_response),
        cmocka_unit_test(moves_a_request_to_another_loop),
        cmocka_unit_test(echoes_messages),
        cmocka_unit_test(closes_with_the_right_code),
        cmocka_unit_test(cuts_ping_floods),
        cmocka_unit_test(tells_why_a_websocket_ended),
        cmocka_unit_test(refuses_frames_before_the_101),
        cmocka_unit_test(relays_both_ways_plain),
        cmocka_unit_test(relays_both_ways_over_tls),
        cmocka_unit_test(cuts_with_a_stalled_reader),
        cmocka_unit_test(says_who_vanished),
        cmocka_unit_test(closes_both_when_one_breaks_the_rules),
        cmocka_unit_test(names_a_port_that_is_taken),
        cmocka_unit_test(reloads_its_certificate),
        cmocka_unit_test(a_client_trusts_nobody_else),
        cmocka_unit_test(counts_come_back_to_nothing),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
