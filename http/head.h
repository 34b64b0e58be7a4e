/* head.h: the head of an HTTP/1.x request, from bytes to a struct request. Two readings must agree:
 * our own grammar, which is RFC 9112 without any of its leniencies, and llhttp in strict mode. What
 * one of them refuses is refused. Pure; any thread. Never sees a body (chunked.h does). */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "http/server.h"

/* Where a head that arrives in pieces has been checked up to; starts zeroed. */
struct head_scan {
    size_t at;       /* bytes checked */
    size_t first;    /* the head begins here: one empty line before it is passed over */
    size_t target;   /* bytes of the request target so far */
    unsigned spaces; /* in the request line */
    unsigned lines;  /* ended so far, the request line included */
    size_t line_len; /* bytes of the current line */
    bool cr;         /* the last byte was CR */
};

/* Checks what has arrived since the last call (`bytes` begins at the head's first byte each time).
 * 0: so far so good, more is needed. 200: the head is whole and ends at *len. Otherwise the status
 * to refuse with: 400 (bare CR or LF, NUL, control, folded line, empty first line twice), 414, 431,
 * 501. */
uint16_t head_scan(struct head_scan *scan, struct span bytes, size_t *len) MUST_USE;

/* How the body is framed (RFC 9112 section 6). */
enum head_body {
    HEAD_BODY_NONE,
    HEAD_BODY_LENGTH,
    HEAD_BODY_CHUNKED,
};

struct head {
    struct request request; /* fields point into `fields`, spans into the bytes; peer not set */
    enum head_body body;
    uint64_t body_len; /* for HEAD_BODY_LENGTH */
    bool close;        /* no further request on this connection */
    bool expects_continue;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Reads a whole head (as head_scan delimits it, from scan.first on). Field names are lower-cased in
 * place. 0, or the status to refuse with: 400, 417, 426, 431, 501, 505. */
uint16_t head_parse(uint8_t *bytes, size_t len, struct head *head) MUST_USE;

/* Sec-WebSocket-Accept of a key (RFC 6455 section 4.2.2), 28 characters and a NUL. */
#define HEAD_ACCEPT_LEN 28
void head_accept(struct span key, char out[HEAD_ACCEPT_LEN + 1]);

#endif
