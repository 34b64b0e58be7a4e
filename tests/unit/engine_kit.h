/* engine_kit.h: what the tests of the network engine share: a throw-away certificate, a blocking
 * client with and without TLS, a WebSocket client that can also break the rules. */
#ifndef ENGINE_KIT_H
#define ENGINE_KIT_H

#include "http/server.h"
#include "http/tls.h"
#include "http/wsframe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

__attribute__((unused)) static uint64_t
kit_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

__attribute__((unused)) static void
kit_sleep_ms(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

/* ---- certificates ---- */

/* A self-signed P-256 certificate for localhost and 127.0.0.1, valid from `from` to `to` seconds
 * from now; its key in key_path (mode 0600). */
__attribute__((unused)) static void
kit_certificate(const char *cert_path, const char *key_path, long from, long to)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *san;
    X509V3_CTX ctx;
    FILE *f;

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_set_version(cert, 2);
    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), to);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    san = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_non_null(f = fopen(cert_path, "w"));
    PEM_write_X509(f, cert);
    fclose(f);
    assert_non_null(f = fopen(key_path, "w"));
    fchmod(fileno(f), 0600);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* ---- a blocking client ---- */

struct peer {
    int fd;
    struct tls *tls;
};

__attribute__((unused)) static struct peer
peer_connect(uint16_t port, struct tls_client *tls)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval timeout = {20, 0};
    struct peer peer = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(peer.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(peer.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(peer.fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("connect: %s", strerror(errno));
    if (tls != NULL) {
        assert_int_equal(tls_connect(tls, peer.fd, "localhost", &peer.tls), OK);
        if (tls_handshake(peer.tls) != TLS_DONE)
            fail_msg("handshake: %s", tls_why(peer.tls));
    }
    return peer;
}

__attribute__((unused)) static void
peer_close(struct peer *peer)
{
    tls_free(peer->tls);
    if (peer->fd >= 0)
        close(peer->fd);
    *peer = (struct peer){.fd = -1};
}

/* False: the other side is gone. */
__attribute__((unused)) static bool
peer_send(struct peer *peer, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    size_t n;

    while (len > 0) {
        if (peer->tls != NULL) {
            if (tls_write(peer->tls, p, len, &n) != TLS_DONE)
                return false;
        } else {
            ssize_t sent = send(peer->fd, p, len, MSG_NOSIGNAL);

            if (sent <= 0)
                return false;
            n = (size_t)sent;
        }
        p += n;
        len -= n;
    }
    return true;
}

/* Bytes received; 0 at the end; -1 on reset or time-out. */
__attribute__((unused)) static ssize_t
peer_recv(struct peer *peer, void *bytes, size_t cap)
{
    size_t n;

    if (peer->tls == NULL)
        return recv(peer->fd, bytes, cap, 0);
    switch (tls_read(peer->tls, bytes, cap, &n)) {
    case TLS_DONE: return (ssize_t)n;
    case TLS_EOF: return 0;
    default: return -1;
    }
}

__attribute__((unused)) static bool
peer_recv_all(struct peer *peer, void *bytes, size_t len)
{
    uint8_t *p = bytes;

    while (len > 0) {
        ssize_t n = peer_recv(peer, p, len);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads until the end of the connection; returns the length, text is NUL-terminated. */
__attribute__((unused)) static size_t
peer_recv_to_end(struct peer *peer, char *text, size_t cap)
{
    size_t len = 0;
    ssize_t n;

    while (len + 1 < cap && (n = peer_recv(peer, text + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return len;
}

/* One response head, up to and with the empty line. False: it did not come. */
__attribute__((unused)) static bool
peer_recv_head(struct peer *peer, char *head, size_t cap)
{
    size_t len = 0;

    while (len + 1 < cap) {
        if (!peer_recv_all(peer, head + len, 1))
            return false;
        head[++len] = '\0';
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

__attribute__((unused)) static size_t
head_length(const char *head)
{
    const char *at = strstr(head, "Content-Length: ");

    assert_non_null(at);
    return strtoul(at + strlen("Content-Length: "), NULL, 10);
}

__attribute__((unused)) static int
head_status(const char *head)
{
    if (strncmp(head, "HTTP/1.1 ", 9) != 0)
        return 0;
    return (int)strtol(head + 9, NULL, 10);
}

/* Sends text, reads one whole answer with a length; returns its status, 0 if none came. */
__attribute__((unused)) static int
peer_ask(struct peer *peer, const char *request, char *body, size_t cap)
{
    char head[4096];
    size_t len;

    if (!peer_send(peer, request, strlen(request)) || !peer_recv_head(peer, head, sizeof(head)))
        return 0;
    len = head_length(head);
    assert_true(len < cap);
    if (!peer_recv_all(peer, body, len))
        return 0;
    body[len] = '\0';
    return head_status(head);
}

/* ---- a WebSocket client ---- */

__attribute__((unused)) static int
ws_ask(struct peer *peer, const char *path)
{
    char request[512], head[4096];
    int n = snprintf(request, sizeof(request),
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        path);

    if (!peer_send(peer, request, (size_t)n) || !peer_recv_head(peer, head, sizeof(head)))
        return 0;
    if (head_status(head) == 101)
        assert_non_null(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    return head_status(head);
}

__attribute__((unused)) static bool
ws_put(struct peer *peer, bool fin, uint8_t opcode, const void *bytes, size_t len)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *frame = malloc(WSFRAME_HEADER_MAX + len);
    size_t n = wsframe_write(frame, fin, opcode, len, mask);
    bool sent;

    wsframe_mask(frame + n, bytes, len, mask, 0);
    sent = peer_send(peer, frame, n + len);
    free(frame);
    return sent;
}

/* One frame; -1: none came. payload must hold it. */
__attribute__((unused)) static int
ws_take(struct peer *peer, struct wsframe *frame, uint8_t *payload, size_t cap)
{
    uint8_t header[WSFRAME_HEADER_MAX];
    size_t len = 0;
    enum err err;

    do {
        if (!peer_recv_all(peer, header + len, 1))
            return -1;
        err = wsframe_parse(span_of(header, ++len), frame);
    } while (err == ERR_SHORT);
    assert_int_equal(err, OK);
    assert_false(frame->masked);
    assert_true(frame->payload_len <= cap);
    if (!peer_recv_all(peer, payload, (size_t)frame->payload_len))
        return -1;
    return frame->opcode;
}

/* The code of the close frame that comes next (others are skipped); 0: the connection ended
 * without; 1005: without a code. */
__attribute__((unused)) static int
ws_take_close(struct peer *peer)
{
    static uint8_t payload[WS_MESSAGE_BYTES_MAX];
    struct wsframe frame;
    int opcode;

    while ((opcode = ws_take(peer, &frame, payload, sizeof(payload))) >= 0) {
        if (opcode == WSFRAME_CLOSE)
            return frame.payload_len < 2 ? 1005 : payload[0] << 8 | payload[1];
    }
    return 0;
}

#endif
