/* init.c: gatehouse init. Makes a state folder whole, or not at all: the format file is written
 * last. */
#include "tools/gatehouse/init.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sodium.h>
#include <unistd.h>

#include "core/password.h"
#include "core/text.h"
#include "http/jwt_secret.h"
#include "http/tls_selfsigned.h"
#include "tools/gatehouse/boot.h"
#include "tools/gatehouse/exit.h"
#include "tools/gatehouse/secretfile.h"

struct init_options {
    const char *state_dir, *admin, *password_file, *origin, *self_signed;
};

static const char usage[] =
    "usage: gatehouse init --state-dir DIR --admin NAME --password-file FILE\n"
    "                      [--origin NAME] [--self-signed HOST]\n"
    "\n"
    "Makes a new state folder: signing keys, the log, the first admin, and the secret of access\n"
    "tokens. Prints the root verifier key: give it to whoever is to check the log.\n"
    "\n"
    "  --state-dir DIR       the folder to make (or an empty one)\n"
    "  --admin NAME          account name of the first admin\n"
    "  --password-file FILE  its password, 12 to 128 bytes (- reads standard input)\n"
    "  --origin NAME         the log's name, for ever: [a-z0-9.-]+ (default gatehouse.<random>)\n"
    "  --self-signed HOST    also make DIR/tls.crt and DIR/tls.key for this host name or address\n"
    "\n"
    "example: gatehouse init --state-dir /var/lib/gatehouse --admin alice --password-file pw \\\n"
    "             --origin support.example.org --self-signed support.example.org\n";

static bool
parse(int argc, char **argv, struct init_options *o)
{
    static const struct option options[] = {{"state-dir", required_argument, NULL, 's'},
        {"admin", required_argument, NULL, 'a'}, {"password-file", required_argument, NULL, 'p'},
        {"origin", required_argument, NULL, 'o'}, {"self-signed", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's': o->state_dir = optarg; break;
        case 'a': o->admin = optarg; break;
        case 'p': o->password_file = optarg; break;
        case 'o': o->origin = optarg; break;
        case 'c': o->self_signed = optarg; break;
        case 'h': fputs(usage, stdout); exit(EXIT_DONE);
        default: return false;
        }
    }
    if (optind != argc)
        fprintf(stderr, "gatehouse init: unexpected argument '%s'\n", argv[optind]);
    return optind == argc && o->state_dir != NULL && o->admin != NULL && o->password_file != NULL;
}

static int
fail(const char *what)
{
    fprintf(stderr, "gatehouse init: %s\n", what);
    return EXIT_REFUSED;
}

/* ---- waiting for what was written ---- */

struct durable {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t size;
};

static void
durable_now(void *ctx, uint64_t size)
{
    struct durable *d = ctx;

    pthread_mutex_lock(&d->lock);
    d->size = size;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

static void
durable_wait(struct durable *d, uint64_t size)
{
    pthread_mutex_lock(&d->lock);
    while (d->size < size)
        pthread_cond_wait(&d->wake, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

/* ---- the first events ---- */

static bool
step(struct boot *b, struct command *cmd, const char **refused)
{
    struct verdict *v;
    bool granted;

    if (cmd == NULL)
        return false;
    cmd->caller.kind = CALLER_CLI;
    v = boot_step(b, cmd);
    granted = v->refusal == REFUSE_NONE;
    if (!granted)
        *refused = v->detail != NULL ? v->detail : refusal_row(v->refusal)->title;
    verdict_free(v);
    command_free(cmd);
    return granted;
}

static struct command *
open_log(const struct boot *b, const struct keys_opening *opening)
{
    struct command *cmd = command_new(CMD_OPEN_LOG, 0);

    if (cmd == NULL)
        return NULL;
    cmd->open_log.origin = b->state.origin;
    memcpy(cmd->open_log.root_pk, opening->root_pk, 32);
    memcpy(cmd->open_log.log_pk, opening->log_pk, 32);
    memcpy(cmd->open_log.event_pk, opening->event_pk, 32);
    memcpy(cmd->open_log.root_sig, opening->root_sig, 64);
    return cmd;
}

static struct command *
adopt_default_policy(void)
{
    struct command *cmd = command_new(CMD_ADOPT_POLICY, 1024);
    struct policy policy;
    uint8_t bytes[1024];
    size_t len;

    if (cmd == NULL)
        return NULL;
    policy_default(&policy);
    INVARIANT(policy_encode(&policy, bytes, sizeof(bytes), &len) == OK);
    cmd->adopt_policy.policy = command_copy(cmd, span_of(bytes, len));
    return cmd;
}

static struct command *
add_admin(const char *name, const char *verifier)
{
    struct command *cmd = command_new(CMD_ADD_USER, 1024);

    if (cmd == NULL)
        return NULL;
    cmd->add_user.role = ROLE_ADMIN;
    cmd->add_user.account_name = command_copy(cmd, span_str(name));
    cmd->add_user.display_name = cmd->add_user.account_name;
    cmd->add_user.verifier = command_copy(cmd, span_str(verifier));
    return cmd;
}

static int
write_first_events(
    struct boot *b, const struct keys_opening *opening, const char *admin, const char *verifier)
{
    struct durable durable = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    struct durable_listener listener = {.ctx = &durable, .durable = durable_now};
    const char *refused = "out of memory";
    struct complaint why = {""};

    if (boot_start(b, &listener, 1, &why) != OK)
        return fail(why.text);
    if (!step(b, open_log(b, opening), &refused) || !step(b, adopt_default_policy(), &refused) ||
        !step(b, add_admin(admin, verifier), &refused))
        return fail(refused);
    boot_flush(b);
    durable_wait(&durable, ledger_size(b->ledger));
    return EXIT_DONE;
}

/* ---- files beside the log ---- */

static int
write_certificate(const struct state *st, const char *host)
{
    char cert[SELFSIGNED_PEM_MAX], key[SELFSIGNED_PEM_MAX];
    struct complaint why = {""};
    enum err err;

    if (tls_selfsigned_make(host, cert, key) != OK)
        return fail("--self-signed: no certificate could be made for this host name.");
    err = state_file_write(st, "tls.crt", span_str(cert), &why);
    if (err == OK)
        err = state_file_write(st, "tls.key", span_str(key), &why);
    sodium_memzero(key, sizeof(key));
    return err == OK ? EXIT_DONE : fail(why.text);
}

static int
write_jwt_secret(const char *state_dir)
{
    char secret[JWT_SECRET_GENERATED + 1];
    enum err err;

    jwt_secret_generate(secret);
    err = jwt_secret_write(state_dir, span_str(secret));
    sodium_memzero(secret, sizeof(secret));
    return err == OK ? EXIT_DONE : fail("jwt.env cannot be written: check the disk.");
}

static int
make_state(const struct init_options *o, const char *origin, const char *verifier)
{
    struct complaint why = {""};
    struct keys_opening opening;
    struct boot boot;
    char vkey[256];
    int code;

    if (boot_create(o->state_dir, origin, &boot, &opening, &why) != OK) {
        boot_close(&boot);
        return fail(why.text[0] == '\0' ? "out of memory" : why.text);
    }
    code = write_first_events(&boot, &opening, o->admin, verifier);
    if (code == EXIT_DONE)
        code = write_jwt_secret(o->state_dir);
    if (code == EXIT_DONE && o->self_signed != NULL)
        code = write_certificate(&boot.state, o->self_signed);
    if (code == EXIT_DONE && state_create_done(&boot.state, &why) != OK)
        code = fail(why.text);
    if (code == EXIT_DONE) {
        INVARIANT(keys_root_vkey(&boot.keys, vkey, sizeof(vkey)) == OK);
        fprintf(stderr,
            "State folder %s is ready: log %s, admin %s.\n"
            "Keep keys/root.key offline. The root verifier key, for whoever checks the log:\n",
            o->state_dir, origin, o->admin);
        printf("%s\n", vkey);
    }
    boot_close(&boot);
    return code;
}

/* Checks the password and turns it into its verifier. */
static int
read_verifier(const struct init_options *o, char verifier[PASSWORD_VERIFIER_BYTES])
{
    struct secret_text password;
    enum password_fault fault;
    char why[256];
    int code = EXIT_REFUSED;

    if (secret_read(o->password_file, &password, why, sizeof(why)) != OK)
        return fail(why);
    fault = password_judge(password.text, span_str(o->admin));
    if (fault != PASSWORD_FINE) {
        snprintf(why, sizeof(why), "--password-file: the password %s", password_fault_name(fault));
        fail(why);
    } else if (password_hash(password.text, verifier) != OK) {
        fail("Argon2id needs 64 MiB of memory, and there is none.");
    } else {
        code = EXIT_DONE;
    }
    secret_free(&password);
    return code;
}

int
init_main(int argc, char **argv)
{
    char verifier[PASSWORD_VERIFIER_BYTES], origin[ORIGIN_BYTES_MAX + 1], why[256];
    struct init_options o = {0};
    enum text_fault fault;
    int code;

    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if ((fault = text_check(TEXT_ACCOUNT, span_str(o.admin))) != TEXT_OK) {
        snprintf(why, sizeof(why), "--admin: the name %s", text_fault_name(fault));
        fail(why);
        return EXIT_USAGE;
    }
    if (o.origin == NULL)
        snprintf(origin, sizeof(origin), "gatehouse.%08x", randombytes_random());
    else if (!state_origin_valid(span_str(o.origin))) {
        fail("--origin: must be [a-z0-9.-]+, at most 64 characters");
        return EXIT_USAGE;
    } else {
        snprintf(origin, sizeof(origin), "%s", o.origin);
    }
    if ((code = read_verifier(&o, verifier)) == EXIT_DONE)
        code = make_state(&o, origin, verifier);
    sodium_memzero(verifier, sizeof(verifier));
    return code;
}
