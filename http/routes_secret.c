/* routes_secret.c: another secret of access tokens, asked for on the server's own machine. Runs on
 * loops. The next secret is on disk before the event that names it, and in force only when that
 * event is durable: a few milliseconds of this loop, once in a long while. */
#include "http/routes_handlers.h"

#include "http/cuts.h"

struct secret_in {
    int64_t grace_s;
    bool leaked;
    bool began; /* the port waits to be told how it went */
};

static const struct json_field secret_fields[] = {
    {.name = "grace_s",
        .kind = JSON_KIND_INT,
        .min = 0,
        .max = SECRET_GRACE_S_MAX,
        .offset = offsetof(struct secret_in, grace_s)},
    {.name = "leaked", .kind = JSON_KIND_BOOL, .offset = offsetof(struct secret_in, leaked)},
};

bool
secret_parse(struct walk *w)
{
    const struct token_secret_port *port = &w->app->token_secret;
    struct secret_in *in = walk_in(w, sizeof(*in));
    const char *fixed;

    if (in == NULL || !walk_body(w, secret_fields, 2, in, NULL))
        return false;
    if (in->leaked && in->grace_s != 0) {
        walk_no(w, PROBLEM_BAD_FIELD, "A leaked secret gets no grace.", "grace_s");
        return false;
    }
    if ((fixed = port->fixed(port->ctx)) != NULL && !in->leaked) {
        walk_no(w, PROBLEM_CONFLICT, fixed, NULL);
        return false;
    }
    return true;
}

/* However the walk ends: what was begun and did not become an event is undone. */
static void
secret_drop(struct walk *w)
{
    struct secret_in *in = w->in;

    if (in->began)
        w->app->token_secret.settle(w->app->token_secret.ctx, false);
    in->began = false;
}

struct command *
secret_command(struct walk *w)
{
    struct secret_in *in = w->in;
    struct command *cmd = walk_command(w, CMD_ROTATE_SECRET, 0);
    struct rotate_secret *r;

    if (cmd == NULL)
        return NULL;
    r = &cmd->rotate_secret;
    r->leaked = in->leaked;
    if (in->grace_s > 0) /* in whole seconds, as tokens count them */
        r->until_us = (ledger_thread_eff_us(w->app->ledger) / US_PER_S + in->grace_s) * US_PER_S;
    if (w->app->token_secret.begin(w->app->token_secret.ctx, r) == OK) {
        in->began = true;
        w->drop = secret_drop;
        return cmd;
    }
    command_free(cmd);
    return NULL; /* one is under way, or the disk refused: 503, and the server's log says why */
}

enum pace
secret_reply(struct walk *w)
{
    const struct token_secret_port *port = &w->app->token_secret;
    struct secret_in *in = w->in;
    static const struct id all;
    struct json_write json;

    port->settle(port->ctx, true);
    in->began = false;
    if (in->leaked) /* more than one decision can end, and before the next second */
        cuts_add(w->app, CUT_EVERYTHING, &all);
    json_write_init(&json, NULL, NULL);
    json_write_object(&json, NULL);
    json_write_uint(&json, "seq", w->verdict.first_seq);
    json_write_bool(&json, "leaked", in->leaked);
    json_write_int(&json, "grace_s", in->grace_s);
    json_write_bool(&json, "until_restart", port->fixed(port->ctx) != NULL);
    json_write_end(&json);
    return walk_json(w, 200, &json, NULL, NULL);
}
