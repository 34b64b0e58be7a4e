/* wire.c: see the header. */
#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/wsframe.h"

#define HEAD_MAX 16384

void
wire_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

int64_t
wire_now_ns(void)
{
    struct timespec ts;

    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        wire_die("no clock");
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

double
wire_cpu_s(long pid)
{
    unsigned long user, system;
    char path[64], line[1024];
    const char *rest;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if ((f = fopen(path, "re")) == NULL || fgets(line, sizeof(line), f) == NULL ||
        (rest = strrchr(line, ')')) == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        wire_die("%s cannot be read", path);
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

int
wire_by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* ---- sockets ---- */

struct tls_client *
wire_client(const char *ca_file)
{
    struct tls_client *client;
    char why[256];

    if (tls_client_new(ca_file, &client, why, sizeof(why)) != OK)
        wire_die("%s: %s", ca_file, why);
    return client;
}

static struct sockaddr_in
address_of(const char *host, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        wire_die("%s is no IPv4 address", host);
    return a;
}

static void
no_delay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void
wire_connect(const struct wire_address *to, struct wire *out)
{
    struct sockaddr_in there = address_of(to->host, to->port);
    int late = 1;

    *out = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (to->source != NULL) {
        struct sockaddr_in here = address_of(to->source, 0);

        (void)setsockopt(out->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
        if (bind(out->fd, (struct sockaddr *)&here, sizeof(here)) != 0)
            wire_die("bind %s: %s", to->source, strerror(errno));
    }
    if (connect(out->fd, (struct sockaddr *)&there, sizeof(there)) != 0)
        wire_die("connect %s:%u: %s", to->host, to->port, strerror(errno));
    no_delay(out->fd);
    if (to->tls == NULL)
        return;
    if (tls_connect(to->tls, out->fd, "localhost", &out->tls) != OK ||
        tls_handshake(out->tls) != TLS_DONE)
        wire_die("TLS: %s", out->tls != NULL ? tls_why(out->tls) : "no memory");
}

int
wire_listen(uint16_t *port)
{
    struct sockaddr_in a = address_of("127.0.0.1", *port);
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        wire_die("listen: %s", strerror(errno));
    *port = ntohs(a.sin_port);
    return fd;
}

void
wire_accept(int listener, struct tls_server *tls, struct wire *out)
{
    *out = (struct wire){.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)};
    if (out->fd < 0)
        wire_die("accept: %s", strerror(errno));
    no_delay(out->fd);
    if (tls != NULL &&
        (tls_accept(tls, out->fd, &out->tls) != OK || tls_handshake(out->tls) != TLS_DONE))
        wire_die("TLS: %s", out->tls != NULL ? tls_why(out->tls) : "no memory");
}

void
wire_close(struct wire *w)
{
    if (w->tls != NULL)
        tls_free(w->tls);
    free(w->early);
    close(w->fd);
    *w = (struct wire){.fd = -1};
}

void
wire_send(struct wire *w, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    size_t n;

    while (len > 0) {
        if (w->tls != NULL) {
            if (tls_write(w->tls, p, len, &n) != TLS_DONE)
                wire_die("send: %s", tls_why(w->tls));
        } else {
            ssize_t sent = send(w->fd, p, len, MSG_NOSIGNAL);

            if (sent <= 0)
                wire_die("send: %s", strerror(errno));
            n = (size_t)sent;
        }
        p += n;
        len -= n;
    }
}

size_t
wire_recv(struct wire *w, void *bytes, size_t cap)
{
    enum tls_step step;
    ssize_t n;
    size_t len;

    if (w->early_len > 0) {
        len = w->early_len < cap ? w->early_len : cap;
        memcpy(bytes, w->early, len);
        memmove(w->early, w->early + len, w->early_len - len);
        w->early_len -= len;
        return len;
    }
    if (w->tls != NULL) {
        while ((step = tls_read(w->tls, bytes, cap, &len)) == TLS_WANT_READ)
            ;
        if (step != TLS_DONE)
            wire_die("recv: %s", step == TLS_EOF ? "the peer closed" : tls_why(w->tls));
        return len;
    }
    n = recv(w->fd, bytes, cap, 0);
    if (n <= 0)
        wire_die("recv: %s", n == 0 ? "the peer closed" : strerror(errno));
    return (size_t)n;
}

/* ---- HTTP ---- */

static void
read_head(struct wire *w, char *head, size_t cap)
{
    size_t len = 0, head_len, rest;
    char *end = NULL;

    while (end == NULL) {
        if (len + 1 >= cap)
            wire_die("a head of more than %zu bytes", cap);
        len += wire_recv(w, head + len, cap - 1 - len);
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    head_len = (size_t)(end - head) + 4;
    rest = len - head_len;
    if (rest > 0) {
        uint8_t *early = malloc(rest + w->early_len);

        if (early == NULL)
            wire_die("out of memory");
        memcpy(early, head + head_len, rest);
        if (w->early_len > 0)
            memcpy(early + rest, w->early, w->early_len);
        free(w->early);
        w->early = early;
        w->early_len += rest;
    }
    head[head_len] = '\0';
}

unsigned
wire_request(struct wire *w, const char *request, char *head, size_t cap)
{
    unsigned status;

    wire_send(w, request, strlen(request));
    read_head(w, head, cap);
    if (sscanf(head, "HTTP/1.1 %u", &status) != 1)
        wire_die("no HTTP: %.80s", head);
    return status;
}

void
wire_upgrade(struct wire *w, const char *target, const char *protocol, const char *fields)
{
    char request[HEAD_MAX], head[HEAD_MAX];
    unsigned status;

    snprintf(request, sizeof(request),
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: %s\r\n%s\r\n",
        target, protocol, fields);
    if ((status = wire_request(w, request, head, sizeof(head))) != 101)
        wire_die("%s was refused with %u: %.*s", target, status, (int)w->early_len,
            w->early != NULL ? (const char *)w->early : "");
}

void
wire_upgraded(struct wire *w)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    char head[HEAD_MAX];

    read_head(w, head, sizeof(head));
    wire_send(w, answer, sizeof(answer) - 1);
}

/* ---- WebSocket ---- */

static void
recv_all(struct wire *w, uint8_t *out, size_t len)
{
    while (len > 0) {
        size_t n = wire_recv(w, out, len);

        out += n;
        len -= n;
    }
}

/* A frame's header, byte by byte: it says itself when it is whole. */
static void
recv_header(struct wire *w, struct wsframe *frame)
{
    uint8_t header[WSFRAME_HEADER_MAX];

    for (size_t n = 1; n <= sizeof(header); n++) {
        enum err err;

        recv_all(w, header + n - 1, 1);
        if ((err = wsframe_parse(span_of(header, n), frame)) == OK)
            return;
        if (err != ERR_SHORT)
            break;
    }
    wire_die("no WebSocket frame");
}

size_t
wire_ws_recv(struct wire *w, uint8_t *out, size_t cap)
{
    uint8_t control[125];
    struct wsframe frame;
    size_t len = 0;

    for (;;) {
        recv_header(w, &frame);
        if (frame.opcode >= WSFRAME_CLOSE) {
            recv_all(w, control, (size_t)frame.payload_len);
            if (frame.opcode == WSFRAME_CLOSE)
                return 0;
            if (frame.opcode == WSFRAME_PING)
                wire_ws_send(w, WSFRAME_PONG, span_of(control, (size_t)frame.payload_len));
            continue;
        }
        if (frame.payload_len > cap - len)
            wire_die("a message of more than %zu bytes", cap);
        recv_all(w, out + len, (size_t)frame.payload_len);
        len += (size_t)frame.payload_len;
        if (frame.fin)
            return len;
    }
}

void
wire_ws_send(struct wire *w, uint8_t opcode, struct span payload)
{
    uint8_t *frame = malloc(payload.len + WSFRAME_HEADER_MAX), mask[4];
    size_t header;

    if (frame == NULL)
        wire_die("out of memory");
    randombytes_buf(mask, sizeof(mask));
    header = wsframe_write(frame, true, opcode, payload.len, mask);
    wsframe_mask(frame + header, payload.ptr, payload.len, mask, 0);
    wire_send(w, frame, header + payload.len);
    free(frame);
}

size_t
wire_frame(uint8_t *out, size_t cap, size_t len)
{
    uint8_t mask[4];
    size_t header;

    randombytes_buf(mask, sizeof(mask));
    header = wsframe_write(out, true, WSFRAME_BINARY, len, mask);
    if (header + len > cap)
        wire_die("a frame of more than %zu bytes", cap);
    randombytes_buf(out + header, len);
    return header + len;
}
