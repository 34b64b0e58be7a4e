/* audit.c: reading the log through the server: events as lines for people, or as they came (JSON
 * lines) for programs. Reading is itself an event there. */
#include "tools/gatehouse/audit.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "core/text.h"
#include "tools/gatehouse/table.h"

#define TARGET_BYTES 4096
#define LINE_MAX_    (256 * 1024)
#define NDJSON       "application/x-ndjson"

static const char usage[] =
    "usage: gatehouse audit events   [--type T] [--user ID] [--ip ADDR] [--machine ID] [--session "
    "ID]\n"
    "                                [--from TIME] [--to TIME] [--after SEQ] [--limit N]\n"
    "       gatehouse audit tail     [the same filters]        new events as they come\n"
    "       gatehouse audit timeline --session ID | --user ID | --machine ID | --ip ADDR\n"
    "       gatehouse audit verify   --state-dir DIR [--fast] [--checkpoint OLD]\n"
    "options of all: --server URL, --ca FILE, --state-dir DIR, --json, -o table|jsonl\n"
    "example: gatehouse audit timeline --session ses_0123456789abcdefghjkmnpqrs\n";

static const char *const filters[] = {
    "type", "user", "ip", "machine", "session", "from", "to", "after", "limit", "alert"};

struct lines {
    struct cli *cli;
    char *buf;
    size_t len;
    uint64_t shown;
    int64_t last_seq;
};

/* ---- one event as one line ---- */

static void
append(char *out, size_t size, const char *text)
{
    size_t len = strlen(out);

    if (len + 1 < size)
        snprintf(out + len, size - len, "%s", text);
}

static void
append_member(
    const struct json_reply *event, const char *path, const char *name, char *out, size_t size)
{
    char shown[400], piece[500];
    struct span text;
    int64_t n;
    bool yes;

    if (json_reply_text(event, path, &text)) {
        text_escape(text.len > 150 ? span_of(text.ptr, 150) : text, shown, sizeof(shown));
        snprintf(piece, sizeof(piece), " %s=%s", name, shown);
    } else if (json_reply_int(event, path, &n)) {
        snprintf(piece, sizeof(piece), " %s=%" PRId64, name, n);
    } else if (json_reply_bool(event, path, &yes)) {
        snprintf(piece, sizeof(piece), " %s=%s", name, yes ? "yes" : "no");
    } else {
        return;
    }
    append(out, size, piece);
}

/* What people look for first; everything else is in the JSON. */
static const struct shown_member {
    const char *path, *name;
} members[] = {
    {"actor.id", "by"},
    {"subject.session", "session"},
    {"subject.machine", "machine"},
    {"subject.code", "code"},
    {"data.why", "why"},
    {"data.service", "service"},
    {"data.channel", "channel"},
    {"data.consent_mode", "consent"},
    {"data.exit_status", "exit"},
    {"data.to_agent_bytes", "to_agent"},
    {"data.to_technician_bytes", "to_technician"},
    {"data.duration_us", "duration_us"},
    {"data.n", "n"},
    {"data.total", "total"},
    {"data.action", "action"},
    {"data.query", "query"},
    {"data.rule", "rule"},
    {"data.role", "role"},
    {"personal.account_name", "account"},
    {"personal.display_name", "name"},
    {"personal.machine_name", "machine_name"},
    {"personal.address", "address"},
    {"personal.reason_text", "reason"},
    {"personal.note", "note"},
};

static void
print_event(const struct json_reply *event)
{
    char line[4096] = "", type[64] = "?", at[40] = "";
    int64_t seq = -1;

    (void)json_reply_int(event, "seq", &seq);
    (void)json_reply_copy(event, "type", type, sizeof(type));
    (void)json_reply_copy(event, "time", at, sizeof(at));
    if (strlen(at) > 23)
        at[23] = '\0'; /* milliseconds are enough for the eye */
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        append_member(event, members[i].path, members[i].name, line, sizeof(line));
    printf("%8" PRId64 "  %s  %-22s%s\n", seq, at, type, line);
}

static void
print_line(struct lines *l, struct span json)
{
    struct json_reply *event = NULL;

    if (json.len == 0 || json_reply_parse(json, &event) != OK)
        return;
    (void)json_reply_int(event, "seq", &l->last_seq);
    l->shown++;
    if (l->cli->output == OUTPUT_TABLE)
        print_event(event);
    else
        printf("%.*s\n", (int)json.len, (const char *)json.ptr);
    json_reply_free(event);
}

static enum err
take_piece(void *ctx, struct span piece)
{
    struct lines *l = ctx;

    while (piece.len > 0) {
        const uint8_t *end = memchr(piece.ptr, '\n', piece.len);
        size_t n = end == NULL ? piece.len : (size_t)(end - piece.ptr);

        if (n > LINE_MAX_ - l->len)
            return ERR_LIMIT;
        memcpy(l->buf + l->len, piece.ptr, n);
        l->len += n;
        if (end == NULL)
            return OK;
        print_line(l, span_of(l->buf, l->len));
        l->len = 0;
        piece = span_of(end + 1, piece.len - n - 1);
    }
    fflush(stdout);
    return OK;
}

/* ---- the commands ---- */

static bool
build_target(const char *path, int *argc, char **argv, char target[TARGET_BYTES])
{
    size_t len = (size_t)snprintf(target, TARGET_BYTES, "%s", path);

    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        char option[16], escaped[600];
        const char *value;

        snprintf(option, sizeof(option), "--%s", filters[i]);
        if ((value = cli_take(option, argc, argv)) == NULL)
            continue;
        if (client_escape(span_str(value), escaped, sizeof(escaped)) >= sizeof(escaped))
            return false;
        len += (size_t)snprintf(target + len, TARGET_BYTES - len, "%c%s=%s",
            strchr(target, '?') == NULL ? '?' : '&', filters[i], escaped);
        if (len >= TARGET_BYTES)
            return false;
    }
    return *argc == 1;
}

static int
fetch(struct lines *l, const char *target)
{
    return cli_call(l->cli,
        &(struct cli_request){
            .method = "GET", .target = target, .accept = NDJSON, .sink = take_piece, .sink_ctx = l},
        NULL);
}

/* New events as they come: asked for each second, from where the last answer ended. */
static int
tail(struct lines *l, const char *target)
{
    const struct timespec second = {.tv_sec = 1};
    char next[TARGET_BYTES + 64];
    int code = fetch(l, target);

    while (code == EXIT_DONE) {
        snprintf(next, sizeof(next), "%s%cafter=%" PRId64, target,
            strchr(target, '?') == NULL ? '?' : '&', l->last_seq);
        nanosleep(&second, NULL);
        code = fetch(l, next);
    }
    return code;
}

/* The head now: tail begins there unless --after says otherwise. */
static int
find_head(struct lines *l)
{
    struct json_reply *reply = NULL;
    struct call *call;
    int code = cli_call(l->cli,
        &(struct cli_request){.method = "GET", .target = "/api/audit/events?limit=1"}, &call);
    int64_t position = 0;

    if (code != EXIT_DONE)
        return code;
    if (json_reply_parse(call_body(call), &reply) == OK)
        (void)json_reply_int(reply, "position", &position);
    l->last_seq = position > 0 ? position - 1 : 0;
    json_reply_free(reply);
    call_free(call);
    return EXIT_DONE;
}

static int
run(struct cli *cli, const char *verb, char *target)
{
    struct lines l = {.cli = cli, .buf = malloc(LINE_MAX_)};
    int code;

    if (l.buf == NULL)
        return cli_fail(cli, EXIT_REFUSED, "out of memory");
    if ((code = cli_open(cli)) == EXIT_DONE) {
        if (strcmp(verb, "tail") == 0 && strstr(target, "after=") == NULL) {
            char from[TARGET_BYTES + 64];

            if ((code = find_head(&l)) == EXIT_DONE) {
                snprintf(from, sizeof(from), "%s", target);
                code = tail(&l, from);
            }
        } else if (strcmp(verb, "tail") == 0) {
            code = tail(&l, target);
        } else {
            code = fetch(&l, target);
        }
    }
    cli_close(cli);
    free(l.buf);
    return code;
}

int
audit_main(int argc, char **argv)
{
    struct cli cli = {.name = "gatehouse audit"};
    const char *verb = argc > 1 ? argv[1] : "";
    char target[TARGET_BYTES];

    if (strcmp(verb, "verify") == 0)
        return audit_verify_main(argc - 1, argv + 1);
    if (strcmp(verb, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    argc--;
    argv++;
    if (!cli_options(&cli, &argc, argv))
        return EXIT_USAGE;
    if ((strcmp(verb, "events") != 0 && strcmp(verb, "tail") != 0 &&
            strcmp(verb, "timeline") != 0) ||
        !build_target(strcmp(verb, "timeline") == 0 ? "/api/audit/timeline" : "/api/audit/events",
            &argc, argv, target)) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run(&cli, verb, target);
}
