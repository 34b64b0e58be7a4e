/* conn.c: the socket driver: reads into the loop's one buffer, writes what is queued once per turn,
 * asks uv_poll for a direction only while it is wanted, keeps deadlines, ends connections in one
 * place. Never looks at what the bytes mean. On the loop's thread only. */
#include "http/conn.h"

#include "http/handover.h"
#include "http/http.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#define SLOT_NONE UINT32_MAX

/* ---- slots ---- */

static enum err
slot_take(struct conn *conn)
{
    struct loop *loop = conn->loop;
    uint32_t i = loop->slots_free;
    struct slot *slot;

    if (i != SLOT_NONE)
        loop->slots_free = loop->slots[i].next_free;
    else if (loop->slots_touched < loop->slots_max)
        i = loop->slots_touched++;
    else
        return ERR_FULL;
    slot = &loop->slots[i];
    if (slot->generation == 0)
        slot->generation = 1;
    slot->conn = conn;
    conn->ref = (struct ref){i, slot->generation};
    return OK;
}

static void
slot_give(struct conn *conn)
{
    struct loop *loop = conn->loop;
    struct slot *slot = &loop->slots[conn->ref.slot];

    slot->conn = NULL;
    if (++slot->generation == 0)
        slot->generation = 1;
    slot->next_free = loop->slots_free;
    loop->slots_free = conn->ref.slot;
}

struct conn *
conn_find(struct loop *loop, struct ref ref)
{
    struct slot *slot;

    INVARIANT(loop_is_mine(loop));
    if (ref_none(ref) || ref.slot >= loop->slots_touched)
        return NULL;
    slot = &loop->slots[ref.slot];
    return slot->generation == ref.generation ? slot->conn : NULL;
}

struct conn *
conn_get(struct loop *loop, struct ref ref)
{
    struct conn *conn = conn_find(loop, ref);

    return conn != NULL && !conn->ended ? conn : NULL;
}

void
conn_rename(struct conn *conn)
{
    struct slot *slot = &conn->loop->slots[conn->ref.slot];

    if (++slot->generation == 0)
        slot->generation = 1;
    conn->ref.generation = slot->generation;
}

/* ---- lists of the turn ---- */

void
conn_touch(struct conn *conn)
{
    if (conn->dirty || conn->ended)
        return;
    conn->dirty = true;
    conn->next_dirty = conn->loop->dirty;
    conn->loop->dirty = conn;
}

static void
conn_list_ready(struct conn *conn)
{
    if (conn->listed_ready || conn->ended)
        return;
    conn->listed_ready = true;
    conn->next_ready = conn->loop->ready;
    conn->loop->ready = conn;
}

void
conn_end(struct conn *conn)
{
    if (conn->ended)
        return;
    conn->ended = true;
    conn->next_ending = conn->loop->ending;
    conn->loop->ending = conn;
}

/* ---- deadlines ---- */

static void
conn_timer_update(struct conn *conn)
{
    uint64_t now = loop_now_ms(conn->loop);
    uint64_t due =
        conn->deadline_ms < conn->write_deadline_ms ? conn->deadline_ms : conn->write_deadline_ms;

    /* A timer that comes too early is set again then: moving deadlines costs nothing. */
    if (due == NEVER || (timer_is_set(&conn->timer) && conn->timer_due_ms <= due))
        return;
    conn->timer_due_ms = due;
    loop_timer_set(conn->loop, &conn->timer, due > now ? due - now : 0);
}

static void
conn_on_timer(struct loop *loop, struct timer *timer)
{
    struct conn *conn = (struct conn *)((char *)timer - offsetof(struct conn, timer));
    uint64_t now = loop_now_ms(loop);

    if (conn->ended)
        return;
    if (conn->write_deadline_ms <= now) {
        conn->write_deadline_ms = NEVER;
        COUNT(loop, timeouts, 1);
        conn->ops->on_stall(conn);
    } else if (conn->deadline_ms <= now) {
        conn->deadline_ms = NEVER;
        if (conn->handshaking) {
            COUNT(loop, timeouts, 1);
            conn_end(conn);
        } else {
            conn->ops->on_deadline(conn);
        }
    }
    conn_timer_update(conn);
}

void
conn_deadline(struct conn *conn, uint64_t after_ms)
{
    conn->deadline_ms = loop_now_ms(conn->loop) + after_ms;
    conn_timer_update(conn);
}

void
conn_no_deadline(struct conn *conn)
{
    conn->deadline_ms = NEVER;
}

/* ---- writing ---- */

size_t
conn_queued(const struct conn *conn)
{
    return buffer_len(&conn->out) + conn->tail.len;
}

/* One write to socket or TLS. Returns what went out; 0 when it must wait or the connection broke.
 */
static size_t
conn_write_some(struct conn *conn, const uint8_t *bytes, size_t len)
{
    size_t written = 0;
    ssize_t n;

    if (conn->tls == NULL) {
        do
            n = send(conn->fd, bytes, len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            conn_end(conn);
        written = n > 0 ? (size_t)n : 0;
    } else {
        conn->write_wants_read = false;
        switch (tls_write(conn->tls, bytes, len, &written)) {
        case TLS_DONE:
        case TLS_WANT_WRITE: break;
        case TLS_WANT_READ: conn->write_wants_read = true; break;
        case TLS_EOF:
        case TLS_FAILED: conn_end(conn); break;
        }
    }
    if (written > 0) {
        COUNT(conn->loop, bytes_out, written);
        if (conn->write_deadline_ms != NEVER)
            conn->write_deadline_ms = loop_now_ms(conn->loop) + conn->stall_ms;
    }
    return written;
}

static void
conn_flush(struct conn *conn)
{
    size_t n;

    while (!conn->ended && buffer_len(&conn->out) > 0) {
        if ((n = conn_write_some(conn, buffer_bytes(&conn->out), buffer_len(&conn->out))) == 0)
            return;
        buffer_take(&conn->out, n);
    }
    while (!conn->ended && conn->tail.len > 0) {
        if ((n = conn_write_some(conn, conn->tail.ptr, conn->tail.len)) == 0)
            return;
        conn->tail = span_of(conn->tail.ptr + n, conn->tail.len - n);
    }
    if (conn->ended || !conn->sent)
        return;
    conn->sent = false;
    conn->write_deadline_ms = NEVER;
    conn->ops->on_drained(conn);
}

static void
conn_queue(struct conn *conn, const void *bytes, size_t len)
{
    if (buffer_add(&conn->out, bytes, len) != OK) {
        conn_end(conn);
        return;
    }
    conn->sent = true;
    if (conn->write_deadline_ms == NEVER) {
        conn->write_deadline_ms = loop_now_ms(conn->loop) + conn->stall_ms;
        conn_timer_update(conn);
    }
    conn_touch(conn);
}

void
conn_send(struct conn *conn, const void *bytes, size_t len)
{
    INVARIANT(conn->tail.len == 0);
    if (!conn->ended && len > 0)
        conn_queue(conn, bytes, len);
}

void
conn_send_now(struct conn *conn, const uint8_t *bytes, size_t len)
{
    size_t n;

    while (len > 0 && !conn->ended && conn_queued(conn) == 0) {
        if ((n = conn_write_some(conn, bytes, len)) == 0)
            break;
        bytes += n;
        len -= n;
    }
    conn_send(conn, bytes, len);
}

/* ---- reading ---- */

static size_t
conn_room(const struct conn *conn)
{
    size_t room = conn->eof || conn->handshaking ? 0 : conn->ops->room(conn);

    return room < RELAY_READ_BYTES ? room : RELAY_READ_BYTES;
}

enum input { INPUT_OPEN, INPUT_EOF, INPUT_BROKEN };

static enum input
conn_read_plain(struct conn *conn, uint8_t *into, size_t room, size_t *len)
{
    ssize_t n;

    do
        n = recv(conn->fd, into, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? INPUT_OPEN : INPUT_BROKEN;
    *len = (size_t)n;
    return n == 0 ? INPUT_EOF : INPUT_OPEN;
}

/* Record after record, until the room is full or the socket empty. */
static enum input
conn_read_tls(struct conn *conn, uint8_t *into, size_t room, size_t *len)
{
    size_t n;

    conn->read_wants_write = false;
    for (;;) {
        if (*len == room)
            return INPUT_OPEN; /* conn_watch sees what is left inside TLS */
        switch (tls_read(conn->tls, into + *len, room - *len, &n)) {
        case TLS_DONE: *len += n; break;
        case TLS_WANT_READ: return INPUT_OPEN;
        case TLS_WANT_WRITE: conn->read_wants_write = true; return INPUT_OPEN;
        case TLS_EOF: return INPUT_EOF;
        case TLS_FAILED: return INPUT_BROKEN;
        }
    }
}

static void
conn_read(struct conn *conn)
{
    struct loop *loop = conn->loop;
    uint8_t *into = loop->read_buffer + LOOP_HEADROOM;
    size_t room = conn_room(conn), len = 0;
    enum input input;

    conn_touch(conn);
    if (room == 0)
        return;
    input = conn->tls == NULL ? conn_read_plain(conn, into, room, &len)
                              : conn_read_tls(conn, into, room, &len);
    if (len > 0) {
        COUNT(loop, bytes_in, len);
        conn->heard_ms = loop_now_ms(loop);
        conn->ops->on_bytes(conn, into, len);
    }
    if (input == INPUT_BROKEN)
        conn_end(conn);
    if (input == INPUT_EOF && !conn->ended) {
        conn->eof = true;
        conn->ops->on_eof(conn);
    }
}

static void
conn_handshake(struct conn *conn)
{
    conn->read_wants_write = false;
    switch (tls_handshake(conn->tls)) {
    case TLS_DONE:
        conn->handshaking = false;
        COUNT(conn->loop, handshakes, 1);
        http_start(conn);
        conn_read(conn); /* the request often rides along with the handshake's last flight */
        return;
    case TLS_WANT_READ: break;
    case TLS_WANT_WRITE: conn->read_wants_write = true; break;
    case TLS_EOF:
    case TLS_FAILED:
        COUNT(conn->loop, handshakes_failed, 1);
        conn_end(conn);
        return;
    }
    conn_touch(conn);
}

/* ---- polling ---- */

static uint8_t
conn_wants(const struct conn *conn)
{
    uint8_t mask = 0;

    if (conn->handshaking)
        return conn->read_wants_write ? UV_WRITABLE : UV_READABLE;
    if (conn_room(conn) > 0)
        mask |= conn->read_wants_write ? UV_WRITABLE : UV_READABLE;
    if (conn_queued(conn) > 0)
        mask |= conn->write_wants_read ? UV_READABLE : UV_WRITABLE;
    if (!conn->hangup && !conn->eof)
        mask |= UV_DISCONNECT;
    return mask;
}

static void
conn_on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = poll->data;

    if (conn->ended)
        return;
    if (status < 0) {
        conn->watched = 0; /* uv stopped it */
        conn_end(conn);
        return;
    }
    if (conn->handshaking) {
        conn_handshake(conn);
        return;
    }
    if ((events & UV_WRITABLE) != 0 || conn->write_wants_read)
        conn_flush(conn);
    if ((events & UV_READABLE) != 0 || conn->read_wants_write)
        conn_read(conn);
    if ((events & UV_DISCONNECT) != 0 && !conn->hangup && !conn->ended) {
        conn->hangup = true;
        conn_touch(conn);
        if (!conn->eof)
            conn->ops->on_hangup(conn);
    }
}

/* Each uv_poll_start is an epoll delete and add: only when the mask changes. */
static void
conn_watch(struct conn *conn)
{
    uint8_t mask = conn_wants(conn);

    if (conn->tls != NULL && conn_room(conn) > 0 && tls_pending(conn->tls) &&
        !conn->read_wants_write)
        conn_list_ready(conn);
    if (mask == conn->watched)
        return;
    conn->watched = mask;
    if (mask == 0)
        uv_poll_stop(&conn->poll);
    else if (uv_poll_start(&conn->poll, mask, conn_on_poll) != 0)
        conn_end(conn);
}

/* ---- lingering ---- */

static size_t
linger_room(const struct conn *conn)
{
    return conn_queued(conn) == 0 ? 16 * 1024 : 0;
}

static void
linger_bytes(struct conn *conn, uint8_t *bytes, size_t len)
{
    (void)bytes;
    if (len >= conn->linger_left)
        conn_end(conn);
    else
        conn->linger_left -= (uint32_t)len;
}

static void
linger_drained(struct conn *conn)
{
    if (conn->tls != NULL)
        tls_shutdown(conn->tls);
    shutdown(conn->fd, SHUT_WR);
    conn_deadline(conn, HTTP_LINGER_MS);
    if (conn->eof)
        conn_end(conn);
}

static void
linger_hangup(struct conn *conn)
{
    (void)conn; /* seen as the end of input, or by the deadline */
}

static void
linger_over(struct conn *conn)
{
    (void)conn;
}

static const struct conn_ops linger_ops = {
    .room = linger_room,
    .on_bytes = linger_bytes,
    .on_eof = conn_end,
    .on_hangup = linger_hangup,
    .on_drained = linger_drained,
    .on_deadline = conn_end,
    .on_stall = conn_end,
    .on_end = linger_over,
    .on_stop = conn_end,
};

void
conn_linger(struct conn *conn)
{
    if (conn->ended)
        return;
    conn->ops = &linger_ops;
    conn->http = NULL;
    conn->linger_left = HTTP_LINGER_BYTES;
    conn_no_deadline(conn);
    conn_touch(conn);
    if (conn_queued(conn) == 0)
        linger_drained(conn);
}

void
conn_reset(struct conn *conn)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    if (conn->ended)
        return;
    conn->ops = &linger_ops;
    conn->http = NULL;
    (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    conn_end(conn);
}

/* ---- beginning and end ---- */

static struct conn *
conn_new(struct loop *loop, int fd, const struct http_listen *listen)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->loop = loop;
    conn->fd = fd;
    conn->listen = listen;
    conn->deadline_ms = conn->write_deadline_ms = NEVER;
    conn->heard_ms = loop_now_ms(loop);
    conn->stall_ms = HTTP_WRITE_MS;
    conn->timer.fn = conn_on_timer;
    conn->ops = &linger_ops; /* until its protocol says otherwise */
    if (slot_take(conn) != OK) {
        free(conn);
        return NULL;
    }
    if (uv_poll_init(&loop->uv, &conn->poll, fd) != 0) {
        slot_give(conn);
        free(conn);
        return NULL;
    }
    conn->poll.data = conn;
    loop->handles++;
    COUNT(loop, connections, 1);
    conn_touch(conn);
    return conn;
}

enum err
conn_open(struct loop *loop, int fd, const struct http_listen *listen, const union conn_peer *peer,
    uint32_t peer_uid, struct caps_key cap)
{
    struct conn *conn = conn_new(loop, fd, listen);

    if (conn == NULL) {
        close(fd);
        caps_give(loop->server->caps, cap);
        return ERR_FULL;
    }
    conn->peer = *peer;
    conn->peer_uid = peer_uid;
    conn->cap = cap;
    if (http_open(conn) != OK ||
        (listen->tls && tls_accept(loop->server->options.tls, fd, &conn->tls) != OK)) {
        conn_end(conn);
        return ERR_MEMORY;
    }
    if (listen->tls) {
        conn->handshaking = true;
        conn_deadline(conn, TLS_HANDSHAKE_MS);
    } else {
        http_start(conn);
    }
    return OK;
}

enum err
conn_adopt(struct loop *loop, const struct moving *moving, struct conn **out)
{
    struct conn *conn = conn_new(loop, moving->fd, moving->listen);

    if (conn == NULL)
        return ERR_FULL;
    conn->peer = moving->peer;
    conn->peer_uid = moving->peer_uid;
    conn->cap = moving->cap;
    conn->tls = moving->tls;
    conn->hangup = moving->hangup;
    *out = conn;
    return OK;
}

static void
conn_release(struct conn *conn)
{
    if (conn->closed && !conn->dirty && !conn->listed_ready)
        free(conn);
}

static void
conn_on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    struct loop *loop = conn->loop;

    loop->handles--;
    conn->closed = true;
    if (conn->moving != NULL)
        handover_send(conn->moving); /* no handle watches the fd any more: it may change threads */
    conn_release(conn);
}

static void
conn_finish(struct conn *conn)
{
    struct loop *loop = conn->loop;

    conn->ops->on_end(conn);
    loop_timer_stop(loop, &conn->timer);
    buffer_fini(&conn->out);
    /* Before the descriptor goes: this takes it out of epoll once more, even when it was stopped,
     * and by then its number may be another thread's file. */
    uv_close((uv_handle_t *)&conn->poll, conn_on_closed);
    if (conn->moving == NULL) {
        if (conn->tls != NULL) {
            tls_shutdown(conn->tls);
            tls_free(conn->tls);
        }
        close(conn->fd);
        caps_give(loop->server->caps, conn->cap);
    }
    slot_give(conn);
    COUNT_DOWN(loop, connections);
}

bool
conns_busy(const struct loop *loop)
{
    return loop->dirty != NULL || loop->ready != NULL || loop->ending != NULL;
}

/* What came up since the last turn; what comes up meanwhile is the next turn's, so that one quick
 * reader of a stream cannot keep the others waiting. */
void
conns_turn(struct loop *loop)
{
    struct conn *conn, *ready = loop->ready, *dirty;

    loop->ready = NULL;
    while ((conn = ready) != NULL) {
        ready = conn->next_ready;
        conn->listed_ready = false;
        if (!conn->ended)
            conn_read(conn);
        conn_release(conn);
    }
    dirty = loop->dirty;
    loop->dirty = NULL;
    while ((conn = dirty) != NULL) {
        dirty = conn->next_dirty;
        conn->dirty = false;
        if (!conn->ended && !conn->handshaking)
            conn_flush(conn);
        if (!conn->ended)
            conn_watch(conn);
        conn_release(conn);
    }
    while ((conn = loop->ending) != NULL) {
        loop->ending = conn->next_ending;
        conn_finish(conn);
    }
}
