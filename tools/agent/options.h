/* options.h: the agent's command line. */
#ifndef TOOLS_AGENT_OPTIONS_H
#define TOOLS_AGENT_OPTIONS_H

#include "core/err.h"
#include "core/limits.h"
#include "core/service.h"
#include "http/resolve.h"

#define AGENT_SERVICES_MAX 16

enum agent_exit {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* by the server, or it failed here */
    EXIT_USAGE = 2,       /* */
    EXIT_UNREACHABLE = 3, /* the server never answered */
    EXIT_NOT_ALLOWED = 4, /* known, but not from here or not for this */
    EXIT_UNVERIFIED = 5,  /* another server than the one that was pinned */
};

/* A service that the owner of this machine turned on. */
struct agent_service {
    char name[SERVICE_BYTES_MAX + 1]; /* "shell", "desktop", "tcp:NAME" */
    enum service_kind kind;
    char host[256];
    uint16_t port;
    struct resolved addrs; /* resolved once, at start */
};

struct agent_options {
    bool enroll; /* `enroll`: until the server says welcome, then exit */
    const char *server;
    const char *ca_file;
    const char *key_file;
    char code[16]; /* digits; "": none. Wiped once spent */
    const char *state_dir;
    const char *name;
    bool allow_remote;
    bool yes;
    struct agent_service services[AGENT_SERVICES_MAX];
    size_t service_count;
};

/* Tells what was wrong on stderr. ERR_CLOSED: help was asked for and given. */
enum err options_parse(int argc, char **argv, struct agent_options *out) MUST_USE;

/* HOST:PORT, [V6]:PORT. */
enum err options_target(const char *text, char host[256], uint16_t *port) MUST_USE;

#endif
