/* audit_verify.c: gatehouse audit verify: the whole log against its keys, beside a running server
 * or not. Reads log/ in its own process (LMDB aborts on damaged files), believes nothing but
 * records and keys, and recomputes the digests of the state that server.started events carry. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "projections/digest_check.h"
#include "store/keys.h"
#include "store/verify.h"
#include "tools/gatehouse/audit.h"
#include "tools/gatehouse/exit.h"
#include "tools/progress.h"

#define NOTE_FILE_MAX 8192

static const char usage[] =
    "usage: gatehouse audit verify --state-dir DIR [--fast] [--checkpoint FILE] [--key VKEY]\n"
    "  --fast             tree and heads only (no signature of each event)\n"
    "  --checkpoint FILE  an older head (a signed note): the log must extend it\n"
    "  --key VKEY         the root verifier key, as `gatehouse init` printed it (or a log key: "
    "tree\n"
    "                     and heads only); without it, the one in the state folder is taken\n"
    "Exit code 5: the log does not verify; the message names the first bad event.\n";

struct verify_options {
    const char *state_dir, *checkpoint, *key;
    bool fast;
};

static int
fail(int code, const char *what)
{
    fprintf(stderr, "gatehouse audit verify: %s\n", what);
    return code;
}

static bool
parse(int argc, char **argv, struct verify_options *o)
{
    static const struct option options[] = {{"state-dir", required_argument, NULL, 's'},
        {"fast", no_argument, NULL, 'f'}, {"checkpoint", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->state_dir = optarg; break;
        case 'f': o->fast = true; break;
        case 'c': o->checkpoint = optarg; break;
        case 'k': o->key = optarg; break;
        case 'h': fputs(usage, stdout); exit(EXIT_DONE);
        default: return false;
        }
    }
    return optind == argc && o->state_dir != NULL;
}

struct watch {
    struct digest_check digests;
    struct progress progress;
};

static const char *
each(void *ctx, const struct event *ev, struct span record)
{
    (void)record;
    return digest_check_event(&((struct watch *)ctx)->digests, ev);
}

static void
progress(void *ctx, uint64_t done, uint64_t total)
{
    progress_show(&((struct watch *)ctx)->progress, done, total);
}

static int
read_note(const char *path, char *out, size_t cap, size_t *len)
{
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return fail(EXIT_USAGE, "--checkpoint: the file cannot be read");
    *len = fread(out, 1, cap, f);
    fclose(f);
    return *len == 0 || *len == cap ? fail(EXIT_USAGE, "--checkpoint: not a signed note")
                                    : EXIT_DONE;
}

/* The key given, or root's as the state folder has it: then the log is only compared with itself.
 */
static int
take_key(const struct verify_options *o, const struct state *st, struct verify_trust *out)
{
    char origin[ORIGIN_BYTES_MAX + 1];
    struct complaint why = {""};
    struct note_key root;

    if (o->key != NULL) {
        if (verify_trust_key(span_str(o->key), out, origin) != OK)
            return fail(EXIT_USAGE, "--key: not a verifier key");
        return strcmp(origin, st->origin) == 0
                   ? EXIT_DONE
                   : fail(EXIT_USAGE, "--key: the key is another log's");
    }
    if (keys_root_public(st, &root, &why) != OK)
        return fail(EXIT_REFUSED, why.text);
    out->has_root = true;
    memcpy(out->root_pk, root.public_key, sizeof(out->root_pk));
    return EXIT_DONE;
}

static int
report(const struct store_verify *how, const struct verify_result *result,
    const struct digest_check *digests)
{
    if (result->bad) {
        fprintf(stderr, "gatehouse audit verify: event %" PRIu64 ": %s\n", result->bad_seq,
            result->why);
        return EXIT_UNVERIFIED;
    }
    printf("log %s: %" PRIu64 " events verify (%s)\n", how->origin, result->size,
        how->fast ? "tree, heads and key events" : "every signature, chain, tree and head");
    printf("signatures %" PRIu64 ", state digests %" PRIu64, result->signatures, digests->checked);
    if (digests->skipped > 0)
        printf(" (%" PRIu64 " of another version: not checked)", digests->skipped);
    puts(how->old.len > 0 ? ", extends the older checkpoint" : "");
    if (how->trust.has_log)
        puts("A log key vouches for tree and heads only: give root's key to have every event "
             "checked.");
    return EXIT_DONE;
}

static int
verify(const struct verify_options *o, struct state *st, struct loglmdb *log)
{
    struct store_verify how = {.log = log, .origin = st->origin};
    struct complaint why = {""};
    struct verify_result result;
    char note[NOTE_FILE_MAX];
    struct watch watch;
    size_t note_len = 0;
    enum err err;
    int code = take_key(o, st, &how.trust);

    if (code == EXIT_DONE && o->checkpoint != NULL)
        code = read_note(o->checkpoint, note, sizeof(note), &note_len);
    if (code != EXIT_DONE)
        return code;
    if (digest_check_init(&watch.digests) != OK)
        return fail(EXIT_REFUSED, "out of memory");
    progress_init(&watch.progress);
    how.fast = o->fast || how.trust.fast;
    how.old = span_of(note, note_len);
    how.ctx = &watch;
    how.progress = progress;
    how.each = how.fast ? NULL : each;
    err = store_verify(&how, &result, &why);
    progress_end(&watch.progress);
    code = err == OK || err == ERR_MISMATCH ? report(&how, &result, &watch.digests)
                                            : fail(EXIT_REFUSED, why.text);
    digest_check_fini(&watch.digests);
    return code;
}

int
audit_verify_main(int argc, char **argv)
{
    struct verify_options o = {0};
    struct complaint why = {""};
    struct loglmdb *log;
    struct state st;
    int code;

    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (state_open(o.state_dir, &(struct state_options){0}, &st, &why) != OK)
        return fail(EXIT_REFUSED, why.text);
    if (loglmdb_open(&st, &(struct loglmdb_options){.read_only = true}, &log, &why) != OK) {
        state_close(&st);
        return fail(EXIT_UNVERIFIED, why.text);
    }
    code = verify(&o, &st, log);
    loglmdb_close(log);
    state_close(&st);
    return code;
}
