/* audit.c: reading the log through the server: events as lines for people, or as they came (JSON
 * lines) for programs. Reading is itself an event there. */
#include "tools/gatehouse/audit.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "core/rights.h"
#include "core/text.h"
#include "tools/gatehouse/table.h"
#include "tools/gatehouse/verbs.h"

#define TARGET_BYTES 4096
#define LINE_MAX_    (256 * 1024)
#define NDJSON       "application/x-ndjson"

static const char usage[] =
    "usage: gatehouse audit events   [--type T] [--user ID] [--ip ADDR] [--machine ID] [--session "
    "ID]\n"
    "                                [--from TIME] [--to TIME] [--after SEQ] [--limit N]\n"
    "       gatehouse audit tail     [the same filters]        new events as they come\n"
    "       gatehouse audit timeline --session ID | --user ID | --machine ID | --ip ADDR\n"
    "       gatehouse audit alerts   [--state open|all] [--ack SEQ-RULE [--note TEXT]]\n"
    "       gatehouse audit alert    SEQ-RULE                  with the events it rests on\n"
    "       gatehouse audit verify   --state-dir DIR [--fast] [--checkpoint OLD]\n"
    "       gatehouse audit export   --state-dir DIR --out FILE\n"
    "options of all: --server URL, --ca FILE, --state-dir DIR, --json, -o table|jsonl\n"
    "example: gatehouse audit timeline --session ses_0123456789abcdefghjkmnpqrs\n";

static const char *const filters[] = {
    "type", "user", "ip", "machine", "session", "from", "to", "after", "limit", "alert"};

/* ---- one event as one line ---- */

/* What people look for first; everything else is in the JSON. */
static const struct shown_member {
    const char *path, *name;
    enum { AS_IT_IS, AS_ROLE, AS_SECONDS } how;
    bool subject; /* in a timeline: not again while it stays the same */
} members[] = {
    {"actor.id", "by", AS_IT_IS, false},
    {"subject.session", "session", AS_IT_IS, true},
    {"subject.machine", "machine", AS_IT_IS, true},
    {"subject.code", "code", AS_IT_IS, true},
    {"data.channel", "channel", AS_IT_IS, true},
    {"data.why", "why", AS_IT_IS, false},
    {"data.service", "service", AS_IT_IS, false},
    {"data.consent_mode", "consent", AS_IT_IS, false},
    {"data.words", "words", AS_IT_IS, false},
    {"data.exit_status", "exit", AS_IT_IS, false},
    {"data.to_agent_bytes", "to_agent", AS_IT_IS, false},
    {"data.to_technician_bytes", "to_technician", AS_IT_IS, false},
    {"data.duration_us", "seconds", AS_SECONDS, false},
    {"data.total", "events", AS_IT_IS, false},
    {"data.action", "action", AS_IT_IS, false},
    {"data.query", "query", AS_IT_IS, false},
    {"data.rule", "rule", AS_IT_IS, false},
    {"data.role", "role", AS_ROLE, false},
    {"personal.account_name", "account", AS_IT_IS, false},
    {"personal.display_name", "name", AS_IT_IS, false},
    {"personal.machine_name", "machine_name", AS_IT_IS, false},
    {"personal.address", "address", AS_IT_IS, false},
    {"personal.reason_text", "reason", AS_IT_IS, false},
    {"personal.note", "note", AS_IT_IS, false},
};

#define MEMBERS    (sizeof(members) / sizeof(members[0]))
#define SHOWN_TEXT 400
#define ABOVE_TEXT 64 /* an id fits */

struct lines {
    struct cli *cli;
    char *buf;
    size_t len;
    uint64_t shown;
    int64_t last_seq;
    bool timeline;
    char above[MEMBERS][ABOVE_TEXT]; /* subjects as last shown */
};

/* Text in quotes where blanks would make two members of it. */
static void
text_show(struct span text, char out[SHOWN_TEXT])
{
    char escaped[SHOWN_TEXT - 2];

    text_escape(text.len > 150 ? span_of(text.ptr, 150) : text, escaped, sizeof(escaped));
    snprintf(out, SHOWN_TEXT, strchr(escaped, ' ') != NULL ? "\"%s\"" : "%s", escaped);
}

/* False: the event has no such member. */
static bool
member_show(const struct json_reply *event, const struct shown_member *m, char out[SHOWN_TEXT])
{
    struct span text;
    int64_t n;
    bool yes;

    if (json_reply_text(event, m->path, &text))
        text_show(text, out);
    else if (json_reply_int(event, m->path, &n) && m->how == AS_SECONDS)
        snprintf(out, SHOWN_TEXT, "%.3f", (double)n / 1e6);
    else if (json_reply_int(event, m->path, &n) && m->how == AS_ROLE && n >= ROLE_ADMIN &&
             n <= ROLE_AUDITOR)
        snprintf(out, SHOWN_TEXT, "%s", role_name((enum role)n));
    else if (json_reply_int(event, m->path, &n))
        snprintf(out, SHOWN_TEXT, "%" PRId64, n);
    else if (json_reply_bool(event, m->path, &yes))
        snprintf(out, SHOWN_TEXT, "%s", yes ? "yes" : "no");
    else
        return false;
    return true;
}

/* True when the line above in this timeline said the same; remembers it. */
static bool
said_above(struct lines *l, size_t i, const char *text)
{
    if (!l->timeline || !members[i].subject)
        return false;
    if (strcmp(l->above[i], text) == 0)
        return true;
    snprintf(l->above[i], ABOVE_TEXT, "%.*s", ABOVE_TEXT - 1, text);
    return false;
}

static void
print_event(struct lines *l, const struct json_reply *event)
{
    char type[64] = "?", at[40] = "", text[SHOWN_TEXT];
    int64_t seq = -1;
    int column;

    (void)json_reply_int(event, "seq", &seq);
    (void)json_reply_copy(event, "type", type, sizeof(type));
    (void)json_reply_copy(event, "time", at, sizeof(at));
    if (strlen(at) > 23)
        memcpy(at + 23, "Z", 2); /* milliseconds are enough for the eye */
    column = printf("%8" PRId64 "  %s  %s", seq, at, type);
    for (size_t i = 0; i < MEMBERS; i++)
        if (member_show(event, &members[i], text) && !said_above(l, i, text)) {
            printf("%*s%s=%s", column < 60 ? 60 - column : 1, "", members[i].name, text);
            column = 60;
        }
    putchar('\n');
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
        print_event(l, event);
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
    struct lines l = {
        .cli = cli, .buf = malloc(LINE_MAX_), .timeline = strcmp(verb, "timeline") == 0};
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

/* A table of its own (verbs.c): "alerts --ack ALERT" is the verb ack. */
static int
alerts_main(int argc, char **argv)
{
    static char ack_verb[] = "ack";
    const char *ack = cli_take("--ack", &argc, argv);
    char *args[8] = {argv[0], ack_verb, (char *)(uintptr_t)ack};
    int n = 3;

    if (ack == NULL)
        return verbs_main(argc, argv);
    for (int i = 2; i < argc && n < 8; i++)
        args[n++] = argv[i];
    return verbs_main(n, args);
}

int
audit_main(int argc, char **argv)
{
    struct cli cli = {.name = "gatehouse audit"};
    const char *verb = argc > 1 ? argv[1] : "";
    char target[TARGET_BYTES];

    if (strcmp(verb, "alerts") == 0 || strcmp(verb, "alert") == 0)
        return alerts_main(argc, argv);
    if (strcmp(verb, "verify") == 0)
        return audit_verify_main(argc - 1, argv + 1);
    if (strcmp(verb, "export") == 0)
        return audit_export_main(argc - 1, argv + 1);
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
