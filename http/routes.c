/* routes.c: every door into the server. A row is a walk; there is no other way in. Runs on loops.
 *
 * Columns: who may come (an action that role and ledger decide, or one of enum who), how long a
 * body may be, which parameters there are, and the handlers of each stage. */
#include "http/routes.h"

#include <sodium.h>

#include "http/reply.h"
#include "http/routes_handlers.h"
#include "http/routes_log.h"

#define SMALL 4096  /* bodies of people whom nobody knows yet, and all that need no more */
#define TEXTS 32768 /* bodies with notes and lists */

#define Q(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LIST   Q("at_least", "limit", "after")
#define ONE    Q("at_least")
#define FILTERS                                                                                    \
    Q("at_least", "type", "user", "ip", "machine", "session", "from", "to", "after", "after_seq",  \
        "limit")

/* clang-format off */
static const struct route routes[] = {
    /* method, path, who, body, flags, query, parse, admit, prove, command, reply */
    {METHOD_POST,   "/api/auth/login",    WHO_ANYONE, SMALL, 0, NULL, login_parse, login_attempt, login_prove, login_conclude, login_reply},
    {METHOD_POST,   "/api/auth/refresh",  WHO_ANYONE, SMALL, 0, NULL, refresh_parse, NULL, NULL, refresh_command, refresh_reply},
    {METHOD_POST,   "/api/auth/logout",   WHO_READER, SMALL, 0, NULL, logout_parse, NULL, NULL, logout_command, logout_reply},
    {METHOD_POST,   "/api/auth/register", WHO_ANYONE, SMALL, 0, NULL, register_parse, register_attempt, register_prove, register_conclude, register_reply},
    {METHOD_POST,   "/api/auth/password", ACTION_ME,  SMALL, 0, NULL, password_parse, password_attempt, password_prove, password_conclude, done_reply},
    {METHOD_POST,   "/api/auth/reprove",  ACTION_ME,  SMALL, 0, NULL, reprove_parse, reprove_attempt, reprove_prove, reprove_conclude, reprove_reply},
    {METHOD_GET,    "/api/auth/me",       ACTION_ME,  0,     0, ONE,  NULL, NULL, NULL, NULL, me_reply},

    {METHOD_POST,   "/api/codes",          ACTION_CODE_ISSUE,  SMALL, 0, NULL, code_parse, NULL, NULL, code_issue, code_reply},
    {METHOD_GET,    "/api/codes",          ACTION_CODE_LIST,   0,     0, LIST, list_parse, NULL, NULL, NULL, codes_reply},
    {METHOD_POST,   "/api/codes/validate", WHO_ANYONE,         SMALL, 0, NULL, validate_parse, NULL, NULL, validate_command, validate_reply},
    {METHOD_DELETE, "/api/codes/{id}",     ACTION_CODE_REVOKE, 0,     0, NULL, code_id_parse, NULL, NULL, code_revoke, done_reply},

    {METHOD_POST,   "/api/machines",                ACTION_MACHINE_ADD,    TEXTS, ROUTE_VIEWS, NULL, machine_add_parse, NULL, NULL, machine_add, machine_reply},
    {METHOD_GET,    "/api/machines",                ACTION_MACHINE_READ,   0, 0, Q("at_least", "limit", "after", "filter"), machines_parse, NULL, NULL, NULL, machines_reply},
    {METHOD_GET,    "/api/machines/{id}",           ACTION_MACHINE_READ,   0, 0, ONE, machine_id_parse, NULL, NULL, machine_authorize, machine_reply},
    {METHOD_PATCH,  "/api/machines/{id}",           ACTION_MACHINE_CHANGE, TEXTS, ROUTE_VIEWS, NULL, machine_change_parse, NULL, NULL, machine_change, machine_reply},
    {METHOD_DELETE, "/api/machines/{id}",           ACTION_MACHINE_REMOVE, 0, 0, NULL, machine_id_parse, NULL, NULL, machine_remove, done_reply},
    {METHOD_POST,   "/api/machines/{id}/keys",      ACTION_KEY_ISSUE,      SMALL, 0, NULL, key_parse, NULL, NULL, key_issue, key_reply},
    {METHOD_GET,    "/api/machines/{id}/keys",      ACTION_KEY_ISSUE,      0, 0, LIST, keys_parse, NULL, NULL, NULL, keys_reply},
    {METHOD_DELETE, "/api/machines/{id}/keys/{kid}", ACTION_KEY_REVOKE,    0, 0, NULL, key_id_parse, NULL, NULL, key_revoke, done_reply},
    {METHOD_PUT,    "/api/machines/{id}/allowlist", ACTION_ALLOWLIST_SET,  TEXTS, 0, NULL, allowlist_parse, NULL, NULL, allowlist_set, allowlist_reply},
    {METHOD_GET,    "/api/allowlist",               ACTION_ALLOWLIST_SET,  0, 0, ONE, NULL, NULL, NULL, NULL, allowlist_show},
    {METHOD_PUT,    "/api/allowlist",               ACTION_ALLOWLIST_SET,  TEXTS, 0, NULL, allowlist_parse, NULL, NULL, allowlist_set, allowlist_reply},

    {METHOD_POST,   "/api/sessions",              ACTION_SESSION_OPEN, TEXTS, 0, NULL, session_open_parse, NULL, NULL, session_open, session_opened_reply},
    {METHOD_GET,    "/api/sessions",              ACTION_SESSION_READ, 0, 0, LIST, list_parse, NULL, NULL, NULL, sessions_reply},
    {METHOD_GET,    "/api/sessions/{id}",         ACTION_SESSION_READ, 0, 0, Q("at_least", "wait"), session_id_parse, session_admit, session_wait, session_authorize, session_reply},
    {METHOD_DELETE, "/api/sessions/{id}",         ACTION_SESSION_END,  0, 0, NULL, session_id_parse, session_may_end, session_close, session_end, done_reply},
    {METHOD_POST,   "/api/sessions/{id}/note",    ACTION_SESSION_NOTE, TEXTS, 0, NULL, session_note_parse, NULL, NULL, session_note, done_reply},
    {METHOD_POST,   "/api/sessions/{id}/transfer", ACTION_SESSION_OPEN, SMALL, 0, NULL, transfer_parse, NULL, NULL, transfer, transfer_reply},
    {METHOD_POST,   "/api/sessions/{id}/tickets", ACTION_SESSION_OPEN, SMALL, 0, NULL, ticket_parse, NULL, NULL, ticket_issue, ticket_reply},

    {METHOD_GET,    "/api/users",        ACTION_USER_READ,    0, 0, Q("at_least", "limit", "after", "filter"), users_parse, NULL, NULL, NULL, users_reply},
    {METHOD_GET,    "/api/users/{id}",   ACTION_USER_READ,    0, 0, ONE, user_id_parse, NULL, NULL, NULL, user_reply},
    {METHOD_PATCH,  "/api/users/{id}",   ACTION_USER_CHANGE,  SMALL, ROUTE_VIEWS, NULL, user_change_parse, NULL, NULL, user_change, user_reply},
    {METHOD_POST,   "/api/invites",      ACTION_INVITE_ISSUE, SMALL, 0, NULL, invite_parse, NULL, NULL, invite_issue, invite_reply},
    {METHOD_GET,    "/api/invites",      ACTION_INVITE_ISSUE, 0, 0, LIST, list_parse, NULL, NULL, NULL, invites_reply},
    {METHOD_DELETE, "/api/invites/{id}", ACTION_INVITE_ISSUE, 0, 0, NULL, invite_id_parse, NULL, NULL, invite_revoke, done_reply},
    {METHOD_GET,    "/api/tokens",       ACTION_TOKEN_READ,   0, 0, Q("at_least", "limit", "after", "user"), tokens_parse, NULL, NULL, NULL, tokens_reply},
    {METHOD_DELETE, "/api/tokens/{id}",  ACTION_TOKEN_REVOKE, 0, 0, NULL, family_id_parse, NULL, NULL, family_revoke, done_reply},

    {METHOD_GET,    "/api/audit/events",       ACTION_AUDIT_READ, 0, 0, FILTERS, events_parse, NULL, NULL, audit_command, events_reply},
    {METHOD_GET,    "/api/audit/events/{seq}", ACTION_AUDIT_READ, 0, 0, ONE, event_parse, NULL, NULL, audit_command, event_reply},
    {METHOD_GET,    "/api/audit/timeline",     ACTION_AUDIT_READ, 0, 0, FILTERS, timeline_parse, NULL, NULL, audit_command, events_reply},
    {METHOD_GET,    "/api/audit/stats",        ACTION_AUDIT_READ, 0, 0, Q("at_least", "by", "from", "to", "limit"), stats_parse, NULL, NULL, audit_command, stats_reply},

    {METHOD_GET,    "/api/audit/alerts",          ACTION_AUDIT_READ, 0, 0, Q("at_least", "limit", "after", "state"), alerts_parse, NULL, NULL, alerts_command, alerts_reply},
    {METHOD_GET,    "/api/audit/alerts/{alert}",  ACTION_AUDIT_READ, 0, 0, ONE, alert_parse, NULL, NULL, alerts_command, alert_reply},
    {METHOD_POST,   "/api/audit/alerts/{alert}/ack", ACTION_ALERT_ACK, TEXTS, 0, NULL, alert_ack_parse, NULL, NULL, alert_ack, done_reply},

    {METHOD_GET,    "/api/policy",             ACTION_AUDIT_READ, 0, 0, ONE, NULL, NULL, NULL, NULL, policy_reply},

    {METHOD_GET,    "/log/checkpoint",          WHO_READER,        0, 0, NULL, NULL, NULL, NULL, NULL, checkpoint_reply},
    {METHOD_GET,    "/log/tile/entries/{path*}", ACTION_AUDIT_READ, 0, 0, NULL, entries_parse, NULL, NULL, entries_command, entries_reply},
    {METHOD_GET,    "/log/tile/{path*}",        WHO_ANYONE,        0, 0, NULL, NULL, NULL, NULL, NULL, tile_reply},

    {METHOD_GET,    "/relay/agent",                   WHO_AGENT,  0, 0, NULL, NULL, NULL, NULL, NULL, relay_agent_reply},
    {METHOD_GET,    "/relay/channel",                 WHO_AGENT,  0, 0, NULL, NULL, NULL, NULL, NULL, relay_channel_reply},
    {METHOD_GET,    "/relay/sessions/{id}/{service*}", WHO_TICKET, 0, 0, NULL, NULL, NULL, NULL, NULL, relay_attach_reply},

    {METHOD_GET,    "/",             WHO_ANYONE, 0, 0, NULL, NULL, NULL, NULL, NULL, home_reply},
    {METHOD_GET,    "/openapi.yaml", WHO_ANYONE, 0, 0, NULL, NULL, NULL, NULL, NULL, openapi_reply},
    {METHOD_GET,    "/healthz",      WHO_ANYONE, 0, 0, NULL, NULL, NULL, NULL, NULL, healthz_reply},
    {METHOD_GET,    "/readyz",       WHO_ANYONE, 0, 0, NULL, NULL, NULL, NULL, NULL, readyz_reply},

    {METHOD_GET,    "/admin/status",              WHO_LOCAL, 0, 0, NULL, NULL, NULL, NULL, NULL, status_reply},
    {METHOD_POST,   "/admin/users",               WHO_LOCAL, SMALL, 0, NULL, add_user_parse, NULL, add_user_prove, add_user_command, register_reply},
    {METHOD_POST,   "/admin/users/{id}/password", WHO_LOCAL, SMALL, 0, NULL, set_password_parse, NULL, set_password_prove, set_password_command, done_reply},
    {METHOD_POST,   "/admin/audit/export",        WHO_LOCAL, SMALL, 0, NULL, NULL, NULL, NULL, export_command, export_reply},
    {METHOD_POST,   "/admin/clock/accept",        WHO_LOCAL, SMALL, 0, NULL, NULL, NULL, NULL, clock_accept_command, done_reply},
    {METHOD_PATCH,  "/admin/policy",              WHO_LOCAL, TEXTS, 0, NULL, policy_change_parse, NULL, NULL, policy_adopt_command, policy_adopted_reply},
    {METHOD_POST,   "/admin/keys/rotate",         WHO_LOCAL, SMALL, 0, NULL, rotate_parse, NULL, NULL, rotate_command, rotate_reply},
    {METHOD_POST,   "/admin/secret/rotate",       WHO_LOCAL, SMALL, 0, NULL, secret_parse, NULL, NULL, secret_command, secret_reply},
};
/* clang-format on */

#define ROUTES (sizeof(routes) / sizeof(routes[0]))

const struct route *
routes_table(size_t *count)
{
    *count = ROUTES;
    return routes;
}

/* ---- which row ---- */

static struct span
next_part(struct span *path)
{
    const uint8_t *slash = memchr(path->ptr, '/', path->len);
    struct span part = span_of(path->ptr, slash == NULL ? path->len : (size_t)(slash - path->ptr));

    *path = slash == NULL ? (struct span){NULL, 0} : span_of(slash + 1, path->len - part.len - 1);
    return part;
}

/* Part by part behind the first slash. A path has no '%' that would matter: ids and names of ours
 * need none, and what has one matches nothing. */
static bool
path_fits(const char *pattern, struct span path, struct span params[WALK_PARAMS_MAX])
{
    struct span want = span_str(pattern + 1), have, part;
    unsigned count = 0;

    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    have = span_of(path.ptr + 1, path.len - 1);
    while (want.ptr != NULL && have.ptr != NULL) {
        part = next_part(&want);
        if (part.len > 1 && part.ptr[0] == '{' && part.ptr[part.len - 2] == '*') {
            params[count] = have;
            return have.len > 0;
        }
        if (part.len > 0 && part.ptr[0] == '{') {
            params[count] = next_part(&have);
            if (params[count++].len == 0)
                return false;
        } else if (!span_equal(part, next_part(&have))) {
            return false;
        }
    }
    return want.ptr == NULL && have.ptr == NULL;
}

static void
allow_add(char allow[ROUTES_ALLOW_TEXT], enum http_method method)
{
    size_t len = strlen(allow);

    snprintf(allow + len, ROUTES_ALLOW_TEXT - len, "%s%s%s", len > 0 ? ", " : "",
        http_method_name(method), method == METHOD_GET ? ", HEAD" : "");
}

const struct route *
routes_find(enum http_method method, struct span path, bool local,
    struct span params[WALK_PARAMS_MAX], char allow[ROUTES_ALLOW_TEXT])
{
    enum http_method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    const char *first = NULL;

    allow[0] = '\0';
    for (size_t i = 0; i < ROUTES; i++) {
        struct span found[WALK_PARAMS_MAX] = {{NULL, 0}};

        if ((routes[i].who == WHO_LOCAL && !local) || !path_fits(routes[i].path, path, found))
            continue;
        if (first != NULL && strcmp(first, routes[i].path) != 0)
            continue; /* a wider pattern: the first that fits is meant */
        first = routes[i].path;
        memcpy(params, found, sizeof(found));
        if (routes[i].method == wanted)
            return &routes[i];
        allow_add(allow, routes[i].method);
    }
    return NULL;
}

/* ---- what all walks share ---- */

struct routes {
    struct idempotency *idempotency;
    struct rates *rates;
    struct published_head *head;
    struct walks walks[APP_LOOPS_MAX];
};

struct walks *
routes_walks(struct loop *loop)
{
    return &app_of(loop)->routes->walks[loop_index(loop)];
}

struct idempotency *
routes_idempotency(struct app *app)
{
    return app->routes->idempotency;
}

struct rates *
routes_rates(struct app *app)
{
    return app->routes->rates;
}

struct published_head *
routes_published_head(struct app *app)
{
    return app->routes->head;
}

/* ---- HTTPS or not at all ---- */

static bool
begins(struct span path, const char *prefix)
{
    size_t n = strlen(prefix);

    return path.len >= n && memcmp(path.ptr, prefix, n) == 0;
}

/* A plain listener is trusted when it is all there is (loopback), unless a proxy says that its
 * client came without TLS. */
static bool
is_safe(const struct walk *w, const struct request *request)
{
    bool said_plain = w->asker->caller.proxy_text.len > 0 &&
                      http_field(request, "x-forwarded-proto") != NULL && !w->https;

    return walk_is_local(w) || w->https || (w->app->plain_is_trusted && !said_plain) ||
           span_is(request->path, "/healthz") || span_is(request->path, "/readyz");
}

static void
redirect(struct walk *w, const struct request *request)
{
    size_t cap = strlen(w->app->public_url) + request->path.len + request->query.len + 2;
    char *location = malloc(cap);
    struct response response;

    if (location == NULL) {
        walk_busy(w);
        return;
    }
    snprintf(location, cap, "%s%.*s%s%.*s", w->app->public_url, (int)request->path.len,
        (const char *)request->path.ptr, request->query.len > 0 ? "?" : "", (int)request->query.len,
        (const char *)request->query.ptr);
    response_init(&response, 308);
    reply_headers(&response, request);
    response_add_str(&response, "Location", location);
    http_reply(w->loop, w->ref, &response);
    walk_spoke(w);
    free(location);
}

/* Pages send their reader on to the configured host, never to the one that was asked for. What
 * carries credentials or data is not redirected: the secret would have gone in the clear already.
 */
static void
refuse_plain(struct walk *w, const struct request *request)
{
    bool page = (request->method == METHOD_GET || request->method == METHOD_HEAD) &&
                !begins(request->path, "/api/") && !begins(request->path, "/relay/") &&
                !begins(request->path, "/log/") && !begins(request->path, "/admin/");

    if (page && begins(span_str(w->app->public_url), "https://"))
        redirect(w, request);
    else
        walk_no(w, PROBLEM_HTTPS_REQUIRED, "Use https.", NULL);
}

/* ---- what the engine calls ---- */

static void
refuse_method(struct walk *w, const struct request *request, const char *allow)
{
    struct response response;
    struct json_write json;

    json_write_init(&json, NULL, NULL);
    problem_write(&(struct problem){.code = PROBLEM_METHOD}, &json);
    response_init(&response, 405);
    reply_headers(&response, request);
    response_add_str(&response, "Allow", allow);
    if (json_write_done(&json) == OK)
        response_body(&response, PROBLEM_CONTENT_TYPE, span_of(json.buf, json.len));
    http_reply(w->loop, w->ref, &response);
    json_write_fini(&json);
    walk_spoke(w);
}

static struct http_admit
routes_head(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    bool local = request->peer.ss_family == AF_UNIX;
    struct span params[WALK_PARAMS_MAX];
    char allow[ROUTES_ALLOW_TEXT];
    const struct route *route = routes_find(request->method, request->path, local, params, allow);

    (void)ctx;
    (void)loop;
    (void)ref;
    /* What leads nowhere is read in bounds too, so that it can be told so. */
    return (struct http_admit){.body_max = route != NULL ? route->body_max : SMALL};
}

static void
routes_request(void *ctx, struct loop *loop, struct ref ref, const struct request *request)
{
    struct walk *w = walk_new(loop, ref, request);
    char allow[ROUTES_ALLOW_TEXT];

    (void)ctx;
    if (w == NULL)
        return;
    if (!is_safe(w, request)) {
        refuse_plain(w, request);
        walk_free(w);
        return;
    }
    w->route = routes_find(request->method, request->path, walk_is_local(w), w->params, allow);
    if (w->route != NULL) {
        walk_run(w);
        return;
    }
    if (allow[0] != '\0')
        refuse_method(w, request, allow);
    else
        walk_no(w, PROBLEM_NOT_FOUND, NULL, NULL);
    walk_free(w);
}

static void
routes_gone(void *ctx, struct loop *loop, struct ref ref)
{
    struct walk *w = http_user(loop, ref);

    (void)ctx;
    if (w != NULL)
        walk_gone(w);
}

struct http_app
routes_app(struct app *app)
{
    struct routes *r = calloc(1, sizeof(*r));

    INVARIANT(r != NULL);
    r->idempotency = idempotency_new();
    r->rates = rates_new();
    r->head = published_head_new();
    INVARIANT(r->idempotency != NULL && r->rates != NULL && r->head != NULL);
    app->routes = r;
    return (struct http_app){
        .ctx = app, .on_head = routes_head, .on_request = routes_request, .on_gone = routes_gone};
}

void
routes_free(struct app *app)
{
    struct routes *r = app->routes;

    if (r == NULL)
        return;
    for (unsigned i = 0; i < APP_LOOPS_MAX; i++)
        walks_fini(&r->walks[i]);
    idempotency_free(r->idempotency);
    rates_free(r->rates);
    published_head_free(r->head);
    free(r);
    app->routes = NULL;
}
