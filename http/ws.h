/* ws.h: the server's side of a WebSocket after its 101: reading frames, control frames, messages,
 * the close handshake. relay.c reads with the same eyes. On the loop's thread only; nothing outside
 * the engine includes this (server.h has the app's side). */
#ifndef HTTP_WS_H
#define HTTP_WS_H

#include "http/conn.h"
#include "http/wsframe.h"

#define WS_CONTROL_MAX 125

/* So many a second on average, so many at once (RFC 6455 leaves ping floods to us). */
struct bucket {
    uint64_t at_ms;
    uint32_t level; /* thousandths taken */
};

struct ws {
    const struct ws_handlers *handlers; /* NULL: nobody listens any more */
    void *user;
    struct relay *relay; /* relay.c, else NULL */
    uint8_t side;        /* enum relay_side */
    bool hold;
    bool close_sent;
    bool drain_wanted;
    enum ws_end end; /* said by on_end if it comes to that */

    /* the frame being read */
    bool in_frame;
    uint8_t header_len; /* of a header that came in parts */
    uint8_t header[WSFRAME_HEADER_MAX];
    struct wsframe frame;
    uint64_t frame_left;
    uint8_t control_len;
    uint8_t control[WS_CONTROL_MAX];
    struct bucket control_rate;

    /* the message being read */
    uint8_t message_opcode; /* 0: none */
    bool message_begun;
    uint32_t utf8;
    uint64_t message_len, message_max;
    struct bucket text_rate; /* relay only */
    struct buffer message;
};

enum ws_pull {
    WS_PULL_MORE,    /* all bytes are used up */
    WS_PULL_DATA,    /* a piece of a message */
    WS_PULL_CONTROL, /* a control frame is in ws->control, ws->frame.opcode says which */
    WS_PULL_BAD,     /* close with *code */
};

struct ws_piece {
    uint8_t opcode;   /* of the message: text or binary */
    bool first, last; /* of the message */
    uint8_t *bytes;   /* still masked */
    size_t len;
    const uint8_t *mask;
    uint64_t offset; /* into the mask */
};

/* The next thing in [*at, end). Checks masks, order of frames, lengths; not UTF-8. */
enum ws_pull ws_pull(
    struct ws *ws, uint8_t **at, uint8_t *end, struct ws_piece *piece, uint16_t *code) MUST_USE;

/* True if one more is within the rate. */
bool bucket_take(struct bucket *bucket, uint64_t now_ms, uint32_t per_second, uint32_t burst);

/* Replaces conn->http on success. */
enum err ws_open(struct conn *conn, const struct ws_options *options) MUST_USE;
void ws_free(struct ws *ws);
/* Answers a control frame that was pulled. 0: go on. 1: the peer's close; *code and *reason are its
 * own (in ws->control). Otherwise a code to fail with. */
uint16_t ws_control(struct conn *conn, uint16_t *code, struct span *reason);
#define WS_PEER_CLOSED 1

void ws_send_frame(struct conn *conn, uint8_t opcode, const void *bytes, size_t len);
/* Queues our close frame, once. */
void ws_send_close(struct conn *conn, uint16_t code, struct span reason);
/* From here on the socket belongs to no relay and no handler: it says `code`, waits for the peer's
 * close and ends. */
void ws_abandon(struct conn *conn, uint16_t code, struct span reason);
/* Ping, or find the peer dead (then conn->ws->end says so and the connection ends). */
void ws_keepalive(struct conn *conn);
struct conn *ws_get(struct loop *loop, struct ref ref);

#endif
