/* tls_socket.h: what lies between OpenSSL and the socket (tls.c only). Records written in one call
 * leave in one send, up to TLS_SEND_RECORDS of them: a system call and a walk through the network
 * stack for every 16 KiB would cost more than their encryption. Never blocks. */
#ifndef HTTP_TLS_SOCKET_H
#define HTTP_TLS_SOCKET_H

#include "core/span.h"

struct bio_st; /* OpenSSL's BIO: its headers stay in the adapter's sources */

#define TLS_SEND_RECORDS 4
#define TLS_RECORD_PLAIN 16384
/* Header, content type, tag, explicit nonce, and some more. */
#define TLS_RECORD_WIRE (TLS_RECORD_PLAIN + 256)

struct tls_socket {
    int fd;
    bool gathering; /* what is written now waits in the thread's buffer for its send */
    uint8_t *rest;  /* encrypted, and not taken by the socket; rest_len 0: nothing */
    size_t rest_at, rest_len;
};

/* NULL: no memory. The socket struct outlives the BIO. */
struct bio_st *tls_socket_bio(struct tls_socket *s);
void tls_socket_fini(struct tls_socket *s);

enum tls_sent { TLS_SENT_ALL, TLS_SENT_SOME, TLS_SENT_BROKEN }; /* errno tells */

/* From here on records gather; then they go. *gone: so many bytes of them did (the rest is kept).
 */
void tls_socket_gather(struct tls_socket *s);
enum tls_sent tls_socket_send(struct tls_socket *s, size_t *gone);
size_t tls_socket_gathered(const struct tls_socket *s); /* bytes so far */
/* What was kept of an earlier send. */
enum tls_sent tls_socket_flush(struct tls_socket *s);

#endif
