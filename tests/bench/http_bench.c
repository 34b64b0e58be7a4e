/* http_bench.c: durable acts over HTTP: connections that each have one request under way, and send
 * the next when it is answered. The act is PUT /api/allowlist over admin.sock: one event each, no
 * secret, no rate limit (callers over the network may ask 600 times a minute), the same HTTP
 * engine.
 *
 *   http_bench --socket STATE/admin.sock [--connections 64] [--seconds 3] */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bench/wire.h"

#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     (1u << 21)
#define WARM_NS         300000000

static const char request[] = "PUT /api/allowlist HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n"
                              "Content-Type: application/json\r\nContent-Length: 24\r\n\r\n"
                              "{\"allow\":[\"0.0.0.0/0\"]}\n";

static struct {
    struct {
        int fd;
        int64_t sent_ns;
        char answer[4096];
        size_t len;
    } connection[CONNECTIONS_MAX];
    int64_t sample_ns[SAMPLES_MAX];
} b;

static int
dial(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(to.sun_path))
        wire_die("%s is too long", path);
    memcpy(to.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        wire_die("%s: %s", path, strerror(errno));
    return fd;
}

static void
ask(unsigned i)
{
    b.connection[i].len = 0;
    b.connection[i].sent_ns = wire_now_ns();
    if (send(b.connection[i].fd, request, sizeof(request) - 1, MSG_NOSIGNAL) !=
        (ssize_t)sizeof(request) - 1)
        wire_die("send: %s", strerror(errno));
}

/* True: the answer is whole. */
static bool
answered(unsigned i)
{
    char *answer = b.connection[i].answer, *end, *length;
    ssize_t n = recv(b.connection[i].fd, answer + b.connection[i].len,
        sizeof(b.connection[i].answer) - 1 - b.connection[i].len, 0);

    if (n <= 0)
        wire_die("recv: %s", n == 0 ? "the server closed" : strerror(errno));
    b.connection[i].len += (size_t)n;
    answer[b.connection[i].len] = '\0';
    if ((end = strstr(answer, "\r\n\r\n")) == NULL)
        return false;
    if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
        wire_die("refused: %.400s", answer);
    length = strcasestr(answer, "\r\ncontent-length:");
    if (length == NULL || length > end)
        wire_die("no Content-Length: %.400s", answer);
    return b.connection[i].len >= (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10);
}

static void
run(unsigned connections, double seconds)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t begun = wire_now_ns(), start = begun + WARM_NS, now = begun;
    struct epoll_event events[256];
    uint64_t n = 0, median, p99;

    for (unsigned i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};

        if (epoll_ctl(epoll, EPOLL_CTL_ADD, b.connection[i].fd, &e) != 0)
            wire_die("epoll: %s", strerror(errno));
        ask(i);
    }
    while (now < start + (int64_t)(seconds * 1e9) && n < SAMPLES_MAX - 256) {
        int ready = epoll_wait(epoll, events, 256, 1000);

        for (int k = 0; k < ready; k++) {
            unsigned i = events[k].data.u32;

            if (!answered(i))
                continue;
            now = wire_now_ns();
            if (now >= start)
                b.sample_ns[n++] = now - b.connection[i].sent_ns;
            ask(i);
        }
        now = wire_now_ns();
    }
    if (n == 0)
        wire_die("no answer in time");
    median = n / 2;
    p99 = n * 99 / 100;
    qsort(b.sample_ns, n, sizeof(*b.sample_ns), wire_by_value);
    printf("http connections %u events_s %.0f p50_ms %.3f p99_ms %.3f\n", connections,
        (double)n * 1e9 / (double)(now - start), (double)b.sample_ns[median] / 1e6,
        (double)b.sample_ns[p99] / 1e6);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 'S'},
        {"connections", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0}};
    const char *path = NULL;
    unsigned connections = 64;
    double seconds = 3;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'S': path = optarg; break;
        case 'n': connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': seconds = strtod(optarg, NULL); break;
        default: return 2;
        }
    }
    if (path == NULL || connections == 0 || connections > CONNECTIONS_MAX)
        wire_die("--socket PATH, and at most %d connections", CONNECTIONS_MAX);
    for (unsigned i = 0; i < connections; i++)
        b.connection[i].fd = dial(path);
    run(connections, seconds);
    return 0;
}
