/* http.h: HTTP/1.1 on a connection: head, body, the app's answer, the next request. On the loop's
 * thread only; nothing outside the engine includes this. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "http/chunked.h"
#include "http/conn.h"
#include "http/head.h"

/* One request and its answer. One block: the fields and the head's bytes follow the struct. */
struct exchange {
    struct request request;
    enum head_body framing;
    uint64_t body_left;
    size_t body_max;
    struct chunked chunked;
    struct buffer body;
    bool close;        /* this is the connection's last request */
    bool chunked_out;  /* a stream in chunked coding */
    bool drain_wanted; /* the app was told to wait */
    void *user;
    void (*on_drain)(struct loop *loop, struct ref ref, void *user);
    void *drain_user;
    struct http_field fields[];
};

enum http_phase {
    HTTP_HEAD,   /* waiting for a request, or in the middle of its head */
    HTTP_BODY,   /* admitted, reading its body */
    HTTP_APP,    /* whole, the app has it */
    HTTP_STREAM, /* the app is sending a streamed answer */
    HTTP_SENT,   /* answered; the queue is running empty */
    HTTP_MOVED,  /* given to another loop */
};

struct http {
    enum http_phase phase;
    bool close; /* after what is queued */
    struct head_scan scan;
    struct buffer in; /* a head in parts, or what came behind a request */
    struct exchange *exchange;
};

enum err http_open(struct conn *conn) MUST_USE;
void http_start(struct conn *conn); /* the connection is ready for a request */
/* Takes over a request from another loop, in phase HTTP_APP. */
enum err http_adopt(struct conn *conn, struct exchange *exchange) MUST_USE;
void exchange_free(struct exchange *exchange);
/* Answers with an error of the engine's own and ends the connection. */
void http_refuse(struct conn *conn, uint16_t status);
/* Frees the HTTP side of a connection that has become something else. */
void http_close(struct http *http);
/* The HTTP state of a connection if `ref` names one in this phase, else NULL. */
struct conn *http_in_phase(struct loop *loop, struct ref ref, enum http_phase phase);

#endif
