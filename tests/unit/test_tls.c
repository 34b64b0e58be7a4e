/* test_tls.c: bytes through TLS over sockets that take and give little at a time: what was
 * encrypted and not taken is neither lost, nor sent twice, nor overtaken. */
#include "tests/unit/engine_kit.h"

#include <fcntl.h>
#include <sodium.h>

#define VOLUME (3 * 1024 * 1024)

static struct {
    char cert[64], key[64];
    struct tls_server *server;
    struct tls_client *client;
    struct tls *near, *far;
    int fd[2];
    uint8_t sent[VOLUME], got[VOLUME];
    size_t sent_len, got_len;
} t;

static int
open_pair(void **state)
{
    int small = 4096;
    enum tls_step a = TLS_WANT_READ, b = TLS_WANT_READ;

    (void)state;
    t.sent_len = t.got_len = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t.fd), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(t.fd[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    assert_int_equal(tls_accept(t.server, t.fd[0], &t.far), OK);
    assert_int_equal(tls_connect(t.client, t.fd[1], "localhost", &t.near), OK);
    for (int i = 0; i < 1000 && (a != TLS_DONE || b != TLS_DONE); i++) {
        if (a != TLS_DONE)
            a = tls_handshake(t.near);
        if (b != TLS_DONE)
            b = tls_handshake(t.far);
    }
    assert_int_equal(a, TLS_DONE);
    assert_int_equal(b, TLS_DONE);
    return 0;
}

static int
close_pair(void **state)
{
    (void)state;
    tls_free(t.near);
    tls_free(t.far);
    close(t.fd[0]);
    close(t.fd[1]);
    return 0;
}

static size_t
some(size_t most)
{
    size_t n = 1 + randombytes_uniform((uint32_t)(randombytes_uniform(2) == 0 ? 100 : 200000));

    return n < most ? n : most;
}

static void
read_some(void)
{
    enum tls_step step;
    size_t n;

    if (t.got_len == VOLUME)
        return;
    step = tls_read(t.far, t.got + t.got_len, some(VOLUME - t.got_len), &n);
    assert_true(step == TLS_DONE || step == TLS_WANT_READ);
    assert_true(step == TLS_DONE ? n > 0 : !tls_pending(t.far));
    t.got_len += n;
}

/* As the contract has it: what was not written comes again first, from another place, and more
 * behind it. */
static void
every_byte_comes_once_and_in_order(void **state)
{
    static uint8_t moved[VOLUME];
    size_t waits = 0, owed = 0, n;

    (void)state;
    randombytes_buf(t.sent, VOLUME);
    while (t.got_len < VOLUME) {
        if (t.sent_len < VOLUME && randombytes_uniform(3) > 0) {
            size_t len = some(VOLUME - t.sent_len);
            enum tls_step step;

            if (len < owed)
                len = owed;
            memcpy(moved, t.sent + t.sent_len, len);
            step = tls_write(t.near, moved, len, &n);
            assert_true(step == TLS_DONE ? n > 0 && n <= len : step == TLS_WANT_WRITE && n == 0);
            memset(moved, 0, len);
            waits += step == TLS_WANT_WRITE;
            t.sent_len += n;
            owed = len - n;
        } else {
            read_some();
        }
    }
    assert_int_equal(t.sent_len, VOLUME);
    assert_memory_equal(t.sent, t.got, VOLUME);
    assert_true(waits > 10); /* the sockets were small enough to mean something */
}

/* A close_notify while something waits does not jump the queue: the record it would cut stays
 * whole. */
static void
the_end_overtakes_nothing(void **state)
{
    enum tls_step step;
    size_t n, sum = 0;

    (void)state;
    randombytes_buf(t.sent, VOLUME);
    while (tls_write(t.near, t.sent + t.sent_len, 100000, &n) == TLS_DONE)
        t.sent_len += n;
    while ((step = tls_read(t.far, t.got, VOLUME, &n)) == TLS_DONE)
        sum += n;
    tls_shutdown(t.near); /* now there is room for it */
    while ((step = tls_read(t.far, t.got, VOLUME, &n)) == TLS_DONE)
        sum += n;
    assert_int_equal(step, TLS_WANT_READ); /* not TLS_FAILED: what came was sound */
    assert_true(sum >= t.sent_len);
    while (t.sent_len < sum + 50000) { /* and it goes on where it was */
        if (tls_write(t.near, t.sent + t.sent_len, 100000, &n) == TLS_DONE)
            t.sent_len += n;
        if (tls_read(t.far, t.got, VOLUME, &n) == TLS_FAILED)
            fail_msg("%s", tls_why(t.far));
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_comes_once_and_in_order, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(the_end_overtakes_nothing, open_pair, close_pair),
    };
    char dir[] = "/tmp/gatehouse-tls-XXXXXX", why[256];
    int failed;

    if (sodium_init() < 0 || mkdtemp(dir) == NULL)
        return 1;
    snprintf(t.cert, sizeof(t.cert), "%s/crt", dir);
    snprintf(t.key, sizeof(t.key), "%s/key", dir);
    kit_certificate(t.cert, t.key, -60, 3600);
    if (tls_server_new(t.cert, t.key, &t.server, why, sizeof(why)) != OK ||
        tls_client_new(t.cert, &t.client, why, sizeof(why)) != OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_client_free(t.client);
    tls_server_free(t.server);
    unlink(t.cert);
    unlink(t.key);
    rmdir(dir);
    return failed;
}
