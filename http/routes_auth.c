/* routes_auth.c: login, refresh, logout, and who one is. Runs on loops.
 *
 * A login is two questions: the attempt is numbered at once, so that parallel guesses cannot slip
 * through; then the proof is made, on the pool; then the conclusion. An unknown name takes the same
 * way as a known one, to the same answer. */
#include "http/auth.h"
#include "http/routes_handlers.h"

#include <sodium.h>

#include "core/rights.h"
#include "core/vault.h"
#include "http/reply.h"
#include "http/routes_json.h"

#define LOGIN_PASSWORD_MAX 1024 /* longer ones are nobody's; shorter ones cost the same time */

/* ---- tokens leave ---- */

static void
write_tokens(
    struct json_write *w, const char *access, size_t len, int64_t expires_in, const char *refresh)
{
    json_write_text(w, "access_token", span_of(access, len));
    json_write_str(w, "token_type", "Bearer");
    json_write_int(w, "expires_in", expires_in);
    if (refresh != NULL)
        json_write_str(w, "refresh_token", refresh);
}

/* The user as far as views know him: a name typed at login is his own anyway. */
static void
write_user(struct walk *w, struct json_write *json, const char *name)
{
    const struct reply *reply = &w->verdict.reply;
    struct user_row row = {0};
    struct rows rows;

    if (w->app->views.begin(w->app->views.ctx, &rows) == OK) {
        if (views_user(&rows, &reply->user, &row) != OK)
            row = (struct user_row){0};
        w->app->views.end(w->app->views.ctx, &rows);
    }
    json_write_object(json, "user");
    json_id(json, "id", ID_USER, &reply->user);
    if (row.name[0] != '\0' || name != NULL)
        json_write_str(json, "name", row.name[0] != '\0' ? row.name : name);
    if (row.display[0] != '\0')
        json_write_str(json, "display_name", row.display);
    json_write_str(json, "role", role_name(reply->role));
    json_write_end(json);
}

/* The refresh token goes into a cookie, or into the body; never into both. */
static enum pace
reply_tokens(struct walk *w, bool cookie, const char *name)
{
    char access[JWT_BYTES_MAX], set_cookie[AUTH_COOKIE_TEXT], device_cookie[AUTH_COOKIE_TEXT];
    const struct reply_extra extra = {"Set-Cookie", device_cookie, NULL};
    struct reply *reply = &w->verdict.reply;
    struct json_write json;
    int64_t expires_in;
    enum pace pace;
    size_t len;

    if (auth_issue(w->app, reply, access, &len, &expires_in) != OK)
        return walk_no(w, PROBLEM_INTERNAL, NULL, NULL);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    write_tokens(&json, access, len, expires_in, cookie ? NULL : reply->secret);
    if (reply->device_token[0] != '\0' && !cookie)
        json_write_str(&json, "device", reply->device_token);
    write_user(w, &json, name);
    json_write_end(&json);
    if (cookie)
        auth_cookie_text(reply->secret, set_cookie);
    if (reply->device_token[0] != '\0' && cookie) {
        auth_device_cookie_text(reply->device_token, device_cookie);
        w->extra = &extra;
    }
    pace = walk_json(w, 200, &json, cookie ? "Set-Cookie" : NULL, cookie ? set_cookie : NULL);
    sodium_memzero(access, sizeof(access));
    sodium_memzero(set_cookie, sizeof(set_cookie));
    w->extra = NULL;
    return pace;
}

/* ---- login ---- */

struct login {
    struct span name, password, device;
    bool cookie, remember;
    char device_text[DEVICE_TEXT_MAX];
    char folded[ACCOUNT_BYTES_MAX + 1];
    uint64_t attempt, verifier_version;
    bool known, proven;
};

static const struct json_field login_fields[] = {
    {.name = "name",
        .kind = JSON_KIND_RULED,
        .required = true,
        .text_kind = TEXT_ACCOUNT,
        .offset = offsetof(struct login, name)},
    {.name = "password",
        .kind = JSON_KIND_TEXT,
        .required = true,
        .min = 1,
        .max = LOGIN_PASSWORD_MAX,
        .offset = offsetof(struct login, password)},
    {.name = "cookie", .kind = JSON_KIND_BOOL, .offset = offsetof(struct login, cookie)},
    {.name = "remember", .kind = JSON_KIND_BOOL, .offset = offsetof(struct login, remember)},
    {.name = "device",
        .kind = JSON_KIND_TEXT,
        .min = 1,
        .max = DEVICE_TEXT_MAX - 1,
        .offset = offsetof(struct login, device)},
};

/* What the device shows, by cookie or by body: kept until the attempt is put. What it is worth, the
 * ledger says; a wrong one is no fault, only a stranger's. */
static void
take_device(struct walk *w, struct login *in)
{
    struct span cookie;

    if (in->cookie)
        in->device = auth_cookie(walk_request(w), AUTH_DEVICE_COOKIE, &cookie) == AUTH_COOKIE_ONE
                         ? cookie
                         : (struct span){NULL, 0};
    if (in->device.len >= sizeof(in->device_text))
        in->device = (struct span){NULL, 0};
    if (in->device.len > 0)
        memcpy(in->device_text, in->device.ptr, in->device.len);
    in->device.ptr = (const uint8_t *)in->device_text;
}

bool
login_parse(struct walk *w)
{
    struct login *in = walk_in(w, sizeof(*in));

    if (in == NULL)
        return false;
    in->cookie = true;
    if (!walk_body(w, login_fields, sizeof(login_fields) / sizeof(login_fields[0]), in, NULL))
        return false;
    text_fold(in->name, in->folded);
    take_device(w, in);
    w->proof = proof_job_new(PROOF_VERIFY, in->password);
    in->name = in->password = (struct span){NULL, 0};
    walk_forget_body(w);
    if (w->proof == NULL)
        walk_busy(w);
    return w->proof != NULL;
}

struct command *
login_attempt(struct walk *w)
{
    const struct login *in = w->in;
    struct command *cmd = walk_command(w, CMD_ATTEMPT_LOGIN, ACCOUNT_BYTES_MAX + DEVICE_TEXT_MAX);

    if (cmd == NULL)
        return NULL;
    cmd->attempt_login.account_name = command_copy(cmd, span_str(in->folded));
    if (in->device.len > 0)
        cmd->attempt_login.device = command_copy(cmd, in->device);
    return cmd;
}

enum pace
login_prove(struct walk *w)
{
    struct reply *reply = &w->verdict.reply;
    struct login *in = w->in;
    struct proof_job *job = w->proof;

    if (w->job != NULL) {
        in->proven = w->job->proven && in->known;
        return PACE_NEXT;
    }
    in->attempt = reply->attempt;
    in->verifier_version = reply->verifier_version;
    in->known = reply->verifier_found;
    snprintf(job->verifier, sizeof(job->verifier), "%s", reply->verifier);
    sodium_memzero(reply->verifier, sizeof(reply->verifier));
    w->proof = NULL;
    return walk_prove(w, job);
}

struct command *
login_conclude(struct walk *w)
{
    const struct login *in = w->in;
    struct command *cmd = walk_command(w, CMD_CONCLUDE_LOGIN, 0);

    if (cmd != NULL)
        cmd->conclude_login = (struct conclude_login){.attempt = in->attempt,
            .proven = in->proven,
            .verifier_version = in->verifier_version,
            .remember = in->cookie || in->remember};
    return cmd;
}

enum pace
login_reply(struct walk *w)
{
    const struct login *in = w->in;

    return reply_tokens(w, in->cookie, in->folded);
}

/* ---- refresh and logout: by cookie or by body ---- */

struct refreshing {
    struct span token;
    bool by_cookie;
    uint8_t bytes[REFRESH_TEXT_MAX];
};

static const struct json_field refresh_fields[] = {
    {.name = "refresh_token",
        .kind = JSON_KIND_TEXT,
        .min = 1,
        .max = REFRESH_TEXT_MAX,
        .offset = offsetof(struct refreshing, token)},
};

static bool
refuse_origin(struct walk *w, const struct request *request)
{
    const struct span *origin = http_field(request, "origin");
    char detail[512], seen[256] = "none";

    if (origin != NULL)
        text_escape(*origin, seen, sizeof(seen));
    snprintf(detail, sizeof(detail),
        "The refresh cookie is taken from our own pages only. Origin: expected %s, received %s.",
        w->app->public_url[0] == '\0' ? "nothing (no public URL is configured)"
                                      : w->app->public_url,
        seen);
    walk_no(w, PROBLEM_ORIGIN, detail, "Origin");
    return false;
}

/* A cookie comes by itself, also with what a foreign page made the browser send: then the Origin
 * must be ours, and the body JSON, which no form can send. False: answered. */
static bool
read_cookie(struct walk *w, struct refreshing *in)
{
    const struct request *request = walk_request(w);

    switch (auth_cookie(request, AUTH_COOKIE, &in->token)) {
    case AUTH_COOKIE_NONE: return true;
    case AUTH_COOKIE_AMBIGUOUS:
        walk_no(w, PROBLEM_BAD_FIELD, "The refresh cookie is given twice.", "Cookie");
        return false;
    case AUTH_COOKIE_ONE: break;
    }
    if (!auth_origin(w->app, request))
        return refuse_origin(w, request);
    if (http_field(request, "content-type") == NULL) {
        walk_no(w, PROBLEM_MEDIA_TYPE, NULL, "Content-Type");
        return false;
    }
    in->by_cookie = true;
    return true;
}

/* Leaves token empty when there is none. False: answered. */
static bool
read_refresh(struct walk *w, struct refreshing **out)
{
    struct refreshing *in = walk_in(w, sizeof(*in));
    uint32_t present;

    *out = in;
    if (in == NULL || !walk_body(w, refresh_fields, 1, in, &present) ||
        (present == 0 && !read_cookie(w, in)))
        return false;
    if (in->token.len > sizeof(in->bytes))
        in->token = (struct span){NULL, 0}; /* no token of ours is that long */
    if (in->token.len > 0)
        memcpy(in->bytes, in->token.ptr, in->token.len);
    in->token.ptr = in->bytes;
    walk_forget_body(w);
    return true;
}

bool
refresh_parse(struct walk *w)
{
    struct refreshing *in;

    if (!read_refresh(w, &in))
        return false;
    if (in->token.len == 0)
        walk_no(w, PROBLEM_UNAUTHENTICATED, "A refresh token is needed.", "refresh_token");
    return in->token.len > 0;
}

struct command *
refresh_command(struct walk *w)
{
    const struct refreshing *in = w->in;
    struct command *cmd = walk_command(w, CMD_REFRESH_TOKEN, in->token.len);

    if (cmd != NULL)
        cmd->refresh_token.token = command_copy(cmd, in->token);
    return cmd;
}

enum pace
refresh_reply(struct walk *w)
{
    const struct refreshing *in = w->in;

    return reply_tokens(w, in->by_cookie, NULL);
}

/* Either token will do: a browser whose access token has run out still has its cookie. */
bool
logout_parse(struct walk *w)
{
    struct refreshing *in;

    if (!read_refresh(w, &in))
        return false;
    if (in->token.len == 0 && w->asker->caller.kind == CALLER_NOBODY) {
        walk_no(w, PROBLEM_UNAUTHENTICATED, "An access token or a refresh token is needed.", NULL);
        return false;
    }
    return true;
}

struct command *
logout_command(struct walk *w)
{
    const struct refreshing *in = w->in;
    struct command *cmd = walk_command(w, CMD_LOGOUT, in->token.len);

    if (cmd != NULL && cmd->caller.kind == CALLER_NOBODY)
        cmd->refresh_token.token = command_copy(cmd, in->token);
    return cmd;
}

enum pace
logout_reply(struct walk *w)
{
    char set_cookie[AUTH_COOKIE_TEXT];
    struct response response;

    auth_cookie_text(NULL, set_cookie);
    response_init(&response, 204);
    reply_headers(&response, walk_request(w));
    response_add_str(&response, "Set-Cookie", set_cookie);
    http_reply(w->loop, w->ref, &response);
    return walk_spoke(w);
}

enum pace
me_reply(struct walk *w)
{
    const struct reply *reply = &w->verdict.reply;
    struct json_write json;
    struct user_row row;
    struct rows rows;
    enum err err;

    if (walk_is_local(w)) {
        json_write_init(&json, NULL, NULL);
        json_write_object(&json, NULL);
        json_write_str(&json, "name", "local command line");
        json_write_str(&json, "role", role_name(ROLE_ADMIN));
        json_write_end(&json);
        return walk_json(w, 200, &json, NULL, NULL);
    }
    if (w->app->views.begin(w->app->views.ctx, &rows) != OK)
        return walk_busy(w);
    err = views_user(&rows, &reply->user, &row);
    w->app->views.end(w->app->views.ctx, &rows);
    if (err != OK)
        return walk_no(w, PROBLEM_BEHIND, NULL, NULL);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_id(&json, "id", ID_USER, &row.user);
    json_write_str(&json, "name", row.name);
    json_write_str(&json, "display_name", row.display);
    json_write_str(&json, "role", role_name(reply->role));
    json_id(&json, "family", ID_FAMILY, &reply->family);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}
