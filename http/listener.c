/* listener.c: listening sockets, one per loop (SO_REUSEPORT spreads the connections), and what
 * happens when someone calls: caps, then a connection. Accepting goes on when file descriptors run
 * out. On the loop's thread, except probe and open, which run before it starts. */
#include "http/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG   4096
#define ACCEPTS_PER_TURN 64

union listen_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static enum err
address_parse(
    const struct http_listen *listen, uint16_t port, union listen_address *address, socklen_t *len)
{
    memset(address, 0, sizeof(*address));
    if (listen->unix_path != NULL) {
        size_t path_len = strlen(listen->unix_path);

        if (path_len >= sizeof(address->un.sun_path))
            return ERR_LIMIT;
        address->un.sun_family = AF_UNIX;
        memcpy(address->un.sun_path, listen->unix_path, path_len + 1);
        *len = sizeof(address->un);
        return OK;
    }
    if (inet_pton(AF_INET, listen->address, &address->in.sin_addr) == 1) {
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons(port);
        *len = sizeof(address->in);
        return OK;
    }
    if (inet_pton(AF_INET6, listen->address, &address->in6.sin6_addr) == 1) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(port);
        *len = sizeof(address->in6);
        return OK;
    }
    return ERR_MALFORMED;
}

/* errno tells on ERR_IO. */
static enum err
socket_bind(const struct http_listen *listen, uint16_t port, bool shared, int *out)
{
    union listen_address address;
    socklen_t len;
    int fd, on = 1, off = 0, saved;
    enum err err = address_parse(listen, port, &address, &len);

    if (err != OK)
        return err;
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    if (address.any.sa_family == AF_UNIX)
        (void)fchmod(fd, 0600); /* of the name that bind will make */
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.any.sa_family == AF_INET6) /* "::" takes both */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if ((shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(fd, &address.any, len) != 0) {
        saved = errno;
        close(fd);
        errno = saved;
        return ERR_IO;
    }
    *out = fd;
    return OK;
}

static enum err
bind_failed(const struct http_listen *listen, enum err err, char *why, size_t why_len)
{
    const char *name = listen->unix_path != NULL ? listen->unix_path : listen->address;

    if (err == ERR_MALFORMED)
        snprintf(why, why_len, "%s is not a numeric address", name);
    else if (err == ERR_LIMIT)
        snprintf(why, why_len, "%s: socket path is too long", name);
    else if (errno == EADDRINUSE && listen->unix_path == NULL)
        snprintf(why, why_len, "%s port %u is in use: another server is listening there", name,
            listen->port);
    else
        snprintf(
            why, why_len, "cannot listen on %s port %u: %s", name, listen->port, strerror(errno));
    return err == ERR_IO && errno == EADDRINUSE ? ERR_EXISTS : err;
}

/* With SO_REUSEPORT a second server of the same user would silently share the port, so one bind
 * without it comes first. It also finds the port when the kernel is to choose. */
enum err
listener_probe(struct http_listen *listen, uint16_t *port, char *why, size_t why_len)
{
    union listen_address address = {0};
    socklen_t len = sizeof(address);
    enum err err;
    int fd;

    *port = listen->port;
    if (listen->unix_path != NULL)
        return OK;
    if ((err = socket_bind(listen, listen->port, false, &fd)) != OK)
        return bind_failed(listen, err, why, why_len);
    if (getsockname(fd, &address.any, &len) == 0)
        *port =
            ntohs(address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
    close(fd);
    return OK;
}

/* A socket that a killed server left behind; the lock on the state folder says that it is dead. */
static void
unlink_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

enum err
listener_open(
    struct loop *loop, const struct http_listen *listen, uint16_t port, char *why, size_t why_len)
{
    struct listener *listener = &loop->listeners[loop->listener_count];
    enum err err;
    int fd;

    INVARIANT(loop->listener_count < HTTP_LISTENERS_MAX);
    if (listen->unix_path != NULL)
        unlink_stale(listen->unix_path);
    if ((err = socket_bind(listen, port, listen->unix_path == NULL, &fd)) != OK)
        return bind_failed(listen, err, why, why_len);
    if (uv_poll_init(&loop->uv, &listener->poll, fd) != 0) {
        close(fd);
        snprintf(why, why_len, "out of memory");
        return ERR_MEMORY;
    }
    listener->poll.data = listener;
    listener->loop = loop;
    listener->listen = listen;
    listener->fd = fd;
    loop->listener_count++;
    return OK;
}

/* No descriptor is left: give the spare one up, take the caller with it, send him away, take it
 * back. Otherwise the backlog would stay full and the loop would spin. False: nobody there. */
static bool
accept_and_drop(struct listener *listener)
{
    struct loop *loop = listener->loop;
    int fd;

    if (loop->spare_fd >= 0)
        close(loop->spare_fd);
    fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        COUNT(loop, refused_files, 1); /* first: whoever saw the close is in the count */
        close(fd);
    }
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* On admin.sock only our own user, or root, may speak. */
static bool
peer_allowed(int fd, uint32_t *uid)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
        return false;
    *uid = cred.uid;
    return cred.uid == 0 || cred.uid == geteuid();
}

static void
welcome(struct listener *listener, int fd, const union conn_peer *peer)
{
    struct loop *loop = listener->loop;
    struct caps_key cap = caps_key(&peer->any);
    uint32_t uid = 0;
    int on = 1;

    COUNT(loop, accepted, 1);
    if ((peer->any.sa_family == AF_UNIX && !peer_allowed(fd, &uid)) ||
        !caps_take(loop->server->caps, cap)) {
        COUNT(loop, refused_caps, 1);
        close(fd);
        return;
    }
    if (peer->any.sa_family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (conn_open(loop, fd, listener->listen, peer, uid, cap) == ERR_FULL)
        COUNT(loop, refused_caps, 1);
}

static void
on_callers(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    union listen_address from = {0};
    union conn_peer peer;
    socklen_t len;
    int fd;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        len = sizeof(from);
        fd = accept4(listener->fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            memset(&peer, 0, sizeof(peer));
            peer.any.sa_family = AF_UNIX; /* an unnamed peer's address may have no family at all */
            if (from.any.sa_family == AF_INET)
                peer.in = from.in;
            else if (from.any.sa_family == AF_INET6)
                peer.in6 = from.in6;
            welcome(listener, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE) {
            if (!accept_and_drop(listener))
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: all served */
        }
    }
}

enum err
listener_start(struct listener *listener)
{
    if (listen(listener->fd, LISTEN_BACKLOG) != 0 ||
        uv_poll_start(&listener->poll, UV_READABLE, on_callers) != 0)
        return ERR_IO;
    return OK;
}

static void
on_listener_closed(uv_handle_t *handle)
{
    (void)handle;
}

void
listener_stop(struct listener *listener)
{
    if (listener->closing)
        return;
    listener->closing = true;
    uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
    close(listener->fd);
    if (listener->listen->unix_path != NULL)
        unlink(listener->listen->unix_path);
}
