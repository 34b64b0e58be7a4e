/* flood_client.c: many requests that are to be refused, as fast as the server answers. One thread,
 * plain HTTP/1.1 over loopback; each connection has one request under way. The addresses that they
 * seem to come from go into X-Forwarded-For, so the server must trust 127.0.0.1 as a proxy; each
 * '@' in the body becomes the number of the request.
 *
 *   flood_client --port N [--requests 1000000] [--connections 32] [--sources 1] [--ipv6]
 *                [--path /api/auth/login] [--body JSON] [--rate N a second, 0: no bound]
 *
 * Prints one JSON object: statuses with their counts, seconds, answers a second, p50 and p99. When
 * the server goes away, it prints what was answered until then, and how many requests had no
 * answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096
#define BUFFER          8192
#define STATUS_MAX      600
#define BUCKETS         100000 /* of 10 us */

struct conn {
    int fd;
    size_t len; /* of the answer so far */
    int64_t sent_ns;
    char buf[BUFFER];
};

static struct {
    int epoll;
    uint16_t port;
    uint64_t requests, sent, answered, sources, rate;
    unsigned connections, open;
    bool ipv6, gone;
    const char *path, *body;
    uint64_t status[STATUS_MAX];
    uint32_t bucket[BUCKETS];
    int64_t start_ns;
    struct conn conns[CONNECTIONS_MAX];
} flood = {.requests = 1000000,
    .connections = 32,
    .sources = 1,
    .path = "/api/auth/login",
    .body = "{\"name\":\"somebody@\",\"password\":\"not the right one\"}"};

static int64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
die(const char *what)
{
    fprintf(stderr, "flood_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Source number n: an IPv4 address of its own, or an IPv6 /64 of its own. */
static void
source_text(uint64_t n, char *out, size_t cap)
{
    if (flood.ipv6)
        snprintf(out, cap, "2001:db8:%x:%x::%x", (unsigned)(n >> 16 & 0xffff),
            (unsigned)(n & 0xffff), (unsigned)(flood.sent & 0xffff));
    else
        snprintf(out, cap, "100.%u.%u.%u", (unsigned)(64 + (n >> 16 & 63)),
            (unsigned)(n >> 8 & 255), (unsigned)(n & 255));
}

/* The body, with the number of the request for each '@'. */
static size_t
body_text(char *out, size_t cap)
{
    size_t len = 0;

    for (const char *c = flood.body; *c != '\0' && len + 32 < cap; c++)
        if (*c == '@')
            len += (size_t)snprintf(out + len, cap - len, "%llu", (unsigned long long)flood.sent);
        else
            out[len++] = *c;
    out[len] = '\0';
    return len;
}

static void
conn_end(struct conn *c)
{
    close(c->fd);
    c->fd = -1;
    flood.open--;
}

static void
conn_send(struct conn *c)
{
    char text[2048], from[64], body[1024];
    size_t len;
    int n;

    source_text(flood.sent % flood.sources, from, sizeof(from));
    len = body_text(body, sizeof(body));
    n = snprintf(text, sizeof(text),
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "X-Forwarded-For: %s\r\nX-Forwarded-Proto: https\r\nContent-Length: %zu\r\n\r\n%s",
        flood.path, from, len, body);
    c->len = 0;
    c->sent_ns = now_ns();
    flood.sent++;
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n) {
        flood.gone = true;
        conn_end(c);
    }
}

/* May the next one go? With a rate, not before its time. */
static bool
due(void)
{
    return flood.rate == 0 ||
           (double)flood.sent <= (double)(now_ns() - flood.start_ns) / 1e9 * (double)flood.rate;
}

static void
conn_next(struct conn *c)
{
    if (flood.sent >= flood.requests || flood.gone) {
        conn_end(c);
        return;
    }
    while (!due())
        usleep(100);
    conn_send(c);
}

/* True when the answer is whole. */
static bool
answer_whole(struct conn *c)
{
    const char *end, *length;

    c->buf[c->len] = '\0';
    if ((end = strstr(c->buf, "\r\n\r\n")) == NULL)
        return false;
    length = strcasestr(c->buf, "\r\ncontent-length: ");
    return c->len >=
           (size_t)(end - c->buf) + 4 + (length == NULL ? 0 : strtoul(length + 18, NULL, 10));
}

static void
conn_read(struct conn *c)
{
    ssize_t n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - 1 - c->len, 0);
    int64_t bucket;
    unsigned long status;

    if (n <= 0) {
        flood.gone = true;
        conn_end(c);
        return;
    }
    c->len += (size_t)n;
    if (!answer_whole(c))
        return;
    status = strtoul(c->buf + 9, NULL, 10);
    flood.status[status < STATUS_MAX ? status : 0]++;
    flood.answered++;
    bucket = (now_ns() - c->sent_ns) / 10000;
    flood.bucket[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    conn_next(c);
}

static void
conn_open(struct conn *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(flood.port)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (epoll_ctl(flood.epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        die("epoll_ctl");
    flood.open++;
}

static double
percentile_ms(double p)
{
    uint64_t want = (uint64_t)((double)flood.answered * p), seen = 0;

    for (int i = 0; i < BUCKETS; i++)
        if ((seen += flood.bucket[i]) > want)
            return (double)(i + 1) / 100;
    return 0;
}

static void
report(double seconds)
{
    const char *comma = "";

    printf("{\"answered\":%llu,\"unanswered\":%llu,\"seconds\":%.2f,\"per_second\":%.0f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"status\":{",
        (unsigned long long)flood.answered, (unsigned long long)(flood.sent - flood.answered),
        seconds, (double)flood.answered / seconds, percentile_ms(0.5), percentile_ms(0.99));
    for (int i = 0; i < STATUS_MAX; i++)
        if (flood.status[i] > 0) {
            printf("%s\"%d\":%llu", comma, i, (unsigned long long)flood.status[i]);
            comma = ",";
        }
    printf("}}\n");
}

static void
options(int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
        {"requests", required_argument, NULL, 'n'}, {"connections", required_argument, NULL, 'c'},
        {"sources", required_argument, NULL, 's'}, {"path", required_argument, NULL, 'u'},
        {"body", required_argument, NULL, 'b'}, {"rate", required_argument, NULL, 'r'},
        {"ipv6", no_argument, NULL, '6'}, {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'p': flood.port = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'n': flood.requests = strtoull(optarg, NULL, 10); break;
        case 'c': flood.connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': flood.sources = strtoull(optarg, NULL, 10); break;
        case 'u': flood.path = optarg; break;
        case 'b': flood.body = optarg; break;
        case 'r': flood.rate = strtoull(optarg, NULL, 10); break;
        case '6': flood.ipv6 = true; break;
        default: exit(2);
        }
    }
    if (flood.port == 0 || flood.connections == 0 || flood.connections > CONNECTIONS_MAX ||
        flood.sources == 0) {
        fprintf(stderr, "flood_client: --port N is needed, and at most %d connections\n",
            CONNECTIONS_MAX);
        exit(2);
    }
}

int
main(int argc, char **argv)
{
    struct epoll_event events[256];

    options(argc, argv);
    if ((flood.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll_create1");
    flood.start_ns = now_ns();
    for (unsigned i = 0; i < flood.connections; i++)
        conn_open(&flood.conns[i]);
    for (unsigned i = 0; i < flood.connections; i++)
        conn_next(&flood.conns[i]);
    while (flood.open > 0) {
        int n = epoll_wait(flood.epoll, events, 256, -1);

        for (int i = 0; i < n; i++)
            conn_read(events[i].data.ptr);
    }
    report((double)(now_ns() - flood.start_ns) / 1e9);
    return 0;
}
