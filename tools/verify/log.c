/* log.c: gatehouse-verify log FILE: an exported log (core/logfile.h) against a key that came some
 * other way. Streams: the file may be larger than memory. The signatures are checked on all cores.
 */
#include "tools/verify/log.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/json_write.h"
#include "core/logfile.h"
#include "core/text.h"
#include "projections/digest_check.h"
#include "store/sigpool.h"
#include "tools/gatehouse/exit.h"
#include "tools/progress.h"

#define ROOT_TEXT 48 /* base64 of a hash, and a NUL */

const char log_usage[] =
    "  FILE               a log as `gatehouse audit export` writes it; - is standard input\n"
    "  --key VKEY         the verifier key: root's (NAME/root+...), or a log key (NAME+...), "
    "which\n"
    "                     vouches for tree and heads only. Take it from anywhere but the file.\n"
    "  --key-file FILE    the same, as the only line of a file\n"
    "  --fast             tree, heads and key events; not the signature of each event\n"
    "  --checkpoint FILE  an older head (a signed note, as served under /log/checkpoint): the log\n"
    "                     must extend it\n"
    "  --json             the result as one JSON object on standard output\n"
    "\n"
    "examples:\n"
    "  gatehouse-verify log help.example.log --key-file root.vkey\n"
    "  gatehouse-verify log help.example.log --key-file root.vkey --checkpoint "
    "last-year.checkpoint\n"
    "  gatehouse-verify log help.example.log --key-file root.vkey --fast --json\n"
    "\n"
    "Exit codes: 0 it verifies, 5 it does not (the first bad event is named), 2 usage,\n"
    "            1 something cannot be read.\n";

struct options {
    const char *file, *key, *key_file, *checkpoint;
    bool fast, json;
};

/* What is read, and what it is judged by. */
struct check {
    const struct options *o;
    struct logfile_verify how;
    char origin[ORIGIN_BYTES_MAX + 1];
    uint8_t old[SIGNED_NOTE_BYTES_MAX];
    uint64_t old_size;
    FILE *in;
    struct sigpool *pool;
    struct digest_check digests;
    struct progress progress;
};

static int __attribute__((format(printf, 2, 3))) fail(int code, const char *format, ...)
{
    va_list args;

    fputs("gatehouse-verify: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

static bool
parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"key", required_argument, NULL, 'k'},
        {"key-file", required_argument, NULL, 'K'}, {"fast", no_argument, NULL, 'f'},
        {"checkpoint", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'k': o->key = optarg; break;
        case 'K': o->key_file = optarg; break;
        case 'f': o->fast = true; break;
        case 'c': o->checkpoint = optarg; break;
        case 'j': o->json = true; break;
        default: return false;
        }
    }
    if (optind + 1 != argc)
        return false;
    o->file = argv[optind];
    return (o->key == NULL) != (o->key_file == NULL);
}

/* ---- what it is judged by ---- */

/* All of a small file. */
static int
read_small(const char *option, const char *path, uint8_t *out, size_t cap, size_t *len)
{
    FILE *f = fopen(path, "rb");
    bool failed;

    if (f == NULL)
        return fail(EXIT_REFUSED, "%s: the file cannot be read: %s", option, strerror(errno));
    *len = fread(out, 1, cap, f);
    failed = ferror(f) != 0;
    fclose(f);
    if (failed)
        return fail(EXIT_REFUSED, "%s: the file cannot be read", option);
    return *len < cap ? EXIT_DONE : fail(EXIT_USAGE, "%s: the file is too long", option);
}

static int
take_key(struct check *k)
{
    uint8_t bytes[NOTE_VKEY_BYTES_MAX + 3];
    struct span text = span_str(k->o->key != NULL ? k->o->key : "");
    int code;

    if (k->o->key_file != NULL) {
        size_t len = 0;

        if ((code = read_small("--key-file", k->o->key_file, bytes, sizeof(bytes), &len)) !=
            EXIT_DONE)
            return code;
        while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
            len--;
        text = span_of(bytes, len);
    }
    switch (verify_trust_key(text, &k->how.trust, k->origin)) {
    case OK: break;
    case ERR_MISMATCH:
        return fail(EXIT_USAGE, "the key is not whole: the number in it is another key's");
    default:
        return fail(EXIT_USAGE, "the key is no verifier key, such as `gatehouse init` printed");
    }
    k->how.trust.fast = k->how.trust.fast || k->o->fast;
    k->how.origin = k->origin;
    return EXIT_DONE;
}

static int
take_old(struct check *k)
{
    struct checkpoint cp;
    struct note note;
    size_t len = 0;
    int code;

    if (k->o->checkpoint == NULL)
        return EXIT_DONE;
    if ((code = read_small("--checkpoint", k->o->checkpoint, k->old, sizeof(k->old), &len)) !=
        EXIT_DONE)
        return code;
    k->how.old = span_of(k->old, len);
    if (note_parse(k->how.old, &note) != OK || checkpoint_parse(note.text, &cp) != OK)
        return fail(EXIT_USAGE, "--checkpoint: the file is no checkpoint");
    if (!span_is(cp.origin, k->origin))
        return fail(EXIT_USAGE, "--checkpoint: the file is a checkpoint of another log");
    k->old_size = cp.size;
    return EXIT_DONE;
}

/* ---- what is read ---- */

static enum err
read_file(void *in, uint8_t *out, size_t cap, size_t *len)
{
    *len = fread(out, 1, cap, in);
    return *len == 0 && ferror((FILE *)in) ? ERR_IO : OK;
}

static void
pool_start(void *ctx, const struct verify_job *jobs, size_t count)
{
    sigpool_start(((struct check *)ctx)->pool, jobs, count);
}

static size_t
pool_wait(void *ctx)
{
    return sigpool_wait(((struct check *)ctx)->pool);
}

static void
progress(void *ctx, uint64_t done, uint64_t total)
{
    progress_show(&((struct check *)ctx)->progress, done, total);
}

static const char *
each(void *ctx, const struct event *ev, struct span record)
{
    (void)record;
    return digest_check_event(&((struct check *)ctx)->digests, ev);
}

static int
open_file(struct check *k)
{
    struct complaint why = {""};

    k->in = strcmp(k->o->file, "-") == 0 ? stdin : fopen(k->o->file, "rb");
    if (k->in == NULL)
        return fail(EXIT_REFUSED, "the log file cannot be read: %s", strerror(errno));
    k->how.in = k->in;
    k->how.read = read_file;
    k->how.ctx = k;
    k->how.progress = progress;
    progress_init(&k->progress);
    if (k->how.trust.fast)
        return EXIT_DONE;
    if (digest_check_init(&k->digests) != OK)
        return fail(EXIT_REFUSED, "out of memory");
    if (sigpool_new(k->origin, 0, &k->pool, &why) != OK)
        return fail(EXIT_REFUSED, "%s", why.text);
    k->how.start = pool_start;
    k->how.wait = pool_wait;
    k->how.each = each;
    return EXIT_DONE;
}

/* ---- what is said of it ---- */

static void
root_text(const struct verify_result *result, char out[ROOT_TEXT])
{
    size_t len;

    INVARIANT(base64_encode(
                  BASE64_STD, span_of(result->root.b, HASH_BYTES), out, ROOT_TEXT - 1, &len) == OK);
    out[len] = '\0';
}

static int
say_good(const struct check *k, const struct verify_result *result)
{
    char origin[ORIGIN_BYTES_MAX * 8], root[ROOT_TEXT];

    text_escape(span_str(k->origin), origin, sizeof(origin));
    root_text(result, root);
    printf("log %s: %" PRIu64 " events verify (%s)\n", origin, result->size,
        k->how.trust.fast ? "tree, heads and key events" : "every signature, chain, tree and head");
    printf("head %" PRIu64 " %s\n", result->size, root);
    printf("signatures %" PRIu64 ", agents' statements %" PRIu64 ", heads %" PRIu64
           ", state digests %" PRIu64,
        result->signatures, result->statements, result->heads, k->digests.checked);
    if (k->digests.skipped > 0)
        printf(" (%" PRIu64 " of another version: not checked)", k->digests.skipped);
    putchar('\n');
    if (k->how.old.len > 0)
        printf("extends the older head of %" PRIu64 " events\n", k->old_size);
    if (k->how.trust.has_log)
        puts("A log key vouches for tree and heads only: give root's key to have every event "
             "checked.");
    return EXIT_DONE;
}

/* What is wrong is an event, or the file around the events. */
static int
say_bad(const struct verify_result *result, const char *why)
{
    if (result->bad)
        return fail(EXIT_UNVERIFIED, "event %" PRIu64 ": %s", result->bad_seq, why);
    return fail(EXIT_UNVERIFIED, "%s; the first event not reached is %" PRIu64, why, result->size);
}

static void
write_good(struct json_write *w, const struct check *k, const struct verify_result *result)
{
    char root[ROOT_TEXT];

    root_text(result, root);
    json_write_str(w, "root", root);
    json_write_uint(w, "heads", result->heads);
    json_write_uint(w, "signatures", result->signatures);
    json_write_uint(w, "statements", result->statements);
    json_write_uint(w, "digests", k->digests.checked);
    json_write_uint(w, "digests_not_checked", k->digests.skipped);
    if (k->how.old.len > 0)
        json_write_uint(w, "extends", k->old_size);
}

static void
say_json(const struct check *k, const struct verify_result *result, const char *why)
{
    struct json_write w;

    json_write_init(&w, NULL, NULL);
    json_write_object(&w, NULL);
    json_write_bool(&w, "verifies", why == NULL);
    json_write_str(&w, "origin", k->origin);
    json_write_str(&w, "key", k->how.trust.has_root ? "root" : "log");
    json_write_str(&w, "checked", k->how.trust.fast ? "fast" : "full");
    json_write_uint(&w, "events", result->size);
    if (why == NULL) {
        write_good(&w, k, result);
    } else {
        json_write_uint(&w, "bad_seq", result->bad ? result->bad_seq : result->size);
        json_write_str(&w, "why", why);
    }
    json_write_end(&w);
    json_write_newline(&w);
    if (json_write_done(&w) == OK)
        fwrite(w.buf, 1, w.len, stdout);
    json_write_fini(&w);
}

static int
judge(struct check *k)
{
    char file_why[LOGFILE_WHY_BYTES];
    struct verify_result result;
    enum err err = logfile_verify(&k->how, &result, file_why);
    const char *why = result.bad ? result.why : file_why;

    progress_end(&k->progress);
    if (err == ERR_IO || err == ERR_MEMORY)
        return fail(EXIT_REFUSED, "%s", file_why[0] != '\0' ? file_why : err_name(err));
    if (k->o->json)
        say_json(k, &result, err == OK ? NULL : why);
    else if (err == OK)
        say_good(k, &result);
    if (err != OK)
        return say_bad(&result, why);
    return fflush(stdout) == 0 ? EXIT_DONE : fail(EXIT_REFUSED, "the result cannot be written");
}

int
log_main(int argc, char **argv)
{
    struct options o = {0};
    struct check *k;
    int code;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("usage: gatehouse-verify log FILE --key VKEY [OPTIONS]\n\n%s", log_usage);
        return EXIT_DONE;
    }
    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: gatehouse-verify log FILE --key VKEY [OPTIONS]\n\n%s", log_usage);
        return EXIT_USAGE;
    }
    if ((k = calloc(1, sizeof(*k))) == NULL)
        return fail(EXIT_REFUSED, "out of memory");
    k->o = &o;
    if ((code = take_key(k)) == EXIT_DONE && (code = take_old(k)) == EXIT_DONE &&
        (code = open_file(k)) == EXIT_DONE)
        code = judge(k);
    sigpool_free(k->pool);
    digest_check_fini(&k->digests);
    if (k->in != NULL && k->in != stdin)
        fclose(k->in);
    free(k);
    return code;
}
