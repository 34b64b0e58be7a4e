/* cli.c: reaching the server, and saying what went wrong. */
#include "tools/gatehouse/cli.h"

#include <sodium.h>
#include <stdlib.h>

int
cli_fail(const struct cli *cli, int code, const char *text)
{
    fprintf(stderr, "%s: %s\n", cli->name, text);
    return code;
}

static bool
output_parse(const char *text, enum cli_output *out)
{
    static const char *const names[] = {"table", "json", "jsonl", "csv"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum cli_output)i;
            return true;
        }
    return false;
}

/* True when argv[i] is this option; takes its value. */
static bool
take(const char *name, int argc, char **argv, int *i, const char **value)
{
    size_t len = strlen(name);

    if (strncmp(argv[*i], name, len) != 0)
        return false;
    if (argv[*i][len] == '=') {
        *value = argv[*i] + len + 1;
        return true;
    }
    if (argv[*i][len] != '\0' || *i + 1 >= argc)
        return false;
    *value = argv[++*i];
    return true;
}

bool
cli_options(struct cli *cli, int *argc, char **argv)
{
    const char *output = NULL;
    int kept = 1;

    cli->server = getenv("GATEHOUSE_SERVER");
    cli->ca = getenv("GATEHOUSE_CA");
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < *argc)
                argv[kept++] = argv[i++];
            break;
        }
        if (strcmp(argv[i], "--json") == 0)
            cli->output = OUTPUT_JSON;
        else if (!take("--server", *argc, argv, &i, &cli->server) &&
                 !take("--ca", *argc, argv, &i, &cli->ca) &&
                 !take("--state-dir", *argc, argv, &i, &cli->state_dir) &&
                 !take("--output", *argc, argv, &i, &output) &&
                 !take("-o", *argc, argv, &i, &output))
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    if (output != NULL && !output_parse(output, &cli->output)) {
        cli_fail(cli, EXIT_USAGE, "--output must be table, json, jsonl or csv");
        return false;
    }
    return true;
}

const char *
cli_take(const char *option, int *argc, char **argv)
{
    for (int i = 1; i + 1 < *argc; i++)
        if (strcmp(argv[i], option) == 0) {
            const char *value = argv[i + 1];

            for (int k = i; k + 2 <= *argc; k++)
                argv[k] = argv[k + 2];
            *argc -= 2;
            return value;
        }
    return NULL;
}

bool
cli_take_flag(const char *flag, int *argc, char **argv)
{
    bool found = false;
    int kept = 1;

    for (int i = 1; i < *argc; i++)
        if (strcmp(argv[i], flag) == 0)
            found = true;
        else
            argv[kept++] = argv[i];
    *argc = kept;
    argv[kept] = NULL;
    return found;
}

static int
open_local(struct cli *cli)
{
    char url[URL_PATH_MAX + 64], why[256];

    if (snprintf(url, sizeof(url), "unix:%s/admin.sock", cli->state_dir) >= (int)sizeof(url))
        return cli_fail(cli, EXIT_USAGE, "--state-dir: the path is too long for a socket");
    if (client_new(url, NULL, &cli->local, why, sizeof(why)) != OK)
        return cli_fail(cli, EXIT_USAGE, why);
    return EXIT_DONE;
}

int
cli_open(struct cli *cli)
{
    if (cli->state_dir != NULL)
        return open_local(cli);
    if (api_open(&cli->api, cli->server, cli->ca) != OK)
        return cli_fail(cli, (int)cli->api.code, cli->api.why);
    return EXIT_DONE;
}

void
cli_close(struct cli *cli)
{
    client_free(cli->local);
    cli->local = NULL;
    if (cli->state_dir == NULL)
        api_close(&cli->api);
}

static int
say_problem(const struct cli *cli, const struct call *call)
{
    unsigned status = call_status(call);
    struct problem_said said;
    char line[800];

    problem_read(status, call_body(call), &said);
    if (said.code[0] != '\0')
        snprintf(line, sizeof(line), "%s (%s)", said.detail, said.code);
    else
        snprintf(line, sizeof(line), "%s", said.detail);
    return cli_fail(cli, status == 401 || status == 403 ? EXIT_NOT_ALLOWED : EXIT_REFUSED, line);
}

/* Over admin.sock, or with a header that api_call does not know: one plain call. */
static int
call_plainly(struct cli *cli, const struct cli_request *request, struct call **out)
{
    struct client_request plain = {.method = request->method,
        .target = request->target,
        .body = request->body,
        .sink = request->sink,
        .sink_ctx = request->sink_ctx,
        .endless = request->sink != NULL};
    char bearer[JWT_BYTES_MAX + 8];
    struct call *call = NULL;
    int code = EXIT_DONE, headers = 0;

    if (cli->local == NULL) {
        snprintf(bearer, sizeof(bearer), "Bearer %s", cli->api.token->access);
        plain.authorization = bearer;
    }
    if (request->accept != NULL)
        plain.extra[headers++] = (struct client_header){"Accept", request->accept};
    if (request->if_match != NULL)
        plain.extra[headers++] = (struct client_header){"If-Match", request->if_match};
    if (client_call(cli->local != NULL ? cli->local : cli->api.client, &plain, &call) != OK)
        code = call == NULL ? cli_fail(cli, EXIT_REFUSED, "out of memory")
                            : cli_fail(cli, EXIT_UNREACHABLE, call_why(call));
    else if (call_status(call) / 100 != 2)
        code = say_problem(cli, call);
    sodium_memzero(bearer, sizeof(bearer));
    if (code == EXIT_DONE && out != NULL)
        *out = call;
    else
        call_free(call);
    return code;
}

int
cli_call(struct cli *cli, const struct cli_request *request, struct call **out)
{
    struct api_request api = {.method = request->method,
        .target = request->target,
        .json = request->body,
        .accept = request->accept,
        .sink = request->sink,
        .sink_ctx = request->sink_ctx,
        .endless = request->sink != NULL};
    struct call *call = NULL;

    if (cli->local != NULL || request->if_match != NULL)
        return call_plainly(cli, request, out);
    if (api_call(&cli->api, &api, &call) != OK)
        return cli_fail(cli, (int)cli->api.code, cli->api.why);
    if (out != NULL)
        *out = call;
    else
        call_free(call);
    return EXIT_DONE;
}
