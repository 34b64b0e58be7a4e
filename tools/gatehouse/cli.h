/* cli.h: commands that speak to a server: over HTTPS with the token of `gatehouse login`, or, with
 * --state-dir on the server's own machine, over admin.sock. One thread. */
#ifndef TOOLS_GATEHOUSE_CLI_H
#define TOOLS_GATEHOUSE_CLI_H

#include "tools/gatehouse/api.h"

enum cli_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL, OUTPUT_CSV };

struct cli {
    const char *name; /* "gatehouse code", for messages */
    const char *server, *ca, *state_dir;
    enum cli_output output;
    struct client *local; /* admin.sock; NULL: over the network */
    struct api api;       /* unless local */
};

struct cli_request {
    const char *method, *target;
    struct span body;     /* JSON; ptr NULL: none */
    const char *accept;   /* NULL: application/json */
    const char *if_match; /* NULL: none */
    client_sink sink;     /* NULL: the answer is kept */
    void *sink_ctx;
};

/* Takes the options that all commands share out of argv (--server, --ca, --state-dir, --json,
 * -o/--output table|json|jsonl|csv); argc shrinks. False, with a line on stderr: usage. */
bool cli_options(struct cli *cli, int *argc, char **argv);

/* The value of one option, taken out of argv; NULL: it is not there. */
const char *cli_take(const char *option, int *argc, char **argv);

/* Whether this one without a value is there; taken out of argv. */
bool cli_take_flag(const char *flag, int *argc, char **argv);

/* Connects. An exit code; anything but EXIT_DONE was said on stderr. */
int cli_open(struct cli *cli);
void cli_close(struct cli *cli);

/* One call. EXIT_DONE: 2xx, and *out (may be NULL) is to be freed with call_free. Everything else
 * was said on stderr in one line: EXIT_UNREACHABLE, EXIT_NOT_ALLOWED (401, 403), EXIT_REFUSED. */
int cli_call(struct cli *cli, const struct cli_request *request, struct call **out);

/* "gatehouse code: text" on stderr; returns code. */
int cli_fail(const struct cli *cli, int code, const char *text);

#endif
