/* stream.h: a client's byte stream: resolves, connects, shakes hands, then reads and writes, each
 * without ever blocking. Over TCP, TLS or AF_UNIX; or over fds that were opened elsewhere (a PTY,
 * stdin and stdout, an accepted socket). One thread; driven by a pollset. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "core/err.h"
#include "http/pollset.h"
#include "http/resolve.h"
#include "http/url.h"

#include <sys/uio.h>

struct tls;
struct tls_client;

#define STREAM_WHY_MAX 200

enum stream_state {
    STREAM_NONE,
    STREAM_RESOLVING,
    STREAM_CONNECTING,
    STREAM_HANDSHAKING,
    STREAM_OPEN,
    STREAM_FAILED, /* `failure` and `why` tell */
};

/* Where a connection may lead. What a name resolves to is checked, not the name. */
enum stream_reach {
    REACH_ANY,
    REACH_LOOPBACK,
    REACH_NO_LINK_LOCAL, /* remote, but never 169.254.0.0/16 or fe80::/10, nor an unspecified one */
};

struct stream {
    enum stream_state state;
    int rfd, wfd; /* the same for sockets; -1: none */
    struct tls *tls;
    struct tls_client *tls_client; /* borrowed */
    char host[URL_HOST_MAX + 1];
    enum stream_reach reach;
    struct resolve *resolve;
    struct resolved addrs;
    unsigned next_addr;
    int64_t deadline_ms, addr_deadline_ms; /* while not open */
    bool in_ready, out_ready;              /* what poll said, until a call denied it */
    bool read_wants_out, write_wants_in;   /* TLS may need the other direction */
    int slot_in, slot_out;
    enum err failure; /* ERR_NOT_FOUND: no such name; ERR_CLOSED, ERR_TIMEOUT: not reached;
                       * ERR_MISMATCH: TLS; ERR_DENIED: outside its reach */
    char why[STREAM_WHY_MAX];
};

void stream_init(struct stream *s);
void stream_fini(struct stream *s);

/* Begin to connect; what goes wrong shows as STREAM_FAILED. tls_client NULL: plain. */
void stream_connect(struct stream *s, const char *host, uint16_t port, enum stream_reach reach,
    struct tls_client *tls_client, int timeout_ms);
/* The same to addresses resolved before; host is for TLS and messages. */
void stream_connect_to(struct stream *s, const struct resolved *addrs, const char *host,
    enum stream_reach reach, struct tls_client *tls_client, int timeout_ms);
void stream_connect_unix(struct stream *s, const char *path, int timeout_ms);
/* Takes over open, non-blocking fds (or blocking ones that poll is asked about first). */
void stream_adopt(struct stream *s, int rfd, int wfd);

/* Adds what it waits for. While it is not open, both flags are ignored. */
void stream_prepare(struct stream *s, struct pollset *ps, bool want_read, bool want_write);
/* Notes what poll said and goes on connecting. */
enum stream_state stream_step(struct stream *s, const struct pollset *ps);

enum stream_io {
    STREAM_DONE,   /* at least one byte moved */
    STREAM_AGAIN,  /* wait */
    STREAM_EOF,    /* read: the peer will send no more */
    STREAM_BROKEN, /* `why` tells */
};

/* Is it worth a call? */
bool stream_can_read(const struct stream *s);
bool stream_can_write(const struct stream *s);
enum stream_io stream_read(struct stream *s, void *buf, size_t cap, size_t *len) MUST_USE;
enum stream_io stream_write(
    struct stream *s, const void *buf, size_t len, size_t *written) MUST_USE;
/* No more bytes from us: half a close where the other side can see it. */
void stream_end_writes(struct stream *s);

/* Is this address within reach? */
bool stream_reaches(enum stream_reach reach, const struct sockaddr *addr);

#endif
