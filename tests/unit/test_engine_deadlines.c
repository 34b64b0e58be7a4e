/* test_engine_deadlines.c: what is slow is cut when its time is up, and slow ones by the thousand
 * do not slow the others. Takes 31 seconds, because those are the product's own deadlines. build:
 * release */
#include "engine_kit.h"

#include <poll.h>
#include <pthread.h>

static struct {
    struct http_server *server;
    struct tls_server *tls;
    uint16_t plain, secure;
} kit;

static struct http_admit
on_head(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    (void)ctx;
    (void)loop;
    (void)ref;
    (void)request;
    return (struct http_admit){.body_max = 1000};
}

static void
on_message(
    struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message)
{
    (void)user;
    (void)message;
    (void)opcode;
    ws_close(loop, ref, 4000, "bye"); /* and the peer never answers */
}

static void
on_close(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
    struct span reason)
{
    (void)loop;
    (void)ref;
    (void)user;
    (void)end;
    (void)code;
    (void)reason;
}

static const struct ws_handlers handlers = {.on_message = on_message, .on_close = on_close};

static void
on_request(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    struct ws_options options = {.handlers = &handlers};
    struct response response;

    (void)ctx;
    if (request->wants_websocket) {
        assert_int_equal(http_upgrade(loop, ref, &options), OK);
        return;
    }
    response_init(&response, 200);
    response_body(&response, "text/plain", span_str("here"));
    http_reply(loop, ref, &response);
}

static void
on_gone(void *ctx, struct loop *loop, struct ref ref)
{
    (void)ctx;
    (void)loop;
    (void)ref;
}

static int
start(void **state)
{
    char folder[] = "/tmp/gatehouse-slow-XXXXXX", cert[64], key[64], why[256];
    struct http_listen listen[] = {{.address = "127.0.0.1"}, {.address = "127.0.0.1", .tls = true}};
    struct http_server_options options = {.loops = 2,
        .listen = listen,
        .listen_count = 2,
        .app = {.on_head = on_head, .on_request = on_request, .on_gone = on_gone}};

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/crt", folder);
    snprintf(key, sizeof(key), "%s/key", folder);
    kit_certificate(cert, key, -60, 3600);
    assert_int_equal(tls_server_new(cert, key, &kit.tls, why, sizeof(why)), OK);
    unlink(cert);
    unlink(key);
    rmdir(folder);
    options.tls = kit.tls;
    assert_int_equal(http_server_new(&options, &kit.server, why, sizeof(why)), OK);
    assert_int_equal(http_server_start(kit.server), OK);
    kit.plain = http_server_port(kit.server, 0);
    kit.secure = http_server_port(kit.server, 1);
    return 0;
}

static int
stop(void **state)
{
    (void)state;
    http_server_stop(kit.server, 0);
    http_server_free(kit.server);
    tls_server_free(kit.tls);
    return 0;
}

/* One slow caller: what it says at first, and what it says again each second. */
struct slow {
    const char *name;
    bool secure;
    const char *first, *again;
    unsigned from_ms, to_ms; /* when it must be cut */
    int status;              /* the answer it gets before, 0: none */
    struct peer peer;
    uint64_t ended_ms;
    char text[2048];
    size_t len;
};

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define WS                                                                                         \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static struct slow slows[] = {
    {"says nothing", false, "", "", 10000, 11000, 0, {0}, 0, "", 0},
    {"says nothing over TLS", true, "", "", 10000, 11000, 0, {0}, 0, "", 0},
    {"half a TLS record", true, "\x16\x03\x01", "\x01", 10000, 11000, 0, {0}, 0, "", 0},
    {"half a head", false, "GET / HTTP/1.1\r\n", "", 10000, 13500, 408, {0}, 0, "", 0},
    {"a head, byte by byte", false, "GET / HTTP/1.1\r\nX: ", "y", 10000, 13500, 408, {0}, 0, "", 0},
    {"a body, byte by byte", false, POST "Content-Length: 99\r\n\r\n", "y", 30000, 33500, 408, {0},
        0, "", 0},
    {"a body in small chunks", false, POST "Transfer-Encoding: chunked\r\n\r\n", "1\r\ny\r\n",
        30000, 33500, 408, {0}, 0, "", 0},
    {"never answers a close", false, WS, "\x81\x81\0\0\0\0y", 5000, 7500, 101, {0}, 0, "", 0},
};
#define SLOWS (sizeof(slows) / sizeof(slows[0]))

static void
read_some(struct slow *slow, uint64_t since)
{
    ssize_t n;

    if (slow->ended_ms != 0)
        return;
    n = recv(
        slow->peer.fd, slow->text + slow->len, sizeof(slow->text) - 1 - slow->len, MSG_DONTWAIT);
    if (n > 0)
        slow->len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        slow->ended_ms = kit_now_ms() - since;
}

static void
cuts_what_is_slow(void **state)
{
    uint64_t since = kit_now_ms(), said = since;

    (void)state;
    for (size_t i = 0; i < SLOWS; i++) {
        slows[i].peer = peer_connect(slows[i].secure ? kit.secure : kit.plain, NULL);
        (void)peer_send(&slows[i].peer, slows[i].first, strlen(slows[i].first));
    }
    while (kit_now_ms() - since < 34000) {
        bool speak = kit_now_ms() - said >= 1000;

        said += speak ? 1000 : 0;
        for (size_t i = 0; i < SLOWS; i++) {
            read_some(&slows[i], since);
            if (speak && slows[i].ended_ms == 0)
                (void)peer_send(&slows[i].peer, slows[i].again,
                    slows[i].again[0] == '\x81' ? 7 : strlen(slows[i].again));
        }
        kit_sleep_ms(10);
    }
    for (size_t i = 0; i < SLOWS; i++) {
        struct slow *slow = &slows[i];

        slow->text[slow->len] = '\0';
        if (slow->ended_ms < slow->from_ms || slow->ended_ms > slow->to_ms)
            fail_msg("%s: ended after %lu ms", slow->name, (unsigned long)slow->ended_ms);
        if (head_status(slow->text) != slow->status)
            fail_msg("%s: answered %s", slow->name, slow->text);
        peer_close(&slow->peer);
    }
}

static int
by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* A thousand who hold a request open, and one who wants an answer. */
static void
a_thousand_slow_ones_slow_nobody(void **state)
{
    static struct peer peers[1000];
    static uint64_t took[200];
    char body[64];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        peers[i] = peer_connect(i % 2 ? kit.plain : kit.secure, NULL);
        (void)peer_send(&peers[i], "G", 1);
    }
    for (int i = 0; i < 200; i++) {
        struct peer peer;
        uint64_t before = kit_now_ms();

        (void)peer_send(&peers[i * 5 + 1], "E", 1);
        peer = peer_connect(kit.plain, NULL);
        assert_int_equal(
            peer_ask(&peer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", body, sizeof(body)), 200);
        peer_close(&peer);
        took[i] = kit_now_ms() - before;
    }
    qsort(took, 200, sizeof(took[0]), by_size);
    assert_true(took[197] < 250);
    for (int i = 0; i < 1000; i++)
        peer_close(&peers[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_slow_ones_slow_nobody),
        cmocka_unit_test(cuts_what_is_slow),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
