/* audit_export.c: gatehouse audit export: the whole log as one file for gatehouse-verify. Beside a
 * running server it first has that server write audit.exported, then copies the durable log in
 * slices, in its own process (LMDB aborts on damaged files). Without a server it holds the lock of
 * the state folder, and nothing can be recorded. Verifies nothing: that is the reader's part. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "core/json_write.h"
#include "core/text.h"
#include "store/logexport.h"
#include "tools/gatehouse/audit.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/outfile.h"
#include "tools/progress.h"

static const char usage[] =
    "usage: gatehouse audit export --state-dir DIR --out FILE [--json]\n"
    "  --out FILE  where to; must not exist yet; - is standard output\n"
    "  --json      what was done, as one JSON object\n"
    "If a server runs on DIR, the export is itself an event (audit.exported). If none runs, "
    "nothing\n"
    "can be recorded, and the command says so.\n"
    "example: gatehouse audit export --state-dir /var/lib/gatehouse --out help.example.log\n"
    "         gatehouse-verify log help.example.log --key-file root.vkey\n";

static volatile sig_atomic_t stopped;

struct options {
    const char *state_dir, *out;
    bool json;
};

struct export
{
    struct options o;
    struct cli cli;
    struct state state;
    struct loglmdb *log;
    struct outfile file;
    struct progress progress;
    int64_t recorded; /* seq of audit.exported; -1: no server runs */
    uint64_t size;
};

static bool
parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"state-dir", required_argument, NULL, 's'},
        {"out", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->state_dir = optarg; break;
        case 'o': o->out = optarg; break;
        case 'j': o->json = true; break;
        default: return false;
        }
    }
    return optind == argc && o->state_dir != NULL && o->out != NULL;
}

/* The event is durable when the server answers: nothing is copied before. */
static int
record(struct export *x)
{
    struct json_reply *reply = NULL;
    struct call *call = NULL;
    int code = cli_open(&x->cli);

    if (code == EXIT_DONE)
        code = cli_call(&x->cli,
            &(struct cli_request){
                .method = "POST", .target = "/admin/audit/export", .body = span_str("{}")},
            &call);
    if (code == EXIT_DONE && (json_reply_parse(call_body(call), &reply) != OK ||
                                 !json_reply_int(reply, "seq", &x->recorded)))
        code = cli_fail(&x->cli, EXIT_REFUSED, "the server's answer makes no sense");
    json_reply_free(reply);
    call_free(call);
    cli_close(&x->cli);
    return code;
}

/* With the lock, or beside the server that has it. */
static int
open_log(struct export *x)
{
    struct loglmdb_options options = {0};
    struct complaint why = {""};
    enum err err = state_open(x->o.state_dir, &(struct state_options){true, true}, &x->state, &why);

    x->recorded = -1;
    if (err == ERR_EXISTS) {
        int code = record(x);

        if (code != EXIT_DONE)
            return code;
        options.read_only = true;
        err = state_open(x->o.state_dir, &(struct state_options){0}, &x->state, &why);
    }
    if (err == OK && (err = loglmdb_open(&x->state, &options, &x->log, &why)) != OK)
        state_close(&x->state);
    return err == OK ? EXIT_DONE : cli_fail(&x->cli, EXIT_REFUSED, why.text);
}

static void
on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static enum err
write_piece(void *ctx, struct span bytes)
{
    return stopped ? ERR_CLOSED : outfile_write(ctx, bytes);
}

static void
show(void *ctx, uint64_t done, uint64_t total)
{
    progress_show(ctx, done, total);
}

static int
copy(struct export *x)
{
    struct logexport how = {.log = x->log,
        .origin = x->state.origin,
        .out = {&x->file, write_piece},
        .ctx = &x->progress,
        .progress = show};
    enum err err;

    progress_init(&x->progress);
    err = logexport(&how, &x->size);
    progress_end(&x->progress);
    if (err == OK)
        err = outfile_done(&x->file);
    if (err == OK)
        return EXIT_DONE;
    if (x->file.why[0] != '\0')
        return cli_fail(&x->cli, EXIT_REFUSED, x->file.why);
    if (err == ERR_CLOSED)
        return cli_fail(&x->cli, EXIT_REFUSED, "stopped; nothing was left behind");
    if (err == ERR_MISMATCH || err == ERR_MALFORMED || err == ERR_LIMIT)
        return cli_fail(&x->cli, EXIT_UNVERIFIED,
            "the stored log has a hole or a damaged head: `gatehouse audit verify` says where");
    return cli_fail(&x->cli, EXIT_REFUSED, err_name(err));
}

static void
say_json(const struct export *x, FILE *out)
{
    struct json_write w;

    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_str(&w, "origin", x->state.origin);
    json_write_str(&w, "file", x->o.out);
    json_write_uint(&w, "events", x->size);
    if (x->recorded >= 0)
        json_write_int(&w, "recorded", x->recorded);
    else
        json_write_null(&w, "recorded");
    json_write_end(&w);
    json_write_newline(&w);
    if (json_write_done(&w) == OK)
        fwrite(w.buf, 1, w.len, out);
    json_write_fini(&w);
}

static void
say(const struct export *x)
{
    FILE *out = x->file.to_stdout ? stderr : stdout;
    char file[PATH_MAX];

    if (x->o.json) {
        say_json(x, out);
        return;
    }
    text_escape(span_str(x->file.path), file, sizeof(file));
    fprintf(out, "%s: %" PRIu64 " events of log %s\n", file, x->size, x->state.origin);
    if (x->recorded >= 0)
        fprintf(out, "event %" PRId64 " says that this was exported\n", x->recorded);
    else
        fputs("no server runs here: that this was exported is not recorded in the log\n", out);
}

int
audit_export_main(int argc, char **argv)
{
    struct export *x;
    int code;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if ((x = calloc(1, sizeof(*x))) == NULL)
        return EXIT_REFUSED;
    if (!parse(argc, argv, &x->o)) {
        free(x);
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    x->cli = (struct cli){.name = "gatehouse audit export", .state_dir = x->o.state_dir};
    if (strcmp(x->o.out, "-") == 0 && isatty(STDOUT_FILENO)) {
        code = cli_fail(&x->cli, EXIT_USAGE, "a log file is not for a terminal");
    } else if (outfile_open(&x->file, x->o.out) != OK) {
        code = cli_fail(&x->cli, EXIT_REFUSED, x->file.why);
    } else {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        if ((code = open_log(x)) == EXIT_DONE) {
            if ((code = copy(x)) == EXIT_DONE)
                say(x);
            loglmdb_close(x->log);
            state_close(&x->state);
        }
        outfile_drop(&x->file);
    }
    free(x);
    return code;
}
