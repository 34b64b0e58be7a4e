/* test_engine_limits.c: what is bounded in the network engine, at its bounds: mailbox, connection
 * caps, file descriptors, timers. threads: yes */
#include "engine_kit.h"

#include "http/caps.h"
#include "http/timer.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/un.h>

static struct http_admit
no_body(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    (void)ctx;
    (void)loop;
    (void)ref;
    (void)request;
    return (struct http_admit){0};
}

static void
say_ok(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    struct response response;
    char text[64];

    (void)ctx;
    snprintf(text, sizeof(text), "listener %u, uid %u", request->listener, request->peer_uid);
    response_init(&response, 200);
    response_body(&response, "text/plain", span_str(text));
    http_reply(loop, ref, &response);
}

static void
nobody_gone(void *ctx, struct loop *loop, struct ref ref)
{
    (void)ctx;
    (void)loop;
    (void)ref;
}

static struct http_server *
server_with(struct http_listen *listen, size_t count, uint32_t connections_max)
{
    struct http_server_options options = {.loops = 1,
        .listen = listen,
        .listen_count = count,
        .connections_max = connections_max,
        .app = {.on_head = no_body, .on_request = say_ok, .on_gone = nobody_gone}};
    struct http_server *server;
    char why[256];

    if (http_server_new(&options, &server, why, sizeof(why)) != OK)
        fail_msg("%s", why);
    assert_int_equal(http_server_start(server), OK);
    return server;
}

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* ---- mailbox ---- */

static struct {
    sem_t hold;
    atomic_uint arrived, noticed;
} box;

static void
hold_loop(struct loop *loop, struct ref ref, void *arg)
{
    (void)loop;
    (void)ref;
    (void)arg;
    sem_wait(&box.hold);
}

static void
arrive(struct loop *loop, struct ref ref, void *arg)
{
    (void)ref;
    (void)arg;
    assert_true(loop_is_mine(loop));
    atomic_fetch_add(&box.arrived, 1);
}

static void
take_note(struct loop *loop, struct notice *notice)
{
    (void)loop;
    (void)notice;
    atomic_fetch_add(&box.noticed, 1);
}

static void
the_mailbox_is_bounded(void **state)
{
    struct notice notice = {.fn = take_note};
    struct http_server *server;
    struct loop *loop;
    unsigned posted = 0;

    (void)state;
    sem_init(&box.hold, 0, 0);
    server = server_with(NULL, 0, 10);
    loop = http_server_loop(server, 0);
    assert_true(loop_post(loop, hold_loop, (struct ref){0}, NULL));
    kit_sleep_ms(100); /* the loop holds still from here on */
    assert_true(loop_reserve(loop));
    assert_true(loop_reserve(loop));
    while (loop_post(loop, arrive, (struct ref){0}, NULL))
        posted++;
    assert_int_equal(posted, LOOP_MAILBOX_MAX - 2);
    assert_false(loop_reserve(loop));
    assert_true(loop_post_reserved(loop, arrive, (struct ref){0}, NULL)); /* never fails */
    loop_unreserve(loop);
    assert_true(loop_post(loop, arrive, (struct ref){0}, NULL)); /* the place given back */
    for (int i = 0; i < 5; i++)
        loop_notify(loop, &notice); /* nor does this, and it is one wake-up */
    sem_post(&box.hold);
    for (int i = 0; i < 500 && atomic_load(&box.arrived) < LOOP_MAILBOX_MAX; i++)
        kit_sleep_ms(10);
    assert_int_equal(atomic_load(&box.arrived), LOOP_MAILBOX_MAX);
    assert_int_equal(atomic_load(&box.noticed), 1);
    http_server_stop(server, 0);
    assert_false(loop_post(loop, arrive, (struct ref){0}, NULL)); /* stopped */
    assert_false(loop_reserve(loop));
    http_server_free(server);
    sem_destroy(&box.hold);
}

static void *
post_many(void *arg)
{
    struct loop *loop = arg;

    for (int i = 0; i < 20000; i++) {
        while (!loop_post(loop, arrive, (struct ref){0}, NULL))
            kit_sleep_ms(1);
    }
    return NULL;
}

static void
no_post_is_lost(void **state)
{
    struct http_server *server = server_with(NULL, 0, 10);
    pthread_t threads[4];

    (void)state;
    atomic_store(&box.arrived, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, post_many, http_server_loop(server, 0));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    http_server_stop(server, 0); /* what was accepted runs before the loop ends */
    assert_int_equal(atomic_load(&box.arrived), 80000);
    http_server_free(server);
}

/* ---- caps ---- */

static struct caps_key
key_of(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
        return caps_key((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    return caps_key((struct sockaddr *)&in6);
}

static void
caps_count_networks(void **state)
{
    struct caps *caps;

    (void)state;
    assert_int_equal(caps_new(100, 2, &caps), OK);
    assert_true(caps_take(caps, key_of("192.0.2.1")));
    assert_true(caps_take(caps, key_of("::ffff:192.0.2.1"))); /* the same caller */
    assert_false(caps_take(caps, key_of("192.0.2.1")));
    assert_true(caps_take(caps, key_of("192.0.2.2")));
    assert_true(caps_take(caps, key_of("2001:db8::1")));
    assert_true(caps_take(caps, key_of("2001:db8::2"))); /* the same /64 */
    assert_false(caps_take(caps, key_of("2001:db8::ffff:3")));
    assert_true(caps_take(caps, key_of("2001:db8:0:1::1")));
    for (int i = 0; i < 10; i++) /* loopback is a proxy's, or ours */
        assert_true(caps_take(caps, key_of(i % 2 ? "127.0.0.1" : "::1")));
    caps_give(caps, key_of("192.0.2.1"));
    assert_true(caps_take(caps, key_of("192.0.2.1")));
    caps_free(caps);
}

static void
caps_count_all(void **state)
{
    static struct caps_key keys[1000];
    struct caps *caps;
    uint64_t seed = 7;
    unsigned taken = 0;

    (void)state;
    assert_int_equal(caps_new(300, 5, &caps), OK);
    /* many networks come and go; the table must find each of them again, whatever was removed
     * before */
    for (int round = 0; round < 200000; round++) {
        unsigned i;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        i = (unsigned)(seed >> 33) % 1000;
        if (keys[i].kind == 0) {
            struct caps_key key = {i / 2, 4}; /* two callers a network */

            if (caps_take(caps, key)) {
                keys[i] = key;
                taken++;
            } else {
                assert_int_equal(taken, 300);
            }
        } else {
            caps_give(caps, keys[i]);
            keys[i].kind = 0;
            taken--;
        }
    }
    for (int i = 0; i < 1000; i++) {
        if (keys[i].kind != 0)
            caps_give(caps, keys[i]);
    }
    for (unsigned i = 0; i < 300; i++)
        assert_true(caps_take(caps, (struct caps_key){i, 4})); /* nothing has leaked */
    caps_free(caps);
}

static void
a_full_server_turns_callers_away(void **state)
{
    struct http_listen listen = {.address = "127.0.0.1"};
    struct http_server *server = server_with(&listen, 1, 20);
    uint16_t port = http_server_port(server, 0);
    struct peer peers[20], late;
    char body[64];

    (void)state;
    for (int i = 0; i < 20; i++) {
        peers[i] = peer_connect(port, NULL);
        assert_int_equal(peer_ask(&peers[i], GET, body, sizeof(body)), 200);
    }
    late = peer_connect(port, NULL);
    assert_true(peer_recv(&late, body, 1) <= 0);
    peer_close(&late);
    peer_close(&peers[7]);
    kit_sleep_ms(100);
    late = peer_connect(port, NULL);
    assert_int_equal(peer_ask(&late, GET, body, sizeof(body)), 200);
    peer_close(&late);
    for (int i = 0; i < 20; i++) {
        if (i != 7)
            peer_close(&peers[i]);
    }
    http_server_stop(server, 0);
    http_server_free(server);
}

/* ---- file descriptors ---- */

#define FILES_MAX 200

static void
accepting_goes_on_without_files(void **state)
{
    struct http_listen listen = {.address = "127.0.0.1"};
    struct http_server *server = server_with(&listen, 1, 1000);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(http_server_port(server, 0))};
    struct rlimit before, low;
    struct loop_counters counters;
    struct peer peer;
    int sockets[5], fillers[FILES_MAX], filled = 0, fd;
    char body[64];

    (void)state;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 5; i++)
        assert_true((sockets[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){FILES_MAX, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (filled < FILES_MAX && (fd = open("/dev/null", O_RDONLY)) >= 0)
        fillers[filled++] = fd;
    for (int i = 0; i < 5; i++) { /* nobody waits in the backlog for ever */
        struct timeval timeout = {5, 0};

        setsockopt(sockets[i], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        assert_int_equal(connect(sockets[i], (struct sockaddr *)&to, sizeof(to)), 0);
        errno = 0;
        if (recv(sockets[i], body, 1, 0) < 0)
            assert_int_equal(errno, ECONNRESET);
    }
    while (filled > 0)
        close(fillers[--filled]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 5; i++)
        close(sockets[i]);
    loop_counters_read(http_server_loop(server, 0), &counters);
    assert_int_equal(counters.refused_files, 5);
    peer = peer_connect(http_server_port(server, 0), NULL);
    assert_int_equal(peer_ask(&peer, GET, body, sizeof(body)), 200);
    peer_close(&peer);
    http_server_stop(server, 0);
    http_server_free(server);
}

/* ---- a socket in the file system ---- */

static void
listens_in_the_file_system(void **state)
{
    char folder[] = "/tmp/gatehouse-unix-XXXXXX", path[64], body[64], want[64];
    struct http_listen listen = {.unix_path = path, .id = 9};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct http_server *server;
    struct peer peer = {0};
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/admin.sock", folder);
    for (int i = 0; i < 2; i++) { /* the second time over a stale one */
        server = server_with(&listen, 1, 10);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        memcpy(to.sun_path, path, strlen(path) + 1);
        peer.fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(peer.fd, (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(peer_ask(&peer, GET, body, sizeof(body)), 200);
        snprintf(want, sizeof(want), "listener 9, uid %u", getuid());
        assert_string_equal(body, want);
        peer_close(&peer);
        http_server_stop(server, 0);
        http_server_free(server);
        assert_int_not_equal(stat(path, &st), 0);
        if (i == 0) {
            int stale = socket(AF_UNIX, SOCK_STREAM, 0);

            assert_int_equal(bind(stale, (struct sockaddr *)&to, sizeof(to)), 0);
            close(stale);
        }
    }
    rmdir(folder);
}

/* ---- timers ---- */

#define TIMERS 3000

static struct {
    struct timer_wheel wheel;
    struct timer timers[TIMERS];
    uint64_t due_ms[TIMERS]; /* 0: must not run */
    uint64_t now_ms;
    unsigned ran;
} clockwork;

static void
on_time(struct loop *loop, struct timer *timer)
{
    size_t i = (size_t)(timer - clockwork.timers);

    (void)loop;
    assert_true(clockwork.due_ms[i] != 0);
    assert_true(clockwork.now_ms >= clockwork.due_ms[i]);
    assert_true(clockwork.now_ms < clockwork.due_ms[i] + 2 * TIMER_TICK_MS + 50);
    clockwork.due_ms[i] = 0;
    clockwork.ran++;
    timer_stop(&clockwork.wheel, &clockwork.timers[(i + 1) % TIMERS]); /* from within */
    if (clockwork.due_ms[(i + 1) % TIMERS] != 0) {
        clockwork.due_ms[(i + 1) % TIMERS] = 0;
        clockwork.ran++;
    }
}

static void
timers_run_when_due(void **state)
{
    uint64_t seed = 3;

    (void)state;
    clockwork.now_ms = 12345;
    timer_wheel_init(&clockwork.wheel, clockwork.now_ms);
    for (size_t i = 0; i < TIMERS; i++) {
        uint64_t after;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        after = (seed >> 33) % 200000; /* up to three turns of the wheel */
        clockwork.timers[i].fn = on_time;
        timer_set(&clockwork.wheel, &clockwork.timers[i], clockwork.now_ms, after / 2);
        timer_set(&clockwork.wheel, &clockwork.timers[i], clockwork.now_ms, after); /* moved */
        clockwork.due_ms[i] = clockwork.now_ms + after;
    }
    while (clockwork.wheel.count > 0 && clockwork.now_ms < 300000) {
        clockwork.now_ms += 50;
        timer_wheel_run(&clockwork.wheel, NULL, clockwork.now_ms);
    }
    assert_int_equal(clockwork.ran, TIMERS);
    assert_int_equal(clockwork.wheel.count, 0);
    /* after a sleep of many turns everything due runs, and nothing else */
    clockwork.ran = 0;
    timer_set(&clockwork.wheel, &clockwork.timers[0], clockwork.now_ms, 1000);
    timer_set(&clockwork.wheel, &clockwork.timers[2], clockwork.now_ms, 10000000);
    clockwork.now_ms += 3600000;
    clockwork.due_ms[0] = clockwork.now_ms; /* on_time may find it late this once */
    timer_wheel_run(&clockwork.wheel, NULL, clockwork.now_ms);
    assert_int_equal(clockwork.ran, 1);
    assert_true(timer_is_set(&clockwork.timers[2]));
    timer_stop(&clockwork.wheel, &clockwork.timers[2]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mailbox_is_bounded),
        cmocka_unit_test(no_post_is_lost),
        cmocka_unit_test(caps_count_networks),
        cmocka_unit_test(caps_count_all),
        cmocka_unit_test(a_full_server_turns_callers_away),
        cmocka_unit_test(accepting_goes_on_without_files),
        cmocka_unit_test(listens_in_the_file_system),
        cmocka_unit_test(timers_run_when_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
