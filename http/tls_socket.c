/* tls_socket.c: see the header. The gathering buffer is the thread's: a session uses it within one
 * call of tls_write only. */
#include "http/tls_socket.h"

#include <errno.h>
#include <openssl/bio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static _Thread_local struct {
    size_t len;
    uint8_t bytes[TLS_SEND_RECORDS * TLS_RECORD_WIRE];
} gathered;

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static bool
would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static ssize_t
send_some(int fd, const uint8_t *bytes, size_t len)
{
    ssize_t n;

    do
        n = send(fd, bytes, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

enum tls_sent
tls_socket_flush(struct tls_socket *s)
{
    while (s->rest_len > 0) {
        ssize_t n = send_some(s->fd, s->rest + s->rest_at, s->rest_len - s->rest_at);

        if (n < 0)
            return would_block() ? TLS_SENT_SOME : TLS_SENT_BROKEN;
        s->rest_at += (size_t)n;
        if (s->rest_at == s->rest_len)
            s->rest_len = 0; /* the memory stays until a send goes through at once */
    }
    return TLS_SENT_ALL;
}

void
tls_socket_gather(struct tls_socket *s)
{
    s->gathering = true;
    gathered.len = 0;
}

size_t
tls_socket_gathered(const struct tls_socket *s)
{
    (void)s;
    return gathered.len;
}

enum tls_sent
tls_socket_send(struct tls_socket *s, size_t *gone)
{
    size_t at = 0;
    ssize_t n = 0;

    s->gathering = false;
    while (at < gathered.len && (n = send_some(s->fd, gathered.bytes + at, gathered.len - at)) >= 0)
        at += (size_t)n;
    *gone = at;
    if (at == gathered.len) {
        tls_socket_fini(s);
        return TLS_SENT_ALL;
    }
    if (!would_block())
        return TLS_SENT_BROKEN;
    if (s->rest == NULL && (s->rest = malloc(sizeof(gathered.bytes))) == NULL)
        return TLS_SENT_BROKEN;
    s->rest_at = 0;
    s->rest_len = gathered.len - at;
    memcpy(s->rest, gathered.bytes + at, s->rest_len);
    return TLS_SENT_SOME;
}

void
tls_socket_fini(struct tls_socket *s)
{
    free(s->rest);
    s->rest = NULL;
    s->rest_len = 0;
}

/* ---- what OpenSSL calls */

static int
socket_write(BIO *bio, const char *bytes, size_t len, size_t *written)
{
    struct tls_socket *s = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    if (s->gathering) {
        if (len > sizeof(gathered.bytes) - gathered.len)
            return 0; /* tls_write sees that this cannot be */
        memcpy(gathered.bytes + gathered.len, bytes, len);
        gathered.len += len;
        *written = len;
        return 1;
    }
    switch (tls_socket_flush(s)) { /* nothing overtakes what was kept */
    case TLS_SENT_ALL: break;
    case TLS_SENT_SOME: BIO_set_retry_write(bio); return 0;
    case TLS_SENT_BROKEN: return 0;
    }
    if ((n = send_some(s->fd, (const uint8_t *)bytes, len)) < 0) {
        if (would_block())
            BIO_set_retry_write(bio);
        return 0;
    }
    *written = (size_t)n;
    return 1;
}

static int
socket_read(BIO *bio, char *bytes, size_t cap, size_t *len)
{
    struct tls_socket *s = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    do
        n = recv(s->fd, bytes, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n < 0 && would_block())
        BIO_set_retry_read(bio);
    *len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

static long
socket_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH;
}

static void
method_make(void)
{
    int type = BIO_get_new_index();

    if (type == -1 || (method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "socket")) == NULL)
        return;
    if (BIO_meth_set_write_ex(method, socket_write) != 1 ||
        BIO_meth_set_read_ex(method, socket_read) != 1 ||
        BIO_meth_set_ctrl(method, socket_ctrl) != 1) {
        BIO_meth_free(method);
        method = NULL;
    }
}

BIO *
tls_socket_bio(struct tls_socket *s)
{
    BIO *bio;

    if (pthread_once(&method_once, method_make) != 0 || method == NULL ||
        (bio = BIO_new(method)) == NULL)
        return NULL;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    return bio;
}
