/* relay_bench.c: both ends of what passes through a relay: gatehouse's, haproxy's, nginx's, or
 * none. Epoll, one thread, frames prepared once; what comes out of the middle is counted and thrown
 * away without being decrypted, so that this program costs as little as it can.
 *
 *   relay_bench [--agent KEY --source ADDR] --port P [--ca FILE] [--websocket]
 *       [--listen P [--cert F --key F]] --pairs N --seconds S --middle PID flow | rtt
 *
 * --agent: the middle is gatehouse: enrols a machine with that API key, says "agent MACHINE", and
 * takes one line "SESSION TICKET" a pair from stdin, used from ADDR. Otherwise it connects to
 * --port once a pair, and the middle connects to --listen (--websocket: as WebSocket); without
 * --listen it is its own other end. --ca and --cert turn on TLS. flow: 16 KiB messages one way, as
 * many as go through. rtt: messages of 128 bytes, there and back, one after the other, on one pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/wsframe.h"
#include "tests/bench/bench_agent.h"

#define PAIRS_MAX     1024
#define MESSAGE_BYTES (16 * 1024)
#define ROUND_BYTES   128
#define BURST         16 /* messages in one write: 256 KiB */
#define SAMPLES_MAX   (1u << 20)
#define WARM_NS       300000000

static struct {
    const char *agent_key, *source, *ca, *cert, *key;
    uint16_t port, listen;
    bool websocket;
    unsigned pairs;
    double seconds;
    long middle;
    struct wire_address to;
    struct tls_server *server;
    int listener;
    struct bench_agent agent;
    struct wire near[PAIRS_MAX], far[PAIRS_MAX];
    size_t sent_at[PAIRS_MAX]; /* of the burst under way */
    bool stuck[PAIRS_MAX];     /* the socket was full */
    uint8_t burst[BURST * (MESSAGE_BYTES + 64)];
    size_t burst_len, frame_len;
    int64_t sample_ns[SAMPLES_MAX];
} b = {.pairs = 1, .seconds = 1, .listener = -1};

/* ---- pairs ---- */

static void
open_by_ticket(unsigned i)
{
    struct wire_address technician = b.to;
    char line[2048], session[64], ticket[1024], target[256], protocol[1200];

    if (fgets(line, sizeof(line), stdin) == NULL ||
        sscanf(line, "%63s %1023s", session, ticket) != 2)
        wire_die("stdin: SESSION TICKET");
    snprintf(target, sizeof(target), "/relay/sessions/%s/tcp/bench", session);
    snprintf(protocol, sizeof(protocol), "gatehouse.v1, ticket.%s", ticket);
    technician.source = b.source;
    wire_connect(&technician, &b.near[i]);
    wire_upgrade(&b.near[i], target, protocol, "");
    bench_agent_dial(&b.agent, &b.to, &b.far[i]);
}

static void *
accept_far(void *arg)
{
    struct wire *far = arg;

    wire_accept(b.listener, b.server, far);
    if (b.websocket)
        wire_upgraded(far);
    return NULL;
}

/* Both ends at once: some middles call the far one before they answer the near one. */
static void
open_through(unsigned i)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, accept_far, &b.far[i]) != 0)
        wire_die("no thread");
    wire_connect(&b.to, &b.near[i]);
    if (b.websocket)
        wire_upgrade(&b.near[i], "/bench", "bench", "");
    pthread_join(thread, NULL);
}

static void
open_pairs(void)
{
    char id[ID_TEXT_BYTES], why[256];

    b.to = (struct wire_address){.host = "127.0.0.1", .port = b.port};
    if (b.ca != NULL)
        b.to.tls = wire_client(b.ca);
    if (b.cert != NULL && tls_server_new(b.cert, b.key, &b.server, why, sizeof(why)) != OK)
        wire_die("%s: %s", b.cert, why);
    if (b.agent_key != NULL) {
        bench_agent_greet(&b.agent, &b.to, b.agent_key, "bench", "tcp:bench");
        bench_agent_welcome(&b.agent);
        id_text(ID_MACHINE, &b.agent.machine, id);
        printf("agent %s\n", id);
    } else {
        b.listener = wire_listen(&b.listen);
    }
    if (b.agent_key == NULL && b.port == 0)
        b.to.port = b.listen;
    fflush(stdout);
    for (unsigned i = 0; i < b.pairs; i++)
        if (b.agent_key != NULL)
            open_by_ticket(i);
        else
            open_through(i);
}

static bool
frames_are_websocket(void)
{
    return b.agent_key != NULL || b.websocket;
}

static void
prepare(size_t message, unsigned count)
{
    b.burst_len = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *at = b.burst + b.burst_len;

        if (frames_are_websocket()) {
            b.frame_len = wire_frame(at, sizeof(b.burst) - b.burst_len, message);
        } else {
            b.frame_len = message;
            randombytes_buf(at, message);
        }
        b.burst_len += b.frame_len;
    }
}

/* ---- flow ---- */

/* Sends until the socket is full, at most a few bursts. */
static void
push(unsigned i)
{
    struct wire *w = &b.near[i];

    for (int turns = 0; turns < 4; turns++) {
        size_t left = b.burst_len - b.sent_at[i], n;

        if (w->tls != NULL) {
            enum tls_step step = tls_write(w->tls, b.burst + b.sent_at[i], left, &n);

            if (step == TLS_WANT_WRITE) {
                b.stuck[i] = true;
                return;
            }
            if (step != TLS_DONE)
                wire_die("send: %s", tls_why(w->tls));
        } else {
            ssize_t sent = send(w->fd, b.burst + b.sent_at[i], left, MSG_NOSIGNAL | MSG_DONTWAIT);

            if (sent < 0 && errno == EAGAIN) {
                b.stuck[i] = true;
                return;
            }
            if (sent < 0)
                wire_die("send: %s", strerror(errno));
            n = (size_t)sent;
        }
        b.sent_at[i] = (b.sent_at[i] + n) % b.burst_len;
    }
}

/* Bytes as they are on the wire: TLS and frames add 0.2 % at most. */
static size_t
pull(unsigned i)
{
    static uint8_t nothing[1 << 20];
    size_t sum = 0;

    for (int turns = 0; turns < 4; turns++) {
        ssize_t n = recv(b.far[i].fd, nothing, sizeof(nothing), MSG_DONTWAIT | MSG_TRUNC);

        if (n <= 0) {
            if (n < 0 && errno == EAGAIN)
                break;
            wire_die("recv: %s", n == 0 ? "the middle closed" : strerror(errno));
        }
        sum += (size_t)n;
    }
    return sum;
}

static void
watch(int epoll, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event e = {.events = events, .data.u64 = tag};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        wire_die("epoll: %s", strerror(errno));
}

static double
own_cpu_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
flow(void)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int64_t start = 0, begun = wire_now_ns(), now = begun;
    double cpu = 0, own = 0, took, used;
    struct epoll_event events[256];
    uint64_t bytes = 0;

    prepare(MESSAGE_BYTES, BURST);
    for (unsigned i = 0; i < b.pairs; i++) {
        (void)fcntl(b.near[i].fd, F_SETFL, O_NONBLOCK);
        watch(epoll, b.near[i].fd, EPOLLOUT | EPOLLET, 2 * i);
        watch(epoll, b.far[i].fd, EPOLLIN, 2 * i + 1);
    }
    while (start == 0 || now < start + (int64_t)(b.seconds * 1e9)) {
        bool idle = true;
        int n;

        for (unsigned i = 0; i < b.pairs; i++)
            if (!b.stuck[i]) {
                push(i);
                idle = idle && b.stuck[i];
            }
        n = epoll_wait(epoll, events, 256, idle ? 100 : 0);
        for (int k = 0; k < n; k++) {
            unsigned i = (unsigned)(events[k].data.u64 / 2);

            if (events[k].data.u64 % 2 == 0)
                b.stuck[i] = false;
            else
                bytes += pull(i);
        }
        now = wire_now_ns();
        if (start == 0 && now >= begun + WARM_NS) {
            start = now;
            bytes = 0;
            cpu = b.middle > 0 ? wire_cpu_s(b.middle) : 0;
            own = own_cpu_s();
        }
    }
    took = (double)(now - start) / 1e9;
    used = b.middle > 0 ? wire_cpu_s(b.middle) - cpu : 0;
    printf("flow pairs %u MB_s %.1f middle_cpu %.3f cpu_s_GB %.3f driver_cpu %.3f\n", b.pairs,
        (double)bytes / 1e6 / took, used / took, used / ((double)bytes / 1e9),
        (own_cpu_s() - own) / took);
    close(epoll);
}

/* ---- round trips ---- */

/* As long as the frame or the message is; the middle may take masks off. In as few calls as can be:
 * there is never more under way than one. */
static void
recv_message(struct wire *w)
{
    uint8_t bytes[WSFRAME_HEADER_MAX + ROUND_BYTES];
    size_t len = 0, whole = ROUND_BYTES;
    struct wsframe frame;

    while (len < whole) {
        len += wire_recv(w, bytes + len, sizeof(bytes) - len);
        if (frames_are_websocket() && wsframe_parse(span_of(bytes, len), &frame) == OK) {
            if (frame.opcode != WSFRAME_BINARY || frame.payload_len != ROUND_BYTES)
                wire_die("the message became another");
            whole = frame.header_len + (size_t)frame.payload_len;
        }
    }
}

static void
round_trips(void)
{
    int64_t start, begun = wire_now_ns(), now = begun;
    uint64_t n = 0, median, p99;

    prepare(ROUND_BYTES, 1);
    while (now < begun + WARM_NS + (int64_t)(b.seconds * 1e9) && n < SAMPLES_MAX) {
        start = now;
        wire_send(&b.near[0], b.burst, b.burst_len);
        recv_message(&b.far[0]);
        wire_send(&b.far[0], b.burst, b.burst_len);
        recv_message(&b.near[0]);
        now = wire_now_ns();
        if (start >= begun + WARM_NS)
            b.sample_ns[n++] = now - start;
    }
    if (n == 0)
        wire_die("no round trip in time");
    median = n / 2;
    p99 = n * 99 / 100;
    qsort(b.sample_ns, n, sizeof(*b.sample_ns), wire_by_value);
    printf("rtt n %llu p50_us %.1f p99_us %.1f\n", (unsigned long long)n,
        (double)b.sample_ns[median] / 1e3, (double)b.sample_ns[p99] / 1e3);
}

/* ---- main ---- */

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"agent", required_argument, NULL, 'a'},
        {"source", required_argument, NULL, 'S'}, {"port", required_argument, NULL, 'p'},
        {"ca", required_argument, NULL, 'c'}, {"listen", required_argument, NULL, 'l'},
        {"cert", required_argument, NULL, 'C'}, {"key", required_argument, NULL, 'k'},
        {"websocket", no_argument, NULL, 'w'}, {"pairs", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'}, {"middle", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'a': b.agent_key = optarg; break;
        case 'S': b.source = optarg; break;
        case 'p': b.port = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'c': b.ca = optarg; break;
        case 'l': b.listen = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'C': b.cert = optarg; break;
        case 'k': b.key = optarg; break;
        case 'w': b.websocket = true; break;
        case 'n': b.pairs = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': b.seconds = strtod(optarg, NULL); break;
        case 'm': b.middle = strtol(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    if (optind + 1 != argc || b.pairs == 0 || b.pairs > PAIRS_MAX || sodium_init() < 0)
        wire_die("relay_bench OPTIONS flow|rtt (see the top of its source)");
    open_pairs();
    if (strcmp(argv[optind], "flow") == 0)
        flow();
    else if (strcmp(argv[optind], "rtt") == 0)
        round_trips();
    else
        wire_die("flow or rtt");
    return 0;
}
