/* wsclient.h: WebSocket as a client (RFC 6455): the handshake, whole messages or a stream of
 * pieces, masking, pongs, the closing handshake. Never blocks, never buffers more than it was told:
 * whoever does not take what arrived stops the reading. One thread; driven by a pollset like
 * stream.h. */
#ifndef HTTP_WSCLIENT_H
#define HTTP_WSCLIENT_H

#include "http/client.h"
#include "http/json_reply.h"
#include "http/wsframe.h"

struct wsclient_options {
    const char *target;            /* path */
    const char *subprotocol;       /* offered, and the only one that the server may answer */
    const char *secret;            /* offered as a second one (a ticket); NULL: none */
    const char *authorization;     /* NULL: none */
    struct client_header extra[2]; /* name NULL: none */
    size_t message_max;            /* of text messages, and of binary ones unless `stream` is set */
    bool stream;                   /* binary messages are handed out in pieces, as they come */
};

enum wsclient_state {
    WSC_OPENING,
    WSC_OPEN,
    WSC_REFUSED, /* an HTTP answer instead of a WebSocket: wsclient_refusal */
    WSC_CLOSED,  /* the peer sent a close frame: wsclient_closed */
    WSC_FAILED,  /* wsclient_why */
};

struct wsclient_refusal {
    unsigned status;
    unsigned retry_after_s; /* 0: not told */
    struct problem_said said;
};

struct wsclient;

enum err wsclient_new(
    struct client *client, const struct wsclient_options *options, struct wsclient **out) MUST_USE;
void wsclient_free(struct wsclient *ws); /* at once, without a close frame */

/* want_read: is there room for what it may bring? */
void wsclient_prepare(struct wsclient *ws, struct pollset *ps, bool want_read);
/* Goes on with the handshake, writes what is queued. */
enum wsclient_state wsclient_step(struct wsclient *ws, const struct pollset *ps);
enum wsclient_state wsclient_state(const struct wsclient *ws);

const struct wsclient_refusal *wsclient_refusal(const struct wsclient *ws);
const char *wsclient_why(const struct wsclient *ws);
/* Of WSC_FAILED: as call_failure; ERR_MISMATCH also when what answered is no WebSocket server. */
enum err wsclient_failure(const struct wsclient *ws);
/* Code and reason of the peer's close frame (1005: none given). */
uint16_t wsclient_closed(const struct wsclient *ws, struct span *reason);

/* ---- reading ---- */

enum wsclient_got {
    WSC_NOTHING, /* for now, or for ever: look at the state */
    WSC_TEXT,    /* a whole message, valid UTF-8 */
    WSC_BINARY,  /* a whole message; with `stream` a piece of one, never empty */
};

/* What comes next; the bytes stay until wsclient_used or the next call. The same piece comes again
 * until it was used up. */
enum wsclient_got wsclient_next(struct wsclient *ws, struct span *bytes);
/* So many bytes of the piece were taken (of a whole message: say all). */
void wsclient_used(struct wsclient *ws, size_t n);

/* ---- writing ---- */

/* A place for the payload of one binary message and its size; 0: the queue is full, wait. */
size_t wsclient_room(struct wsclient *ws, uint8_t **place);
/* Sends the first `len` bytes of that place (which are masked there). */
void wsclient_commit(struct wsclient *ws, size_t len);
/* A small message, copied. ERR_FULL. */
enum err wsclient_send(
    struct wsclient *ws, enum wsframe_opcode opcode, struct span payload) MUST_USE;
/* Says why, once; what is queued goes first. The state becomes WSC_CLOSED when the peer answers, or
 * WSC_FAILED after WS_CLOSE_MS. */
void wsclient_close(struct wsclient *ws, uint16_t code, const char *reason);
/* Writes as much as the socket takes now, without waiting for the next turn. */
void wsclient_flush(struct wsclient *ws);
size_t wsclient_queued(const struct wsclient *ws);

#endif
