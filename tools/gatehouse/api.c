/* api.c: the logged-in client. One thread. The token never leaves for another server than its own.
 */
#include "tools/gatehouse/api.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum err __attribute__((format(printf, 4, 5)))
fail(struct api *api, enum exit_code code, enum err err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(api->why, sizeof(api->why), format, args);
    va_end(args);
    api->code = code;
    return err;
}

static enum exit_code
code_of(enum err failure)
{
    switch (failure) {
    case ERR_NOT_FOUND:
    case ERR_CLOSED:
    case ERR_TIMEOUT: return EXIT_UNREACHABLE;
    default: return EXIT_REFUSED;
    }
}

static enum err
same_server(struct api *api, const char *server)
{
    struct server_url url;
    char text[URL_TEXT_MAX];
    const char *what;

    if (url_parse(span_str(server), &url, &what) != OK)
        return fail(api, EXIT_USAGE, ERR_MALFORMED, "--server: the URL %s", what);
    url_format(&url, text);
    if (strcmp(text, api->token->server) != 0)
        return fail(api, EXIT_NOT_ALLOWED, ERR_DENIED,
            "you are logged in to %s, not to %s: run gatehouse login", api->token->server, text);
    return OK;
}

enum err
api_open(struct api *api, const char *server, const char *ca)
{
    char why[500];
    enum err err;

    *api = (struct api){0};
    if ((api->token = token_new()) == NULL)
        return fail(api, EXIT_REFUSED, ERR_MEMORY, "no memory");
    if ((err = token_load(api->token, why, sizeof(why))) != OK)
        return fail(api, EXIT_NOT_ALLOWED, err, "%s", why);
    if (server != NULL && (err = same_server(api, server)) != OK)
        return err;
    if (ca == NULL && api->token->ca[0] != '\0')
        ca = api->token->ca;
    if ((err = client_new(api->token->server, ca, &api->client, why, sizeof(why))) != OK)
        return fail(api, EXIT_REFUSED, err, "%s: %s", api->token->server, why);
    return OK;
}

void
api_close(struct api *api)
{
    client_free(api->client);
    token_free(api->token);
    api->client = NULL;
    api->token = NULL;
}

static enum err
refresh(struct api *api, bool rejected)
{
    enum token_refresh_state state = TOKEN_REFRESHING;
    struct token_refresh *r;
    enum err err = OK;

    if (token_refresh_new(api->client, api->token, rejected, &r) != OK)
        return fail(api, EXIT_REFUSED, ERR_MEMORY, "no memory");
    while (state == TOKEN_REFRESHING) {
        struct pollset ps;

        pollset_init(&ps);
        token_refresh_prepare(r, &ps);
        if (pollset_wait(&ps) != OK) {
            token_refresh_free(r);
            return fail(api, EXIT_REFUSED, ERR_IO, "poll failed");
        }
        state = token_refresh_step(r, &ps);
    }
    if (state == TOKEN_STALE) {
        err = token_refresh_failure(r);
        fail(api, err == ERR_DENIED ? EXIT_NOT_ALLOWED : code_of(err), err, "%s",
            token_refresh_why(r));
    }
    token_refresh_free(r);
    return err;
}

enum err
api_begin(struct api *api, const struct api_request *request, struct call **out)
{
    char *bearer = sodium_malloc(sizeof(api->token->access) + 8);
    struct client_request r = {.method = request->method,
        .target = request->target,
        .authorization = bearer,
        .body = request->json,
        .answer_ms = request->answer_ms,
        .sink = request->sink,
        .sink_ctx = request->sink_ctx,
        .endless = request->endless};
    enum err err;

    *out = NULL;
    if (bearer == NULL)
        return fail(api, EXIT_REFUSED, ERR_MEMORY, "no memory");
    snprintf(bearer, sizeof(api->token->access) + 8, "Bearer %s", api->token->access);
    if (request->accept != NULL)
        r.extra[0] = (struct client_header){"Accept", request->accept};
    err = call_new(api->client, &r, out);
    sodium_free(bearer);
    return err == OK ? OK : fail(api, EXIT_REFUSED, err, "no memory");
}

enum err
api_judge(struct api *api, const struct call *call)
{
    struct problem_said said;

    api->status = call_failure(call) != OK ? 0 : call_status(call);
    api->problem[0] = '\0';
    if (api->status == 0)
        return fail(api, code_of(call_failure(call)), call_failure(call), "%s", call_why(call));
    if (api->status >= 200 && api->status <= 299)
        return OK;
    if (api->status >= 300 && api->status <= 399)
        return fail(api, EXIT_REFUSED, ERR_MISMATCH,
            "the server redirects, and credentials do not follow: log in to its final URL");
    problem_read(api->status, call_body(call), &said);
    snprintf(api->problem, sizeof(api->problem), "%s", said.code);
    return fail(api, api->status == 401 || api->status == 403 ? EXIT_NOT_ALLOWED : EXIT_REFUSED,
        ERR_DENIED, "%s%s%s%s", said.detail, said.code[0] != '\0' ? " (" : "", said.code,
        said.code[0] != '\0' ? ")" : "");
}

/* Waits for one call; told apart: no answer, and an answer of any status. */
static enum err
once(struct api *api, const struct api_request *request, struct call **out)
{
    enum call_state state = CALL_GOING;
    enum err err = api_begin(api, request, out);

    if (err != OK)
        return err;
    while (state == CALL_GOING) {
        struct pollset ps;

        pollset_init(&ps);
        call_prepare(*out, &ps);
        if (client_stopped(api->client, &ps) || pollset_wait(&ps) != OK)
            return fail(api, EXIT_REFUSED, ERR_CLOSED, "interrupted");
        state = call_step(*out, &ps);
    }
    return api_judge(api, *out);
}

enum err
api_call(struct api *api, const struct api_request *request, struct call **out)
{
    enum err err = OK;

    *out = NULL;
    api->status = 0;
    if (token_due(api->token) && (err = refresh(api, false)) != OK)
        return err;
    err = once(api, request, out);
    if (err != OK && api->status == 401) {
        call_free(*out);
        *out = NULL;
        if ((err = refresh(api, true)) == OK)
            err = once(api, request, out);
    }
    if (err != OK) {
        call_free(*out);
        *out = NULL;
    }
    return err;
}

enum err
api_json(struct api *api, const struct api_request *request, struct json_reply **out)
{
    struct call *call;
    enum err err = api_call(api, request, &call);

    *out = NULL;
    if (err != OK)
        return err;
    if ((err = json_reply_parse(call_body(call), out)) != OK)
        err = fail(api, EXIT_REFUSED, err, "the server's answer is no JSON");
    call_free(call);
    return err;
}
