/* connect_options.c: the command line of gatehouse connect. Opens nothing. */
#include "core/addr.h"
#include "core/ascii.h"
#include "core/text.h"
#include "tools/gatehouse/connect.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: gatehouse connect MACHINE [options] [-- COMMAND...]\n"
    "\n"
    "  MACHINE                  its id (mch_...) or its name\n"
    "  --service SERVICE        shell (default), desktop or tcp:NAME\n"
    "  -L [ADDR:]PORT | SOCKET  listen on a loopback port, or a path with a slash in it, and open\n"
    "                           a channel for each connection\n"
    "  --reason TEXT            shown to the person at the machine, and kept in the log\n"
    "  --session ID             use a session that is open already, and leave it open\n"
    "  --server URL, --ca FILE  must be the login's server; other certificates to trust\n"
    "\n"
    "A shell on a terminal ends with the status of the remote shell, 255 is a failure of ours.\n"
    "~. at the beginning of a line disconnects. Without -L, tcp and desktop are joined with\n"
    "standard input and output, so that ssh can use them:\n"
    "\n"
    "  gatehouse connect web1\n"
    "  gatehouse connect web1 -- uptime\n"
    "  gatehouse connect web1 --service desktop -L 5901\n"
    "  ssh -o ProxyCommand='gatehouse connect web1 --service tcp:ssh' web1\n";

static enum err __attribute__((format(printf, 1, 2))) usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("gatehouse: connect: ", stderr);
    vfprintf(stderr, format, args);
    fputs(" (see gatehouse connect --help)\n", stderr);
    va_end(args);
    return ERR_MALFORMED;
}

/* Foreign to the terminal all the same: it may have been pasted. */
static const char *
shown(const char *text)
{
    static char out[300];

    text_escape(span_str(text), out, sizeof(out));
    return out;
}

static enum err
take_listen(struct connect_options *o, const char *text)
{
    const char *colon = strrchr(text, ':');
    struct span host = span_str("127.0.0.1"), port = span_str(text);
    struct addr addr;
    uint64_t number;

    if (strchr(text, '/') != NULL) {
        o->listen_path = text;
        return strlen(text) < 108 ? OK : usage("-L: the path is too long for a socket");
    }
    if (colon != NULL) {
        host = span_of(text, (size_t)(colon - text));
        port = span_str(colon + 1);
        if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
            host = span_of(host.ptr + 1, host.len - 2);
    }
    if (span_is(host, "localhost"))
        host = span_str("127.0.0.1");
    if (ascii_number(port, UINT16_MAX, &number) != OK || addr_parse(host, &addr) != OK)
        return usage("-L %s: expected [ADDR:]PORT or a path", shown(text));
    if (!addr_is_loopback(&addr))
        return usage(
            "-L %s: only loopback addresses, everybody near could use it else", shown(text));
    memcpy(o->listen_host, host.ptr, host.len);
    o->listen_host[host.len] = '\0';
    o->listen_port = (uint16_t)number;
    return OK;
}

static enum err
take_service(struct connect_options *o, const char *text)
{
    struct service service;

    if (service_parse(span_str(text), &service) != OK)
        return usage("--service %s: expected shell, desktop or tcp:NAME", shown(text));
    o->service = text;
    o->kind = service.kind;
    return OK;
}

static enum err
take_session(struct connect_options *o, const char *text)
{
    struct id id;

    o->session = text;
    return id_parse(ID_SESSION, span_str(text), &id) == OK
               ? OK
               : usage("--session %s: expected a session's id (ses_...)", shown(text));
}

static enum err
take_reason(struct connect_options *o, const char *text)
{
    enum text_fault fault = text_check(TEXT_REASON, span_str(text));

    o->reason = text;
    return fault == TEXT_OK ? OK : usage("--reason %s", text_fault_name(fault));
}

enum { OPT_SERVICE = 256, OPT_REASON, OPT_SESSION, OPT_SERVER, OPT_CA, OPT_HELP };

static const struct option longs[] = {
    {"service", required_argument, NULL, OPT_SERVICE},
    {"reason", required_argument, NULL, OPT_REASON},
    {"session", required_argument, NULL, OPT_SESSION},
    {"server", required_argument, NULL, OPT_SERVER},
    {"ca", required_argument, NULL, OPT_CA},
    {"help", no_argument, NULL, OPT_HELP},
    {0},
};

static enum err
take(struct connect_options *o, int opt, const char *value)
{
    switch (opt) {
    case 'L': return take_listen(o, value);
    case OPT_SERVICE: return take_service(o, value);
    case OPT_REASON: return take_reason(o, value);
    case OPT_SESSION: return take_session(o, value);
    case OPT_SERVER: o->server = value; return OK;
    case OPT_CA: o->ca = value; return OK;
    case OPT_HELP: fputs(help, stdout); return ERR_CLOSED;
    default: return usage("an option is unknown or has no value");
    }
}

/* The words as the shell will read them: joined by spaces, as ssh does it, then its exit. */
static enum err
command_join(struct connect_options *o, int count, char **words)
{
    static const char tail[] = "\nexit\n";
    size_t len = sizeof(tail), at = 0;

    for (int i = 0; i < count; i++)
        len += strlen(words[i]) + 1;
    if ((o->command = malloc(len)) == NULL)
        return ERR_MEMORY;
    for (int i = 0; i < count; i++)
        at += (size_t)snprintf(o->command + at, len - at, "%s%s", i > 0 ? " " : "", words[i]);
    snprintf(o->command + at, len - at, "%s", tail);
    return OK;
}

static enum err
check(const struct connect_options *o)
{
    bool listens = o->listen_path != NULL || o->listen_host[0] != '\0';

    if (o->machine == NULL && o->session == NULL)
        return usage("MACHINE is missing");
    if (o->kind == SERVICE_SHELL && listens)
        return usage("-L is for desktop and tcp, a shell has its own terminal");
    if (o->kind != SERVICE_SHELL && o->command != NULL)
        return usage("a command needs the shell");
    if (o->session != NULL && o->reason != NULL)
        return usage("--reason belongs to a new session");
    return OK;
}

enum err
connect_options_parse(int argc, char **argv, struct connect_options *o)
{
    int opt, words = argc;
    enum err err;

    *o = (struct connect_options){.service = "shell", .kind = SERVICE_SHELL};
    for (int i = 1; i < argc && words == argc; i++)
        if (strcmp(argv[i], "--") == 0)
            words = i;
    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(words, argv, "L:", longs, NULL)) != -1)
        if ((err = take(o, opt, optarg)) != OK)
            return err;
    if (optind < words)
        o->machine = argv[optind++];
    if (optind < words)
        return usage("%s is one argument too many", shown(argv[optind]));
    if (words + 1 < argc && (err = command_join(o, argc - words - 1, argv + words + 1)) != OK)
        return err;
    return check(o);
}
