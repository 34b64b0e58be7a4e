/* idle_bench.c: many agents that are connected and do nothing. Takes one API key a line from stdin;
 * each becomes a device with a key of its own, from an address of its own within 127.0.0.0/8 (the
 * server limits what one address may do). Says how much more memory the server holds then.
 *
 *   idle_bench --port P --ca FILE --server PID < KEYS */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench_agent.h"

#define AGENTS_MAX 20000
#define WINDOW     64 /* hellos that wait for one sync */

static struct bench_agent agents[AGENTS_MAX];

/* "VmRSS" and its like, in KiB. */
static long
memory_kib(long pid, const char *what)
{
    char path[64], line[256];
    size_t len = strlen(what);
    long kib = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    if ((f = fopen(path, "re")) == NULL)
        wire_die("%s cannot be read", path);
    while (kib < 0 && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, what, len) == 0 && line[len] == ':')
            kib = strtol(line + len + 1, NULL, 10);
    fclose(f);
    return kib;
}

static void
tell(long pid, unsigned count)
{
    printf("agents %u rss_KiB %ld anon_KiB %ld file_KiB %ld\n", count, memory_kib(pid, "VmRSS"),
        memory_kib(pid, "RssAnon"), memory_kib(pid, "RssFile") + memory_kib(pid, "RssShmem"));
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
        {"ca", required_argument, NULL, 'c'}, {"server", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0}};
    struct wire_address to = {.host = "127.0.0.1"};
    char key[256], name[32], source[32];
    unsigned count = 0, welcome = 0;
    struct timespec settle = {.tv_sec = 2};
    long pid = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'p': to.port = (uint16_t)strtoul(optarg, NULL, 10); break;
        case 'c': to.tls = wire_client(optarg); break;
        case 's': pid = strtol(optarg, NULL, 10); break;
        default: return 2;
        }
    }
    if (pid == 0 || sodium_init() < 0)
        wire_die("idle_bench --port P --ca FILE --server PID < KEYS");
    tell(pid, 0);
    while (count < AGENTS_MAX && fgets(key, sizeof(key), stdin) != NULL) {
        key[strcspn(key, "\n")] = '\0';
        snprintf(name, sizeof(name), "idle%u", count);
        snprintf(source, sizeof(source), "127.%u.%u.9", 100 + count / 250, 1 + count % 250);
        to.source = source;
        bench_agent_greet(&agents[count++], &to, key, name, "shell");
        while (welcome + WINDOW <= count)
            bench_agent_welcome(&agents[welcome++]);
    }
    while (welcome < count)
        bench_agent_welcome(&agents[welcome++]);
    nanosleep(&settle, NULL);
    tell(pid, count);
    return 0;
}
