/* caller.h: who asks, as far as the connection tells: address (through trusted proxies), user
 * agent. What a token claims is added by http/auth.c. */
#ifndef HTTP_CALLER_H
#define HTTP_CALLER_H

#include "http/app.h"

/* Bytes that a command's arena needs for caller_address. */
#define CALLER_ARENA         (2 * ADDR_TEXT_MAX + USER_AGENT_BYTES_MAX)
#define USER_AGENT_BYTES_MAX 256 /* longer ones are cut; bytes that are not text are dropped */

/* Fills cmd->caller's address, texts and user agent; kind stays CALLER_NOBODY. An AF_UNIX peer is
 * CALLER_CLI. *https (may be NULL): whether the client came over TLS, by our word or a trusted
 * proxy's. */
void caller_address(
    const struct app *app, const struct request *request, struct command *cmd, bool *https);

#endif
