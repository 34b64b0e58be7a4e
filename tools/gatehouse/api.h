/* api.h: calls to the server as the person who is logged in: bearer token, refreshed in time and
 * once more after a 401; what goes wrong is said in one line. */
#ifndef TOOLS_GATEHOUSE_API_H
#define TOOLS_GATEHOUSE_API_H

#include "http/client.h"
#include "http/json_reply.h"
#include "tools/gatehouse/exit.h"
#include "tools/gatehouse/token.h"

struct api {
    struct client *client;
    struct token *token;
    char why[600];       /* of the last failure, for people; foreign text is escaped */
    enum exit_code code; /* what the program should exit with because of it */
    unsigned status;     /* of the last answer; 0: none came */
    char problem[64];    /* its RFC 9457 code, "" if it had none */
};

/* Loads the token. server, ca: NULL, or they must be the login's own server, and override its CA.
 */
enum err api_open(struct api *api, const char *server, const char *ca) MUST_USE;
void api_close(struct api *api);

struct api_request {
    const char *method, *target;
    struct span json; /* body; ptr NULL: none */
    int answer_ms;    /* 0: CLIENT_ANSWER_MS */
    const char *accept;
    client_sink sink;
    void *sink_ctx;
    bool endless;
};

/* OK: a 2xx came; *out is then to be freed by call_free. Else why, code, status and problem tell,
 * and *out is NULL. */
enum err api_call(struct api *api, const struct api_request *request, struct call **out) MUST_USE;
/* The same, and the answer as JSON (json_reply_free). */
enum err api_json(
    struct api *api, const struct api_request *request, struct json_reply **out) MUST_USE;

/* Without waiting: a call with the bearer token, to be driven by call_step. */
enum err api_begin(struct api *api, const struct api_request *request, struct call **out) MUST_USE;
/* What a finished call came to: OK for 2xx, else as api_call. Does not free it. */
enum err api_judge(struct api *api, const struct call *call) MUST_USE;

#endif
