/* server.c: the set of loops: binds, starts, stops. Runs on the main thread; has no part in
 * serving. */
#include "http/engine.h"

#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <unistd.h>

static enum err
options_copy(struct http_server *server, const struct http_server_options *options, char *why,
    size_t why_len)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (options->listen_count > HTTP_LISTENERS_MAX || options->loops > HTTP_LOOPS_MAX) {
        snprintf(
            why, why_len, "at most %d listeners and %d loops", HTTP_LISTENERS_MAX, HTTP_LOOPS_MAX);
        return ERR_LIMIT;
    }
    server->options = *options;
    for (size_t i = 0; i < options->listen_count; i++) {
        server->listen[i] = options->listen[i];
        INVARIANT(!options->listen[i].tls || options->tls != NULL);
    }
    server->options.listen = server->listen;
    server->loop_count = options->loops;
    if (server->loop_count == 0)
        server->loop_count = cores > 2 ? (unsigned)cores - 1 : 1;
    if (server->loop_count > HTTP_LOOPS_MAX)
        server->loop_count = HTTP_LOOPS_MAX;
    if (server->options.connections_max == 0)
        server->options.connections_max = HTTP_CONNECTIONS_MAX;
    if (server->options.per_address_max == 0)
        server->options.per_address_max = HTTP_PER_ADDRESS_MAX;
    return OK;
}

static enum err
server_bind(struct http_server *server, char *why, size_t why_len)
{
    enum err err;

    for (size_t i = 0; i < server->options.listen_count; i++) {
        err = listener_probe(&server->listen[i], &server->ports[i], why, why_len);
        if (err != OK)
            return err;
        for (unsigned k = 0; k < server->loop_count; k++) {
            if (k > 0 && server->listen[i].unix_path != NULL)
                break; /* a socket in the file system has one listener */
            err =
                listener_open(server->loops[k], &server->listen[i], server->ports[i], why, why_len);
            if (err != OK)
                return err;
        }
    }
    return OK;
}

enum err
http_server_new(
    const struct http_server_options *options, struct http_server **out, char *why, size_t why_len)
{
    struct http_server *server = calloc(1, sizeof(*server));
    enum err err = ERR_MEMORY;

    snprintf(why, why_len, "out of memory");
    if (server == NULL || sodium_init() < 0)
        goto out;
    if ((err = options_copy(server, options, why, why_len)) != OK)
        goto out;
    err = caps_new(server->options.connections_max, server->options.per_address_max, &server->caps);
    for (unsigned k = 0; err == OK && k < server->loop_count; k++)
        err = loop_new(server, k, &server->loops[k]);
    if (err == OK)
        err = server_bind(server, why, why_len);
out:
    if (err != OK) {
        http_server_free(server);
        return err;
    }
    *out = server;
    return OK;
}

enum err
http_server_start(struct http_server *server)
{
    enum err err = OK;

    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of that one write */
    for (unsigned k = 0; err == OK && k < server->loop_count; k++)
        err = loop_start(server->loops[k]);
    if (err != OK)
        http_server_stop(server, 0);
    return err;
}

void
http_server_stop(struct http_server *server, uint64_t drain_ms)
{
    atomic_store(&server->drain_ms, drain_ms);
    for (unsigned k = 0; k < server->loop_count; k++)
        loop_stop(server->loops[k]);
    for (unsigned k = 0; k < server->loop_count; k++)
        loop_join(server->loops[k]);
}

void
http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    for (unsigned k = 0; k < server->loop_count; k++)
        loop_free(server->loops[k]);
    caps_free(server->caps);
    free(server);
}

uint16_t
http_server_port(const struct http_server *server, size_t listener)
{
    INVARIANT(listener < server->options.listen_count);
    return server->ports[listener];
}

unsigned
http_server_loops(const struct http_server *server)
{
    return server->loop_count;
}

struct loop *
http_server_loop(struct http_server *server, unsigned index)
{
    INVARIANT(index < server->loop_count);
    return server->loops[index];
}

void
server_log(const struct http_server *server, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (server->options.log != NULL)
        server->options.log(server->options.log_ctx, line);
    else
        fprintf(stderr, "%s\n", line);
}
