/* login.c: gatehouse login: trades a password for tokens, which go into the user's state folder
 * (0600) and nowhere else. */
#include "tools/gatehouse/login.h"

#include <limits.h>
#include <sodium.h>
#include <stdlib.h>

#include "core/json_write.h"
#include "core/text.h"
#include "tools/gatehouse/cli.h"
#include "tools/gatehouse/device.h"
#include "tools/gatehouse/secretfile.h"

static const char usage[] =
    "usage: gatehouse login --server URL --user NAME --password-file FILE [--ca FILE]\n"
    "       gatehouse logout\n"
    "  --server URL          https://HOST[:PORT]\n"
    "  --password-file FILE  the password, one line (- reads standard input)\n"
    "  --ca FILE             trust this certificate only (PEM)\n"
    "The tokens go to $XDG_STATE_HOME/gatehouse/token.json (else ~/.local/state/...), mode 0600. "
    "What makes\n"
    "this device known to the server goes beside it, and stays: strangers who fail in your name "
    "then cannot\n"
    "keep you out. `gatehouse token list` shows known devices, `gatehouse token revoke` removes "
    "one.\n";

struct login {
    struct cli cli;
    const char *user, *password_file;
    struct client *client;
    struct token *token;
    struct secret_text password;
    struct json_write body;
};

static int
fill_body(struct login *l)
{
    char why[300], server[URL_TEXT_MAX], device[DEVICE_TEXT_MAX];

    if (secret_read(l->password_file, &l->password, why, sizeof(why)) != OK)
        return cli_fail(&l->cli, EXIT_USAGE, why);
    json_write_init(&l->body, NULL, NULL);
    json_write_object(&l->body, NULL);
    json_write_str(&l->body, "name", l->user);
    json_write_text(&l->body, "password", l->password.text);
    json_write_bool(&l->body, "cookie", false);
    json_write_bool(&l->body, "remember", true);
    url_format(client_url(l->client), server);
    if (device_load(server, l->user, device))
        json_write_str(&l->body, "device", device);
    sodium_memzero(device, sizeof(device));
    json_write_end(&l->body);
    return json_write_done(&l->body) == OK ? EXIT_DONE
                                           : cli_fail(&l->cli, EXIT_REFUSED, "out of memory");
}

/* Absolute, since later commands run elsewhere. */
static int
fill_token(struct login *l, const struct json_reply *reply)
{
    struct token *t = l->token;
    char path[PATH_MAX];

    url_format(client_url(l->client), t->server);
    if (l->cli.ca != NULL) {
        if (realpath(l->cli.ca, path) == NULL ||
            snprintf(t->ca, sizeof(t->ca), "%s", path) >= (int)sizeof(t->ca))
            return cli_fail(&l->cli, EXIT_USAGE, "--ca: the file has no path that can be kept");
    }
    if (!json_reply_copy(reply, "access_token", t->access, sizeof(t->access)) ||
        !json_reply_copy(reply, "refresh_token", t->refresh, sizeof(t->refresh)) ||
        !json_reply_copy(reply, "user.name", t->user, sizeof(t->user)))
        return cli_fail(&l->cli, EXIT_REFUSED, "the server's answer holds no tokens");
    return EXIT_DONE;
}

static int
keep_tokens(struct login *l, const struct call *call)
{
    struct json_reply *reply = NULL;
    char why[600], role[32] = "", device[DEVICE_TEXT_MAX];
    int code;

    if (json_reply_parse(call_body(call), &reply) != OK)
        return cli_fail(&l->cli, EXIT_REFUSED, "the server's answer is not JSON");
    if ((l->token = token_new()) == NULL)
        code = cli_fail(&l->cli, EXIT_REFUSED, "out of memory");
    else
        code = fill_token(l, reply);
    if (code == EXIT_DONE && token_save(l->token, why, sizeof(why)) != OK)
        code = cli_fail(&l->cli, EXIT_REFUSED, why);
    if (code == EXIT_DONE) {
        (void)json_reply_copy(reply, "user.role", role, sizeof(role));
        if (!json_reply_copy(reply, "device", device, sizeof(device)) ||
            !device_save(l->token->server, l->user, device))
            fprintf(stderr, "This device will not be known next time: no file could be kept.\n");
        fprintf(stderr, "Logged in to %s as %s (%s).\n", l->token->server, l->token->user, role);
    }
    json_reply_free(reply);
    return code;
}

static int
ask_server(struct login *l)
{
    struct client_request request = {
        .method = "POST", .target = "/api/auth/login", .body = span_of(l->body.buf, l->body.len)};
    struct problem_said said;
    struct call *call = NULL;
    char line[700];
    int code;

    if (client_call(l->client, &request, &call) != OK) {
        code = cli_fail(&l->cli, EXIT_UNREACHABLE, call == NULL ? "out of memory" : call_why(call));
    } else if (call_status(call) != 200) {
        problem_read(call_status(call), call_body(call), &said);
        snprintf(line, sizeof(line), "%s (%s)", said.detail, said.code);
        code = cli_fail(&l->cli,
            call_status(call) == 401 || call_status(call) == 403 ? EXIT_NOT_ALLOWED : EXIT_REFUSED,
            line);
    } else {
        code = keep_tokens(l, call);
    }
    call_free(call);
    return code;
}

int
login_main(int argc, char **argv)
{
    struct login l = {.cli = {.name = "gatehouse login"}};
    char why[300];
    int code;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    if (!cli_options(&l.cli, &argc, argv))
        return EXIT_USAGE;
    l.user = cli_take("--user", &argc, argv);
    l.password_file = cli_take("--password-file", &argc, argv);
    if (argc != 1 || l.user == NULL || l.password_file == NULL || l.cli.server == NULL) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (client_new(l.cli.server, l.cli.ca, &l.client, why, sizeof(why)) != OK)
        return cli_fail(&l.cli, EXIT_USAGE, why);
    if ((code = fill_body(&l)) == EXIT_DONE)
        code = ask_server(&l);
    if (l.body.buf != NULL) {
        sodium_memzero(l.body.buf, l.body.len);
        json_write_fini(&l.body);
    }
    if (l.password.memory != NULL)
        secret_free(&l.password);
    token_free(l.token);
    client_free(l.client);
    return code;
}

int
logout_main(int argc, char **argv)
{
    struct cli cli = {.name = "gatehouse logout"};
    char why[600];
    int code;

    if (!cli_options(&cli, &argc, argv) || argc != 1 || cli.state_dir != NULL) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if ((code = cli_open(&cli)) == EXIT_DONE)
        code = cli_call(&cli,
            &(struct cli_request){
                .method = "POST", .target = "/api/auth/logout", .body = span_str("{}")},
            NULL);
    cli_close(&cli);
    /* The file goes even when the server does not answer: nobody shall use it any more. */
    if (token_remove(why, sizeof(why)) != OK)
        return cli_fail(&cli, EXIT_REFUSED, why);
    return code;
}
