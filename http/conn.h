/* conn.h: one connection: a socket driven by uv_poll on our fd, TLS or plain, one read path, one
 * write queue, one deadline, one end. What the bytes mean is the business of its ops (http.c, ws.c,
 * relay.c). On the loop's thread only; nothing outside the engine includes this. */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "http/buffer.h"
#include "http/engine.h"
#include "http/tls.h"

#include <netinet/in.h>

#define NEVER UINT64_MAX

struct conn_ops {
    /* How many bytes it would take now; 0: do not read. Asked often, must be cheap and pure. */
    size_t (*room)(const struct conn *conn);
    /* Bytes that arrived, in the loop's read buffer (LOOP_HEADROOM writable bytes before them). */
    void (*on_bytes)(struct conn *conn, uint8_t *bytes, size_t len);
    void (*on_eof)(struct conn *conn);
    /* The peer hung up while nobody reads. */
    void (*on_hangup)(struct conn *conn);
    /* The write queue has run empty. */
    void (*on_drained)(struct conn *conn);
    /* conn_deadline has passed. */
    void (*on_deadline)(struct conn *conn);
    /* Nothing could be written for conn->stall_ms. */
    void (*on_stall)(struct conn *conn);
    /* The last call: tell the app, free the protocol's state. */
    void (*on_end)(struct conn *conn);
    /* The server stops: finish soon, or end. */
    void (*on_stop)(struct conn *conn);
};

union conn_peer {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct conn {
    struct loop *loop;
    struct ref ref;
    int fd;
    bool handshaking, ended, dirty, listed_ready;
    bool read_wants_write, write_wants_read; /* TLS steps that want the other direction */
    bool hangup;                             /* seen EPOLLRDHUP: do not watch for it any more */
    bool eof;
    bool closed;     /* uv is done with it; freed when no list holds it any more */
    bool sent;       /* something was queued since on_drained */
    uint8_t watched; /* what uv_poll watches; 0: stopped */
    struct tls *tls; /* NULL: plain */
    const struct conn_ops *ops;
    union {
        struct http *http; /* http.c */
        struct ws *ws;     /* ws.c, relay.c */
    };
    struct moving *moving; /* being handed to another loop (handover.c) */
    struct buffer out;
    struct span tail; /* static bytes to go out behind `out` */
    struct timer timer;
    uint64_t timer_due_ms;      /* when the timer is set for */
    uint64_t deadline_ms;       /* NEVER, or when ops->on_deadline is due */
    uint64_t write_deadline_ms; /* NEVER, or when on_stall is due unless bytes go out */
    uint64_t heard_ms;          /* last byte in */
    uint32_t stall_ms;
    uint32_t linger_left;
    uv_poll_t poll;
    const struct http_listen *listen;
    struct caps_key cap;
    union conn_peer peer;
    uint32_t peer_uid;
    struct conn *next_dirty, *next_ending, *next_ready;
};

/* Takes over fd (closed on failure as well) and one place in the caps. */
enum err conn_open(struct loop *loop, int fd, const struct http_listen *listen,
    const union conn_peer *peer, uint32_t peer_uid, struct caps_key key) MUST_USE;
/* A connection that comes from another loop: already through its handshake. */
enum err conn_adopt(struct loop *loop, const struct moving *moving, struct conn **out) MUST_USE;

/* NULL if it ended, or is about to. */
struct conn *conn_get(struct loop *loop, struct ref ref);
/* Also one that is about to end, for what on_end may ask. */
struct conn *conn_find(struct loop *loop, struct ref ref);
/* The ref is dead from here on, the connection has another. */
void conn_rename(struct conn *conn);

/* Queues bytes; they go out before the loop sleeps. On no memory the connection ends. */
void conn_send(struct conn *conn, const void *bytes, size_t len);
/* Tries to write at once; queues what the socket does not take. */
void conn_send_now(struct conn *conn, const uint8_t *bytes, size_t len);
size_t conn_queued(const struct conn *conn);
/* Something that room() depends on has changed, or there is something to send. */
void conn_touch(struct conn *conn);
void conn_deadline(struct conn *conn, uint64_t after_ms);
void conn_no_deadline(struct conn *conn);
/* Ends later in this turn, in one place. */
void conn_end(struct conn *conn);
/* The polite end: our side of the connection is shut when the queue is empty, then what still comes
 * is thrown away for a while, so that our last words are not lost to a reset. The protocol's on_end
 * has been called already, or is not needed: the conn belongs to nobody from here on. */
void conn_linger(struct conn *conn);

/* The rude end, at once: what the kernel still holds for the peer is thrown away too (RST). The
 * protocol's state is the caller's to free, as for conn_linger. */
void conn_reset(struct conn *conn);

/* Steps of the loop turn (loop.c). */
void conns_turn(struct loop *loop);
bool conns_busy(const struct loop *loop);

#endif
