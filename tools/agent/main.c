/* main.c: gatehouse-agent: this machine's side of a Gatehouse server. One thread, one loop; see
 * agent.h for who does what, docs/agents.md for the protocol. */
#include "core/hash.h"
#include "http/sha.h"
#include "tools/agent/agent.h"
#include "tools/agent/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_MS 1000 /* for channels and shells to end */

/* Keys live in this process: no core files, no debugger of another user, no stray descriptors. */
static void
harden(void)
{
    struct rlimit core;

    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &core);
    }
    (void)prctl(PR_SET_DUMPABLE, 0);
    umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTTIN, SIG_IGN); /* in the background nobody can be asked: read fails instead */
    (void)signal(SIGTTOU, SIG_IGN);
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR); /* lowest free number: this one */
}

static int
signals_open(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
stop(struct agent *a, const char *why)
{
    if (a->stopping)
        return;
    a->stopping = true;
    a->leave_at_ms = pollset_clock_ms() + STOP_MS;
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (a->channels[i].phase != CHANNEL_FREE)
            channel_end(a, &a->channels[i], why);
    link_leave(a, why);
}

static void
signals_step(struct agent *a, const struct pollset *ps)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    if (pollset_got(ps, a->signals_slot) == 0)
        return;
    while (read(a->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        say("stopping");
        stop(a, "stopped");
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        channel_child(a, pid, status);
}

/* Targets are resolved once, so that a name cannot point elsewhere later. */
static enum err
services_resolve(struct agent_options *o)
{
    enum stream_reach reach = o->allow_remote ? REACH_NO_LINK_LOCAL : REACH_LOOPBACK;

    for (size_t i = 0; i < o->service_count; i++) {
        struct agent_service *s = &o->services[i];
        struct resolved found = {0};
        struct resolve *r;
        const char *why = "no answer";
        struct pollfd p;

        if (s->kind == SERVICE_SHELL)
            continue;
        if (resolve_start(s->host, s->port, &r) != OK)
            return ERR_MEMORY;
        p = (struct pollfd){.fd = resolve_fd(r), .events = POLLIN};
        if (poll(&p, 1, CLIENT_CONNECT_MS) != 1 || resolve_take(r, &found, &why) != OK)
            found.count = 0;
        resolve_free(r);
        for (unsigned k = 0; k < found.count; k++) {
            if (!stream_reaches(reach, (const struct sockaddr *)&found.addrs[k]))
                continue;
            s->addrs.addrs[s->addrs.count] = found.addrs[k];
            s->addrs.lens[s->addrs.count++] = found.lens[k];
        }
        if (s->addrs.count > 0)
            continue;
        if (found.count == 0)
            say("--allow %s: cannot resolve %s: %s", s->name, say_foreign(span_str(s->host)), why);
        else
            say("--allow %s: %s is not this machine%s", s->name, say_foreign(span_str(s->host)),
                o->allow_remote ? ", or link-local" : " (--allow-remote would permit it)");
        return ERR_DENIED;
    }
    return OK;
}

static void
turn(struct agent *a)
{
    struct pollset ps;

    pollset_init(&ps);
    a->signals_slot = pollset_add(&ps, a->signals, POLLIN);
    link_prepare(a, &ps);
    channels_prepare(a, &ps);
    prompt_prepare(a, &ps);
    if (a->leave_at_ms != 0)
        pollset_deadline(&ps, a->leave_at_ms);
    if (pollset_wait(&ps) != OK) {
        say("poll: %s", strerror(errno));
        a->exit = EXIT_REFUSED;
        a->done = true;
        return;
    }
    signals_step(a, &ps);
    link_step(a, &ps);
    if (a->done)
        return;
    channels_step(a, &ps);
    prompt_step(a, &ps);
    if (a->guest_over && !a->stopping && ps.now_ms >= a->leave_at_ms)
        stop(a, "session over");
}

/* Shells that did not go when asked are made to. */
static void
last_shells(struct agent *a)
{
    int64_t until = pollset_clock_ms() + STOP_MS;
    int status;
    pid_t pid;

    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (a->channels[i].phase != CHANNEL_FREE)
            channel_end(a, &a->channels[i], "stopped");
    while (!channels_idle(a)) {
        if (pollset_clock_ms() >= until)
            for (size_t i = 0; i < AGENT_ORPHANS_MAX; i++)
                if (a->orphans[i].pid != 0)
                    (void)kill(-a->orphans[i].pid, SIGKILL);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            channel_child(a, pid, status);
        if (pollset_clock_ms() >= until + STOP_MS)
            return;
        (void)poll(NULL, 0, 20);
    }
}

static enum agent_exit
run(struct agent *a)
{
    char why[300];

    if (services_resolve(&a->options) != OK)
        return EXIT_USAGE;
    if (client_new(a->options.server, a->options.ca_file, &a->client, why, sizeof(why)) != OK) {
        say("%s: %s", say_foreign(span_str(a->options.server)), why);
        return EXIT_USAGE;
    }
    if (state_open(a->options.state_dir, &a->state) != OK)
        return EXIT_REFUSED;
    if (a->options.service_count == 0 && !a->options.enroll)
        say("no service is allowed: technicians will see this machine, and can do nothing with it");
    prompt_init(&a->prompt);
    link_start(a);
    while (!a->done)
        turn(a);
    last_shells(a);
    link_fini(a);
    state_close(&a->state);
    return a->exit;
}

int
main(int argc, char **argv)
{
    struct agent *a = calloc(1, sizeof(*a));
    enum agent_exit code;
    enum err err;

    harden();
    if (a == NULL || sodium_init() < 0 || sha_init() != OK) {
        say("cannot start: no memory or no cryptography");
        return EXIT_REFUSED;
    }
    hash_use(sha_hash);
    a->state = (struct state){.dir = -1, .lock = -1};
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        stream_init(&a->channels[i].local);
    if ((err = options_parse(argc, argv, &a->options)) != OK) {
        free(a);
        return err == ERR_CLOSED ? EXIT_DONE : EXIT_USAGE;
    }
    if ((a->signals = signals_open()) < 0) {
        say("signals: %s", strerror(errno));
        return EXIT_REFUSED;
    }
    code = run(a);
    client_free(a->client);
    close(a->signals);
    sodium_memzero(a->options.code, sizeof(a->options.code));
    free(a);
    return code;
}
