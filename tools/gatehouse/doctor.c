/* doctor.c: gatehouse doctor: looks at a state folder, and at its server if one runs. Changes
 * nothing, but for one thing: the marker of a failed write goes when nothing is wrong and the whole
 * log verifies. Each finding names its remedy. The log is verified in a process of its own, as LMDB
 * aborts on damaged files. */
#include "tools/gatehouse/doctor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/config.h"
#include "core/event.h"
#include "core/json_write.h"
#include "core/text.h"
#include "http/json_reply.h"
#include "http/jwt_secret.h"
#include "http/tls.h"
#include "store/anchor.h"
#include "store/keychain.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/exit.h"

#define FILES_WANTED 4096 /* open files: fewer than that, and few agents can connect */

enum level { FINE, NOTE, WRONG };

struct doctor {
    struct config config;
    struct state state;
    bool running; /* a server holds the folder */
    bool json, full;
    bool unverified;
    unsigned wrong;
    struct json_write out;
};

__attribute__((format(printf, 4, 5))) static void
find(struct doctor *d, enum level level, const char *check, const char *format, ...)
{
    static const char *const names[] = {"ok", "note", "WRONG"};
    char text[COMPLAINT_BYTES], shown[2 * COMPLAINT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    d->wrong += level == WRONG;
    if (d->json) {
        json_write_object(&d->out, NULL);
        json_write_str(&d->out, "check", check);
        json_write_str(&d->out, "level", level == WRONG ? "wrong" : names[level]);
        json_write_str(&d->out, "text", text);
        json_write_end(&d->out);
        return;
    }
    text_escape(span_str(text), shown, sizeof(shown));
    printf("%-6s %-8s %s\n", names[level], check, shown);
}

/* ---- the folder ---- */

static bool
check_folder(struct doctor *d)
{
    const char *path = config_string(&d->config, CONFIG_STATE_DIR);
    struct complaint why = {""};
    enum err err = state_open(
        path, &(struct state_options){.exclusive = true, .doctor = true}, &d->state, &why);

    if (err == ERR_EXISTS) {
        d->running = true;
        err = state_open(path, &(struct state_options){0}, &d->state, &why);
    }
    if (err != OK) {
        find(d, WRONG, "folder", "%s", why.text);
        return false;
    }
    find(d, FINE, "folder", "%s: format %d, origin %s; owner and modes are right", d->state.path,
        STATE_FORMAT, d->state.origin);
    return true;
}

static void
check_file(struct doctor *d, const char *name)
{
    struct complaint why = {""};
    int fd;

    if (state_file_open(&d->state, name, O_RDONLY, &fd, &why) != OK)
        find(d, WRONG, "files", "%s", why.text);
    else
        close(fd);
}

static void
check_files(struct doctor *d)
{
    static const char *const names[] = {"keystore", "keys/root.pub", "log/data.mdb"};
    char path[STATE_PATH_BYTES];
    unsigned before = d->wrong;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        check_file(d, names[i]);
    if (d->wrong == before)
        find(d, FINE, "files", "all are there, for the owner only");
    state_path(&d->state, "keys/root.key", path);
    if (access(path, F_OK) == 0)
        find(d, NOTE, "root key",
            "%s is on this machine: the server never needs it; keep it offline, and move it away",
            path);
}

/* ---- the log ---- */

/* The last line that `gatehouse audit verify` says, and its exit code; -1: it was ended by a
 * signal, or could not run. */
static int
run_verify(const struct doctor *d, bool fast, char *line, size_t size)
{
    char path[STATE_PATH_BYTES], said[4096];
    char *argv[] = {
        "gatehouse", "audit", "verify", "--state-dir", path, fast ? "--fast" : NULL, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    line[0] = '\0';
    snprintf(path, sizeof(path), "%s", d->state.path);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    status = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (status == 0 && len + 1 < sizeof(said) &&
           (n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    close(ends[0]);
    if (status != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return -1;
    said[len] = '\0';
    said[strcspn(said, "\n")] = '\0';
    snprintf(line, size, "%.*s", (int)(size - 1), said);
    return WEXITSTATUS(status);
}

/* True: sound enough to be opened here. */
static bool
check_log(struct doctor *d, bool fast)
{
    char line[COMPLAINT_BYTES];
    int code = run_verify(d, fast, line, sizeof(line));

    if (code == EXIT_DONE) {
        find(d, FINE, "log", "%s", line);
        return true;
    }
    d->unverified = code == EXIT_UNVERIFIED || code == -1;
    if (code == -1)
        find(d, WRONG, "log",
            "its files are damaged, so that they cannot be read: restore a backup");
    else
        find(d, WRONG, "log", "%s; keep this folder as evidence, and restore a backup elsewhere",
            line);
    return false;
}

static void
check_clock(struct doctor *d, struct loglmdb *log)
{
    static uint8_t record[RECORD_BYTES_MAX];
    int64_t wall_us = (int64_t)time(NULL) * US_PER_S;
    uint64_t size = loglmdb_size(log);
    struct span body, sig;
    struct event ev;
    size_t len;

    if (size == 0 || loglmdb_record(log, size - 1, record, sizeof(record), &len) != OK ||
        event_split(span_of(record, len), &body, &sig) != OK || event_decode(body, &ev) != OK)
        return;
    if (wall_us < ev.eff_us - CLOCK_STEPPED_US)
        find(d, d->running ? NOTE : WRONG, "clock",
            "the wall clock is %" PRId64 " s behind the last event: set it right, or vouch for it "
            "with `gatehouse clock accept` once the server runs",
            (ev.eff_us - wall_us) / US_PER_S);
    else if (wall_us - ev.eff_us > CLOCK_JUMP_MAX_US)
        find(d, NOTE, "clock",
            "the last event is %" PRId64 " days old: after a reboot the server will ask for "
            "`gatehouse clock accept`",
            (wall_us - ev.eff_us) / (86400 * US_PER_S));
    else
        find(d, FINE, "clock", "fits to the last event");
}

static void
check_anchor(struct doctor *d, struct loglmdb *log, const struct keychain *chain)
{
    struct anchor_config config = {.state = &d->state, .log = log};
    struct complaint why = {""};
    struct stat anchor, store;
    char path[STATE_PATH_BYTES];

    if (config_is_set(&d->config, CONFIG_ANCHOR_DIR))
        config.dir = config_string(&d->config, CONFIG_ANCHOR_DIR);
    if (anchor_check(&config, chain->log, chain->log_count, &why) != OK) {
        find(d, WRONG, "anchor", "%s", why.text);
        return;
    }
    state_path(&d->state, "anchor", path);
    if (stat(config.dir != NULL ? config.dir : path, &anchor) != 0 ||
        stat(d->state.path, &store) != 0)
        return;
    if (anchor.st_dev == store.st_dev)
        find(d, NOTE, "anchor",
            "the log extends it, but it is on the log's own device: who rolls back one rolls back "
            "both; give --anchor-dir on another");
    else
        find(d, FINE, "anchor", "the log extends it, and it is on another device");
}

static void
check_space(struct doctor *d, struct loglmdb *log)
{
    uint64_t disk = 0, used = 0, map = 0, left;

    if (state_free_bytes(&d->state, &disk) != OK || loglmdb_space(log, &used, &map) != OK) {
        find(d, WRONG, "space", "the file system of %s cannot be asked", d->state.path);
        return;
    }
    left = map - used < disk ? map - used : disk;
    find(d, left < LOW_SPACE_BYTES ? WRONG : FINE, "space", "%" PRIu64 " MiB left for the log%s",
        left >> 20,
        left >= LOW_SPACE_BYTES ? ""
        : map - used < disk     ? ": give a larger --log-map-size"
                                : ": nothing new is taken below 256 MiB; make room");
}

static void
check_inside(struct doctor *d)
{
    struct complaint why = {""};
    struct keychain chain;
    struct loglmdb *log;

    if (loglmdb_open(&d->state, &(struct loglmdb_options){.read_only = true}, &log, &why) != OK) {
        find(d, WRONG, "log", "%s", why.text);
        return;
    }
    if (keychain_read(&d->state, log, &chain, &why) != OK) {
        find(d, WRONG, "keys", "%s", why.text);
        loglmdb_close(log);
        return;
    }
    if (keys_check(&d->state, &chain.now, &why) != OK)
        find(d, WRONG, "keys", "%s", why.text);
    else
        find(d, FINE, "keys", "those that the log names: log key %u, event key %u",
            (unsigned)chain.now.log_epoch, (unsigned)chain.now.event_epoch);
    check_anchor(d, log, &chain);
    check_space(d, log);
    check_clock(d, log);
    keychain_fini(&chain);
    loglmdb_close(log);
}

/* ---- what the server is told ---- */

static void
check_config(struct doctor *d)
{
    struct config_error error;
    struct tls_server *tls;
    struct jwt_secret secret;
    struct rlimit files;
    char why[512];

    if (config_check(&d->config, &error) != OK)
        find(d, WRONG, "config", "%s", error.text);
    else
        find(d, FINE, "config", "holds together; `gatehouse config show` tells where it is from");
    if (jwt_secret_load(d->state.path, &secret, why, sizeof(why)) != OK) {
        find(d, WRONG, "tokens", "%s", why);
    } else {
        find(d, FINE, "tokens", "their secret is from %s", secret.source);
        jwt_secret_fini(&secret);
    }
    if (config_is_set(&d->config, CONFIG_TLS_CERT)) {
        if (tls_server_new(config_string(&d->config, CONFIG_TLS_CERT),
                config_string(&d->config, CONFIG_TLS_KEY), &tls, why, sizeof(why)) != OK)
            find(d, WRONG, "tls", "%s", why);
        else
            find(d, FINE, "tls", "certificate and key fit");
        tls_server_free(tls);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < FILES_WANTED)
        find(d, NOTE, "limits", "only %llu open files are allowed: raise `ulimit -Hn` to 20000",
            (unsigned long long)files.rlim_max);
}

static void
check_server(struct doctor *d)
{
    struct cli cli = {.name = "gatehouse doctor", .state_dir = d->state.path};
    struct json_reply *reply = NULL;
    struct call *call = NULL;
    char why[300] = "";
    bool ready = false;

    if (!d->running) {
        find(d, NOTE, "server", "none is running on this folder");
        return;
    }
    if (cli_open(&cli) != EXIT_DONE ||
        cli_call(&cli, &(struct cli_request){.method = "GET", .target = "/admin/status"}, &call) !=
            EXIT_DONE ||
        json_reply_parse(call_body(call), &reply) != OK) {
        find(d, WRONG, "server",
            "one holds the folder, and does not answer on admin.sock: look at its log, and restart "
            "it");
    } else {
        (void)json_reply_bool(reply, "ready", &ready);
        (void)json_reply_copy(reply, "why", why, sizeof(why));
        if (ready)
            find(d, FINE, "server", "is running, and ready");
        else
            find(d, WRONG, "server", "is running, and not ready: %s", why);
    }
    json_reply_free(reply);
    call_free(call);
    cli_close(&cli);
}

/* ---- after a failed write ---- */

static void
clear_marker(struct doctor *d, const char *text)
{
    struct complaint why = {""};

    if (d->running)
        find(d, WRONG, "failure", "%s: stop the server, and ask again", text);
    else if (d->wrong > 0)
        find(d, WRONG, "failure", "%s: the marker stays until the rest is put right", text);
    else if (state_failure_clear(&d->state, &why) != OK)
        find(d, WRONG, "failure", "%s", why.text);
    else
        find(d, NOTE, "failure", "%s: the whole log verifies, so the server may start again", text);
}

static void
examine(struct doctor *d)
{
    char marker[COMPLAINT_BYTES / 2];
    bool failed;

    if (!check_folder(d))
        return;
    failed = state_failure(&d->state, marker, sizeof(marker)) != ERR_NOT_FOUND;
    check_files(d);
    if (check_log(d, !failed && !d->full))
        check_inside(d);
    check_config(d);
    check_server(d);
    if (failed)
        clear_marker(d, marker);
    state_close(&d->state);
}

int
doctor_main(int argc, char **argv)
{
    static struct doctor d;
    struct config_error error;

    if (cli_take_flag("--help", &argc, argv)) {
        puts("usage: gatehouse doctor [--state-dir DIR] [--full] [--json] [options of serve]\n"
             "Looks at a state folder and its server, and says what is wrong and what to do.\n"
             "  --full   verify every signature of the log, not only tree and heads\n"
             "Clears the marker of a failed write when nothing is wrong and all of the log "
             "verifies.\n"
             "Exit code: 0 nothing is wrong, 1 something is, 5 the log does not verify.");
        return EXIT_DONE;
    }
    d.json = cli_take_flag("--json", &argc, argv);
    d.full = cli_take_flag("--full", &argc, argv);
    config_init(&d.config);
    if (config_load(&d.config, argc - 1, argv + 1, environ, &error) != OK) {
        fprintf(stderr, "gatehouse doctor: %s\n", error.text);
        return EXIT_USAGE;
    }
    json_write_init(&d.out, NULL, NULL);
    json_write_object(&d.out, NULL);
    json_write_array(&d.out, "items");
    examine(&d);
    json_write_end(&d.out);
    json_write_bool(&d.out, "fine", d.wrong == 0);
    json_write_end(&d.out);
    if (d.json && json_write_done(&d.out) == OK)
        printf("%.*s\n", (int)d.out.len, (const char *)d.out.buf);
    json_write_fini(&d.out);
    if (d.unverified)
        return EXIT_UNVERIFIED;
    return d.wrong > 0 ? EXIT_REFUSED : EXIT_DONE;
}
