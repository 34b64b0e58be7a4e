/* options.c: reads the command line; resolves nothing, opens nothing. */
#include "tools/agent/options.h"

#include "core/ascii.h"
#include "core/text.h"
#include "tools/agent/say.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "Usage: gatehouse-agent run|enroll --server URL [options]\n"
    "\n"
    "  run      connect this machine to a Gatehouse server and serve its sessions\n"
    "  enroll   only bind this machine's device key to the server, then exit\n"
    "\n"
    "  --server URL              https://HOST[:PORT]\n"
    "  --ca FILE                 trust only the certificates in FILE\n"
    "  --code CODE               the support code that a technician told you\n"
    "  --key-file FILE           file with an API key (gh_...), for machines without a person\n"
    "  --state-dir DIR           device key and pinned server; default: XDG state folder\n"
    "  --name NAME               how this machine is called there; default: its host name\n"
    "  --allow shell             let technicians use a shell, as the user who runs the agent\n"
    "  --allow desktop=HOST:PORT ... a VNC server, usually 127.0.0.1:5900\n"
    "  --allow tcp:NAME=HOST:PORT ... one TCP service\n"
    "  --allow-remote            targets may be other machines, not only this one\n"
    "  --yes                     do not ask before a session (the log will say so)\n"
    "\n"
    "Nothing is allowed unless you allow it.\n"
    "Examples:\n"
    "  gatehouse-agent run --server https://help.example --code 123456789 --allow shell\n"
    "  gatehouse-agent run --server https://help.example --key-file /etc/gatehouse/key \\\n"
    "      --allow tcp:ssh=127.0.0.1:22 --yes\n";

static enum err __attribute__((format(printf, 1, 2))) usage(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    say("%s (see gatehouse-agent --help)", line);
    return ERR_MALFORMED;
}

enum err
options_target(const char *text, char host[256], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    uint64_t number;

    if (n == 0 || n > 255 || ascii_number(span_str(colon + 1), UINT16_MAX, &number) != OK ||
        number == 0)
        return ERR_MALFORMED;
    if (text[0] == '[' && text[n - 1] == ']' && n > 2) {
        memcpy(host, text + 1, n - 2);
        host[n - 2] = '\0';
    } else if (memchr(text, ':', n) == NULL && memchr(text, '[', n) == NULL) {
        memcpy(host, text, n);
        host[n] = '\0';
    } else {
        return ERR_MALFORMED; /* IPv6 without brackets: where would the port begin? */
    }
    *port = (uint16_t)number;
    return OK;
}

static enum err
allow(struct agent_options *o, const char *text)
{
    const char *equals = strchr(text, '=');
    struct span name = equals == NULL ? span_str(text) : span_of(text, (size_t)(equals - text));
    struct agent_service *s = &o->services[o->service_count];
    struct service parsed;

    if (o->service_count == AGENT_SERVICES_MAX)
        return usage("--allow: at most %d services", AGENT_SERVICES_MAX);
    if (service_parse(name, &parsed) != OK)
        return usage("--allow %s: expected shell, desktop=HOST:PORT or tcp:NAME=HOST:PORT",
            say_foreign(span_str(text)));
    if ((parsed.kind == SERVICE_SHELL) != (equals == NULL))
        return usage("--allow %s: %s", say_foreign(name),
            equals == NULL ? "needs =HOST:PORT" : "takes no =HOST:PORT");
    memcpy(s->name, name.ptr, name.len);
    s->name[name.len] = '\0';
    s->kind = parsed.kind;
    for (size_t i = 0; i < o->service_count; i++)
        if (strcmp(o->services[i].name, s->name) == 0)
            return usage("--allow %s: given twice", s->name);
    if (equals != NULL && options_target(equals + 1, s->host, &s->port) != OK)
        return usage(
            "--allow %s: '%s' is not HOST:PORT", s->name, say_foreign(span_str(equals + 1)));
    o->service_count++;
    return OK;
}

/* Codes are read out in groups: blanks and dashes are passed over. */
static enum err
take_code(struct agent_options *o, const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-')
            continue;
        if (*text < '0' || *text > '9' || n + 1 >= sizeof(o->code))
            return usage("--code: a support code is 9 to 11 digits");
        o->code[n++] = *text;
    }
    o->code[n] = '\0';
    return n >= 9 && n <= 11 ? OK : usage("--code: a support code is 9 to 11 digits");
}

enum {
    OPT_SERVER = 256,
    OPT_CA,
    OPT_CODE,
    OPT_KEY,
    OPT_STATE,
    OPT_NAME,
    OPT_ALLOW,
    OPT_REMOTE,
    OPT_YES,
    OPT_HELP
};

static const struct option longs[] = {
    {"server", required_argument, NULL, OPT_SERVER},
    {"ca", required_argument, NULL, OPT_CA},
    {"code", required_argument, NULL, OPT_CODE},
    {"key-file", required_argument, NULL, OPT_KEY},
    {"state-dir", required_argument, NULL, OPT_STATE},
    {"name", required_argument, NULL, OPT_NAME},
    {"allow", required_argument, NULL, OPT_ALLOW},
    {"allow-remote", no_argument, NULL, OPT_REMOTE},
    {"yes", no_argument, NULL, OPT_YES},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static enum err
take(struct agent_options *o, int opt, const char *value)
{
    switch (opt) {
    case OPT_SERVER: o->server = value; return OK;
    case OPT_CA: o->ca_file = value; return OK;
    case OPT_CODE: return take_code(o, value);
    case OPT_KEY: o->key_file = value; return OK;
    case OPT_STATE: o->state_dir = value; return OK;
    case OPT_NAME: o->name = value; return OK;
    case OPT_ALLOW: return allow(o, value);
    case OPT_REMOTE: o->allow_remote = true; return OK;
    case OPT_YES: o->yes = true; return OK;
    case OPT_HELP: fputs(help, stdout); return ERR_CLOSED;
    default: return usage("unknown or incomplete option");
    }
}

static enum err
check(const struct agent_options *o)
{
    enum text_fault fault;

    if (o->server == NULL)
        return usage("--server is missing");
    if (o->code[0] != '\0' && o->key_file != NULL)
        return usage("--code and --key-file exclude each other");
    if (o->name != NULL && (fault = text_check(TEXT_MACHINE, span_str(o->name))) != TEXT_OK)
        return usage("--name %s", text_fault_name(fault));
    return OK;
}

enum err
options_parse(int argc, char **argv, struct agent_options *o)
{
    enum err err;
    int opt;

    *o = (struct agent_options){0};
    if (argc < 2)
        return usage("expected run or enroll");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        fputs(help, stdout);
        return ERR_CLOSED;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("gatehouse-agent " GATEHOUSE_VERSION);
        return ERR_CLOSED;
    }
    o->enroll = strcmp(argv[1], "enroll") == 0;
    if (!o->enroll && strcmp(argv[1], "run") != 0)
        return usage("'%s': expected run or enroll", say_foreign(span_str(argv[1])));
    optind = 2;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "+", longs, NULL)) != -1)
        if ((err = take(o, opt, optarg)) != OK)
            return err;
    if (optind < argc)
        return usage("'%s' is one argument too many", say_foreign(span_str(argv[optind])));
    return check(o);
}
