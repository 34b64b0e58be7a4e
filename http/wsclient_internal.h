/* wsclient_internal.h: one client WebSocket, for the files that share it: wsclient.c goes through
 * the phases, wsclient_handshake.c opens, wsclient_read.c and wsclient_write.c keep a buffer each.
 * For wsclient*.c only. */
#ifndef HTTP_WSCLIENT_INTERNAL_H
#define HTTP_WSCLIENT_INTERNAL_H

#include "http/answer.h"
#include "http/head.h"
#include "http/wsclient.h"

#define CONTROL_RESERVE 2048 /* of the out buffer: for texts, pongs and the close frame */

enum phase {
    PHASE_CONNECT,
    PHASE_SEND,
    PHASE_HEAD,
    PHASE_REFUSAL, /* reading the body of an answer that is no 101 */
    PHASE_OPEN,
    PHASE_END,
};

struct wsclient {
    struct client *client;
    struct stream stream;
    enum phase phase;
    enum wsclient_state state;
    int64_t deadline_ms; /* of the handshake or of the closing */
    int64_t heard_ms;    /* last byte of the peer */
    bool reading;        /* the owner has room */
    char *request;       /* handshake; wiped when sent */
    size_t request_len, request_at;
    char accept[HEAD_ACCEPT_LEN + 1];
    char subprotocol[64];

    uint8_t *in; /* in[in_at .. in_fill) is not parsed yet */
    size_t in_at, in_fill, in_cap;
    bool in_ended; /* nothing will follow */
    bool more;     /* wsclient_next found something the last time */
    struct wsframe frame;
    uint64_t left;      /* payload of the current frame still to come; */
    bool in_frame;      /* ... 0 with in_frame: the frame ends here */
    uint8_t message_op; /* of the message under way; 0: none */
    bool stream_binary;
    uint8_t *message; /* whole messages are put together here */
    size_t message_len, message_max;
    bool message_given;
    size_t piece_len; /* handed out by wsclient_next, 0: none */

    uint8_t *out; /* out[out_at .. out_fill) is to be sent */
    size_t out_at, out_fill, out_cap;
    bool closing; /* our close frame is queued */
    uint8_t pong[125];
    uint8_t pong_len;
    bool pong_due;

    struct wsclient_refusal refusal;
    struct answer answer;
    uint16_t close_code;
    char close_reason[124];
    size_t close_reason_len;
    enum err failure;
    char why[STREAM_WHY_MAX + 60];
};

/* The end, unless it has ended already. */
void wsclient_fail(struct wsclient *ws, enum err failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum err wsclient_request_build(struct wsclient *ws, const struct wsclient_options *o) MUST_USE;
void wsclient_request_send(struct wsclient *ws);
void wsclient_request_wipe(struct wsclient *ws);
/* Reads on in the answer to it: on a 101 to PHASE_OPEN, else by PHASE_REFUSAL to the end. */
void wsclient_answer_read(struct wsclient *ws);

/* Fills the in buffer with what is there. */
void wsclient_fill(struct wsclient *ws);
/* Queues the pong that is owed, if there is room. */
void wsclient_pong_flush(struct wsclient *ws);

#endif
