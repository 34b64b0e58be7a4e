/* serve.c: gatehouse serve: wires store, projections and http together, in the order in which each
 * can be relied on, and takes them apart in reverse. Main thread. */
#include "tools/gatehouse/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/config.h"
#include "http/agents.h"
#include "http/app.h"
#include "http/ask.h"
#include "http/channels.h"
#include "http/cuts.h"
#include "http/directory.h"
#include "http/logline.h"
#include "http/routes.h"
#include "http/tls.h"
#include "projections/digest.h"
#include "projections/views.h"
#include "store/upkeep.h"
#include "store/views.h"
#include "tools/gatehouse/boot.h"
#include "tools/gatehouse/confine.h"
#include "tools/gatehouse/exit.h"
#include "tools/gatehouse/tokens.h"

#define DRAIN_MS        2000
#define STOP_ROUNDS_MAX 1000 /* of CMD_STOP_SERVER: each ends ENDING_MAX sessions */
#define LISTENER_MAIN   0u
#define LISTENER_PLAIN  1u
#define LISTENER_ADMIN  2u

static const char usage[] =
    "usage: gatehouse serve [OPTIONS]\n"
    "\n"
    "Runs the server until SIGTERM or SIGINT. Each option may also stand in the file, as\n"
    "`name = value` under [gatehouse], or in the environment, as GATEHOUSE_NAME; an option goes\n"
    "before the environment, that before the file.\n"
    "\n"
    "example: gatehouse serve --state-dir /var/lib/gatehouse --listen 0.0.0.0:443 \\\n"
    "             --public-url https://help.example --tls-cert chain.pem --tls-key key.pem\n"
    "\n";

struct serve {
    struct config config;
    struct boot boot;
    struct app app;
    struct tokens tokens;
    struct anchor *anchor;
    struct views *views;
    struct tls_server *tls;
    struct upkeep upkeep;
    struct durable_listener views_listener, anchor_listener;
    char root_vkey[256], public_url[512], admin_path[STATE_PATH_BYTES];
    bool ready; /* loops run: they may be told */
    bool stopping;
};

static int
fail(const char *what)
{
    fprintf(stderr, "gatehouse serve: %s\n", what);
    return EXIT_REFUSED;
}

/* ---- the process ---- */

static int
start_log(const struct config *config)
{
    static const enum logline_level levels[] = {
        LOGLINE_DEBUG, LOGLINE_INFO, LOGLINE_WARN, LOGLINE_ERROR};
    int fd = STDERR_FILENO;

    if (config_is_set(config, CONFIG_LOG_FILE)) {
        fd = open(config_string(config, CONFIG_LOG_FILE), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
            0600);
        if (fd < 0)
            return fail("--log-file: cannot be opened for appending.");
    }
    logline_init(levels[config_number(config, CONFIG_LOG_LEVEL)],
        (enum logline_format)config_number(config, CONFIG_LOG_FORMAT), fd);
    return EXIT_DONE;
}

static void
log_line(void *ctx, const char *line)
{
    (void)ctx;
    logline(LOGLINE_WARN, "engine", logline_str("text", line));
}

/* ---- what others are told ---- */

static void
durable_now(void *ctx, uint64_t size)
{
    struct serve *s = ctx;
    struct ledger_thread *ledger = __atomic_load_n(&s->app.ledger, __ATOMIC_ACQUIRE);

    if (ledger != NULL)
        ledger_thread_set_durable(ledger, size);
    if (s->views_listener.durable != NULL)
        s->views_listener.durable(s->views_listener.ctx, size);
    if (s->anchor_listener.durable != NULL)
        s->anchor_listener.durable(s->anchor_listener.ctx, size);
    if (__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
        ask_advanced(&s->app);
}

static void
views_advanced(void *ctx, uint64_t position)
{
    struct serve *s = ctx;

    (void)position;
    if (__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
        ask_advanced(&s->app);
}

static void
verdict_given(void *ctx, const struct verdict *verdict)
{
    struct serve *s = ctx;

    if (__atomic_load_n(&s->ready, __ATOMIC_ACQUIRE))
        cuts_from_verdict(&s->app, &verdict->reply);
}

static enum err
serve_checkpoint(void *ctx, char *out, size_t cap, size_t *len)
{
    struct serve *s = ctx;
    struct loglmdb_head head;
    enum err err = loglmdb_head(s->boot.log, &head);

    if (err != OK)
        return err;
    if (head.len > cap)
        return ERR_LIMIT;
    memcpy(out, head.checkpoint, head.len);
    *len = head.len;
    return OK;
}

static enum err
serve_tile(void *ctx, unsigned level, uint64_t index, unsigned width, uint8_t *out)
{
    struct serve *s = ctx;

    return loglmdb_tile_read(s->boot.log, level, index, width, out);
}

static void
serve_health(void *ctx, struct app_health *out)
{
    struct serve *s = ctx;
    struct views_health views;

    *out = (struct app_health){0};
    views_health(s->views, &views);
    out->head = journal_durable(s->boot.journal);
    out->views_position = views.position;
    out->views_failing = views.error != OK;
    out->clock_unsure = ledger_thread_clock_unsure(s->app.ledger);
    out->low_space = ledger_thread_low_space(s->app.ledger);
    if (out->views_failing)
        out->why = "the query views are failing";
    else if (out->clock_unsure)
        out->why = "the clock was stepped: an admin must run `gatehouse clock accept`";
    else if (out->low_space)
        out->why = "the disk is nearly full: an admin must make room";
    out->ready = out->why == NULL;
}

static enum err
serve_rotate(void *ctx, bool log_key, struct rotate_key *out)
{
    struct serve *s = ctx;
    struct keys_rotation rotation;
    struct complaint why = {""};
    enum err err = journal_rotate(s->boot.journal, log_key ? KEY_LOG : KEY_EVENT, &rotation, &why);

    if (err != OK) {
        logline(LOGLINE_ERROR, "rotation_failed", logline_str("why", why.text));
        return err;
    }
    *out = (struct rotate_key){.log_key = log_key, .epoch = rotation.epoch};
    memcpy(out->new_pk, rotation.new_pk, 32);
    memcpy(out->possession_sig, rotation.possession_sig, 64);
    memcpy(out->other_sig, rotation.other_sig, 64);
    return OK;
}

/* ---- starting ---- */

static int
load_tokens(struct serve *s)
{
    struct tokens_start start = {.state_dir = s->boot.state.path,
        .origin = s->boot.state.origin,
        .past = &s->boot.secrets,
        .eff_us = s->boot.clock.eff_us};
    char why[512];

    if (tokens_load(&start, &s->tokens, why, sizeof(why)) != OK)
        return fail(why);
    s->app.jwt = s->tokens.keys;
    s->app.token_secret = tokens_port(&s->tokens);
    return EXIT_DONE;
}

/* Continues the log: anchor first, so that nothing is appended to one that was rolled back, and no
 * key or verifier is discarded because such a log does not name it. */
static int
start_store(struct serve *s)
{
    struct durable_listener listener = {.ctx = s, .durable = durable_now};
    struct anchor_config anchor = {.state = &s->boot.state, .log = s->boot.log};
    struct complaint why = {""};

    if (config_is_set(&s->config, CONFIG_ANCHOR_DIR))
        anchor.dir = config_string(&s->config, CONFIG_ANCHOR_DIR);
    if (anchor_check(&anchor, s->boot.log_keys, s->boot.log_key_count, &why) != OK ||
        boot_load(&s->boot, &why) != OK || boot_start(&s->boot, &listener, 1, &why) != OK ||
        anchor_start(&anchor, &s->anchor, &why) != OK)
        return fail(why.text);
    anchor_listener(s->anchor, &s->anchor_listener);
    return EXIT_DONE;
}

static int
start_views(struct serve *s)
{
    struct views_config config = {.state = &s->boot.state,
        .fold = views_fold_port(),
        .opener = keyring_opener(s->boot.keyring),
        .map_bytes = config_number(&s->config, CONFIG_VIEWS_MAP_SIZE),
        .listener_count = 1,
        .listeners = {{.ctx = s, .advanced = views_advanced}}};
    struct complaint why = {""};

    loglmdb_port(s->boot.log, &config.log);
    if (views_start(&config, &s->views, &why) != OK)
        return fail(why.text);
    views_port(s->views, &s->app.views);
    views_durable_listener(s->views, &s->views_listener);
    return EXIT_DONE;
}

/* The secret of access tokens was exchanged while nobody served. */
static bool
announce_secret(struct serve *s)
{
    struct command *cmd = command_new(CMD_ROTATE_SECRET, 0);
    struct verdict *verdict;
    bool taken;

    if (cmd == NULL)
        return false;
    cmd->caller.kind = CALLER_SERVER;
    cmd->rotate_secret.fingerprint = s->tokens.fingerprint;
    cmd->rotate_secret.until_us = s->tokens.until_us;
    verdict = boot_step(&s->boot, cmd);
    taken = verdict->refusal == REFUSE_NONE;
    verdict_free(verdict);
    command_free(cmd);
    return taken;
}

/* The first event of this life: it ends what the last one left open. */
static int
announce_start(struct serve *s)
{
    struct anchor_health anchor;
    uint64_t before = ledger_size(s->boot.ledger);
    struct command *cmd = command_new(CMD_START_SERVER, 0);
    struct start_server *start;
    struct verdict *verdict;
    enum refusal refusal;

    if (cmd == NULL)
        return fail("out of memory");
    anchor_health(s->anchor, &anchor);
    start = &cmd->start_server;
    cmd->caller.kind = CALLER_SERVER;
    start->boot = s->boot.boot_id;
    start->kernel_boot = s->boot.kernel_boot;
    start->anchor_shares_device = anchor.shares_device;
    start->clock_stepped = s->boot.clock.unsure;
    start->wall_error_us = s->boot.wall_error_us;
    start->secret_known = !s->tokens.changed;
    start->fingerprint = s->tokens.fingerprint;
    start->refusal_counts = refusals_found_word(s->boot.refusals_found);
    start->digest_version = WORLD_DIGEST_VERSION;
    world_digest(s->boot.world, s->boot.world->eff_us, &start->world_digest);
    verdict = boot_step(&s->boot, cmd);
    refusal = verdict->refusal;
    verdict_free(verdict);
    command_free(cmd);
    if (refusal != REFUSE_NONE || ledger_size(s->boot.ledger) == before)
        return fail("the log takes no server.started event");
    if (s->tokens.changed && !announce_secret(s))
        return fail("the log takes no secret.rotated event");
    boot_flush(&s->boot);
    return EXIT_DONE;
}

/* Each second. */
static void
serve_look(struct serve *s, bool first)
{
    struct upkeep *u = &s->upkeep;
    bool was_low = !first && u->low;
    struct timespec now;

    INVARIANT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    upkeep_look(u, now.tv_sec);
    ledger_thread_set_low_space(s->app.ledger, u->low);
    if (u->low != was_low)
        logline(u->low ? LOGLINE_ERROR : LOGLINE_INFO, u->low ? "low_space" : "space_again",
            logline_uint("free_bytes", u->free_bytes), logline_uint("mark_bytes", LOW_SPACE_BYTES));
    if (u->readers_cleared > 0)
        logline(LOGLINE_INFO, "dead_readers_cleared", logline_uint("count", u->readers_cleared));
}

static int
start_ledger(struct serve *s)
{
    struct ledger_thread_options options = {.ledger = s->boot.ledger,
        .clock = s->boot.clock,
        .heartbeat_s = s->boot.world->policy.heartbeat_s,
        .on_verdict = verdict_given,
        .ctx = s};
    struct ledger_thread *ledger = ledger_thread_start(&options);

    if (ledger == NULL)
        return fail("no thread for the ledger");
    __atomic_store_n(&s->app.ledger, ledger, __ATOMIC_RELEASE); /* the journal's thread looks */
    ledger_thread_set_durable(ledger, journal_durable(s->boot.journal));
    upkeep_init(&s->upkeep, &s->boot.state, s->boot.log);
    serve_look(s, true);
    return EXIT_DONE;
}

/* https://HOST:PORT by what we listen on, unless --public-url says how people reach us. */
static void
choose_public_url(struct serve *s, uint16_t port)
{
    const struct config_value *listen = &s->config.values[CONFIG_LISTEN];
    bool tls = s->tls != NULL;
    char host[ADDR_TEXT_MAX];

    if (config_is_set(&s->config, CONFIG_PUBLIC_URL)) {
        snprintf(s->public_url, sizeof(s->public_url), "%s",
            config_string(&s->config, CONFIG_PUBLIC_URL));
        return;
    }
    addr_format(&listen->addr, host);
    snprintf(s->public_url, sizeof(s->public_url),
        addr_is_v4(&listen->addr) ? "%s://%s:%u" : "%s://[%s]:%u", tls ? "https" : "http", host,
        port);
}

static struct http_listen
listen_on(const struct config *config, enum config_option option, bool tls, unsigned id,
    char host[ADDR_TEXT_MAX])
{
    const struct config_value *value = &config->values[option];

    addr_format(&value->addr, host);
    return (struct http_listen){.address = host, .port = value->port, .tls = tls, .id = id};
}

static int
start_http(struct serve *s)
{
    char host[ADDR_TEXT_MAX], plain_host[ADDR_TEXT_MAX], why[512] = "";
    struct http_listen listen[3];
    size_t count = 0;
    struct http_server_options options = {
        .loops = (unsigned)config_number(&s->config, CONFIG_LOOPS),
        .connections_max = (uint32_t)config_number(&s->config, CONFIG_CONNECTIONS_MAX),
        .listen = listen,
        .tls = s->tls,
        .app = routes_app(&s->app),
        .log = log_line,
        .user = &s->app};

    listen[count++] = listen_on(&s->config, CONFIG_LISTEN, s->tls != NULL, LISTENER_MAIN, host);
    if (config_is_set(&s->config, CONFIG_LISTEN_PLAIN))
        listen[count++] =
            listen_on(&s->config, CONFIG_LISTEN_PLAIN, false, LISTENER_PLAIN, plain_host);
    state_path(&s->boot.state, "admin.sock", s->admin_path);
    (void)unlink(s->admin_path); /* a killed server's; the lock says that there is no other */
    listen[count++] = (struct http_listen){.unix_path = s->admin_path, .id = LISTENER_ADMIN};
    options.listen_count = count;
    if (http_server_new(&options, &s->app.server, why, sizeof(why)) != OK)
        return fail(why);
    choose_public_url(s, http_server_port(s->app.server, 0));
    return EXIT_DONE;
}

static int
fill_app(struct serve *s)
{
    struct app *app = &s->app;

    app->origin = s->boot.state.origin;
    app->root_vkey = s->root_vkey;
    app->public_url = s->public_url;
    app->allowed_origins = config_string(&s->config, CONFIG_ALLOWED_ORIGINS);
    app->refusals = &s->boot.refusals;
    app->keyring = s->boot.keyring;
    app->opener = keyring_opener(s->boot.keyring);
    app->trusted_proxies = &s->config.trusted_proxies;
    app->cursor_key = vault_origin_key(s->boot.vault, ORIGIN_KEY_CURSOR);
    app->plain_is_trusted = s->tls == NULL;
    app->tiles = (struct tiles_port){.ctx = s, .tile = serve_tile, .checkpoint = serve_checkpoint};
    app->health = serve_health;
    app->health_ctx = s;
    app->rotate = serve_rotate;
    app->rotate_ctx = s;
    loglmdb_port(s->boot.log, &app->log);
    if (keys_root_vkey(&s->boot.keys, s->root_vkey, sizeof(s->root_vkey)) != OK)
        return fail("the root key has no text form");
    app->proofs = proofpool_new((unsigned)config_number(&s->config, CONFIG_PROOF_THREADS));
    app->directory = directory_new();
    if (app->proofs == NULL || app->directory == NULL)
        return fail("out of memory");
    return EXIT_DONE;
}

static int
start_loops(struct serve *s)
{
    struct app *app = &s->app;

    if (ask_start(app) != OK || agents_start(app) != OK || channels_start(app) != OK ||
        cuts_start(app) != OK)
        return fail("out of memory");
    __atomic_store_n(&s->ready, true, __ATOMIC_RELEASE);
    return http_server_start(app->server) == OK ? EXIT_DONE : fail("no threads for the loops");
}

static int
load_tls(struct serve *s)
{
    char why[512];

    if (!config_is_set(&s->config, CONFIG_TLS_CERT))
        return EXIT_DONE;
    if (tls_server_new(config_string(&s->config, CONFIG_TLS_CERT),
            config_string(&s->config, CONFIG_TLS_KEY), &s->tls, why, sizeof(why)) != OK)
        return fail(why);
    return EXIT_DONE;
}

static int
serve_start(struct serve *s)
{
    struct complaint why = {""};
    int code;

    if (boot_open(config_string(&s->config, CONFIG_STATE_DIR),
            config_number(&s->config, CONFIG_LOG_MAP_SIZE), &s->boot, &why) != OK)
        return fail(why.text[0] == '\0' ? "out of memory" : why.text);
    if ((code = load_tokens(s)) != EXIT_DONE || (code = load_tls(s)) != EXIT_DONE ||
        (code = start_store(s)) != EXIT_DONE || (code = start_views(s)) != EXIT_DONE ||
        (code = fill_app(s)) != EXIT_DONE || (code = start_http(s)) != EXIT_DONE ||
        (code = announce_start(s)) != EXIT_DONE || (code = start_ledger(s)) != EXIT_DONE)
        return code;
    return start_loops(s);
}

/* ---- stopping ---- */

/* True when server.stopped is in the log. */
static bool
announce_stop(struct serve *s)
{
    struct command *cmd = command_new(CMD_STOP_SERVER, 0);
    struct verdict *verdict;
    bool stopped;

    if (cmd == NULL)
        return true;
    cmd->caller.kind = CALLER_SERVER;
    cmd->stop_server.why = "signal";
    verdict = boot_step(&s->boot, cmd);
    stopped = verdict->event_count == 0 || verdict->event_count > verdict->reply.ended_count;
    verdict_free(verdict);
    command_free(cmd);
    boot_flush(&s->boot);
    return stopped;
}

static void
serve_stop(struct serve *s)
{
    struct app *app = &s->app;

    if (app->server != NULL && s->ready) {
        channels_end_all(app);
        http_server_stop(app->server, DRAIN_MS);
    }
    if (app->ledger != NULL) {
        s->boot.clock = ledger_thread_stop(app->ledger);
        ledger_stop(s->boot.ledger);
        for (int i = 0; i < STOP_ROUNDS_MAX && !announce_stop(s); i++)
            ;
    }
    __atomic_store_n(&s->ready, false, __ATOMIC_RELEASE);
    proofpool_free(app->proofs);
    if (s->boot.journal != NULL) {
        journal_stop(s->boot.journal);
        s->boot.journal = NULL;
    }
    ledger_thread_free(app->ledger);
    app->ledger = NULL;
    if (s->views != NULL)
        views_stop(s->views);
    if (s->anchor != NULL)
        anchor_stop(s->anchor);
    if (app->cuts != NULL)
        cuts_stop(app);
    channels_stop(app);
    agents_stop(app);
    ask_stop(app);
    routes_free(app);
    if (app->server != NULL)
        http_server_free(app->server);
    directory_free(app->directory);
    tokens_fini(&s->tokens);
    tls_server_free(s->tls);
    if (s->admin_path[0] != '\0')
        (void)unlink(s->admin_path);
    boot_close(&s->boot);
}

/* ---- running ---- */

static void
serve_reload(struct serve *s)
{
    char why[512];

    if (s->tls == NULL)
        return;
    if (tls_server_reload(s->tls, why, sizeof(why)) == OK)
        logline(LOGLINE_INFO, "certificate_reloaded",
            logline_str("file", config_string(&s->config, CONFIG_TLS_CERT)));
    else
        logline(LOGLINE_ERROR, "certificate_kept", logline_str("why", why));
}

static void
serve_run(struct serve *s, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    int sig;

    logline(LOGLINE_INFO, "server_started", logline_str("url", s->public_url),
        logline_str("origin", s->boot.state.origin),
        logline_uint("events", journal_durable(s->boot.journal)),
        logline_uint("loops", http_server_loops(s->app.server)));
    for (;;) {
        sig = sigtimedwait(signals, NULL, &second);
        serve_look(s, false);
        if (sig < 0)
            continue;
        if (sig != SIGHUP)
            break;
        serve_reload(s);
    }
    logline(LOGLINE_INFO, "server_stopping", logline_int("signal", sig));
}

int
serve_main(int argc, char **argv)
{
    static struct serve s;
    struct config_error error;
    sigset_t signals;
    int code;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            config_help(stdout);
            return EXIT_DONE;
        }
    config_init(&s.config);
    if (config_load(&s.config, argc - 1, argv + 1, environ, &error) != OK ||
        config_check(&s.config, &error) != OK) {
        fprintf(stderr, "gatehouse serve: %s\n", error.text);
        return EXIT_USAGE;
    }
    if ((code = start_log(&s.config)) != EXIT_DONE)
        return code;
    if (confine(&s.config) != OK)
        return EXIT_REFUSED;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    INVARIANT(pthread_sigmask(SIG_BLOCK, &signals, NULL) == 0); /* before any thread starts */
    if ((code = serve_start(&s)) == EXIT_DONE)
        serve_run(&s, &signals);
    serve_stop(&s);
    if (code == EXIT_DONE)
        logline(LOGLINE_INFO, "server_stopped", logline_bool("clean", true));
    return code;
}
