/* handover.c: moves a waiting request to another loop. Nothing is written, read or in flight while
 * it moves: the old loop closes its poll handle first and only then posts, so that never two
 * threads know the same descriptor or TLS session. The mailbox's lock orders their accesses. */
#include "http/handover.h"

#include <unistd.h>

enum err
http_move(struct loop *loop, struct ref ref, struct loop *to, http_arrived_fn fn, void *user)
{
    struct conn *conn = http_in_phase(loop, ref, HTTP_APP);
    struct moving *moving;

    if (conn == NULL)
        return ERR_NOT_FOUND;
    if (buffer_len(&conn->http->in) > 0 || (conn->tls != NULL && tls_pending(conn->tls)))
        return ERR_MALFORMED;
    INVARIANT(conn_queued(conn) == 0); /* no answer can be under way before this one */
    if ((moving = malloc(sizeof(*moving))) == NULL)
        return ERR_MEMORY;
    if (!loop_reserve(to)) {
        free(moving);
        return ERR_FULL;
    }
    *moving = (struct moving){.from = loop,
        .to = to,
        .fd = conn->fd,
        .tls = conn->tls,
        .listen = conn->listen,
        .cap = conn->cap,
        .peer = conn->peer,
        .peer_uid = conn->peer_uid,
        .hangup = conn->hangup,
        .exchange = conn->http->exchange,
        .fn = fn,
        .user = user};
    conn->moving = moving;
    conn->http->exchange = NULL;
    conn->http->phase = HTTP_MOVED;
    COUNT(loop, moved_out, 1);
    conn_end(conn);
    return OK;
}

/* It cannot live on the new loop. */
static void
handover_fail(struct moving *moving, struct loop *loop)
{
    if (moving->tls != NULL)
        tls_free(moving->tls);
    close(moving->fd);
    caps_give(loop->server->caps, moving->cap);
    moving->fn(loop, (struct ref){0}, NULL, moving->user);
    exchange_free(moving->exchange);
    free(moving);
}

static void
handover_arrive(struct loop *loop, struct ref ref, void *arg)
{
    struct moving *moving = arg;
    struct conn *conn;

    (void)ref;
    if (loop->stopping || conn_adopt(loop, moving, &conn) != OK) {
        handover_fail(moving, loop);
        return;
    }
    if (http_adopt(conn, moving->exchange) != OK) {
        moving->fn(loop, (struct ref){0}, NULL, moving->user);
        exchange_free(moving->exchange);
        conn_end(conn);
    } else {
        COUNT(loop, moved_in, 1);
        moving->fn(loop, conn->ref, &moving->exchange->request, moving->user);
    }
    free(moving);
}

void
handover_send(struct moving *moving)
{
    if (!loop_post_reserved(moving->to, handover_arrive, (struct ref){0}, moving))
        handover_fail(moving, moving->from);
}
