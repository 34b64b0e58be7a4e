/* handover.h: a request on its way from one loop to another, with its connection. Inside the engine
 * only (the app calls http_move, server.h). */
#ifndef HTTP_HANDOVER_H
#define HTTP_HANDOVER_H

#include "http/http.h"

struct moving {
    struct loop *from, *to; /* a place in to's mailbox is reserved */
    int fd;
    struct tls *tls;
    const struct http_listen *listen;
    struct caps_key cap;
    union conn_peer peer;
    uint32_t peer_uid;
    bool hangup;
    struct exchange *exchange;
    http_arrived_fn fn;
    void *user;
};

/* The old loop's handle is closed: off it goes. */
void handover_send(struct moving *moving);

#endif
