/* client.h: HTTP/1.1 calls to one Gatehouse server. Verifies chain and host name (nothing turns
 * that off), never follows a redirect, never sends a credential anywhere but to the one origin it
 * was made for. Calls are small state machines, so that a program can have a call under way and
 * still serve its other fds; client_call waits for one. One thread. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "core/err.h"
#include "core/span.h"
#include "http/pollset.h"
#include "http/stream.h"
#include "http/url.h"

#include <signal.h>

struct client;

/* url: https://HOST[:PORT], http:// to loopback, or unix:PATH. ca_file: the only certificates to
 * trust, or NULL for the system's. `why` is a line for people. ERR_DENIED: plain http to elsewhere.
 */
enum err client_new(
    const char *url, const char *ca_file, struct client **out, char *why, size_t why_len) MUST_USE;
void client_free(struct client *client);
const struct server_url *client_url(const struct client *client);

/* client_call gives up with ERR_CLOSED when *stop becomes non-zero (a signal handler's flag). */
void client_stop_at(struct client *client, const volatile sig_atomic_t *stop);
/* Is it? Also sets a deadline, so that a signal between the question and the wait is seen soon. */
bool client_stopped(const struct client *client, struct pollset *ps);

struct client_header {
    const char *name, *value;
};

/* A piece of the body (borrowed for the call). An error ends the call with it. */
typedef enum err (*client_sink)(void *ctx, struct span piece);

struct client_request {
    const char *method;            /* "GET" */
    const char *target;            /* path and query, percent-encoded */
    const char *authorization;     /* "Bearer ...", or NULL; wiped from all buffers once sent */
    const char *content_type;      /* of the body; NULL: application/json */
    struct span body;              /* ptr NULL: none. Copied, and wiped once sent */
    struct client_header extra[4]; /* name NULL: none */
    int answer_ms;                 /* until the head of the answer; 0: CLIENT_ANSWER_MS */
    client_sink sink; /* takes the body of a 2xx; NULL: kept, up to CLIENT_BODY_BYTES_MAX */
    void *sink_ctx;
    bool endless; /* the body may pause for as long as it likes (NDJSON streams) */
};

struct call;

enum call_state {
    CALL_GOING,
    CALL_DONE,   /* an answer came, whatever its status */
    CALL_FAILED, /* none did; call_why */
};

enum err call_new(
    struct client *client, const struct client_request *request, struct call **out) MUST_USE;
void call_prepare(struct call *call, struct pollset *ps);
enum call_state call_step(struct call *call, const struct pollset *ps);
void call_free(struct call *call);

unsigned call_status(const struct call *call);
struct span call_body(const struct call *call); /* lives as long as the call */
/* The only field of that name; NULL if absent. Lives as long as the call. */
const struct span *call_field(const struct call *call, const char *name);
const char *call_why(const struct call *call);
/* ERR_NOT_FOUND, ERR_CLOSED, ERR_TIMEOUT: server unreachable; ERR_MISMATCH: TLS; ERR_MALFORMED:
 * what answered is no HTTP server of ours; or the sink's. */
enum err call_failure(const struct call *call);

/* One whole call. OK: it is CALL_DONE. Otherwise call_failure's, or ERR_CLOSED when told to stop.
 * *out is to be freed in either case (NULL only for ERR_MEMORY). */
enum err client_call(
    struct client *client, const struct client_request *request, struct call **out) MUST_USE;

/* Percent-encodes everything but unreserved characters into a target. Like snprintf. */
size_t client_escape(struct span text, char *out, size_t size);

/* For wsclient.c: begins a connection to the client's server; TLS by its context. */
void client_dial(struct client *client, struct stream *stream);

#endif
