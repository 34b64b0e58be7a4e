/* wire.h: what the measuring programs speak: blocking sockets with or without TLS, one HTTP request
 * by hand, WebSocket frames by hand. Whatever goes wrong ends the program: there is nothing to
 * measure then. One thread. */
#ifndef TESTS_BENCH_WIRE_H
#define TESTS_BENCH_WIRE_H

#include "core/span.h"
#include "http/tls.h"

struct wire {
    int fd;
    struct tls *tls; /* NULL: plain */
    uint8_t *early;  /* what came behind a head that was read */
    size_t early_len;
};

struct wire_address {
    const char *host; /* 127.0.0.1 and its like; the certificate says "localhost" */
    uint16_t port;
    const char *source;     /* NULL: any */
    struct tls_client *tls; /* NULL: plain */
};

_Noreturn void wire_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t wire_now_ns(void);
/* CPU seconds that another process has used so far. */
double wire_cpu_s(long pid);
int wire_by_value(const void *a, const void *b); /* int64_t, for qsort */

struct tls_client *wire_client(const char *ca_file);
void wire_connect(const struct wire_address *to, struct wire *out);
int wire_listen(uint16_t *port); /* 0: a free one, told */
void wire_accept(int listener, struct tls_server *tls, struct wire *out);
void wire_close(struct wire *w);

void wire_send(struct wire *w, const void *bytes, size_t len);
size_t wire_recv(struct wire *w, void *bytes, size_t cap); /* at least one */
/* Sends a request and reads the answer's head; returns its status. */
unsigned wire_request(struct wire *w, const char *request, char *head, size_t cap);
/* GET with what makes it a WebSocket; `fields` are further header lines, each with its CRLF. */
void wire_upgrade(struct wire *w, const char *target, const char *protocol, const char *fields);
/* The server's side of it, as nginx needs one behind it. */
void wire_upgraded(struct wire *w);

/* One whole binary message, pongs given meanwhile. Returns its length; 0: the peer closed. */
size_t wire_ws_recv(struct wire *w, uint8_t *out, size_t cap);
void wire_ws_send(struct wire *w, uint8_t opcode, struct span payload);
/* A masked binary frame around `len` random bytes. Returns its length. */
size_t wire_frame(uint8_t *out, size_t cap, size_t len);

#endif
