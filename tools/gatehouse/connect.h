/* connect.h: gatehouse connect: a terminal, a local port, or stdin and stdout, on a machine. */
#ifndef TOOLS_GATEHOUSE_CONNECT_H
#define TOOLS_GATEHOUSE_CONNECT_H

#include "core/err.h"
#include "core/id.h"
#include "core/service.h"

#define CONNECT_FAILED                                                                             \
    255 /* our own failures, as ssh has it: every other status may be the shell's */

/* argv[0] is "connect". Returns the program's exit status. */
int connect_main(int argc, char **argv);

struct connect_options {
    const char *machine;
    const char *server, *ca; /* NULL: the login's */
    const char *service;     /* "shell", "desktop", "tcp:NAME" */
    enum service_kind kind;
    const char *session; /* use this open one, and leave it open */
    const char *reason;
    const char *listen_path; /* -L with a path */
    char listen_host[64];    /* -L [ADDR:]PORT; "": none */
    uint16_t listen_port;
    char *command; /* words behind --, as a line for the shell; malloc */
};

/* Says on stderr what was wrong. ERR_CLOSED: help was asked for and given. */
enum err connect_options_parse(int argc, char **argv, struct connect_options *out) MUST_USE;

#endif
