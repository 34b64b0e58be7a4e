/* connect.c: gatehouse connect, from the name of a machine to bytes, and the end of the session.
 * One thread, one loop. The login is refreshed while it runs, so that the session lives on. */
#include "tools/gatehouse/connect.h"

#include "tools/gatehouse/bridge.h"
#include "tools/gatehouse/connect_session.h"
#include "tools/gatehouse/terminal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BRIDGES_MAX 64

struct connect {
    struct connect_options options;
    struct api api;
    char session[ID_TEXT_BYTES];
    bool ours; /* the session was made here, and ends here */
    int listener, listener_slot;
    bool bound; /* listen_path is to be removed */
    int wake_slot;
    struct bridge *bridges[BRIDGES_MAX];
    size_t bridge_count;
    struct token_refresh *refresh;
    int64_t refresh_look_ms;
    bool stopped; /* by a signal */
    bool over;    /* nothing more to wait for */
    int status;
};

/* ---- signals: a flag each, and a pipe to wake the loop ---- */

static volatile sig_atomic_t got_stop, got_winch;
static int wake[2] = {-1, -1};

static void
on_signal(int number)
{
    int before = errno;

    if (number == SIGWINCH)
        got_winch = 1;
    else
        got_stop = 1;
    (void)!write(wake[1], "", 1);
    errno = before;
}

static enum err
signals_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal};

    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return ERR_IO;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], &action, NULL) != 0)
            return ERR_IO;
    (void)signal(SIGPIPE, SIG_IGN);
    return OK;
}

/* ---- what is said ---- */

static int
failed(struct connect *c, const char *why)
{
    fprintf(stderr, "gatehouse: connect: %s\n", why);
    c->status = CONNECT_FAILED;
    c->over = true;
    return CONNECT_FAILED;
}

/* ---- -L ---- */

static int
listen_tcp(struct connect *c)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(c->options.listen_port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->options.listen_port)};
    bool v6 = inet_pton(AF_INET6, c->options.listen_host, &in6.sin6_addr) == 1;
    struct sockaddr *sa = v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in;
    socklen_t len = v6 ? sizeof(in6) : sizeof(in);
    int fd, one = 1;

    if (!v6 && inet_pton(AF_INET, c->options.listen_host, &in.sin_addr) != 1)
        return -1;
    fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, sa, len) != 0 || listen(fd, 16) != 0 || getsockname(fd, sa, &len) != 0) {
        close(fd);
        return -1;
    }
    fprintf(stderr, v6 ? "listening on [%s]:%u\n" : "listening on %s:%u\n", c->options.listen_host,
        ntohs(v6 ? in6.sin6_port : in.sin_port));
    return fd;
}

static int
listen_unix(struct connect *c)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    mode_t before = umask(077);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(un.sun_path, sizeof(un.sun_path), "%s", c->options.listen_path);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, 16) != 0)) {
        close(fd);
        fd = -1;
    }
    umask(before);
    c->bound = fd >= 0;
    if (fd >= 0)
        fprintf(stderr, "listening on %s\n", c->options.listen_path);
    return fd;
}

static void
bridge_add(struct connect *c, const struct bridge_options *options)
{
    if (bridge_new(&c->api, options, &c->bridges[c->bridge_count]) == OK)
        c->bridge_count++;
    else
        failed(c, "no memory for a channel");
}

static void
accept_step(struct connect *c, const struct pollset *ps)
{
    struct bridge_options o = {
        .session = c->session, .service = c->options.service, .rflags = -1, .wflags = -1};

    if (pollset_got(ps, c->listener_slot) == 0)
        return;
    while (c->bridge_count < BRIDGES_MAX) {
        int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        o.rfd = o.wfd = fd;
        bridge_add(c, &o);
    }
}

/* ---- stdin and stdout ---- */

/* Takes a standard descriptor over, so that closing ours closes it. A terminal stays where it is
 * and blocking (the shell that started us shares it, and poll is asked before each call); pipes and
 * files do not block, and are put back at the end. */
static int
stdio_take(int fd, int *flags)
{
    int ours = fcntl(fd, F_DUPFD_CLOEXEC, 3), null;

    *flags = -1;
    if (ours < 0 || isatty(fd))
        return ours;
    if ((*flags = fcntl(ours, F_GETFL)) >= 0)
        (void)fcntl(ours, F_SETFL, *flags | O_NONBLOCK);
    if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0) {
        (void)dup2(null, fd);
        close(null);
    }
    return ours;
}

static int
stdio_bridge(struct connect *c)
{
    struct bridge_options o = {
        .session = c->session, .service = c->options.service, .filter = isatty(STDOUT_FILENO) == 1};
    bool shell = c->options.kind == SERVICE_SHELL;

    o.rfd = stdio_take(STDIN_FILENO, &o.rflags);
    o.wfd = stdio_take(STDOUT_FILENO, &o.wflags);
    if (o.rfd < 0 || o.wfd < 0)
        return failed(c, "standard input or output is not open");
    if (shell && !terminal_size(STDOUT_FILENO, &o.cols, &o.rows) &&
        !terminal_size(STDIN_FILENO, &o.cols, &o.rows)) {
        o.cols = 80;
        o.rows = 24;
    }
    if (c->options.command != NULL)
        o.first = span_str(c->options.command);
    else if (shell && isatty(STDIN_FILENO) && terminal_raw(STDIN_FILENO) == OK)
        o.keys = true;
    bridge_add(c, &o);
    return c->status;
}

/* ---- the loop ---- */

static void
refresh_prepare(struct connect *c, struct pollset *ps)
{
    if (c->refresh != NULL)
        token_refresh_prepare(c->refresh, ps);
    else
        pollset_deadline(ps, c->refresh_look_ms);
}

/* A login that is not refreshed ends after 30 minutes, and its sessions with it. */
static void
refresh_step(struct connect *c, const struct pollset *ps)
{
    if (c->refresh == NULL) {
        if (ps->now_ms < c->refresh_look_ms)
            return;
        c->refresh_look_ms = ps->now_ms + 15000;
        if (token_due(c->api.token))
            (void)!token_refresh_new(c->api.client, c->api.token, false, &c->refresh);
        return;
    }
    if (token_refresh_step(c->refresh, ps) == TOKEN_REFRESHING)
        return;
    token_refresh_free(c->refresh);
    c->refresh = NULL; /* a failure: again in 15 s; the server ends the session if it must */
}

static void
bridge_over(struct connect *c, struct bridge *b)
{
    bool listening = c->listener >= 0;

    terminal_restore(b->options.filter ? &b->filter : NULL, STDOUT_FILENO);
    if (!listening) {
        c->over = true;
        c->status = b->exit_status >= 0 ? b->exit_status : b->clean ? 0 : CONNECT_FAILED;
        if (b->disconnect)
            fputs("disconnected\n", stderr);
    }
    if (b->why[0] != '\0' && listening)
        fprintf(stderr, "gatehouse: connect: %s\n", b->why);
    else if (b->why[0] != '\0')
        failed(c, b->why);
    if (b->session_gone) {
        c->over = true;
        c->status = CONNECT_FAILED;
    }
}

static void
bridges_step(struct connect *c, const struct pollset *ps)
{
    for (size_t i = 0; i < c->bridge_count;) {
        struct bridge *b = c->bridges[i];

        if (bridge_step(b, ps)) {
            i++;
            continue;
        }
        bridge_over(c, b);
        bridge_free(b);
        c->bridges[i] = c->bridges[--c->bridge_count];
    }
}

static void
wake_step(struct connect *c, const struct pollset *ps)
{
    uint16_t cols, rows;
    char bytes[64];

    if (pollset_got(ps, c->wake_slot) != 0)
        while (read(wake[0], bytes, sizeof(bytes)) > 0)
            ;
    if (got_winch != 0) {
        got_winch = 0;
        if (c->listener < 0 && c->bridge_count == 1 &&
            (terminal_size(STDOUT_FILENO, &cols, &rows) ||
                terminal_size(STDIN_FILENO, &cols, &rows)))
            bridge_resize(c->bridges[0], cols, rows);
    }
    if (got_stop == 0 || c->stopped)
        return;
    c->stopped = true;
    if (c->listener >= 0)
        c->over = true;
    for (size_t i = 0; i < c->bridge_count; i++)
        bridge_close(c->bridges[i]);
}

static void
turn(struct connect *c)
{
    struct pollset ps;

    pollset_init(&ps);
    c->wake_slot = pollset_add(&ps, wake[0], POLLIN);
    c->listener_slot = pollset_add(&ps, c->bridge_count < BRIDGES_MAX ? c->listener : -1, POLLIN);
    for (size_t i = 0; i < c->bridge_count; i++)
        bridge_prepare(c->bridges[i], &ps);
    refresh_prepare(c, &ps);
    if (pollset_wait(&ps) != OK) {
        failed(c, "poll failed");
        return;
    }
    wake_step(c, &ps);
    accept_step(c, &ps);
    bridges_step(c, &ps);
    refresh_step(c, &ps);
}

static int
serve(struct connect *c)
{
    bool listens = c->options.listen_path != NULL || c->options.listen_host[0] != '\0';

    if (listens) {
        c->listener = c->options.listen_path != NULL ? listen_unix(c) : listen_tcp(c);
        if (c->listener < 0) {
            char why[300];

            snprintf(why, sizeof(why), "-L: %s", strerror(errno));
            return failed(c, why);
        }
    } else if (stdio_bridge(c) != 0) {
        return c->status;
    }
    while (!c->over)
        turn(c);
    while (c->bridge_count > 0)
        bridge_free(c->bridges[--c->bridge_count]);
    terminal_restore(NULL, -1);
    if (c->stopped && !listens)
        c->status = CONNECT_FAILED;
    return c->status;
}

/* ---- the session ---- */

static enum err
session_begin(struct connect *c)
{
    char machine[ID_TEXT_BYTES];
    bool asks = false;
    enum err err;

    if (c->options.session != NULL) {
        snprintf(c->session, sizeof(c->session), "%s", c->options.session);
        return connect_session_wait(&c->api, c->session);
    }
    if ((err = connect_session_find_machine(&c->api, c->options.machine, machine)) != OK ||
        (err = connect_session_request(&c->api, machine, c->options.reason, c->session, &asks)) !=
            OK)
        return err;
    c->ours = true;
    if (asks)
        connect_session_say_waiting(&c->api, machine, c->session);
    return connect_session_wait(&c->api, c->session);
}

static void
session_finish(struct connect *c)
{
    if (!c->ours)
        return;
    client_stop_at(c->api.client, NULL); /* also after Ctrl-C the session is to end */
    if (connect_session_end(&c->api, c->session) != OK)
        fprintf(stderr, "gatehouse: connect: the session could not be ended: %s\n", c->api.why);
}

static int
run(struct connect *c)
{
    if (signals_catch() != OK)
        return failed(c, "cannot catch signals");
    if (api_open(&c->api, c->options.server, c->options.ca) != OK) {
        failed(c, c->api.why);
    } else {
        client_stop_at(c->api.client, &got_stop);
        if (session_begin(c) != OK)
            failed(c, c->api.why);
        else
            (void)serve(c);
        session_finish(c);
    }
    token_refresh_free(c->refresh);
    api_close(&c->api);
    if (c->listener >= 0)
        close(c->listener);
    if (c->bound)
        unlink(c->options.listen_path);
    return c->status;
}

int
connect_main(int argc, char **argv)
{
    struct connect *c = calloc(1, sizeof(*c));
    int status = CONNECT_FAILED;
    enum err err;

    if (c == NULL)
        return status;
    c->listener = -1;
    err = connect_options_parse(argc, argv, &c->options);
    if (err == OK)
        status = run(c);
    else
        status = err == ERR_CLOSED ? EXIT_DONE : EXIT_USAGE;
    free(c->options.command);
    free(c);
    return status;
}
