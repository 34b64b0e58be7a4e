/* verbs.c: one table of commands, one way to run them. A row says which call it is, where its
 * arguments go (into the path, the query or the body), and what is shown of the answer. */
#include "tools/gatehouse/verbs.h"

#include <sodium.h>
#include <stdlib.h>

#include "core/json_write.h"
#include "tools/gatehouse/secretfile.h"
#include "tools/gatehouse/table.h"

#define ARGS_MAX     6
#define SECRETS_MAX  2 /* of one command */
#define TARGET_BYTES 2048

enum arg_kind {
    ARG_NONE,
    ARG_PATH,   /* positional, replaces the next {} of the target */
    ARG_TEXT,   /* member of the body */
    ARG_REST,   /* all further positionals: a list of strings in the body */
    ARG_INT,    /* option: number in the body */
    ARG_QUERY,  /* option: parameter of the query */
    ARG_SECRET, /* option naming a file: its line goes into the body */
    ARG_TRUE,   /* no argument: this member is true ... */
    ARG_FALSE,  /* ... or false */
};

struct arg {
    enum arg_kind kind;
    const char *option; /* "--ttl"; NULL: positional */
    const char *member; /* in the body or query */
    bool must;
};

struct verb {
    const char *group, *name, *usage, *help;
    const char *method, *target;
    bool local;    /* admin.sock only */
    bool if_match; /* read first, and change only what was read */
    bool one;
    struct arg args[ARGS_MAX];
    const struct column *columns; /* NULL: nothing to show */
};

static const struct column code_made[] = {{"code", "code", COLUMN_TEXT}, {"id", "id", COLUMN_TEXT},
    {"expires in s", "expires_in", COLUMN_INT}, {0}};
static const struct column code_checked[] = {
    {"valid", "valid", COLUMN_YES}, {"expires in s", "expires_in", COLUMN_INT}, {0}};
static const struct column code_list[] = {{"ID", "id", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT}, {"ISSUED", "issued", COLUMN_TIME},
    {"EXPIRES IN", "expires_in", COLUMN_INT}, {"MACHINE", "machine", COLUMN_TEXT}, {0}};
static const struct column machine_list[] = {{"ID", "id", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT}, {"ONLINE", "online", COLUMN_YES}, {"GUEST", "guest", COLUMN_YES},
    {"OS", "os", COLUMN_TEXT}, {"TAGS", "tags", COLUMN_LIST}, {"SERVICES", "services", COLUMN_LIST},
    {"SEEN", "seen", COLUMN_TIME}, {0}};
static const struct column machine_one[] = {{"id", "id", COLUMN_TEXT},
    {"name", "name", COLUMN_TEXT}, {"online", "online", COLUMN_YES}, {"guest", "guest", COLUMN_YES},
    {"two words", "words", COLUMN_TEXT}, {"bound", "bound", COLUMN_YES}, {"os", "os", COLUMN_TEXT},
    {"host name", "host_name", COLUMN_TEXT}, {"agent", "agent_version", COLUMN_TEXT},
    {"address", "address", COLUMN_TEXT}, {"tags", "tags", COLUMN_LIST},
    {"services", "services", COLUMN_LIST}, {"allow", "allow", COLUMN_LIST},
    {"note", "note", COLUMN_TEXT}, {"added", "added", COLUMN_TIME}, {"seen", "seen", COLUMN_TIME},
    {0}};
static const struct column key_made[] = {{"key", "key", COLUMN_TEXT}, {"id", "id", COLUMN_TEXT},
    {"expires in s", "expires_in", COLUMN_INT}, {0}};
static const struct column key_list[] = {{"ID", "id", COLUMN_TEXT}, {"STATE", "state", COLUMN_TEXT},
    {"ISSUED", "issued", COLUMN_TIME}, {"USED", "used", COLUMN_TIME},
    {"CREATOR", "creator", COLUMN_TEXT}, {0}};
static const struct column session_list[] = {{"ID", "id", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT}, {"MACHINE", "machine.name", COLUMN_TEXT},
    {"OWNER", "owner.name", COLUMN_TEXT}, {"REQUESTED", "requested", COLUMN_TIME},
    {"ENDED", "ended", COLUMN_TIME}, {"WHY", "why", COLUMN_TEXT}, {0}};
static const struct column session_one[] = {{"id", "id", COLUMN_TEXT},
    {"state", "state", COLUMN_TEXT}, {"machine", "machine.name", COLUMN_TEXT},
    {"owner", "owner.name", COLUMN_TEXT}, {"reason", "reason", COLUMN_TEXT},
    {"consent", "consent_mode", COLUMN_TEXT}, {"paused", "paused", COLUMN_YES},
    {"requested", "requested", COLUMN_TIME}, {"opened", "opened", COLUMN_TIME},
    {"ended", "ended", COLUMN_TIME}, {"why", "why", COLUMN_TEXT},
    {"to agent", "bytes.to_agent", COLUMN_INT},
    {"to technician", "bytes.to_technician", COLUMN_INT}, {"events", "events", COLUMN_INT}, {0}};
static const struct column user_list[] = {{"ID", "id", COLUMN_TEXT}, {"NAME", "name", COLUMN_TEXT},
    {"DISPLAY NAME", "display_name", COLUMN_TEXT}, {"ROLE", "role", COLUMN_TEXT},
    {"DISABLED", "disabled", COLUMN_YES}, {"LAST LOGIN", "last_login", COLUMN_TIME}, {0}};
static const struct column user_one[] = {{"id", "id", COLUMN_TEXT}, {"name", "name", COLUMN_TEXT},
    {"display name", "display_name", COLUMN_TEXT}, {"role", "role", COLUMN_TEXT},
    {"disabled", "disabled", COLUMN_YES}, {"added", "added", COLUMN_TIME},
    {"last login", "last_login", COLUMN_TIME}, {0}};
static const struct column me_one[] = {{"id", "id", COLUMN_TEXT}, {"name", "name", COLUMN_TEXT},
    {"display name", "display_name", COLUMN_TEXT}, {"role", "role", COLUMN_TEXT},
    {"login", "family", COLUMN_TEXT}, {0}};
static const struct column invite_made[] = {{"invitation", "invite", COLUMN_TEXT},
    {"id", "id", COLUMN_TEXT}, {"role", "role", COLUMN_TEXT},
    {"expires in s", "expires_in", COLUMN_INT}, {0}};
static const struct column invite_list[] = {{"ID", "id", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT}, {"ROLE", "role", COLUMN_TEXT},
    {"ISSUED", "issued", COLUMN_TIME}, {"USER", "user", COLUMN_TEXT}, {0}};
static const struct column token_list[] = {{"ID", "id", COLUMN_TEXT}, {"LIVE", "live", COLUMN_YES},
    {"CURRENT", "current", COLUMN_YES}, {"OPENED", "opened", COLUMN_TIME},
    {"REFRESHED", "refreshed", COLUMN_TIME}, {"ADDRESS", "address", COLUMN_TEXT},
    {"USER AGENT", "user_agent", COLUMN_TEXT}, {0}};
static const struct column status_one[] = {{"version", "version", COLUMN_TEXT},
    {"log", "origin", COLUMN_TEXT}, {"URL", "public_url", COLUMN_TEXT},
    {"ready", "ready", COLUMN_YES}, {"why", "why", COLUMN_TEXT}, {"events", "durable", COLUMN_INT},
    {"views at", "views_position", COLUMN_INT}, {"root key", "root_key", COLUMN_TEXT}, {0}};
static const struct column policy_list[] = {{"NAME", "name", COLUMN_TEXT},
    {"VALUE", "value", COLUMN_TEXT}, {"DEFAULT", "default", COLUMN_TEXT},
    {"CHANGED", "changed", COLUMN_YES}, {"RANGE", "range", COLUMN_TEXT}, {0}};
static const struct column alert_list[] = {{"ALERT", "id", COLUMN_TEXT},
    {"SEVERITY", "severity", COLUMN_TEXT}, {"STATE", "state", COLUMN_TEXT},
    {"COUNT", "count", COLUMN_INT}, {"OPENED", "opened", COLUMN_TIME},
    {"LAST", "last", COLUMN_TIME}, {"MEANING", "meaning", COLUMN_TEXT}, {0}};
static const struct column alert_one[] = {{"alert", "id", COLUMN_TEXT},
    {"severity", "severity", COLUMN_TEXT}, {"state", "state", COLUMN_TEXT},
    {"meaning", "meaning", COLUMN_TEXT}, {"count", "count", COLUMN_INT},
    {"opened", "opened", COLUMN_TIME}, {"last", "last", COLUMN_TIME},
    {"session", "session", COLUMN_TEXT}, {"machine", "machine", COLUMN_TEXT},
    {"user", "user", COLUMN_TEXT}, {"first event", "events.0", COLUMN_INT},
    {"last event", "last_event", COLUMN_INT}, {"acknowledged by", "acknowledged.by", COLUMN_TEXT},
    {0}};
static const struct column reproved_one[] = {{"resumed", "resumed", COLUMN_LIST}, {0}};
static const struct column allow_one[] = {{"allow", "allow", COLUMN_LIST}, {0}};

#define PATH(name)                                                                                 \
    {                                                                                              \
        ARG_PATH, NULL, name, true                                                                 \
    }

/* clang-format off */
static const struct verb verbs[] = {
    {"code", "new", "[--ttl SECONDS]", "issue a support code to read out", "POST", "/api/codes", false, false, true,
        {{ARG_INT, "--ttl", "ttl_s", false}}, code_made},
    {"code", "list", "", "support codes, newest first", "GET", "/api/codes?limit=100", false, false, false, {{0}}, code_list},
    {"code", "check", "--code-file FILE", "does a code stand? (- reads standard input)", "POST", "/api/codes/validate", false, false, true,
        {{ARG_SECRET, "--code-file", "code", true}}, code_checked},
    {"code", "revoke", "ID", "make a code worthless", "DELETE", "/api/codes/{}", false, false, false, {PATH("ID")}, NULL},
    {"machine", "list", "[--filter TERMS]", "machines (name:web* tag:prod online:true os:linux seen<7d)", "GET", "/api/machines?limit=200", false, false, false,
        {{ARG_QUERY, "--filter", "filter", false}}, machine_list},
    {"machine", "show", "ID", "one machine", "GET", "/api/machines/{}", false, false, true, {PATH("ID")}, machine_one},
    {"machine", "add", "NAME [TAG ...]", "make room for a machine that is to be enrolled by key", "POST", "/api/machines", false, false, true,
        {{ARG_TEXT, NULL, "name", true}, {ARG_REST, NULL, "tags", false}}, machine_one},
    {"machine", "rename", "ID NAME", "another name", "PATCH", "/api/machines/{}", false, true, true,
        {PATH("ID"), {ARG_TEXT, NULL, "name", true}}, machine_one},
    {"machine", "tag", "ID [TAG ...]", "set all tags", "PATCH", "/api/machines/{}", false, true, true,
        {PATH("ID"), {ARG_REST, NULL, "tags", true}}, machine_one},
    {"machine", "note", "ID TEXT", "set the note", "PATCH", "/api/machines/{}", false, true, true,
        {PATH("ID"), {ARG_TEXT, NULL, "note", true}}, machine_one},
    {"machine", "remove", "ID", "forget a machine; its sessions end", "DELETE", "/api/machines/{}", false, false, false, {PATH("ID")}, NULL},
    {"machine", "new-key", "ID [--ttl SECONDS]", "issue an API key that enrols one device", "POST", "/api/machines/{}/keys", false, false, true,
        {PATH("ID"), {ARG_INT, "--ttl", "ttl_s", false}}, key_made},
    {"machine", "keys", "ID", "API keys of a machine", "GET", "/api/machines/{}/keys?limit=100", false, false, false, {PATH("ID")}, key_list},
    {"machine", "revoke-key", "ID KEY", "make a key worthless", "DELETE", "/api/machines/{}/keys/{}", false, false, false, {PATH("ID"), PATH("KEY")}, NULL},
    {"machine", "allow", "ID [CIDR ...]", "set the allow list (none: from anywhere)", "PUT", "/api/machines/{}/allowlist", false, true, true,
        {PATH("ID"), {ARG_REST, NULL, "allow", true}}, allow_one},
    {"machine", "allow-all", "[CIDR ...]", "set the allow list of all machines (none: from anywhere)", "PUT", "/api/allowlist", false, true, true,
        {{ARG_REST, NULL, "allow", true}}, allow_one},
    {"session", "list", "", "sessions, newest first", "GET", "/api/sessions?limit=100", false, false, false, {{0}}, session_list},
    {"session", "show", "ID", "one session", "GET", "/api/sessions/{}", false, false, true, {PATH("ID")}, session_one},
    {"session", "transfer", "ID NAME", "offer a session to somebody else", "POST", "/api/sessions/{}/transfer", false, false, false,
        {PATH("ID"), {ARG_TEXT, NULL, "to", true}}, NULL},
    {"session", "accept", "ID", "take over a session that was offered", "POST", "/api/sessions/{}/transfer", false, false, false,
        {PATH("ID"), {ARG_TRUE, NULL, "accept", true}}, NULL},
    {"session", "end", "ID", "end a session; its sockets drop at once", "DELETE", "/api/sessions/{}", false, false, false, {PATH("ID")}, NULL},
    {"session", "note", "ID TEXT", "add a note to the record", "POST", "/api/sessions/{}/note", false, false, false,
        {PATH("ID"), {ARG_TEXT, NULL, "note", true}}, NULL},
    {"user", "list", "[--filter TERMS]", "accounts", "GET", "/api/users?limit=200", false, false, false,
        {{ARG_QUERY, "--filter", "filter", false}}, user_list},
    {"user", "show", "ID", "one account", "GET", "/api/users/{}", false, false, true, {PATH("ID")}, user_one},
    {"user", "add", "NAME --role ROLE --password-file FILE [--display-name TEXT] --state-dir DIR", "make an account (on the server's machine)", "POST", "/admin/users", true, false, true,
        {{ARG_TEXT, NULL, "name", true}, {ARG_TEXT, "--role", "role", true}, {ARG_SECRET, "--password-file", "password", true}, {ARG_TEXT, "--display-name", "display_name", false}}, user_one},
    {"user", "password", "ID --password-file FILE --state-dir DIR", "set a password (on the server's machine)", "POST", "/admin/users/{}/password", true, false, false,
        {PATH("ID"), {ARG_SECRET, "--password-file", "password", true}}, NULL},
    {"user", "role", "ID ROLE", "admin, technician or auditor", "PATCH", "/api/users/{}", false, true, true,
        {PATH("ID"), {ARG_TEXT, NULL, "role", true}}, user_one},
    {"user", "disable", "ID", "no more logins; sessions and tokens end", "PATCH", "/api/users/{}", false, true, true,
        {PATH("ID"), {ARG_TRUE, NULL, "disabled", true}}, user_one},
    {"user", "enable", "ID", "logins again", "PATCH", "/api/users/{}", false, true, true,
        {PATH("ID"), {ARG_FALSE, NULL, "disabled", true}}, user_one},
    {"invite", "new", "--role ROLE", "issue an invitation to register", "POST", "/api/invites", false, false, true,
        {{ARG_TEXT, "--role", "role", true}}, invite_made},
    {"invite", "list", "", "invitations", "GET", "/api/invites?limit=100", false, false, false, {{0}}, invite_list},
    {"invite", "revoke", "ID", "make an invitation worthless", "DELETE", "/api/invites/{}", false, false, false, {PATH("ID")}, NULL},
    {"token", "list", "", "logins that are in force or were", "GET", "/api/tokens?limit=100", false, false, false, {{0}}, token_list},
    {"token", "revoke", "ID", "end a login", "DELETE", "/api/tokens/{}", false, false, false, {PATH("ID")}, NULL},
    {"key", "rotate", "event|log --state-dir DIR", "another signing key, told in the log", "POST", "/admin/keys/rotate", true, false, false,
        {{ARG_TEXT, NULL, "key", true}}, NULL},
    {"audit", "alerts", "[--state open|all] [--ack SEQ-RULE [--note TEXT]]", "what needs attention, and that somebody has seen to it", "GET", "/api/audit/alerts?limit=200", false, false, false,
        {{ARG_QUERY, "--state", "state", false}}, alert_list},
    {"audit", "alert", "SEQ-RULE", "one alert, and the events that it rests on", "GET", "/api/audit/alerts/{}", false, false, true, {PATH("ALERT")}, alert_one},
    {"audit", "ack", "SEQ-RULE [--note TEXT]", "somebody has seen to an alert", "POST", "/api/audit/alerts/{}/ack", false, false, false,
        {PATH("ALERT"), {ARG_TEXT, "--note", "note", false}}, NULL},
    {"me", "", "", "who this login is", "GET", "/api/auth/me", false, false, true, {{0}}, me_one},
    {"password", "", "--current-file FILE --new-file FILE", "change the own password; all other logins end", "POST", "/api/auth/password", false, false, false,
        {{ARG_SECRET, "--current-file", "current", true}, {ARG_SECRET, "--new-file", "new", true}}, NULL},
    {"policy", "show", "", "the numbers in force; N/S is N in S seconds", "GET", "/api/policy", false, false, false, {{0}}, policy_list},
    {"policy", "set", "NAME=VALUE ... --state-dir DIR", "adopt other numbers, all at once; told in the log", "PATCH", "/admin/policy", true, false, false,
        {{ARG_REST, NULL, "set", true}}, policy_list},
    {"reprove", "", "--password-file FILE", "prove once more that it is you: paused sessions go on", "POST", "/api/auth/reprove", false, false, true,
        {{ARG_SECRET, "--password-file", "password", true}}, reproved_one},
    {"clock", "accept", "--state-dir DIR", "vouch for the wall clock after clock.stepped", "POST", "/admin/clock/accept", true, false, false, {{0}}, NULL},
    {"status", "", "--state-dir DIR", "what the server on this machine is doing", "GET", "/admin/status", true, false, true, {{0}}, status_one},
};
/* clang-format on */

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

void
verbs_each(void (*each)(const char *group, const char *verb, const char *usage, const char *help))
{
    for (size_t i = 0; i < VERBS; i++)
        each(verbs[i].group, verbs[i].name, verbs[i].usage, verbs[i].help);
}

static void
help(const char *group, FILE *out)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].group, group) == 0)
            fprintf(out, "gatehouse %s%s%s%s%s\n    %s\n", group,
                verbs[i].name[0] == '\0' ? "" : " ", verbs[i].name,
                verbs[i].usage[0] == '\0' ? "" : " ", verbs[i].usage, verbs[i].help);
    fputs("options of all: --server URL, --ca FILE, --state-dir DIR (on the server's machine),\n"
          "                --json, -o table|json|jsonl|csv\n",
        out);
}

struct request {
    struct cli *cli;
    const struct verb *verb;
    char target[TARGET_BYTES];
    struct json_write body;
    bool has_body;
    struct secret_text secrets[SECRETS_MAX];
    unsigned secret_count;
};

static bool
target_put(struct request *r, const char *value)
{
    char *hole = strstr(r->target, "{}"), rest[TARGET_BYTES], escaped[600];

    if (hole == NULL || client_escape(span_str(value), escaped, sizeof(escaped)) >= sizeof(escaped))
        return false;
    snprintf(rest, sizeof(rest), "%s", hole + 2);
    snprintf(hole, sizeof(r->target) - (size_t)(hole - r->target), "%s%s", escaped, rest);
    return true;
}

static bool
query_put(struct request *r, const char *name, const char *value)
{
    size_t len = strlen(r->target);
    char escaped[1200];

    if (client_escape(span_str(value), escaped, sizeof(escaped)) >= sizeof(escaped))
        return false;
    return snprintf(r->target + len, sizeof(r->target) - len, "%c%s=%s",
               strchr(r->target, '?') == NULL ? '?' : '&', name,
               escaped) < (int)(sizeof(r->target) - len);
}

static bool
put_secret(struct request *r, const struct arg *arg, const char *path)
{
    struct secret_text *secret = &r->secrets[r->secret_count];
    char why[300];

    INVARIANT(r->secret_count < SECRETS_MAX);
    if (secret_read(path, secret, why, sizeof(why)) != OK) {
        cli_fail(r->cli, EXIT_USAGE, why);
        return false;
    }
    r->secret_count++;
    json_write_text(&r->body, arg->member, secret->text);
    return true;
}

static bool
put(struct request *r, const struct arg *arg, const char *value)
{
    char *end;

    r->has_body |= arg->kind != ARG_PATH && arg->kind != ARG_QUERY;
    switch (arg->kind) {
    case ARG_PATH: return target_put(r, value);
    case ARG_QUERY: return query_put(r, arg->member, value);
    case ARG_TEXT: json_write_str(&r->body, arg->member, value); return true;
    case ARG_SECRET: return put_secret(r, arg, value);
    case ARG_INT:
        json_write_int(&r->body, arg->member, strtoll(value, &end, 10));
        return *value != '\0' && *end == '\0';
    default: return false;
    }
}

static void
put_rest(struct request *r, const struct arg *arg, int *at, int argc, char **argv)
{
    r->has_body = true;
    json_write_array(&r->body, arg->member);
    while (*at < argc)
        json_write_str(&r->body, NULL, argv[(*at)++]);
    json_write_end(&r->body);
}

/* Fills target and body from argv. False: usage. */
static bool
fill(struct request *r, int argc, char **argv)
{
    int at = 1;

    snprintf(r->target, sizeof(r->target), "%s", r->verb->target);
    json_write_object(&r->body, NULL);
    for (size_t i = 0; i < ARGS_MAX && r->verb->args[i].kind != ARG_NONE; i++) {
        const struct arg *arg = &r->verb->args[i];
        const char *value = arg->option == NULL ? NULL : cli_take(arg->option, &argc, argv);

        if (arg->option != NULL && value == NULL && arg->must)
            return false;
        if (value != NULL && !put(r, arg, value))
            return false;
    }
    for (size_t i = 0; i < ARGS_MAX && r->verb->args[i].kind != ARG_NONE; i++) {
        const struct arg *arg = &r->verb->args[i];

        if (arg->option != NULL)
            continue;
        if (arg->kind == ARG_TRUE || arg->kind == ARG_FALSE) {
            json_write_bool(&r->body, arg->member, arg->kind == ARG_TRUE);
            r->has_body = true;
        } else if (arg->kind == ARG_REST) {
            put_rest(r, arg, &at, argc, argv);
        } else if (at >= argc || argv[at][0] == '\0' || !put(r, arg, argv[at++])) {
            return false;
        }
    }
    json_write_end(&r->body);
    return at == argc && json_write_done(&r->body) == OK;
}

/* Reads the thing first: its ETag guards against somebody else's change in between. */
static int
read_etag(struct request *r, char *etag, size_t size)
{
    /* A machine's list is shown with the machine; the one for all has a page of its own. */
    bool allowlist =
        strncmp(r->target, "/api/machines/", 14) == 0 && strstr(r->target, "/allowlist") != NULL;
    struct json_reply *reply = NULL;
    char target[TARGET_BYTES];
    struct call *call;
    int code;

    snprintf(target, sizeof(target), "%.*s",
        (int)(strlen(r->target) - (allowlist ? strlen("/allowlist") : 0)), r->target);
    code = cli_call(r->cli, &(struct cli_request){.method = "GET", .target = target}, &call);
    if (code != EXIT_DONE)
        return code;
    if (json_reply_parse(call_body(call), &reply) != OK ||
        !json_reply_copy(reply, allowlist ? "allow_etag" : "etag", etag, size))
        code = cli_fail(r->cli, EXIT_REFUSED, "the server's answer has no etag");
    json_reply_free(reply);
    call_free(call);
    return code;
}

static int
show(struct request *r, struct call *call)
{
    struct json_reply *reply = NULL;
    int code = EXIT_DONE;

    if (r->verb->columns == NULL)
        return EXIT_DONE;
    if (json_reply_parse(call_body(call), &reply) != OK)
        code = cli_fail(r->cli, EXIT_REFUSED, "the server's answer is not JSON");
    else
        table_print(reply, call_body(call), r->verb->one, r->verb->columns, r->cli->output);
    json_reply_free(reply);
    return code;
}

static int
run(struct request *r)
{
    struct span body = {NULL, 0};
    struct call *call = NULL;
    char etag[64] = "";
    int code;

    if (r->verb->local && r->cli->state_dir == NULL)
        return cli_fail(
            r->cli, EXIT_USAGE, "--state-dir is needed: this is for the server's machine");
    if ((code = cli_open(r->cli)) != EXIT_DONE)
        return code;
    if (r->has_body || strcmp(r->verb->method, "POST") == 0)
        body = span_of(r->body.buf, r->body.len);
    if (r->verb->if_match && (code = read_etag(r, etag, sizeof(etag))) != EXIT_DONE)
        return code;
    code = cli_call(r->cli,
        &(struct cli_request){.method = r->verb->method,
            .target = r->target,
            .body = body,
            .if_match = etag[0] == '\0' ? NULL : etag},
        &call);
    if (code == EXIT_DONE)
        code = show(r, call);
    call_free(call);
    return code;
}

static const struct verb *
verb_find(const char *group, const char *name)
{
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].group, group) == 0 && strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int
verbs_main(int argc, char **argv)
{
    struct cli cli = {0};
    struct request r = {.cli = &cli};
    char name[64];
    int code;

    snprintf(name, sizeof(name), "gatehouse %s", argv[0]);
    cli.name = name;
    if (argc > 1 && strcmp(argv[argc - 1], "--help") == 0) {
        help(argv[0], stdout);
        return EXIT_DONE;
    }
    if (!cli_options(&cli, &argc, argv))
        return EXIT_USAGE;
    r.verb = verb_find(argv[0], "");
    if (r.verb == NULL && argc > 1 && (r.verb = verb_find(argv[0], argv[1])) != NULL) {
        argc--;
        argv++;
    }
    json_write_init(&r.body, NULL, NULL);
    if (r.verb == NULL || !fill(&r, argc, argv)) {
        help(r.verb == NULL ? argv[0] : r.verb->group, stderr);
        code = EXIT_USAGE;
    } else {
        code = run(&r);
    }
    if (r.body.buf != NULL)
        sodium_memzero(r.body.buf, r.body.len);
    json_write_fini(&r.body);
    while (r.secret_count > 0)
        secret_free(&r.secrets[--r.secret_count]);
    cli_close(&cli);
    return code;
}
