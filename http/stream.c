/* stream.c: from a name to bytes in small steps; each returns to the loop instead of waiting. Owned
 * by one thread. Never retries by itself, never turns verification off. */
#include "http/stream.h"

#include "core/addr.h"
#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ADDR_TIMEOUT_MS 5000 /* per address, when there are more to try */

void
stream_init(struct stream *s)
{
    *s = (struct stream){.rfd = -1, .wfd = -1, .slot_in = -1, .slot_out = -1};
}

static void
close_fds(struct stream *s)
{
    if (s->wfd >= 0 && s->wfd != s->rfd)
        close(s->wfd);
    if (s->rfd >= 0)
        close(s->rfd);
    s->rfd = s->wfd = -1;
}

void
stream_fini(struct stream *s)
{
    if (s->tls != NULL) {
        if (s->state == STREAM_OPEN)
            tls_shutdown(s->tls);
        tls_free(s->tls);
    }
    resolve_free(s->resolve);
    close_fds(s);
    stream_init(s);
}

static void __attribute__((format(printf, 3, 4)))
fail(struct stream *s, enum err failure, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->why, sizeof(s->why), format, args);
    va_end(args);
    s->failure = failure;
    s->state = STREAM_FAILED;
}

bool
stream_reaches(enum stream_reach reach, const struct sockaddr *sa)
{
    struct addr addr = {{0}};

    if (sa->sa_family == AF_INET6) {
        memcpy(addr.b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    } else if (sa->sa_family == AF_INET) {
        addr.b[10] = addr.b[11] = 0xff;
        memcpy(addr.b + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else {
        return false;
    }
    switch (reach) {
    case REACH_ANY: return true;
    case REACH_LOOPBACK: return addr_is_loopback(&addr);
    case REACH_NO_LINK_LOCAL: break;
    }
    if (addr_is_v4(&addr))
        return addr.b[12] != 0 && !(addr.b[12] == 169 && addr.b[13] == 254);
    if (addr.b[0] == 0xfe && (addr.b[1] & 0xc0) == 0x80)
        return false;
    return memcmp(addr.b, (uint8_t[16]){0}, 16) != 0;
}

/* Tries addresses until one is on its way. */
static void
connect_next(struct stream *s)
{
    int last = 0;

    close_fds(s);
    while (s->next_addr < s->addrs.count) {
        unsigned i = s->next_addr++;
        const struct sockaddr *sa = (const struct sockaddr *)&s->addrs.addrs[i];
        int fd, one = 1;

        if (!stream_reaches(s->reach, sa)) {
            last = EACCES;
            continue;
        }
        fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            last = errno;
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(fd, sa, s->addrs.lens[i]) == 0 || errno == EINPROGRESS) {
            s->rfd = s->wfd = fd;
            s->state = STREAM_CONNECTING;
            s->addr_deadline_ms = s->next_addr < s->addrs.count
                                      ? pollset_clock_ms() + ADDR_TIMEOUT_MS
                                      : s->deadline_ms;
            return;
        }
        last = errno;
        close(fd);
    }
    if (last == EACCES && s->reach != REACH_ANY)
        fail(s, ERR_DENIED, "%s is outside of what may be reached", s->host);
    else
        fail(s, ERR_CLOSED, "cannot connect to %s: %s", s->host, strerror(last));
}

static void
begin(struct stream *s, const char *host, enum stream_reach reach, struct tls_client *tls_client,
    int timeout_ms)
{
    stream_init(s);
    snprintf(s->host, sizeof(s->host), "%s", host);
    s->reach = reach;
    s->tls_client = tls_client;
    s->deadline_ms = pollset_clock_ms() + timeout_ms;
}

void
stream_connect(struct stream *s, const char *host, uint16_t port, enum stream_reach reach,
    struct tls_client *tls_client, int timeout_ms)
{
    begin(s, host, reach, tls_client, timeout_ms);
    s->state = STREAM_RESOLVING;
    if (resolve_start(host, port, &s->resolve) != OK)
        fail(s, ERR_MEMORY, "cannot start a resolver: %s", strerror(errno));
}

void
stream_connect_to(struct stream *s, const struct resolved *addrs, const char *host,
    enum stream_reach reach, struct tls_client *tls_client, int timeout_ms)
{
    begin(s, host, reach, tls_client, timeout_ms);
    s->addrs = *addrs;
    connect_next(s);
}

void
stream_connect_unix(struct stream *s, const char *path, int timeout_ms)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    begin(s, path, REACH_ANY, NULL, timeout_ms);
    snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    s->rfd = s->wfd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->rfd < 0 || connect(s->rfd, (struct sockaddr *)&un, sizeof(un)) != 0) {
        fail(s, ERR_CLOSED, "cannot connect to %s: %s", path, strerror(errno));
        return;
    }
    s->state = STREAM_OPEN;
    s->out_ready = true;
}

void
stream_adopt(struct stream *s, int rfd, int wfd)
{
    stream_init(s);
    s->rfd = rfd;
    s->wfd = wfd;
    s->state = STREAM_OPEN;
}

bool
stream_can_read(const struct stream *s)
{
    if (s->state != STREAM_OPEN || s->rfd < 0)
        return false;
    if (s->tls != NULL && tls_pending(s->tls) && !s->read_wants_out)
        return true;
    return s->read_wants_out ? s->out_ready : s->in_ready;
}

bool
stream_can_write(const struct stream *s)
{
    if (s->state != STREAM_OPEN || s->wfd < 0)
        return false;
    return s->write_wants_in ? s->in_ready : s->out_ready;
}

static void
prepare_open(struct stream *s, struct pollset *ps, bool want_read, bool want_write)
{
    short in = 0, out = 0;

    if ((want_read && stream_can_read(s)) || (want_write && stream_can_write(s))) {
        pollset_deadline(ps, ps->now_ms); /* work is left over from the last turn */
    }
    if (want_read) {
        in |= s->read_wants_out ? 0 : POLLIN;
        out |= s->read_wants_out ? POLLOUT : 0;
    }
    if (want_write) {
        in |= s->write_wants_in ? POLLIN : 0;
        out |= s->write_wants_in ? 0 : POLLOUT;
    }
    if (s->in_ready)
        in = 0;
    if (s->out_ready)
        out = 0;
    if (s->rfd == s->wfd) {
        s->slot_in = s->slot_out = pollset_add(ps, s->rfd, (short)(in | out));
        return;
    }
    s->slot_in = pollset_add(ps, s->rfd, in);
    s->slot_out = pollset_add(ps, s->wfd, out);
}

void
stream_prepare(struct stream *s, struct pollset *ps, bool want_read, bool want_write)
{
    s->slot_in = s->slot_out = -1;
    switch (s->state) {
    case STREAM_NONE:
    case STREAM_FAILED: return;
    case STREAM_RESOLVING: s->slot_in = pollset_add(ps, resolve_fd(s->resolve), POLLIN); break;
    case STREAM_CONNECTING:
        s->slot_in = pollset_add(ps, s->rfd, POLLOUT);
        pollset_deadline(ps, s->addr_deadline_ms);
        break;
    case STREAM_HANDSHAKING:
        s->slot_in = pollset_add(ps, s->rfd, s->read_wants_out ? POLLOUT : POLLIN);
        break;
    case STREAM_OPEN: prepare_open(s, ps, want_read, want_write); return;
    }
    pollset_deadline(ps, s->deadline_ms);
}

static void
step_resolving(struct stream *s)
{
    const char *why;

    if (resolve_take(s->resolve, &s->addrs, &why) != OK)
        fail(s, ERR_NOT_FOUND, "cannot resolve %s: %s", s->host, why);
    else
        connect_next(s);
    resolve_free(s->resolve);
    s->resolve = NULL;
}

static void
step_handshaking(struct stream *s)
{
    switch (tls_handshake(s->tls)) {
    case TLS_DONE:
        s->state = STREAM_OPEN;
        s->read_wants_out = false;
        s->in_ready = s->out_ready = true;
        return;
    case TLS_WANT_READ: s->read_wants_out = false; return;
    case TLS_WANT_WRITE: s->read_wants_out = true; return;
    case TLS_EOF:
        fail(s, ERR_CLOSED, "%s closed the connection during the TLS handshake", s->host);
        return;
    case TLS_FAILED: fail(s, ERR_MISMATCH, "TLS with %s: %s", s->host, tls_why(s->tls)); return;
    }
}

static void
step_connecting(struct stream *s)
{
    int problem = 0;
    socklen_t len = sizeof(problem);

    if (getsockopt(s->rfd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
        problem = errno;
    if (problem != 0) {
        if (s->next_addr < s->addrs.count)
            connect_next(s);
        else
            fail(s, ERR_CLOSED, "cannot connect to %s: %s", s->host, strerror(problem));
        return;
    }
    if (s->tls_client == NULL) {
        s->state = STREAM_OPEN;
        s->out_ready = true;
        return;
    }
    if (tls_connect(s->tls_client, s->rfd, s->host, &s->tls) != OK) {
        fail(s, ERR_MEMORY, "cannot start TLS with %s", s->host);
        return;
    }
    s->state = STREAM_HANDSHAKING;
    step_handshaking(s);
}

static void
note_ready(struct stream *s, const struct pollset *ps)
{
    short in = pollset_got(ps, s->slot_in), out = pollset_got(ps, s->slot_out);

    if ((in & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0)
        s->in_ready = true;
    if ((out & (POLLOUT | POLLERR | POLLNVAL)) != 0 || (s->rfd != s->wfd && (out & POLLHUP) != 0))
        s->out_ready = true;
}

enum stream_state
stream_step(struct stream *s, const struct pollset *ps)
{
    bool woken = pollset_got(ps, s->slot_in) != 0;

    switch (s->state) {
    case STREAM_NONE:
    case STREAM_FAILED: break;
    case STREAM_OPEN: note_ready(s, ps); break;
    case STREAM_RESOLVING:
        if (woken)
            step_resolving(s);
        break;
    case STREAM_CONNECTING:
        if (woken)
            step_connecting(s);
        else if (ps->now_ms >= s->addr_deadline_ms && s->next_addr < s->addrs.count)
            connect_next(s);
        break;
    case STREAM_HANDSHAKING:
        if (woken)
            step_handshaking(s);
        break;
    }
    if (s->state != STREAM_OPEN && s->state != STREAM_NONE && s->state != STREAM_FAILED &&
        ps->now_ms >= s->deadline_ms)
        fail(s, ERR_TIMEOUT, "%s does not answer", s->host);
    s->slot_in = s->slot_out = -1;
    return s->state;
}

static enum stream_io
tls_outcome(struct stream *s, enum tls_step step, bool reading)
{
    switch (step) {
    case TLS_DONE:
        if (reading)
            s->read_wants_out = false;
        else
            s->write_wants_in = false;
        return STREAM_DONE;
    case TLS_WANT_READ:
        s->in_ready = false;
        if (reading)
            s->read_wants_out = false;
        else
            s->write_wants_in = true;
        return STREAM_AGAIN;
    case TLS_WANT_WRITE:
        s->out_ready = false;
        if (reading)
            s->read_wants_out = true;
        else
            s->write_wants_in = false;
        return STREAM_AGAIN;
    case TLS_EOF: return STREAM_EOF;
    case TLS_FAILED: break;
    }
    snprintf(s->why, sizeof(s->why), "%s", tls_why(s->tls));
    return STREAM_BROKEN;
}

enum stream_io
stream_read(struct stream *s, void *buf, size_t cap, size_t *len)
{
    ssize_t n;

    *len = 0;
    if (s->tls != NULL)
        return tls_outcome(s, tls_read(s->tls, buf, cap, len), true);
    n = read(s->rfd, buf, cap);
    if (n > 0) {
        *len = (size_t)n;
        if (*len < cap)
            s->in_ready = false; /* drained: poll will tell of more, or of the end */
        return STREAM_DONE;
    }
    if (n == 0)
        return STREAM_EOF;
    if (errno == EINTR)
        return STREAM_AGAIN;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->in_ready = false;
        return STREAM_AGAIN;
    }
    if (errno == EIO) /* a PTY whose last user has gone */
        return STREAM_EOF;
    snprintf(s->why, sizeof(s->why), "%s", strerror(errno));
    return STREAM_BROKEN;
}

enum stream_io
stream_write(struct stream *s, const void *buf, size_t len, size_t *written)
{
    enum stream_io io;
    ssize_t n;

    *written = 0;
    if (s->tls != NULL) {
        io = tls_outcome(s, tls_write(s->tls, buf, len, written), false);
        return io == STREAM_EOF ? STREAM_BROKEN : io;
    }
    n = write(s->wfd, buf, len);
    if (n > 0) {
        *written = (size_t)n;
        if (*written < len)
            s->out_ready = false;
        return STREAM_DONE;
    }
    if (n == 0 || errno == EINTR)
        return STREAM_AGAIN;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        s->out_ready = false;
        return STREAM_AGAIN;
    }
    snprintf(s->why, sizeof(s->why), "%s", strerror(errno));
    return STREAM_BROKEN;
}

void
stream_end_writes(struct stream *s)
{
    if (s->wfd < 0)
        return;
    if (s->tls != NULL) {
        tls_shutdown(s->tls);
    } else if (s->wfd == s->rfd) {
        (void)shutdown(s->wfd, SHUT_WR);
        return;
    } else {
        close(s->wfd);
    }
    s->wfd = -1;
}
