/* audit_verify.c: gatehouse audit verify: the whole log against its keys, beside a running server
 * or not. Reads log/ in its own process (LMDB aborts on damaged files), believes nothing but
 * records and keys, and recomputes the digests of the state that server.started events carry. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "projections/digest.h"
#include "store/keys.h"
#include "store/verify.h"
#include "tools/gatehouse/audit.h"
#include "tools/gatehouse/exit.h"

#define NOTE_FILE_MAX 8192

static const char usage[] =
    "usage: gatehouse audit verify --state-dir DIR [--fast] [--checkpoint FILE] [--key VKEY]\n"
    "  --fast             tree and heads only (no signature of each event)\n"
    "  --checkpoint FILE  an older head (a signed note): the log must extend it\n"
    "  --key VKEY         the root verifier key, as `gatehouse init` printed it; without it, the "
    "one\n"
    "                     in the state folder is taken\n"
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

/* ---- digests ---- */

struct digests {
    struct world *world;
    uint64_t checked, skipped;
    uint64_t bad_seq;
    bool bad;
    bool tty;
};

/* server.started carries the digest of the world before it. */
static bool
check_digest(void *ctx, const struct event *ev, struct span record)
{
    struct digests *d = ctx;
    struct hash said, ours;

    (void)record;
    if (ev->type == EV_SERVER_STARTED &&
        fields_fixed(&ev->data, FIELD_DIGEST, said.b, HASH_BYTES)) {
        if (fields_u64(&ev->data, FIELD_DIGEST_VERSION) != WORLD_DIGEST_VERSION) {
            d->skipped++;
        } else {
            world_digest(d->world, d->world->eff_us, &ours);
            d->checked++;
            if (!hash_equal(&said, &ours)) {
                d->bad = true;
                d->bad_seq = ev->seq;
                return false;
            }
        }
    }
    world_fold(d->world, ev);
    return true;
}

static void
progress(void *ctx, uint64_t done, uint64_t total)
{
    const struct digests *d = ctx;

    if (d->tty && total > 100000)
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " events", done, total);
}

/* ---- ---- */

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

static int
root_key(const struct verify_options *o, const struct state *st, struct note_key *out)
{
    struct complaint why = {""};

    if (o->key != NULL)
        return note_vkey_parse(span_str(o->key), out) == OK
                   ? EXIT_DONE
                   : fail(EXIT_USAGE, "--key: not a verifier key");
    return keys_root_public(st, out, &why) == OK ? EXIT_DONE : fail(EXIT_REFUSED, why.text);
}

static int
report(const struct verify_options *o, const struct verify_result *result,
    const struct digests *digests, const char *origin)
{
    if (digests->bad) {
        fprintf(stderr,
            "gatehouse audit verify: event %" PRIu64
            ": the state before it is not the one whose digest it carries\n",
            digests->bad_seq);
        return EXIT_UNVERIFIED;
    }
    if (result->bad) {
        fprintf(stderr, "gatehouse audit verify: event %" PRIu64 ": %s\n", result->bad_seq,
            result->why);
        return EXIT_UNVERIFIED;
    }
    printf("log %s: %" PRIu64 " events verify (%s)\n", origin, result->size,
        o->fast ? "tree, heads and key events" : "every signature, chain, tree and head");
    printf("signatures %" PRIu64 ", state digests %" PRIu64, result->signatures, digests->checked);
    if (digests->skipped > 0)
        printf(" (%" PRIu64 " of another version: not checked)", digests->skipped);
    puts(o->checkpoint != NULL ? ", extends the older checkpoint" : "");
    return EXIT_DONE;
}

static int
verify(const struct verify_options *o, struct state *st, struct loglmdb *log)
{
    struct store_verify how = {.log = log, .origin = st->origin, .fast = o->fast};
    struct digests digests = {.world = world_new(), .tty = isatty(STDERR_FILENO) != 0};
    struct complaint why = {""};
    struct verify_result result;
    struct note_key root;
    char note[NOTE_FILE_MAX];
    size_t note_len = 0;
    enum err err;
    int code;

    if (digests.world == NULL)
        return fail(EXIT_REFUSED, "out of memory");
    code = root_key(o, st, &root);
    if (code == EXIT_DONE && o->checkpoint != NULL)
        code = read_note(o->checkpoint, note, sizeof(note), &note_len);
    if (code == EXIT_DONE) {
        how.trust.has_root = true;
        memcpy(how.trust.root_pk, root.public_key, 32);
        how.old = span_of(note, note_len);
        how.ctx = &digests;
        how.progress = progress;
        how.each = o->fast ? NULL : check_digest;
        err = store_verify(&how, &result, &why);
        if (digests.tty)
            fputs("\r\033[K", stderr);
        code = err == OK || err == ERR_MISMATCH ? report(o, &result, &digests, st->origin)
                                                : fail(EXIT_REFUSED, why.text);
    }
    world_free(digests.world);
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
