/* server.h: the network engine as the rest of the server sees it: loops, listeners, requests,
 * answers, WebSockets. It never decides who may do what: it checks form and size, keeps deadlines,
 * and hands whole requests to the app.
 *
 * Threads: each connection belongs to one loop. All callbacks run on that loop's thread, and all
 * functions taking (loop, ref) must be called there; from elsewhere use loop_post / loop_notify.
 * A ref names a connection; after it ended, calls with its ref do nothing.
 * Callbacks may call any function here, also for their own ref: a connection ends later in the
 * turn, never under the caller's feet.
 *
 * HTTP/1.1 after RFC 9110 and 9112, WebSocket after RFC 6455. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "core/err.h"
#include "core/limits.h"
#include "core/ref.h"
#include "core/span.h"
#include "http/loop.h"
#include "http/response.h"

#include <sys/socket.h>

struct http_server;
struct tls_server; /* tls.h */

/* ---- requests ---- */

enum http_method {
    METHOD_GET,
    METHOD_HEAD, /* the engine drops the body of the answer by itself */
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_TRACE,
}; /* anything else is answered 501 by the engine */

const char *http_method_name(enum http_method method);

struct http_field {
    struct span name;  /* lower case */
    struct span value; /* without the blanks around it; may hold bytes >= 0x80 */
};

struct request {
    enum http_method method;
    struct span path; /* begins with '/' ("*" for OPTIONS *); still percent-encoded, but valid: each
                       * '%' is followed by two hex digits; no controls, no bytes >= 0x7f */
    struct span query; /* behind '?'; empty if none */
    struct span host;  /* as sent, with port if any; empty only for HTTP/1.0 without Host */
    const struct http_field *fields;
    size_t field_count;
    struct span body;             /* decoded; empty while in on_head */
    size_t body_announced;        /* Content-Length, or SIZE_MAX for chunked, 0 for none */
    struct sockaddr_storage peer; /* the socket's own; AF_UNIX on admin.sock */
    uint32_t peer_uid;            /* of an AF_UNIX peer */
    unsigned listener;            /* http_listen.id of the listener it came in by */
    bool tls;
    bool http10;
    bool wants_websocket; /* a well-formed RFC 6455 handshake: http_upgrade may be called.
                           * Malformed ones were answered 400/426 by the engine. */
};

/* The first field of that name (lower case); NULL if absent. */
const struct span *http_field(const struct request *request, const char *name);
/* How often it occurs: fields that must be single are checked with this. */
size_t http_field_count(const struct request *request, const char *name);

/* Walks the items of a comma-separated field (all its occurrences joined), blanks trimmed, empty
 * ones skipped; e.g. the offers in "sec-websocket-protocol". Start: {.request = r, .name = n}. */
struct http_list {
    const struct request *request;
    const char *name; /* lower case */
    size_t next_field;
    struct span rest;
};
bool http_list_next(struct http_list *list, struct span *item) MUST_USE;

/* What on_head answers. */
struct http_admit {
    uint16_t refuse; /* 0, or the status (4xx, 5xx) to refuse with, unread body and all */
    size_t body_max; /* a longer body is 413, before it is read; 0: no body allowed */
};

struct http_app {
    void *ctx;
    /* The head is whole and valid; the body is not there yet. Must not call http_reply. */
    struct http_admit (*on_head)(
        void *ctx, struct loop *loop, struct ref ref, const struct request *request);
    /* The request is whole. Answer now or later by http_reply, http_stream_begin, http_upgrade or
     * http_move. The request's memory lives until then (or until on_gone returns). */
    void (*on_request)(void *ctx, struct loop *loop, struct ref ref, const struct request *request);
    /* Called once if the connection ends after on_request and before the answer was complete
     * (peer gone, cut, server stopping, write deadline). The ref is dead after it returns. */
    void (*on_gone)(void *ctx, struct loop *loop, struct ref ref);
};

/* The request waiting for an answer, or NULL: gone or answered. */
const struct request *http_request(struct loop *loop, struct ref ref);

/* A pointer of the app's beside a request (its walk); NULL at first and again with each request. */
void http_set_user(struct loop *loop, struct ref ref, void *user);
void *http_user(struct loop *loop, struct ref ref);

/* ---- answers ---- */

/* Sends the whole answer. The request is gone afterwards, and so is its ref: the connection's next
 * request has another, so that a late second answer cannot become the next request's. */
void http_reply(struct loop *loop, struct ref ref, const struct response *response);

/* A streamed answer (chunked; for HTTP/1.0 until close). on_drain(user) is called when the queue
 * has become empty after http_stream_write said false. on_gone is called if it breaks off. */
void http_stream_begin(struct loop *loop, struct ref ref, const struct response *response,
    void (*on_drain)(struct loop *loop, struct ref ref, void *user), void *user);
/* Takes all bytes (copied). False: enough for now, wait for on_drain (or the ref is dead).
 * A writer that goes on regardless is cut at HTTP_STREAM_QUEUE_MAX. */
bool http_stream_write(struct loop *loop, struct ref ref, struct span bytes);
void http_stream_end(struct loop *loop, struct ref ref);
/* Ends the connection without the last chunk, so that the peer sees the answer is incomplete. */
void http_stream_abort(struct loop *loop, struct ref ref);

/* Drops a connection at once, whatever it is doing (revocation). Its last callback comes later in
 * this turn. */
void http_drop(struct loop *loop, struct ref ref);

/* ---- WebSocket ---- */

enum ws_opcode {
    WS_TEXT = 1,
    WS_BINARY = 2,
};

enum ws_end {
    WS_END_CLOSED,   /* close handshake by either side; code is the peer's (1005: none given) */
    WS_END_PROTOCOL, /* the peer broke the protocol; code is what we closed with */
    WS_END_GONE,     /* connection lost without a close frame */
    WS_END_DEAD,     /* no answer to pings for WS_DEAD_MS */
    WS_END_SLOW,     /* it read nothing of what was queued for RELAY_STALL_MS */
    WS_END_DROPPED,  /* http_drop, server stopping */
};

struct ws_handlers {
    /* A whole message; text is valid UTF-8. The bytes live until it returns. */
    void (*on_message)(
        struct loop *loop, struct ref ref, void *user, enum ws_opcode opcode, struct span message);
    /* The queue is empty again after ws_send said ERR_FULL. May be NULL. */
    void (*on_drain)(struct loop *loop, struct ref ref, void *user);
    /* Once, at the end, whatever the reason; not called for sockets that a relay took over. */
    void (*on_close)(struct loop *loop, struct ref ref, void *user, enum ws_end end, uint16_t code,
        struct span reason);
    size_t
        message_max; /* at most WS_MESSAGE_BYTES_MAX; longer is closed with 1009. 0: that maximum */
};

struct ws_options {
    const char *subprotocol;            /* echoed, or NULL */
    const struct ws_handlers *handlers; /* static storage */
    void *user;
    bool hold; /* read nothing until ws_release or relay_pair: what the peer sends stays in its
                * socket. Its disappearance is still noticed. */
};

/* Sends the 101. Only for a request with wants_websocket and nothing behind its head; else the
 * engine answers 400 itself (503 while stopping). On any error there is no further callback for the
 * ref. The ref stays the same; the request's memory is gone. */
enum err http_upgrade(struct loop *loop, struct ref ref, const struct ws_options *options) MUST_USE;
void ws_release(struct loop *loop, struct ref ref);

/* Queues a message. ERR_FULL: nothing was queued, more than WS_QUEUE_BYTES_MAX would wait;
 * ERR_CLOSED: the ref is dead or closing. */
enum err ws_send(
    struct loop *loop, struct ref ref, enum ws_opcode opcode, struct span message) MUST_USE;
/* Starts the close handshake; on_close follows when it is over, after 5 s at the latest. */
void ws_close(struct loop *loop, struct ref ref, uint16_t code, const char *reason);
void ws_set_handlers(
    struct loop *loop, struct ref ref, const struct ws_handlers *handlers, void *user);
void *ws_user(struct loop *loop, struct ref ref);

/* ---- hand-over ---- */

/* On arrival on the new loop: the same request with a new ref there, waiting for its answer.
 * request NULL: the new loop could not take it; the connection is closed and only `user` is left.
 */
typedef void (*http_arrived_fn)(
    struct loop *loop, struct ref ref, const struct request *request, void *user);

/* Moves a request that waits for its answer, with its connection, to another loop (or the same:
 * the callback then comes by the mailbox all the same). OK: the old ref is dead, without on_gone.
 * ERR_MALFORMED: bytes behind the head (answer 400). ERR_FULL: the new loop's mailbox is full
 * (answer 503). ERR_NOT_FOUND: no such request. http_user moves along. */
enum err http_move(
    struct loop *loop, struct ref ref, struct loop *to, http_arrived_fn fn, void *user) MUST_USE;

/* ---- the server ---- */

struct http_listen {
    const char *address;   /* numeric IPv4 or IPv6 address; NULL if unix_path */
    uint16_t port;         /* 0: the kernel chooses, see http_server_port */
    const char *unix_path; /* a socket with mode 0600, peers of our own uid or root only */
    bool tls;
    unsigned id; /* appears as request.listener */
};

struct http_server_options {
    unsigned loops;           /* 0: max(1, cores - 1) */
    uint32_t connections_max; /* in all; 0: HTTP_CONNECTIONS_MAX */
    uint32_t per_address_max; /* per IPv4 /32 or IPv6 /64, loopback excepted; 0: the default */
    const struct http_listen *listen;
    size_t listen_count;
    struct tls_server *tls; /* borrowed; needed if a listener says tls */
    struct http_app app;
    /* Says what went wrong, for the operator; one line without its end. Any thread. NULL: stderr.
     */
    void (*log)(void *ctx, const char *line);
    void *log_ctx;
    void *user; /* loop_user */
};

/* Binds all listeners and creates the loops; nothing is served yet. A port that is taken is
 * ERR_EXISTS, with a line in `why` that names it. The options are copied. */
enum err http_server_new(const struct http_server_options *options, struct http_server **out,
    char *why, size_t why_len) MUST_USE;
enum err http_server_start(struct http_server *server) MUST_USE;
/* Any thread: stops accepting, then waits up to drain_ms for requests in flight, closes WebSockets
 * with 1001, ends the rest, joins the threads. */
void http_server_stop(struct http_server *server, uint64_t drain_ms);
void http_server_free(struct http_server *server); /* after stop */

uint16_t http_server_port(const struct http_server *server, size_t listener);
unsigned http_server_loops(const struct http_server *server);
struct loop *http_server_loop(struct http_server *server, unsigned index);
void *loop_user(struct loop *loop);

#endif
