/* tls.h: TLS 1.2 (AEAD) and 1.3, seen from a socket driver; no other file than tls.c names SSL_.
 * Contexts may be used from any thread, a session by one thread at a time. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "core/err.h"
#include "core/span.h"

struct tls_server;
struct tls_client;
struct tls; /* one session over one socket */

/* Reads certificate chain and key (PEM). Refused, with a line in `why` for the operator:
 * unreadable, key does not belong to the certificate, expired, not valid yet, key too weak. */
enum err tls_server_new(const char *cert_file, const char *key_file, struct tls_server **out,
    char *why, size_t why_len) MUST_USE;
/* Any thread. Reads both files again; on error the old pair stays in force. Sessions go on. */
enum err tls_server_reload(struct tls_server *server, char *why, size_t why_len) MUST_USE;
void tls_server_free(struct tls_server *server);

/* Client side. ca_file NULL: the system's trust store; else only that file is trusted. Nothing
 * turns verification off. */
enum err tls_client_new(
    const char *ca_file, struct tls_client **out, char *why, size_t why_len) MUST_USE;
void tls_client_free(struct tls_client *client);

/* A session over a connected, non-blocking socket; the fd stays the caller's. */
enum err tls_accept(struct tls_server *server, int fd, struct tls **out) MUST_USE;
/* host: the name (or numeric address) that the certificate must carry; also sent as SNI. */
enum err tls_connect(
    struct tls_client *client, int fd, const char *host, struct tls **out) MUST_USE;
void tls_free(struct tls *tls);

/* What a step came to. A step may want the other direction than its own name says. */
enum tls_step {
    TLS_DONE,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_EOF,    /* the peer said close_notify, or just closed (`tls_read`) */
    TLS_FAILED, /* protocol or system error; tls_why tells */
};

enum tls_step tls_handshake(struct tls *tls) MUST_USE;
/* Both move at least one byte when TLS_DONE. After tls_write said WANT_*, repeat it with the same
 * bytes first (they may have moved in memory, and more may follow them). */
enum tls_step tls_read(struct tls *tls, void *buf, size_t cap, size_t *len) MUST_USE;
enum tls_step tls_write(struct tls *tls, const void *buf, size_t len, size_t *written) MUST_USE;
/* Says close_notify, best effort, without waiting. */
void tls_shutdown(struct tls *tls);
/* Bytes taken from the socket and not yet given out? Then the socket alone will not wake us. */
bool tls_pending(const struct tls *tls);
/* Why the last step failed, for a person ("certificate has expired", "host name mismatch"). */
const char *tls_why(const struct tls *tls);

#endif
