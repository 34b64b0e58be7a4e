/* register.c: gatehouse register: an invitation becomes an account. Nobody is logged in yet, so
 * this speaks to the server without a token, and keeps nothing. */
#include "tools/gatehouse/register.h"

#include <sodium.h>

#include "core/json_write.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/secretfile.h"

static const char usage[] =
    "usage: gatehouse register --server URL --user NAME --invite-file FILE --password-file FILE\n"
    "                          [--display-name TEXT] [--ca FILE]\n"
    "  --server URL          https://HOST[:PORT]\n"
    "  --user NAME           the account's name, to log in with\n"
    "  --invite-file FILE    the invitation, one line (- reads standard input)\n"
    "  --password-file FILE  the password, one line, 12 to 128 bytes\n"
    "  --display-name TEXT   what others see\n"
    "  --ca FILE             trust this certificate only (PEM)\n"
    "example: gatehouse register --server https://help.example.org --user ada \\\n"
    "             --invite-file invite.txt --password-file password.txt\n";

struct registering {
    struct cli cli;
    const char *user, *display_name, *invite_file, *password_file;
    struct secret_text invite, password;
    struct json_write body;
};

static int
fill_body(struct registering *r)
{
    char why[300];

    if (secret_read(r->invite_file, &r->invite, why, sizeof(why)) != OK ||
        secret_read(r->password_file, &r->password, why, sizeof(why)) != OK)
        return cli_fail(&r->cli, EXIT_USAGE, why);
    json_write_init(&r->body, NULL, NULL);
    json_write_object(&r->body, NULL);
    json_write_str(&r->body, "name", r->user);
    if (r->display_name != NULL)
        json_write_str(&r->body, "display_name", r->display_name);
    json_write_text(&r->body, "invite", r->invite.text);
    json_write_text(&r->body, "password", r->password.text);
    json_write_end(&r->body);
    return json_write_done(&r->body) == OK ? EXIT_DONE
                                           : cli_fail(&r->cli, EXIT_REFUSED, "out of memory");
}

static int
registered(struct registering *r, const struct call *call)
{
    char name[200] = "", role[32] = "";
    struct json_reply *reply = NULL;

    if (json_reply_parse(call_body(call), &reply) != OK ||
        !json_reply_copy(reply, "name", name, sizeof(name)) ||
        !json_reply_copy(reply, "role", role, sizeof(role))) {
        json_reply_free(reply);
        return cli_fail(&r->cli, EXIT_REFUSED, "the server's answer names no account");
    }
    json_reply_free(reply);
    fprintf(stderr, "Registered %s (%s). Now: gatehouse login --server %s --user %s ...\n", name,
        role, r->cli.server, name);
    return EXIT_DONE;
}

static int
ask_server(struct registering *r, struct client *client)
{
    struct client_request request = {.method = "POST",
        .target = "/api/auth/register",
        .body = span_of(r->body.buf, r->body.len)};
    struct problem_said said;
    struct call *call = NULL;
    char line[700];
    int code;

    if (client_call(client, &request, &call) != OK) {
        code = cli_fail(&r->cli, EXIT_UNREACHABLE, call == NULL ? "out of memory" : call_why(call));
    } else if (call_status(call) != 201) {
        problem_read(call_status(call), call_body(call), &said);
        snprintf(line, sizeof(line), "%s (%s)", said.detail, said.code);
        code = cli_fail(&r->cli,
            call_status(call) == 401 || call_status(call) == 403 ? EXIT_NOT_ALLOWED : EXIT_REFUSED,
            line);
    } else {
        code = registered(r, call);
    }
    call_free(call);
    return code;
}

static bool
options(struct registering *r, int argc, char **argv)
{
    if (!cli_options(&r->cli, &argc, argv))
        return false;
    r->user = cli_take("--user", &argc, argv);
    r->display_name = cli_take("--display-name", &argc, argv);
    r->invite_file = cli_take("--invite-file", &argc, argv);
    r->password_file = cli_take("--password-file", &argc, argv);
    if (argc == 1 && r->user != NULL && r->invite_file != NULL && r->password_file != NULL &&
        r->cli.server != NULL)
        return true;
    fputs(usage, stderr);
    return false;
}

int
register_main(int argc, char **argv)
{
    struct registering r = {.cli = {.name = "gatehouse register"}};
    struct client *client = NULL;
    char why[300];
    int code;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (!options(&r, argc, argv))
        return EXIT_USAGE;
    if (client_new(r.cli.server, r.cli.ca, &client, why, sizeof(why)) != OK)
        return cli_fail(&r.cli, EXIT_USAGE, why);
    if ((code = fill_body(&r)) == EXIT_DONE)
        code = ask_server(&r, client);
    if (r.body.buf != NULL) {
        sodium_memzero(r.body.buf, r.body.len);
        json_write_fini(&r.body);
    }
    if (r.invite.memory != NULL)
        secret_free(&r.invite);
    if (r.password.memory != NULL)
        secret_free(&r.password);
    client_free(client);
    return code;
}
