/* keyjwt.c: gatehouse key jwt. A secret leaves this program on standard output or in a new file,
 * never by an argument; a rotation happens inside the running server, and shows none. */
#include "tools/gatehouse/keyjwt.h"

#include <errno.h>
#include <sodium.h>
#include <unistd.h>

#include "core/json_write.h"
#include "http/jwt_secret.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/verbs.h"

static const char usage[] =
    "usage: gatehouse key jwt [--out FILE]\n"
    "       gatehouse key jwt --rotate --state-dir DIR [--grace 15m | --leaked]\n"
    "\n"
    "Makes a secret for access tokens, fit for JWT_SECRET or a file that JWT_SECRET_FILE names:\n"
    "prints it, or writes it to a new file of mode 0600.\n"
    "\n"
    "  --out FILE       write to FILE, which must not be there yet, instead of printing\n"
    "  --rotate         the running server makes itself another secret at once: tokens of the one\n"
    "                   so far are refused, their holders refresh them without a new login\n"
    "  --state-dir DIR  the server's state folder (with --rotate)\n"
    "  --grace TIME     take tokens of the old secret for TIME more: 90s, 15m (at most 15m)\n"
    "  --leaked         somebody else knows the old secret: end every login and every session\n"
    "\n"
    "examples: gatehouse key jwt --out /etc/gatehouse/jwt.secret\n"
    "          gatehouse key jwt --rotate --state-dir /var/lib/gatehouse --grace 15m\n";

struct key_jwt {
    struct cli cli;
    const char *out, *grace;
    bool rotate, leaked;
    int64_t grace_s;
};

static int
misused(const char *why)
{
    fprintf(stderr, "gatehouse key jwt: %s\n\n%s", why, usage);
    return EXIT_USAGE;
}

static bool
take_flag(const char *flag, int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], flag) == 0) {
            for (int k = i; k + 1 <= *argc; k++)
                argv[k] = argv[k + 1];
            --*argc;
            return true;
        }
    return false;
}

static int
make(const struct key_jwt *k)
{
    char secret[JWT_SECRET_GENERATED + 1];
    int code = EXIT_DONE;

    jwt_secret_generate(secret);
    if (k->out == NULL) {
        if (printf("%s\n", secret) < 0 || fflush(stdout) != 0)
            code = cli_fail(&k->cli, EXIT_REFUSED, "standard output cannot be written");
    } else if (jwt_secret_export(k->out, span_str(secret)) != OK) {
        fprintf(stderr, "%s: %s: %s\n", k->cli.name, k->out, strerror(errno));
        code = EXIT_REFUSED;
    }
    sodium_memzero(secret, sizeof(secret));
    return code;
}

static int
say(struct key_jwt *k, struct span answer)
{
    struct json_reply *reply = NULL;
    bool until_restart = false;
    int64_t seq = 0;
    int code = EXIT_DONE;

    if (k->cli.output != OUTPUT_TABLE) {
        printf("%.*s\n", (int)answer.len, (const char *)answer.ptr);
        return code;
    }
    if (json_reply_parse(answer, &reply) != OK || !json_reply_int(reply, "seq", &seq) ||
        !json_reply_bool(reply, "until_restart", &until_restart)) {
        code = cli_fail(&k->cli, EXIT_REFUSED, "the server's answer is not understood");
    } else {
        printf("A new secret signs access tokens (event %lld).\n", (long long)seq);
        if (k->leaked)
            puts("Every login and every session has ended.");
        else if (k->grace_s > 0)
            printf("Tokens of the old one are taken for %lld s more.\n", (long long)k->grace_s);
        else
            puts("Tokens of the old one are refused; whoever is logged in refreshes them.");
        if (until_restart)
            puts("It is kept in memory only: hand the server another one before its next start.\n"
                 "The leaked one will be refused.");
    }
    json_reply_free(reply);
    return code;
}

static int
rotate(struct key_jwt *k)
{
    struct json_write body;
    struct call *call = NULL;
    int code = cli_open(&k->cli);

    if (code != EXIT_DONE)
        return code;
    json_write_init(&body, NULL, NULL);
    json_write_object(&body, NULL);
    json_write_int(&body, "grace_s", k->grace_s);
    json_write_bool(&body, "leaked", k->leaked);
    json_write_end(&body);
    if (json_write_done(&body) != OK)
        code = cli_fail(&k->cli, EXIT_REFUSED, "out of memory");
    else
        code = cli_call(&k->cli,
            &(struct cli_request){.method = "POST",
                .target = "/admin/secret/rotate",
                .body = span_of(body.buf, body.len)},
            &call);
    if (code == EXIT_DONE)
        code = say(k, call_body(call));
    call_free(call);
    json_write_fini(&body);
    cli_close(&k->cli);
    return code;
}

static int
key_jwt(int argc, char **argv)
{
    struct key_jwt k = {.cli.name = "gatehouse key jwt"};

    if (take_flag("--help", &argc, argv)) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (!cli_options(&k.cli, &argc, argv))
        return EXIT_USAGE;
    k.rotate = take_flag("--rotate", &argc, argv);
    k.leaked = take_flag("--leaked", &argc, argv);
    k.grace = cli_take("--grace", &argc, argv);
    k.out = cli_take("--out", &argc, argv);
    if (argc != 1)
        return misused("a secret is never an argument, and there is no other one");
    if (!k.rotate && (k.leaked || k.grace != NULL || k.cli.state_dir != NULL))
        return misused("--grace, --leaked and --state-dir go with --rotate");
    if (!k.rotate)
        return make(&k);
    if (k.cli.state_dir == NULL || k.out != NULL)
        return misused("--rotate needs --state-dir, and writes nothing out");
    if (k.leaked && k.grace != NULL)
        return misused("a leaked secret gets no grace");
    if (k.grace != NULL && jwt_secret_grace(k.grace, &k.grace_s) != OK)
        return misused("--grace must be 1s to 900s, or in minutes: 15m");
    return rotate(&k);
}

int
key_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "jwt") == 0)
        return key_jwt(argc - 1, argv + 1);
    return verbs_main(argc, argv);
}
